"""The sections `auxiliary` and `base` of a recipe, as what `adaprep train` is asked for, run by run."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import product
from typing import Any

import yaml

from pipeline import doors
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_nodes import YamlNode
from pipeline.samplers import registry
from pipeline.train.settings import Auxiliary, Base, Request

MOST = 10**9
"""No number in a recipe is larger."""

MAX_RESOLUTION = 8192
"""Of samples: one of 512 is the paper's largest."""

MAX_LAMBDA = 1e9
MAX_RATE = 100.0
"""Beyond these the solver's and the optimiser's numbers end."""

MAX_RUNS = 10_000
"""Trainings of a recipe: resolutions x seeds x samplers."""

RANGES = {"resolution": (2, MAX_RESOLUTION), "features": (1, 4096)}
"""Of whole numbers, by the name of the field; others begin at 1."""

WITH_BACKBONE = ("pspnet", "deeplabv3plus")
"""Networks that take pretrained weights, beside factories."""

SCHEDULE = ("rate", "epochs", "batch_size", "weight_decay", "validate_every", "precision", "augment")
"""Keys of `auxiliary` and `base` that are fields of `Request`; those that it has not are no keys."""

OWN = {"auxiliary": ("grid", "lam"), "base": ("grid", "lam", "sampler", "resolution", "arguments")}
"""Fields of `Auxiliary` and `Base` that are no keys of their sections: they are said elsewhere."""

NETWORKS = ("unet", "pspnet", "deeplabv3plus")
AUGMENTATIONS = ("flip", "brightness", "contrast", "salt_and_pepper")
"""As in `pipeline.train`, where they can only be read with PyTorch."""

PROBABILITIES = ("flip", "salt_and_pepper")
MAX_STRENGTH = 100.0

CHOICES = {"filter": ("area", "nearest")}
"""Of fields whose type is only "text"."""


def read_trainings(auxiliary: YamlNode | None, base: YamlNode | None, common: Request) -> tuple[Request, ...]:
    """Auxiliary networks first, then base networks from the smallest resolution up.

    A base network with the sampler `auxiliary` has an auxiliary network of its own seed.
    """
    if auxiliary is None and base is None:
        return ()
    shared = replace(_auxiliary(common, auxiliary), networks=("auxiliary",))
    bases = [request for part in _resolutions(base, common, shared) for request in part]
    wanted = [
        replace(shared, auxiliary=request.auxiliary, seed=request.seed)
        for request in bases
        if request.base.kind.needs_network
    ]
    if auxiliary is not None and not wanted:
        wanted = [shared]
    return tuple({request.run_name("auxiliary"): request for request in wanted}.values()) + tuple(bases)


def _resolutions(node: YamlNode | None, common: Request, auxiliary: Request) -> list[list[Request]]:
    if node is None:
        return []
    lists = ("samplers", "seeds", "aux_resolution")
    said = node.mapping(("resolutions",), _keys("base") + lists)
    parts = []
    for resolution, own in _by_resolution(said["resolutions"]).items():
        mine = own.mapping((), _keys("base") + lists) if own else {}
        merged = {**said, **mine}
        request = _filled_in(common, "base", {k: v for k, v in merged.items() if k in _keys("base")})
        helper = auxiliary.auxiliary
        if "aux_resolution" in merged:
            helper = replace(helper, resolution=merged["aux_resolution"].integer(2, MAX_RESOLUTION))
        if request.base.pretrained and not _takes_weights(request.base.architecture):
            merged["pretrained"].fail(f"{request.base.architecture} takes no pretrained weights")
        parts.append((resolution, _runs(request, helper, resolution, merged)))
        if sum(len(runs) for _, runs in parts) > MAX_RUNS:
            node.fail(f"more than {MAX_RUNS} trainings: resolutions x seeds x samplers")
    return [runs for _, runs in sorted(parts, key=lambda part: part[0])]


def _takes_weights(architecture: str) -> bool:
    return ":" in architecture or architecture in WITH_BACKBONE


def _runs(
    request: Request, helper: Auxiliary, resolution: int, said: Mapping[str, YamlNode]
) -> list[Request]:
    """One resolution with every seed and sampler."""
    samplers = (
        [_sampler(item) for item in filled(said["samplers"])] if "samplers" in said else registry.usual()
    )
    seeds = [item.integer(0, MOST) for item in filled(said["seeds"])] if "seeds" in said else [0]
    requests = []
    if len(set(seeds)) * len(set(samplers)) > MAX_RUNS:
        said["seeds"].fail(f"more than {MAX_RUNS} trainings: seeds x samplers")
    for seed, sampler in product(dict.fromkeys(seeds), dict.fromkeys(samplers)):
        predicted = registry.kind(sampler).needs_network
        lam = helper.lam if predicted else request.base.lam
        requests.append(
            replace(
                request,
                networks=("base",),
                auxiliary=helper if predicted else request.auxiliary,
                base=replace(request.base, sampler=sampler, resolution=resolution, lam=lam),
                seed=seed,
            )
        )
    return requests


