"""Makes the pictures of the docs from generated street scenes: `python docs/pictures.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from pipeline.datasets import demo
from pipeline.evaluation import upper_bound
from pipeline.report import bounds, reconstruction, show

IMAGES = Path(__file__).parent / "images"
WIDTH = 1600
SHOWN = 2
"""Which validation scene."""


def shrink(path: Path, name: str) -> None:
    """Keep a picture at a size fit for a page."""
    picture = Image.open(path).convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    picture.resize((WIDTH, height), Image.Resampling.LANCZOS).save(IMAGES / name, quality=85, optimize=True)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        demo.generate(root / "data", train=1, val=6)
        data = demo.Demo(root / "data")
        frames = data.frames("val")
        scene = show.load_scene(data, frames[SHOWN], (8, 8))
        show.draw_points(data, scene, root / "points.png", (0.1, 1.0, 10.0), resized=32)
        shrink(root / "points.png", "demo.jpg")
        reconstruction.draw(data, scene, root / "kept.png", (8, 8), 1.0, 32)
        shrink(root / "kept.png", "kept.jpg")
        wanted = upper_bound.settings([16, 32, 64, 128, 256], [(8, 8)], [0.3, 1.0, 3.0])
        bounds.plot(upper_bound.run(data, "val", frames, wanted), root / "bound.png")
        shrink(root / "bound.png", "upper-bound.jpg")


if __name__ == "__main__":
    main()
