"""`adaprep check`: what of the classes lies in the region that is evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cli import main
from pipeline.geometry.crops import central_crop, covering, offsets

YAML = """\
name: people
classes:
  - {id: 0, name: wall}
  - {id: 1, name: person}
  - {id: 2, name: hair}
targets: [person]
splits:
  train: {images: images, labels: labels}
  val: {images: images, labels: labels}
"""


def write(root: Path, **maps: NDArray[np.uint8]) -> Path:
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for name, ids in maps.items():
        Image.fromarray(ids).save(root / "labels" / f"{name}.png")
        Image.fromarray(np.repeat(ids[..., None], 3, 2)).save(root / "images" / f"{name}.png")
    yaml = root / "people.yaml"
    yaml.write_text(YAML, encoding="utf-8")
    return yaml


def check(yaml: Path, split: str, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", "--dataset", str(yaml), "--split", split, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def facts(yaml: Path, split: str = "val") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(check(yaml, split, "--json")[1])[0]
    return found


def portrait() -> NDArray[np.uint8]:
    """60 x 40: hair above and, one row of it, inside the central square; a person in the middle."""
    ids = np.zeros((60, 40), np.uint8)
    ids[:11] = 2
    ids[15:45, 10:30] = 1
    return ids


def test_a_class_that_the_central_squares_lose_is_named(tmp_path: Path) -> None:
    yaml = write(tmp_path, one=portrait())
    found = facts(yaml)
    assert found["region"] == "central square"
    assert found["central_share"] == pytest.approx(40 / 60)
    assert found["lost"] == {"hair": pytest.approx(1 / 11)}
    rows = {row["name"]: row for row in found["classes"]}
    assert rows["person"]["central_pixels"] == rows["person"]["pixels"] == 600
    assert rows["hair"]["central_pixels"] == 40
    assert rows["hair"]["central_share"] == pytest.approx(1 / 11)
    code, said = check(yaml, "val")
    assert code == 0
    assert "central squares, which evaluate measures: 66.7 % of the pixels" in said
    assert "warning: they hold only 9.1 % of hair" in said
    assert "adaprep evaluate --whole-image" in said


def test_square_images_lose_nothing(tmp_path: Path) -> None:
    yaml = write(tmp_path, one=portrait()[:40])
    assert facts(yaml)["central_share"] == 1
    assert "warning" not in check(yaml, "val")[1]


def test_a_panorama_is_measured_on_little_of_itself_and_not_covered_in_training(tmp_path: Path) -> None:
    yaml = write(tmp_path, long=np.zeros((60, 1000), np.uint8))
    assert facts(yaml)["central_share"] == pytest.approx(0.06)
    assert "they hold less than half of the pixels" in check(yaml, "val")[1]
    assert facts(yaml)["uncovered"] == []
    assert facts(yaml, "train")["uncovered"] == ["long"]
    assert "1 image too long for the crops of training" in check(yaml, "train")[1]


def test_an_image_that_no_crop_sees_is_a_problem(tmp_path: Path) -> None:
    yaml = write(tmp_path, line=np.zeros((1, 50), np.uint8), one=portrait())
    code, said = check(yaml, "val")
    assert code == 1
    assert "50 x 1 pixels are too few for a crop, so none sees it" in said


@given(st.integers(2, 300), st.integers(2, 300))
def test_as_many_squares_as_are_said_cover_an_image_and_fewer_do_not(height: int, width: int) -> None:
    def covers(count: int) -> bool:
        seen = np.zeros((height, width), bool)
        for top, left in offsets(height, width, count):
            seen[top : top + min(height, width), left : left + min(height, width)] = True
        return bool(seen.all())

    count = covering(height, width)
    assert covers(count)
    assert count == 1 or not covers(count - 1)
    assert central_crop(np.zeros((height, width))).shape == (min(height, width),) * 2
