"""Makes the pictures of a report for the docs, in headless Chromium: `python docs/screenshots.py REPORT.html`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1.5",
    "--virtual-time-budget=5000",
)
DESKTOP, PHONE = 1280, 390
"""Widths in CSS pixels."""

LARGEST = 300_000
"""Bytes of a picture."""


def browser() -> str:
    """The first browser that is installed."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed; on Debian: apt-get install chromium")
    return found


def shoot(page: Path, width: int, height: int, to: Path, dark: bool = False) -> Image.Image:
    """A page in a window of that width; in a frame, since windows do not get as narrow as phones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame = folder / "frame.html"
        frame.write_text(
            f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" '
            f'style="border:0;width:{width}px;height:{height}px"></iframe>',
            encoding="utf-8",
        )
        window = f"--window-size={max(width, 600)},{height}"
        extra = ["--blink-settings=preferredColorScheme=0"] if dark else []
        command = [browser(), *FLAGS, *extra, f"--user-data-dir={folder / 'profile'}", window]
        subprocess.run(
            [*command, f"--screenshot={to}", frame.as_uri()], check=True, capture_output=True, timeout=120
        )
    picture = Image.open(to).convert("RGB")
    return picture.crop((0, 0, round(1.5 * width), picture.height))


def save(picture: Image.Image, path: Path) -> None:
    """As JPEG, with as much quality as the size allows."""
    for quality in (88, 80, 70, 60, 50):
        picture.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            return
    raise SystemExit(f"{path} is larger than {LARGEST} bytes: choose a lower --height")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="index.html of a report on the demo data set")
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--height", type=int, default=1500, help="CSS pixels of the page that are shown")
    parser.add_argument("--dark", action="store_true", help="as with a dark colour scheme")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for kind, width in (("desktop", DESKTOP), ("phone", PHONE)):
            picture = shoot(given.report, width, given.height, Path(name) / f"{kind}.png", given.dark)
            save(picture, given.output / f"report-{kind}.jpg")
            print(given.output / f"report-{kind}.jpg")


if __name__ == "__main__":
    main()