def _by_resolution(node: YamlNode) -> dict[int, YamlNode | None]:
    """Of a list of resolutions, or of resolutions as keys with what is special about each."""
    if isinstance(node.node, yaml.SequenceNode):
        return {item.integer(2, MAX_RESOLUTION): None for item in filled(node)}
    if not isinstance(node.node, yaml.MappingNode) or not node.node.value:
        node.fail("must be a list such as [32, 64], or resolutions as keys, such as 32: {epochs: 100}")
    found: dict[int, YamlNode | None] = {}
    for value in node.any_mapping().values():
        resolution = replace(value, node=value.said or value.node).integer(2, MAX_RESOLUTION)
        if resolution in found:
            value.fail(f"the resolution {resolution} was given before")
        found[resolution] = None if value.is_scalar() and value.value() is None else value
    return found


def _auxiliary(common: Request, node: YamlNode | None) -> Request:
    """The section `auxiliary`; its proposals may have a lambda of their own."""
    said = node.mapping((), (*_keys("auxiliary"), "lambda")) if node else {}
    lam = said["lambda"].number(0, MAX_LAMBDA) if "lambda" in said else common.auxiliary.lam
    rest = {key: value for key, value in said.items() if key != "lambda"}
    filled_in = _filled_in(common, "auxiliary", rest)
    return replace(
        filled_in, auxiliary=replace(filled_in.auxiliary, lam=lam), base=replace(filled_in.base, lam=lam)
    )


def _filled_in(common: Request, section: str, said: Mapping[str, YamlNode]) -> Request:
    """The request with a section's keys in the fields of the same names."""
    owner = Auxiliary if section == "auxiliary" else Base
    own: dict[str, Any] = {k: _read(node, owner, k) for k, node in said.items() if k in _own_keys(section)}
    rest: dict[str, Any] = {k: _read(node, Request, k) for k, node in said.items() if k not in own}
    if "augment" in rest:
        rest["augmentation"] = rest.pop("augment")
    changed: dict[str, Any] = {section: replace(getattr(common, section), **own), **rest}
    return replace(common, **changed)


def _keys(section: str) -> tuple[str, ...]:
    there = {f.name for f in fields(Request)} | {"augment"}
    return _own_keys(section) + tuple(key for key in SCHEDULE if key in there)


def _own_keys(section: str) -> tuple[str, ...]:
    owner = Auxiliary if section == "auxiliary" else Base
    return tuple(f.name for f in fields(owner) if f.name not in OWN[section])


def _read(node: YamlNode, owner: type, name: str) -> Any:
    """A value of the type that a dataclass gives its field."""
    if name == "augment":
        return _strengths(node)
    if name == "architecture":
        return _architecture(node)
    if name == "pretrained":
        path = node.file_path()
        if not os.path.isfile(path):
            node.fail(f"no such file: {path}")
        return str(path)
    if name == "rate" and node.number(0, MAX_RATE) == 0:
        node.fail("must be a number above 0, found 0")
    if name in CHOICES:
        return node.choice(CHOICES[name])
    return _value(node, typing.get_type_hints(owner)[name], RANGES.get(name, (1, MOST)))


def _value(node: YamlNode, kind: Any, bounds: tuple[int, int]) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
    if typing.get_origin(kind) is typing.Literal:
        return node.choice(typing.get_args(kind))
    if kind is bool:
        return node.switch()
    if kind is int:
        return node.integer(*bounds)
    return node.number() if kind is float else node.text()


def _architecture(node: YamlNode) -> str:
    """One of the known names, or a factory, which is imported where networks are made, and not before."""
    name = node.text()
    if ":" in name and not doors.is_door(name):
        node.fail(f"must be package.module:factory, found {short(name)}")
    return name if ":" in name else node.choice((*NETWORKS, "package.module:factory"))


def _sampler(node: YamlNode) -> str:
    """One of the known names, or the user's own."""
    name = node.value() if node.is_scalar() else None
    return str(name) if doors.is_door(name) else node.choice(registry.names())


def _strengths(node: YamlNode) -> dict[str, float]:
    return {
        key: value.number(0, 1 if key in PROBABILITIES else MAX_STRENGTH)
        for key, value in node.mapping((), AUGMENTATIONS).items()
    }


def filled(node: YamlNode) -> list[YamlNode]:
    """The values of a list that has some."""
    items = node.items()
    if not items:
        node.fail("must not be an empty list")
    return items
