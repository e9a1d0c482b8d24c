"""The sections `auxiliary` and `base` of a recipe, as what `adaprep train` is asked for, run by run."""

from __future__ import annotations

import math
import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, Field, ValidationInfo, create_model

from pipeline import doors
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_models import FILLED, Mistakes, YamlModel, collected, read_with, whole
from pipeline.datasets.yaml_nodes import Mistake, YamlNode
from pipeline.errors import AdaprepError
from pipeline.samplers import registry
from pipeline.settings import DEVICES, Device, Entry, Setting, entries
from pipeline.train import class_weights
from pipeline.train.settings import PREFIXES, PROBABILITIES, WEIGHTS, Auxiliary, Base, Request

MOST = 10**9
"""No number in a recipe is larger."""

MAX_RESOLUTION = 8192
"""Of samples: one of 512 is the paper's largest."""

MAX_LAMBDA = 1e9
MAX_RATE = 100.0
"""Beyond these the solver's and the optimiser's numbers end."""

MAX_RUNS = 10_000
"""Trainings of a recipe: resolutions x seeds x samplers."""

MOSTS = {
    "area_weight": 1,
    "resolution": MAX_RESOLUTION,
    "features": 4096,
    "rate": MAX_RATE,
    "lam": MAX_LAMBDA,
}
"""Upper limits by setting; all else that a recipe says of one is where the setting is."""

WITH_BACKBONE = ("pspnet", "deeplabv3plus", "efficientnet-lite0")
"""Networks that take pretrained weights, beside factories."""

SCHEDULE = (
    "learning_rate",
    "epochs",
    "patience",
    "batch_size",
    "weight_decay",
    "validate_every",
    "precision",
    "augment",
)
"""Keys of `auxiliary` and `base` that are settings of `Request`."""

BASE_LEARNING = ("class_weights", "loss", "area_weight", "tensor_channels")
"""Keys of `base` that say what its network learns from."""

NETWORKS = ("unet", "pspnet", "deeplabv3plus", "efficientnet-lite0")
AUGMENTATIONS = ("flip", "brightness", "contrast", "salt_and_pepper", "zoom", "turn")
"""As in `pipeline.train`, where they can only be read with PyTorch."""

MAX_STRENGTH = 100.0

NAMING = (
    *("resolution", "filter", "loss", "features", "encoder", "head", "zoom", "mirrored", "lam"),
    *("architecture", "samplers", "seeds", "aux_resolution", "resolutions"),
)
"""Fields that the names of runs are made of: none of these can be guessed where it is wrong."""


def key_of(entry: Entry) -> str:
    """A setting's key in recipes: its option, without what tells two networks apart."""
    return entry.flag.removeprefix("--").removeprefix("aux-").replace("-", "_")


def taken(owner: type, name: str) -> BeforeValidator:
    """How a recipe's value of a setting is read: by the setting's type, limits and choices."""
    return _validator(next(entry for entry in entries(owner) if entry.name == name))


def _validator(entry: Entry) -> BeforeValidator:
    if entry.name in SPECIAL:
        return SPECIAL[entry.name]
    about, kind = entry.setting, entry.kind
    choices = about.choices or (typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ())
    if choices:
        return read_with(lambda node: _choice(node, choices, about.door))
    if kind is Device:
        return read_with(_device)
    if kind is bool:
        return read_with(YamlNode.switch)
    if kind is int:
        return whole(int(about.low or 0), int(MOSTS.get(entry.name, MOST)))
    if kind is float:
        return read_with(lambda node: _number(node, about, MOSTS.get(entry.name, math.inf)))
    return read_with(YamlNode.text)


def _device(node: YamlNode) -> str:
    name = node.text()
    if not DEVICES.fullmatch(name):
        node.fail(f"must be auto, cpu, cuda, cuda:N or mps, found {short(name)}")
    return name


def _number(node: YamlNode, about: Setting, high: float) -> float:
    value = node.number(about.low or 0, high)
    if about.above is not None and value <= about.above:
        node.fail(f"must be a number above {about.above:g}, found {value:g}")
    return value


def _choice(node: YamlNode, known: Sequence[str], door: bool) -> str:
    """One of the known names, or the user's own."""
    name = node.value() if door and node.is_scalar() else None
    return str(name) if doors.is_door(name) else node.choice(known)


def _sampler(node: YamlNode) -> str:
    return _choice(node, registry.names(), True)


def _architecture(node: YamlNode) -> str:
    """One of the known names, or a factory, which is imported where networks are made, and not before."""
    name = node.text()
    if name.partition(":")[0] in PREFIXES:
        return name
    if ":" in name and not doors.is_door(name):
        node.fail(f"must be package.module:factory, found {short(name)}")
    return name if ":" in name else node.choice((*NETWORKS, "LIBRARY:NAME", "package.module:factory"))


def _weights(node: YamlNode) -> str:
    if node.text() in WEIGHTS:
        return node.text()
    path = node.file_path()
    if not os.path.isfile(path):
        node.fail(f"no such file: {path}")
    return str(path)


