"""Commands that messages and reports tell people to run can be run."""

from __future__ import annotations

import shlex

import click
import pytest

from cli import main
from pipeline import advice

ADVICE = (
    ("train", {"dataset": None}, "adaprep train"),
    (
        "train",
        {"architecture": "unet", "sampler": "uniform", "resolution": 32, "dataset": "my data"},
        "adaprep train --sampler uniform --resolution 32 --dataset 'my data'",
    ),
    ("evaluate", {"split": ("val",)}, "adaprep evaluate"),
    ("evaluate", {"split": ("test",), "dataset": "camvid"}, "adaprep evaluate --dataset camvid --split test"),
    ("upper-bound", {"lambda_": (0.1, 1.0), "save": True}, "adaprep upper-bound --lambda 0.1,1 --save"),
)


@pytest.mark.parametrize(("name", "values", "line"), ADVICE)
def test_advice_is_a_command_line_that_is_understood(name: str, values: dict[str, object], line: str) -> None:
    made = advice.command(name, **values)
    assert made == line
    found = main.get_command(click.Context(main), name)
    assert found is not None
    assert found.make_context(name, shlex.split(made)[2:]).params


def test_an_option_that_there_is_not_is_never_advised() -> None:
    with pytest.raises(ValueError, match="adaprep train has no --sample-with"):
        advice.command("train", sample_with="uniform")
