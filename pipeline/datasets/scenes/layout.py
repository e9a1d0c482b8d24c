"""Streets laid out at random."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes import ground, roadside, traffic
from pipeline.datasets.scenes.ground import CURB
from pipeline.datasets.scenes.mesh import Material, Mesh, join, rgb
from pipeline.datasets.scenes.plan import CROSS_STREET, LANE, REACH, Id, Street


def lay_out(rng: np.random.Generator, index: int, lit: float) -> Street:
    """Build a street.

    Parameters
    ----------
    rng
        Draws everything.
    index
        Number of the frame: the rarer vehicles take turns by it.
    lit
        Share of windows with a light on.
    """
    own, opposite = int(rng.integers(1, 4)), int(rng.choice([0, 1, 2, 2]))
    plan = Street(
        rng,
        lit,
        own,
        opposite,
        (bool(rng.random() < 0.45), bool(rng.random() < 0.5)),
        float(rng.uniform(3.4, 6.0)),
        float(rng.uniform(24, 60)) if rng.random() < 0.5 else None,
    )
    _ground(plan)
    for side in (-1, 1):
        roadside.lots(plan, side)
        roadside.furnish(plan, side)
    traffic.drive(plan, index)
    traffic.walk(plan)
    roadside.overhead(plan)
    return plan


def _ground(plan: Street) -> None:
    gap = (plan.crossing, plan.crossing + CROSS_STREET) if plan.crossing is not None else (REACH, REACH)
    road = rgb("#5c5c5f") * np.float32(plan.rng.uniform(0.8, 1.15))
    slabs = rgb(("#a39d92", "#968f88", "#a8a7a3", "#9c8d80")[plan.rng.integers(4)])
    asphalt = [ground.strip(plan.left, plan.right, 0.7, REACH, 0.0, road, Material.ASPHALT)]
    if plan.crossing is not None:
        asphalt += [
            ground.strip(x0, x1, *gap, 0.0, road, Material.ASPHALT)
            for x0, x1 in ((-90, plan.left), (plan.right, 90))
        ]
    plan.add(join([*asphalt, *_markings(plan, gap[0])]), Id.ROAD)
    for side in (-1, 1):
        x0, x1 = sorted((plan.kerb(side), side * 90.0))
        pieces = []
        for z0, z1 in ((0.7, gap[0]), (gap[1], REACH)):
            if z1 > z0:
                pieces.append(ground.strip(x0, x1, z0, z1, CURB, slabs, Material.PAVING))
                pieces.append(ground.curb(plan.kerb(side), z0, z1))
        plan.add(join(pieces), Id.SIDEWALK)


def _markings(plan: Street, end: float) -> list[Mesh]:
    """Lane lines up to the cross street and beyond, the crossing's stripes, arrows."""
    stop = end - 6.5 if plan.crossing is not None else REACH
    parts = []
    spans = [(0.7, stop)] + ([(end + 19, REACH)] if plan.crossing is not None else [])
    for z0, z1 in spans:
        for i in range(-plan.opposite + 1, plan.own):
            if i:
                parts.append(ground.line(i * LANE, z0 + float(plan.rng.uniform(0, 4)), z1, 4.0, 6.0))
        if plan.opposite:
            parts += [ground.line(x, z0, z1, color=ground.YELLOW_PAINT) for x in (-0.13, 0.13)]
        for x, used in ((-plan.opposite * LANE, plan.parking[0]), (plan.own * LANE, plan.parking[1])):
            parts += [ground.line(x, z0, z1)] if used or plan.rng.random() < 0.5 else []
    if plan.crossing is not None:
        parts += [
            ground.crosswalk(plan.left, plan.right, end - 4.6),
            ground.crosswalk(plan.left, plan.right, end + 14.5),
        ]
        parts.append(ground.stop_line(0.2, plan.own * LANE, end - 6.2))
        parts += [ground.arrow((i + 0.5) * LANE, end - 14) for i in range(plan.own)]
    return parts
