"""What a log says of long work: a line a minute, on standard error, nothing of short work."""

from __future__ import annotations

import re

import pytest

from pipeline.report import console
from pipeline.train import progress


def test_images_done_failures_and_the_time_left_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    heard = console.LogLines(every=0.0)
    heard.started("boundaries of demo/train", 4000)
    heard.advanced(1000, 0)
    heard.advanced(500, 2)
    heard.finished()
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert re.fullmatch(
        r"boundaries of demo/train: 1,000 of 4,000 images, [\d.]+ images/s, about .* left", first
    )
    assert "1,500 of 4,000 images, 2 failed, " in second


def test_epoch_loss_and_validation_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    heard = progress.FitLogLines(every=0.0)
    heard.started("base-unet", epochs=10, steps=80, done=40)
    heard.advanced(6, 8, 360, 0.5)
    heard.validated({"miou": 0.25, "target_miou": 0.1})
    heard.advanced(7, 8, 360, 0.4)
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert re.fullmatch(r"base-unet: epoch 6 of 10 loss 0\.5000 \d+ images/s, about .* left", first)
    assert "epoch 7 of 10 loss 0.4000 miou 0.2500 " in second


def test_the_time_left_is_of_the_steps_of_this_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 100.0, 100.0])
    heard = progress.FitLogLines()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    heard.started("base-unet", epochs=10, steps=100, done=80)
    heard.advanced(9, 10, 100, 0.5)
    assert capsys.readouterr().err.endswith("about 1 min 40 s left\n")


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for_images, for_epochs = console.listener(), progress.listener()
    for_images.started("boundaries", 2)
    for_images.advanced(2, 0)
    for_images.finished()
    for_epochs.started("base", 1, 1, 0)
    for_epochs.advanced(1, 1, 4, 0.5)
    for_epochs.finished()
    assert capsys.readouterr() == ("", "")
