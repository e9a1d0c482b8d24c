"""What a log says of long work: a line a minute, on standard error, nothing of short work."""

from __future__ import annotations

import re

import pytest

from pipeline import progress


def test_images_done_failures_and_the_time_left_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    heard = progress.LogLines(every=0.0)
    heard.started("boundaries of demo/train", 4000)
    heard.advanced(1000, 1000)
    heard.advanced(500, 500, failures=2)
    heard.finished()
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert re.fullmatch(
        r"boundaries of demo/train: 1,000 of 4,000 images, [\d.]+ images/s, about .* left", first
    )
    assert "1,500 of 4,000 images, 2 failed, " in second


def test_epoch_loss_and_validation_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    heard = progress.LogLines(every=0.0)
    heard.started("base-unet", total=80, done=40)
    heard.advanced(8, 360, note="epoch 6 of 10, loss 0.5000")
    heard.advanced(8, 360, note="epoch 7 of 10, loss 0.4000, miou 0.2500")
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert re.fullmatch(r"base-unet: epoch 6 of 10, loss 0\.5000, [\d.]+ images/s, about .* left", first)
    assert "epoch 7 of 10, loss 0.4000, miou 0.2500, " in second


def test_the_time_left_is_of_the_steps_of_this_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 100.0, 100.0])
    heard = progress.LogLines()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    heard.started("base-unet", total=100, done=80)
    heard.advanced(10, 100, note="epoch 9 of 10, loss 0.5000")
    assert capsys.readouterr().err.endswith("about 1 min 40 s left\n")


def test_a_line_on_a_terminal_is_of_this_run() -> None:
    heard = progress.ProgressLine()
    heard.started("base-unet [x]", total=100, done=80)
    heard.advanced(10, 40, failures=1, note="epoch 9 of 10, loss 0.5000")
    (task,) = heard.progress.tasks
    assert (task.total, task.completed, task.description) == (100, 90, "base-unet [x]")
    assert re.fullmatch(r"epoch 9 of 10, loss 0\.5000 [\d.]+ images/s", task.fields["text"])
    assert task.fields["failed"] == "1 failed"
    heard.finished()
    assert not heard.progress.tasks


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for total, done in ((2, 0), (1, 1)):
        heard = progress.listener()
        heard.started("boundaries", total, done)
        heard.advanced(2, 2)
        heard.finished()
    assert capsys.readouterr() == ("", "")
