"""Every parameter of adaprep, once: what it is called, its type, range, default and help.

A command's options are the fields of a dataclass. Each field that is made by a `Setting` becomes an option of
the command line (`pipeline.options`), a key of recipes, a part of the command line that is printed back
(`command_line`), and a value of the stored JSON (`plain`). Fields that are dataclasses themselves are groups
of settings; a setting that two groups share, such as lambda, is one option that fills both.
"""

from __future__ import annotations

import functools
import re
import shlex
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, NewType

Grid = tuple[int, int]
"""Rows and columns of a sampling tensor."""

Picture = NewType("Picture", Path)
"""A file that a picture is written to: its suffix says the format."""

Filter = Literal["area", "nearest"]
Saved = Literal["labels", "overlay", "probabilities"]
"""What `adaprep predict` writes of an image."""

Device = NewType("Device", str)
"""Where networks run: `DEVICES` says how it is written."""

Adaptive = NewType("Adaptive", str)
"""The least and the most local processes, as MIN:MAX."""

DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")

Precision = Literal["auto", "float32", "bfloat16"]

DEFAULT_WORKSPACE = Path("adaprep-workspace")

REQUIRED: Any = object()
"""The default of a setting that has none."""


@dataclass(frozen=True)
class Setting:
    """What is known of a parameter beside its type, which is its field's."""

    help: str = ""
    default: Any = REQUIRED
    flag: str = ""  # of the command line; default: the field's name
    formerly: tuple[str, ...] = ()  # older flags, and keys of recipes, that still work
    short: str = ""  # of one letter
    low: float | None = None
    above: float | None = None  # an excluded lower limit
    choices: tuple[str, ...] = ()
    door: bool = False  # whether it also takes package.module:factory
    metavar: str = ""
    shown: str | bool = True  # the default in the help: itself, other words, or not
    environment: str = ""  # variable that it is taken from where the option is not given
    argument: bool = False  # positional
    completes: str = ""  # what the shell offers: see `pipeline.completion`
    elsewhere: bool = (
        False  # whether a path may also be an address of an object store, or lead into an archive
    )

    def __call__(self, **changes: Any) -> Any:
        """A dataclass field of this setting; `changes` is what this command says otherwise."""
        chosen = replace(self, **changes)
        given: dict[str, Any] = {} if chosen.default is REQUIRED else {"default": chosen.default}
        if isinstance(chosen.default, Mapping):
            given = {"default_factory": dict}
        return field(**given, kw_only=not given, metadata={"setting": chosen})


def group(owner: type, **defaults: Any) -> Any:
    """A dataclass field that is a group of settings; `defaults` is what this command says otherwise."""
    return field(default_factory=lambda: owner(**defaults), metadata={"defaults": defaults})


def setting(default: Any = REQUIRED, help: str = "", **about: Any) -> Any:
    """A dataclass field that is a parameter; `about` as the fields of `Setting`."""
    return Setting(help, default, **about)()


@dataclass(frozen=True)
class Entry:
    """One setting of a dataclass or of a group in it."""

    name: str
    setting: Setting
    kind: Any  # its type, without None
    optional: bool  # whether None is a value

    @property
    def flag(self) -> str:
        return self.setting.flag or "--" + self.name.replace("_", "-")


@functools.cache
def entries(owner: type) -> tuple[Entry, ...]:
    """The settings that are fields of a dataclass itself, in order."""
    hints = typing.get_type_hints(owner)
    return tuple(_entry(f, hints[f.name]) for f in fields(owner) if "setting" in f.metadata)


def _entry(of: Field[Any], kind: Any) -> Entry:
    optional = typing.get_origin(kind) in (typing.Union, types.UnionType)
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    return Entry(of.name, of.metadata["setting"], kind, optional)


@functools.cache
def groups(owner: type) -> dict[str, type]:
    """The fields of a dataclass that are groups of settings."""
    hints = typing.get_type_hints(owner)
    return {f.name: hints[f.name] for f in fields(owner) if is_dataclass(hints[f.name])}


@functools.cache
def all_entries(owner: type) -> tuple[Entry, ...]:
    """The settings of a dataclass and of its groups, in the order of its fields; a shared one comes once."""
    found: dict[str, Entry] = {}
    mine = {entry.name: entry for entry in entries(owner)}
    for f in fields(owner):
        inner = _of_group(f, groups(owner)[f.name]) if f.name in groups(owner) else iter(())
        for entry in [mine[f.name]] if f.name in mine else inner:
            found.setdefault(entry.flag, entry)
    return tuple(found.values())


