"""Every parameter stands once: options, the command line printed back, and what it is parsed to agree."""

from __future__ import annotations

import importlib
import typing
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cli
from pipeline import options as opening
from pipeline import settings as parameters
from pipeline.settings import Entry, all_entries, arguments, build, command_line
from pipeline.train.settings import Auxiliary, Base, Request

COMMANDS = list(cli.SUMMARIES)
WORDS = st.text("abcXYZ019_.", min_size=1, max_size=8)


def module(name: str) -> Any:
    return importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}")


def values(entry: Entry, kind: Any = None) -> st.SearchStrategy[Any]:
    """Whatever a setting may be."""
    kind, about = kind or entry.kind, entry.setting
    if kind == parameters.Grid:
        return st.tuples(st.integers(2, 40), st.integers(2, 40))
    if typing.get_origin(kind) is tuple:
        item = values(entry, typing.get_args(kind)[0])
        return st.lists(item, min_size=1, max_size=3, unique=parameters.has_commas(kind)).map(tuple)
    if about.choices or typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(about.choices or typing.get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(int(about.low or 0), 10**6)
    if kind is float:
        return st.floats(about.low or about.above or 0, 1e9, exclude_min=about.above is not None)
    if typing.get_origin(kind) is not None:
        item = st.floats(0, 9) if typing.get_args(kind)[1] is float else WORDS
        return st.dictionaries(WORDS, item, max_size=3)
    if kind is parameters.Device:
        return st.sampled_from(("auto", "cpu", "cuda", "cuda:1", "mps"))
    if kind is parameters.Adaptive:
        return st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda few: f"{few[0]}:{sum(few)}")
    if kind is parameters.Picture:
        return WORDS.map(lambda word: Path(f"{word}.png"))
    return WORDS.map(Path) if kind is Path else WORDS


def options_of(owner: type) -> st.SearchStrategy[Any]:
    given_ = {entry.flag: values(entry) for entry in all_entries(owner)}
    needed = {e.flag for e in all_entries(owner) if e.setting.default is parameters.REQUIRED}
    return st.fixed_dictionaries(
        {flag: value for flag, value in given_.items() if flag in needed},
        optional={flag: value for flag, value in given_.items() if flag not in needed},
    ).map(lambda chosen: build(owner, chosen))


@pytest.mark.parametrize("name", COMMANDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_printed_command_line_is_parsed_to_the_same_options(name: str, data: st.DataObject) -> None:
    found = module(name)
    chosen = data.draw(options_of(found.Options))
    with found.command.make_context(name, arguments(chosen)) as context:
        assert opening.as_options(found.Options, context.params) == chosen


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str) -> None:
    for parameter in module(name).command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_fit_a_line_of_help(name: str) -> None:
    assert len(cli.SUMMARIES[name]) + max(map(len, COMMANDS)) + 4 <= 80
    assert module(name).command.name == name


def test_no_command_function_takes_more_than_its_options() -> None:
    for name in COMMANDS:
        assert module(name).command.callback.__wrapped__.__code__.co_argcount == 1


def test_defaults_are_left_out_and_the_rest_is_quoted() -> None:
    from pipeline.commands.boundaries import Options

    chosen = Options(parameters.Data(dataset="my data.yaml"), grid=(6, 10), splits=("train", "val"))
    assert command_line("boundaries", chosen) == (
        "adaprep boundaries --dataset 'my data.yaml' --split train --split val --grid 6x10"
    )


def test_a_setting_that_two_groups_share_is_one_option_that_fills_both() -> None:
    request = build(Request, {"--lambda": 0.5, "--grid": (4, 4)})
    assert (request.auxiliary.lam, request.base.lam) == (0.5, 0.5)
    assert request.auxiliary.grid == request.base.grid == (4, 4)


def test_what_is_not_used_is_not_printed() -> None:
    chosen = Request(("base",), Auxiliary(16, lam=0.5), Base(sampler="uniform"))
    assert arguments(chosen.minimal()) == ["--network", "base", "--sampler", "uniform"]
    only = Request(("auxiliary",), Auxiliary(16, lam=0.5), Base(resolution=128))
    assert arguments(only.minimal()) == [
        "--network",
        "auxiliary",
        "--aux-resolution",
        "16",
        "--lambda",
        "0.5",
    ]


def test_older_names_of_options_still_work_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = module("train")
    with found.command.make_context("train", ["--rate", "0.5", "--base=pspnet"]) as context:
        chosen = opening.as_options(found.Options, context.params).request
    assert (chosen.rate, chosen.base.architecture) == (0.5, "pspnet")
    assert "note: --rate is now called --learning-rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--learning-rate", "nan"),
        ("--learning-rate", "inf"),
        ("--learning-rate", "0"),
        ("--weight-decay", "nan"),
        ("--lambda", "inf"),
        ("--lambda", "-1"),
        ("--augment", "contrast=nan"),
        ("--augment", "contrast"),
        ("--grid", "1x8"),
        ("--resolution", "1"),
    ],
)
def test_numbers_that_are_none_are_refused(option: str, value: str) -> None:
    with pytest.raises(click.BadParameter):
        module("train").command.make_context("train", [option, value])
