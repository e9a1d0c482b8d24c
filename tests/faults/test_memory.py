"""Memory that runs out, and exceptions that nobody foresaw: one image's failure, or one block's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.custom import Custom
from tests.faults.harness import World, adaprep, assert_whole, make_world

BAD = "0011"


def memory_runs_out() -> None:
    np.empty(2**60, np.uint8)


def nobody_foresaw_this() -> None:
    raise ZeroDivisionError("division by zero")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def break_reader(
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], None],
    names: tuple[str, ...] = ("decode_labels", "label_strips"),
) -> None:
    """Reading one frame's labels, or image, meets the fault."""

    def faulty(read: Callable[..., Any]) -> Callable[..., Any]:
        def call(dataset: Custom, *about: Any) -> Any:
            if BAD in about[-1].name:
                fault()
            return read(dataset, *about)

        return call

    for name in names:
        monkeypatch.setattr(Custom, name, faulty(getattr(Custom, name)))


@pytest.mark.parametrize(
    ("fault", "said"),
    [(memory_runs_out, "memory ran out"), (nobody_foresaw_this, "ZeroDivisionError: division by zero")],
)
def test_one_image_that_breaks_the_reader_is_that_files_failure(
    fault: Callable[[], None], said: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_reader(broken, fault)
        outcome = world.do("boundaries")
    assert outcome.code == 1
    assert "19 images" in outcome.text
    assert "1 failed" in outcome.text
    assert f"labels/train/{BAD}.png: {said}" in outcome.text
    world.prepare("boundaries")
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


def test_an_image_too_large_for_memory_is_left_out_of_samples_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.prepare("boundaries", "solve-tensors")
    with monkeypatch.context() as broken:
        break_reader(broken, memory_runs_out, ("read_image",))
        outcome = world.do("sample")
    assert outcome.code == 1
    assert f"images/train/{BAD}.png: memory ran out" in outcome.text
    world.prepare("sample")
    assert_whole(world, world.at("undisturbed").prepare("boundaries", "solve-tensors", "sample"))


@pytest.mark.parametrize("command", ["check", "upper-bound"])
def test_looking_at_a_data_set_goes_on_past_an_image_that_breaks_the_reader(
    command: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_reader(monkeypatch, memory_runs_out)
    outcome = adaprep(command, "--dataset", str(world.yaml), "--split", "train")
    assert outcome.code == 1
    assert f"{BAD}.png: memory ran out" in outcome.text