def _of_group(of: Field[Any], kind: type) -> Iterator[Entry]:
    """The settings of a group, with the defaults that the command gives it."""
    defaults = of.metadata.get("defaults", {})
    for entry in all_entries(kind):
        if entry.name in defaults:
            entry = replace(entry, setting=replace(entry.setting, default=defaults[entry.name], shown=True))
        yield entry


def build(owner: type, values: Mapping[str, Any]) -> Any:
    """A dataclass, its groups too, of values by flag; what is missing keeps its default."""
    own = {entry.name: values[entry.flag] for entry in entries(owner) if entry.flag in values}
    for f in fields(owner):
        if f.name in groups(owner):
            usual = {e.flag: e.setting.default for e in _of_group(f, groups(owner)[f.name])}
            known = {flag: value for flag, value in usual.items() if value is not REQUIRED}
            own[f.name] = build(groups(owner)[f.name], {**known, **values})
    return owner(**own)


def changed(options: Any) -> Iterator[tuple[Entry, Any]]:
    """The settings of a dataclass and of its groups whose values are not their defaults."""
    seen: set[str] = set()
    owner: Any = type(options)
    for entry in all_entries(owner):
        value = _value(options, entry.flag)
        default = entry.setting.default
        if entry.flag not in seen and value != (None if default is REQUIRED else default):
            seen.add(entry.flag)
            yield entry, value


def _value(options: Any, flag: str) -> Any:
    owner: Any = type(options)
    for entry in entries(owner):
        if entry.flag == flag:
            return getattr(options, entry.name)
    for name, kind in groups(owner).items():
        if any(entry.flag == flag for entry in all_entries(kind)):
            return _value(getattr(options, name), flag)
    raise KeyError(flag)


def arguments(options: Any) -> list[str]:
    """What to type after the command's name to get these options; defaults are left out."""
    positional: list[str] = []
    named: list[str] = []
    for entry, value in changed(options):
        texts = as_texts(value, entry.kind)
        if entry.setting.argument:
            positional += texts
        elif entry.kind is bool:
            named.append(entry.flag)
        else:
            named += [part for text in texts for part in (entry.flag, text)]
    return positional + named


def command_line(name: str, options: Any) -> str:
    """A command with these options, quoted for a shell."""
    return shlex.join(["adaprep", name, *arguments(options)])


def as_texts(value: Any, kind: Any) -> list[str]:
    """A value as the command line takes it: one text for each time that its option is given."""
    if kind == Grid:
        return ["x".join(map(str, value))]
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        texts = [text for item in value for text in as_texts(item, inner)]
        return [",".join(texts)] if has_commas(kind) and texts else texts
    if isinstance(value, Mapping):
        return [f"{key}={as_text(item)}" for key, item in value.items()]
    return [as_text(value)]


def has_commas(kind: Any) -> bool:
    """Whether a type is several numbers or several of some words, which commas may separate."""
    if typing.get_origin(kind) is not tuple or kind == Grid:
        return False
    inner = typing.get_args(kind)[0]
    return inner in (int, float) or typing.get_origin(inner) is Literal