def _strength(name: str) -> Any:
    high = 1 if name in PROBABILITIES else MAX_STRENGTH
    return Annotated[float | None, read_with(lambda node: node.number(0, high))], None


Augment = create_model("Augment", __base__=YamlModel, **{name: _strength(name) for name in AUGMENTATIONS})


def _class_weights(node: YamlNode) -> str:
    """A word, or numbers by name, as the command line takes them."""
    if isinstance(node.node, yaml.MappingNode):
        return ",".join(f"{name}={value.number():g}" for name, value in node.any_mapping().items())
    try:
        class_weights.parse(node.text())
    except AdaprepError as error:
        node.fail(str(error))
    return node.text()


SPECIAL = {
    "class_weights": read_with(_class_weights),
    "architecture": read_with(_architecture),
    "pretrained": read_with(_weights),
    "augmentation": BeforeValidator(lambda node, info: Augment.read(node, collected(info)).given()),
}
"""Settings whose values need more than a type."""


def _fields(owner: type, *keys: str) -> dict[str, Any]:
    """Fields of a model, made of the settings that have these keys in recipes."""
    by_key = {key_of(entry): entry for entry in entries(owner)}
    return {
        by_key[key].name: (Annotated[Any, _validator(by_key[key])], Field(default=None, alias=key))
        for key in keys
    }


class NetworkSection(YamlModel):
    """Of the networks of one kind."""

    formerly: ClassVar[Mapping[str, str]] = {
        old.removeprefix("--").replace("-", "_"): key_of(entry)
        for entry in entries(Request)
        for old in entry.setting.formerly
    }


_Seeds = Annotated[list[Annotated[int, whole(0, MOST)]] | None, FILLED]
_BASE: dict[str, Any] = {
    **_fields(Base, "architecture", "pretrained", "filter", "lambda", *BASE_LEARNING),
    **_fields(Request, *SCHEDULE),
    "seeds": (_Seeds, None),
    "aux_resolution": (Annotated[int | None, taken(Auxiliary, "resolution")], None),
}
BaseOfSampler = create_model("BaseOfSampler", __base__=NetworkSection, **_BASE)
Chosen = tuple[str, NetworkSection | None]
"""A sampler, and what is special about it."""


def _samplers(node: YamlNode, info: ValidationInfo) -> list[Chosen]:
    """Of a list of samplers; one may be a key with what is special about it: ``uniform: {filter: area}``."""
    mistakes = collected(info)
    found: list[Chosen] = []
    for item in node.filled():
        try:
            if not isinstance(item.node, yaml.MappingNode):
                found.append((_sampler(item), None))
                continue
            for value in item.any_mapping(mistakes.note).values():
                name = _sampler(replace(value, node=value.said or value.node))
                found.append((name, BaseOfSampler.read(value, mistakes)))
        except Mistake as mistake:
            mistakes.note(mistake, node)
    return found


_BASE["samplers"] = (Annotated[Any, BeforeValidator(_samplers)], None)
BaseOfResolution = create_model("BaseOfResolution", __base__=NetworkSection, **_BASE)


def _resolutions(node: YamlNode, info: ValidationInfo) -> dict[int, NetworkSection | None]:
    """Of a list of resolutions, or of resolutions as keys with what is special about each."""
    if isinstance(node.node, yaml.SequenceNode):
        return {item.integer(2, MAX_RESOLUTION): None for item in node.filled()}
    if not isinstance(node.node, yaml.MappingNode) or not node.node.value:
        node.fail("must be a list such as [32, 64], or resolutions as keys, such as 32: {epochs: 100}")
    mistakes = collected(info)
    found: dict[int, NetworkSection | None] = {}
    for value in node.any_mapping(mistakes.note).values():
        own = None
        if not (value.is_scalar() and value.value() is None):
            own = BaseOfResolution.read(value, mistakes)
        try:
            resolution = replace(value, node=value.said or value.node).integer(2, MAX_RESOLUTION)
            if resolution in found:
                value.fail(f"the resolution {resolution} was given before")
            found[resolution] = own
        except Mistake as mistake:
            mistakes.note(mistake, node)
    return found


AuxiliarySection = create_model(
    "AuxiliarySection",
    __base__=NetworkSection,
    **_fields(Auxiliary, "resolution", "filter", "loss", "features", "encoder", "head", "zoom", "mirrored"),
    **_fields(Request, *SCHEDULE),
    **_fields(Auxiliary, "lambda"),
)
BaseSection = create_model(
    "BaseSection",
    __base__=NetworkSection,
    resolutions=(Annotated[Any, BeforeValidator(_resolutions)], ...),
    **_BASE,
)


