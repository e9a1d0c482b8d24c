"""Builds a small ApolloScape out of its car masks: full-size label maps with real car outlines.

The masks (16-bit, 0 or 65535) become label maps of road (49) and car (33); the images beside them are plain
colours with noise, since the masks come without photographs.

    python -m benchmarks.apolloscape_from_masks MASKS FOLDER --copies 4
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

ROAD, CAR = 49, 33


def build(masks: Path, root: Path, copies: int) -> int:
    """Write the official layout below `root`; copies are flipped or shifted sideways. Returns the count."""
    rng = np.random.default_rng(0)
    files = sorted(masks.glob("*.png"))
    if not files:
        raise click.ClickException(f"no masks (*.png) in {masks}")
    count = 0
    for copy in range(copies):
        for path in files:
            mask = np.asarray(Image.open(path)) > 0
            if copy % 2:
                mask = mask[:, ::-1]
            mask = np.roll(mask, 97 * copy, axis=1)
            write(root, f"{path.stem.split('_Camera')[0]}{copy}", mask, rng)
            count += 1
    return count


def write(root: Path, stamp: str, mask: np.ndarray, rng: np.random.Generator) -> None:
    """One pair of files, named as ApolloScape names them."""
    name = f"{stamp}_Camera_5"
    places = {kind: root / "road01_ins" / kind / "Record001" / "Camera 5" for kind in ("ColorImage", "Label")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    labels = np.where(mask, CAR, ROAD).astype(np.uint8)
    Image.fromarray(labels).save(places["Label"] / f"{name}_bin.png")
    gray = np.where(mask, 170, 80).astype(np.uint8) + rng.integers(0, 30, mask.shape, dtype=np.uint8)
    Image.fromarray(gray).convert("RGB").save(places["ColorImage"] / f"{name}.jpg", quality=85)


@click.command()
@click.argument("masks", type=click.Path(path_type=Path))
@click.argument("root", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--copies", default=4, show_default=True)
def main(masks: Path, root: Path, copies: int) -> None:
    """Build the data set and say what to run next."""
    count = build(masks, root, copies)
    click.echo(f"{count} pairs in {root}. Next: adaprep check --dataset apolloscape --root {root}")


if __name__ == "__main__":
    main()