def as_text(value: Any) -> str:
    """One number or word: 1.0 as "1", 0.1 as "0.1"."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def plain(options: Any, **changes: Any) -> dict[str, Any]:
    """A dataclass as a dictionary for JSON; `changes` replaces fields first."""
    return asdict(replace(options, **changes))


DATASET = Setting(
    "A name that the workspace holds or `adaprep datasets` lists, a YAML file, or package.module:factory.",
    completes="dataset",
)
HELD = Setting(
    "Name or YAML file. Needed only when the workspace holds several.",
    None,
    flag="--dataset",
    completes="dataset",
)
ROOT = Setting(
    "Folder of the data set, here, in a zip or tar file, or s3://BUCKET/FOLDER. Default: ADAPREP_DATA/NAME, "
    "then ./data/NAME.",
    None,
    elsewhere=True,
)
MOVED = Setting(
    "New folder of the data set, if it has moved; remembered.", None, flag="--root", elsewhere=True
)
TARGETS = Setting("Target classes by name, with commas. Default: the data set's own.", None)
SPLITS = Setting(
    "Split; may be given several times.", (), flag="--split", shown="train and val", completes="split"
)
LIMIT = Setting("Only the first N images of a split.", None, low=1)
GRID = Setting("Size of the sampling tensors, rows x columns.", (8, 8), metavar="HxW")
CROPS = Setting("Square crops per image.", None, low=1)
LAMBDA = Setting("Weight of regularity against boundary pull.", 1.0, flag="--lambda", low=0)
LAMBDAS = replace(
    LAMBDA, help="Weight of regularity against boundary pull; several with commas.", default=(1.0,)
)
RESOLUTION = Setting("Side of the sampled images in pixels.", 64, low=2)
RESOLUTIONS = replace(RESOLUTION, help="Sides of the sampled images in pixels, with commas.", default=(64,))
FILTER = Setting(
    "How the auxiliary network's small image is made: mean of boxes, or nearest pixels.",
    "area",
    flag="--aux-filter",
)
SAMPLE_FILTER = Setting(
    "How images are sampled: nearest pixels, or area, the mean of each sample's own cell (anti-aliased). "
    "Labels are always nearest.",
    "nearest",
    flag="--filter",
)
DEVICE = Setting(
    "Where networks run: auto (a GPU if there is one), cpu, cuda, cuda:1, mps.", "auto", completes="device"
)
PRECISION = Setting("Number format of forward passes. auto: bfloat16 on a GPU, float32 on a CPU.", "auto")
OVERWRITE = Setting("Start the stores again instead of resuming.", False)
DRY_RUN = Setting("Say what would be done, why, and what it would take.", False)
FACTORIES = Setting(
    "package.module:factory of a base network of your own: a checkpoint does not decide which code runs. "
    "May be given several times.",
    (),
    flag="--architecture",
    formerly=("--base",),
    metavar="FACTORY",
)
SAMPLERS = Setting(
    "package.module:factory of a sampler of your own, as --architecture names networks.",
    (),
    flag="--sampler",
    metavar="FACTORY",
)
RESAMPLED = replace(
    SAMPLERS,
    help="In place of how it was sampled in training: previous, by the labels predicted for the last frame "
    "of a video, or twice, by those of a coarse first pass; or package.module:factory of your own.",
    metavar="NAME|FACTORY",
)
FIRST = Setting(
    "With --sampler twice: network of uniform samples for the first pass, a run or a file. Default: {}.",
    None,
    flag="--first",
    metavar="RUN|FILE",
    completes="run",
    elsewhere=True,
)
METRICS = Setting(
    "package.module:factory of a metric of your own, measured beside adaprep's. May be given several times.",
    (),
    flag="--metric",
    metavar="FACTORY",
)
FORCE = Setting("Replace files that adaprep did not make, but for those it reads.", False)
JSON = Setting("Print JSON instead of a table.", False, flag="--json")
BLOCK_SIZE = Setting("Images per task, rounded up to whole blocks of the store.", None, low=1)
WORKSPACE = Setting(
    "Folder that holds all results, here or s3://BUCKET/FOLDER.",
    DEFAULT_WORKSPACE,
    shown="./adaprep-workspace, or ADAPREP_WORKSPACE",
    environment="ADAPREP_WORKSPACE",
    elsewhere=True,
)


@dataclass(frozen=True)
class Data:
    """Which data set is read, and where it lies."""

    dataset: str = DATASET()
    root: Path | None = ROOT()
    targets: str | None = TARGETS()
    settings: Mapping[str, str] = setting(
        {}, "Data set setting, as in neutral=ignore.", flag="--set", metavar="KEY=VALUE"
    )


@dataclass(frozen=True)
class Scheduling:
    """Where tasks run: threads of this process unless said otherwise."""

    workers: int | None = setting(None, "Run in N local processes, not in threads.", low=1)
    threads: int | None = setting(None, "Threads. Default: one per core.", low=1)
    adaptive: Adaptive | None = setting(
        None, "Run in as many local processes as there is work for, from MIN to MAX.", metavar="MIN:MAX"
    )
    scheduler: str | None = setting(None, "Run on a Dask cluster.", metavar="tcp://HOST:PORT")
    wait: float = setting(
        30.0,
        "Seconds to wait for a first worker of the cluster, and for another once all are lost.",
        above=0,
        metavar="SECONDS",
    )
    report: Path | None = setting(
        None,
        "Write Dask's performance report: what each worker did, and when.",
        flag="--performance-report",
        metavar="FILE",
    )


@dataclass(frozen=True)
class Held:
    """A data set: the one named, or else the one that the workspace holds."""

    dataset: str | None = DATASET(default=None, help="Name or YAML file. Default: the one in the workspace.")
    root: Path | None = ROOT(help="Folder of the data set, if not the one that the workspace remembers.")
    targets: str | None = TARGETS(help="Target classes by name, with commas.")
    splits: tuple[str, ...] = SPLITS()