def read_trainings(
    auxiliary: NetworkSection | None, base: Any, common: Request, mistakes: Mistakes
) -> tuple[Request, ...]:
    """Auxiliary networks first, then base networks from the smallest resolution up.

    A base network with the sampler `auxiliary` has an auxiliary network of its own seed. There are none where
    what their names are made of is wrong.
    """
    sections = [section for section in (auxiliary, base) if section]
    overrides = list(base.resolutions.values()) if base and base.usable("resolutions") else []
    if not all(section.usable(*NAMING) for section in (*sections, *overrides) if section):
        return ()
    if not sections:
        return ()
    shared = replace(_auxiliary(common, auxiliary), networks=("auxiliary",))
    bases: list[Request] = []
    if base is not None:
        with mistakes.at(base.node):
            bases = [request for part in _by_resolution(base, common, shared) for request in part]
    wanted = [
        replace(
            shared,
            auxiliary=request.auxiliary,
            base=replace(shared.base, lam=request.auxiliary.lam),
            seed=request.seed,
        )
        for request in bases
        if request.base.kind.needs_network
    ]
    if auxiliary is not None and not wanted:
        wanted = [shared]
    return tuple({request.run_name("auxiliary"): request for request in wanted}.values()) + tuple(bases)


def _by_resolution(base: Any, common: Request, auxiliary: Request) -> list[list[Request]]:
    parts = []
    for resolution, own in base.resolutions.items():
        values = {**base.given(), **(own.given() if own else {})}
        nodes = {**base.nodes, **(own.nodes if own else {})}
        request = _filled_in(common, "base", values)
        helper = auxiliary.auxiliary
        if "aux_resolution" in values:
            helper = replace(helper, resolution=values["aux_resolution"])
        if own and "lam" in own.given():
            helper = replace(helper, lam=own.given()["lam"])
        if request.base.pretrained and not _takes_weights(request.base.architecture):
            nodes["pretrained"].fail(f"{request.base.architecture} takes no pretrained weights")
        parts.append((resolution, _runs(request, helper, resolution, values, nodes)))
        if sum(len(runs) for _, runs in parts) > MAX_RUNS:
            base.node.fail(f"more than {MAX_RUNS} trainings: resolutions x seeds x samplers")
    return [runs for _, runs in sorted(parts, key=lambda part: part[0])]


def _takes_weights(architecture: str) -> bool:
    return ":" in architecture or architecture in WITH_BACKBONE


def _runs(
    request: Request,
    helper: Auxiliary,
    resolution: int,
    values: Mapping[str, Any],
    nodes: Mapping[str, YamlNode],
) -> list[Request]:
    """One resolution with every seed and sampler."""
    samplers: Sequence[Chosen] = values.get("samplers", [(name, None) for name in registry.usual()])
    most = len(values.get("seeds", [0])) * len(samplers)
    if most > MAX_RUNS:
        nodes["seeds"].fail(f"more than {MAX_RUNS} trainings: seeds x samplers")
    by_sampler = [_of_sampler(request, helper, resolution, values, chosen) for chosen in samplers]
    seeds = dict.fromkeys(seed for runs in by_sampler for seed in runs)
    every = [runs[seed] for seed in seeds for runs in by_sampler if seed in runs]
    named: dict[str, Request] = {}
    for run in every:
        name = run.run_name("base")
        if named.setdefault(name, run) != run:
            nodes["samplers"].fail(f"two different networks would be the run {name}: put them in two recipes")
    return list(named.values())


def _of_sampler(
    request: Request, helper: Auxiliary, resolution: int, values: Mapping[str, Any], chosen: Chosen
) -> dict[int, Request]:
    """The runs of one sampler by their seeds."""
    sampler, own = chosen
    given = own.given() if own else {}
    request, values = _filled_in(request, "base", given), {**values, **given}
    if "aux_resolution" in given:
        helper = replace(helper, resolution=given["aux_resolution"])
    if "lam" in given:
        helper = replace(helper, lam=given["lam"])
    predicted = registry.kind(sampler).needs_network
    base = replace(
        request.base,
        sampler=sampler,
        resolution=resolution,
        lam=helper.lam if predicted else request.base.lam,
    )
    auxiliary = helper if predicted else replace(request.auxiliary, lam=base.lam)
    made = replace(request, networks=("base",), auxiliary=auxiliary, base=base)
    seeds: Sequence[int] = values.get("seeds", [0])
    return {seed: replace(made, seed=seed) for seed in dict.fromkeys(seeds)}


def _auxiliary(common: Request, section: NetworkSection | None) -> Request:
    """The section `auxiliary`; its proposals may have a lambda of their own."""
    filled_in = _filled_in(common, "auxiliary", section.given() if section else {})
    return replace(filled_in, base=replace(filled_in.base, lam=filled_in.auxiliary.lam))


def _filled_in(common: Request, name: str, values: Mapping[str, Any]) -> Request:
    """The request with a section's values in the fields of the same names."""
    owner = getattr(common, name)
    mine = {f.name for f in fields(owner)}
    there = {f.name for f in fields(Request)}
    own = {key: value for key, value in values.items() if key in mine}
    rest = {key: value for key, value in values.items() if key in there and key not in mine}
    return replace(common, **{name: replace(owner, **own), **rest})
