"""The samplers by name: those of adaprep, and a door for others, ``package.module:factory``.

The factory is a class derived from `Sampler`, or a function that takes a `Wanted` and returns a `Sampler`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.samplers.base import Sampler, Wanted
from pipeline.samplers.mean import Mean
from pipeline.samplers.predicted import Predicted
from pipeline.samplers.proposal import Proposals
from pipeline.samplers.uniform import Uniform

SAMPLERS: dict[str, type[Sampler]] = {
    "uniform": Uniform,
    "auxiliary": Predicted,
    "proposal": Proposals,
    "mean": Mean,
}
"""In the order of tables; charts and pages put the baseline last."""


def names() -> tuple[str, ...]:
    """Those of adaprep."""
    return tuple(SAMPLERS)


def usual() -> tuple[str, ...]:
    """Those that a recipe trains with unless it names others."""
    return tuple(name for name, kind in SAMPLERS.items() if kind.usual)


def is_name(name: object) -> bool:
    """Whether a name can be a sampler's: one of adaprep's, or written as ``package.module:factory``."""
    return name in SAMPLERS if isinstance(name, str) and ":" not in name else doors.is_door(name)


def kind(name: str) -> type[Sampler]:
    """What is known of a sampler by its name alone; no code of others is imported."""
    if name in SAMPLERS:
        return SAMPLERS[name]
    return type("Outside", (Sampler,), {"kind": name, "word": name, "title": name})


def place(name: str) -> int:
    """Of a sampler in tables."""
    return names().index(name) if name in SAMPLERS else len(SAMPLERS)


def styles(found: Iterable[str]) -> dict[str, int]:
    """Colour and dashes in charts, by number: those of adaprep's samplers, and the next ones for others."""
    outside = sorted(set(found) - SAMPLERS.keys())
    taken = {name: sampler.style for name, sampler in SAMPLERS.items()}
    return taken | {name: len(SAMPLERS) + place for place, name in enumerate(outside)}


def make(name: str, wanted: Wanted) -> Sampler:
    """A sampler that the user names.

    Raises
    ------
    AdaprepError
        There is none of that name, what it needs is not there, or the user's own code cannot be used.
    """
    if name in SAMPLERS:
        return SAMPLERS[name].make(wanted)
    factory: Any = doors.opened(name, "sampler", names())
    if isinstance(factory, type) and issubclass(factory, Sampler):
        made: object = factory.make(wanted)
    else:
        made = factory(wanted)
    if not isinstance(made, Sampler):
        raise AdaprepError(
            f"{name} returned a {type(made).__name__}, must be a pipeline.samplers.base.Sampler."
        )
    object.__setattr__(made, "kind", name)
    return made


def recall(about: Mapping[str, Any], auxiliary: Path | None = None, named: Sequence[str] = ()) -> Sampler:
    """The sampler that a base network was trained with.

    Parameters
    ----------
    about
        What the network's checkpoint says.
    auxiliary
        Checkpoint of the auxiliary network, where one samples.
    named
        Samplers that are not adaprep's and may be imported: those that the user named.

    Raises
    ------
    AdaprepError
        The checkpoint does not say enough, or names a sampler that the user has not named.
    """
    name = str(about["sampler"])
    if name in SAMPLERS:
        return SAMPLERS[name].recall(about, auxiliary)
    if name not in named:
        raise AdaprepError(
            f"it was trained with the sampler {printable(name)}, which is not one of adaprep's: a file does "
            f"not decide which code runs. If you trust that code, add --sampler {printable(name)}"
        )
    outside: Any = doors.opened(name, "sampler", names())
    if isinstance(outside, type) and issubclass(outside, Sampler):
        made = outside.recall(about, auxiliary)
        object.__setattr__(made, "kind", name)
        return made
    grid, lam = about.get("grid") or (8, 8), about.get("lambda")
    return make(name, Wanted((int(grid[0]), int(grid[1])), 1.0 if lam is None else float(lam), auxiliary))
