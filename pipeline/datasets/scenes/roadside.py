"""What stands along the street: houses, parks, trees, lamps, signs, signals, and small things."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes import buildings, furniture, ground, nature, signs
from pipeline.datasets.scenes.ground import CURB
from pipeline.datasets.scenes.mesh import Material, Mesh, box, join, rgb
from pipeline.datasets.scenes.plan import REACH, Id, Street


def lots(plan: Street, side: int) -> None:
    """Houses, or a park behind a wall or a fence, from behind the camera to the end of the street."""
    rng, front = plan.rng, abs(plan.kerb(side)) + plan.walk
    z, park = -8.0, bool(rng.random() < 0.25)
    while z < 190:
        long = float(rng.uniform(14, 30))
        if plan.crossing is not None and z < plan.crossing + 17 and z + long > plan.crossing - 4:
            if plan.crossing - 4 - z < 8:
                z = plan.crossing + 17
                continue
            long = plan.crossing - 4 - z
        if park or rng.random() < 0.10:
            _park(plan, side, front, z, z + long)
            park = park and rng.random() < 0.75
        else:
            floors = int(rng.integers(2, 7) if rng.random() < 0.75 else rng.integers(7, 13))
            back = float(rng.choice([0.0, 0.0, 1.5, 3.0]))
            house = buildings.building(
                rng, side, front + back, z, z + long, 14.0, floors, buildings.style(rng, plan.lit)
            )
            plan.add(house, Id.BUILDING, y=CURB)
        z += long + float(rng.choice([0.0, 0.0, 0.0, 4.0]))
    if side > 0:
        plan.add(buildings.skyline(rng, REACH + 12, 130), Id.BUILDING)
        belt = [(x, 2.2, REACH + 4, 3.2) for x in np.arange(-130, 130, 3.0)]
        plan.add(nature.leaves(rng, belt, 1500, 1.3, rgb(nature.GREENS[2])), Id.VEGETATION)


def _park(plan: Street, side: int, front: float, z0: float, z1: float) -> None:
    rng = plan.rng
    x0, x1 = sorted((side * front, side * (front + 40)))
    plan.add(
        ground.strip(x0, x1, max(z0, 0.7), z1, CURB + 0.02, rgb("#5d7038"), Material.GRASS), Id.VEGETATION
    )
    kind = rng.integers(3)
    near = max(z0 + 0.3, 1.0)
    if kind == 0:
        tint = rgb(buildings.BRICKS[rng.integers(len(buildings.BRICKS))])
        plan.add(
            furniture.low_wall(side * (front + 0.3), near, z1 - 0.3, float(rng.uniform(1.2, 2.4)), tint),
            Id.WALL,
            y=CURB,
        )
    elif kind == 1:
        plan.add(furniture.railing(side * (front + 0.3), near, z1 - 0.3, "#33383b"), Id.FENCE, y=CURB)
    else:
        detail = min(1.0, 12 / max(near, 4.0))
        plan.add(nature.hedge(rng, near, z1, side * (front + 0.6), 0.9, 1.1, detail), Id.VEGETATION, y=CURB)
    for _ in range(int(rng.integers(4, 8))):
        x, z = side * (front + float(rng.uniform(3, 22))), float(rng.uniform(z0, z1))
        plan.add(nature.tree(rng, z, float(rng.uniform(6, 13))), Id.VEGETATION, x, z, CURB)


def furnish(plan: Street, side: int) -> None:
    """Trees, lamps, signs and smaller things on the sidewalk."""
    rng, kerb = plan.rng, plan.kerb(side)
    x = kerb + side * 0.8
    autumn = bool(rng.random() < 0.15)
    if rng.random() < 0.8:
        step = float(rng.uniform(7.5, 13))
        for z in np.arange(float(rng.uniform(5, 14)), 170, step):
            if not plan.blocked(z, 4.0):
                tree = nature.tree(rng, z, float(rng.uniform(5.5, 8.5)), autumn)
                plan.add(tree, Id.VEGETATION, x, z + float(rng.uniform(-1, 1)), CURB)
    for z in np.arange(float(rng.uniform(8, 26)), 180, 27.0):
        if not plan.blocked(z):
            plan.add(furniture.street_lamp(-side, 7.5), Id.POLE, x + side * 0.1, z + 2.5, CURB)
    for _ in range(int(rng.integers(1, 4))):
        z = float(rng.uniform(9, 55))
        if not plan.blocked(z):
            plan.add(signs.sign_post(2.9), Id.POLE, kerb + side * 0.45, z, CURB)
            plan.add(
                signs.road_sign(rng),
                Id.TRAFFIC_SIGN,
                kerb + side * 0.45,
                z - 0.06,
                CURB + 2.55,
                float(rng.uniform(-0.15, 0.15)),
            )
    if rng.random() < 0.35:
        z = float(rng.uniform(14, 50))
        plan.add(signs.sign_post(2.4), Id.POLE, kerb + side * (plan.walk - 0.7), z, CURB)
        plan.add(
            signs.billboard(rng, 2.6), Id.BILLBOARD, kerb + side * (plan.walk - 0.9), z - 0.1, CURB + 2.6
        )
    _small_things(plan, side)
    if plan.crossing is not None:
        _signals(plan, side)


def _small_things(plan: Street, side: int) -> None:
    rng, kerb = plan.rng, plan.kerb(side)

    def put(mesh: Mesh, label: Id, out: float, z: float, yaw: float = 0.0) -> None:
        if not plan.blocked(z):
            plan.add(mesh, label, kerb + side * out, z, CURB, yaw)

    for _ in range(int(rng.integers(0, 3))):
        put(furniture.dustbin(rng), Id.DUSTBIN, plan.walk - 0.6, float(rng.uniform(7, 45)))
    if rng.random() < 0.4:
        put(
            furniture.bench(),
            Id.UNLABELED,
            plan.walk - 1.0,
            float(rng.uniform(9, 35)),
            0.0 if side > 0 else np.pi,
        )
    if rng.random() < 0.35:
        put(furniture.parasol_stall(rng), Id.UNLABELED, plan.walk - 1.6, float(rng.uniform(12, 40)))
    if rng.random() < 0.3:
        put(
            box((0, 0.65, 0), (0.9, 1.3, 0.5), "#6f7f76"),
            Id.OTHERS,
            plan.walk - 0.5,
            float(rng.uniform(9, 40)),
            np.pi / 2,
        )
    if rng.random() < 0.4:
        start = float(rng.uniform(6, 25))
        for z in np.arange(start, start + 14, 1.6):
            put(furniture.bollard(), Id.ROAD_PILE, 0.35, z)
    elif rng.random() < 0.3:
        start = float(rng.uniform(5, 20))
        plan.add(furniture.railing(kerb + side * 0.25, start, start + 14, "#c9ccce"), Id.FENCE, y=CURB)
    if rng.random() < 0.3:
        start = float(rng.uniform(10, 22))
        for k in range(int(rng.integers(3, 7))):
            plan.add(furniture.cone(), Id.TRAFFIC_CONE, kerb - side * (0.5 + 0.25 * k), start + 1.6 * k)
    for _ in range(int(rng.integers(0, 4))):
        z = float(rng.uniform(6, 40))
        put(
            nature.shrub(rng, float(rng.uniform(0.7, 1.2)), min(1.0, 10 / z)),
            Id.VEGETATION,
            plan.walk - 0.4,
            z,
        )


def _signals(plan: Street, side: int) -> None:
    assert plan.crossing is not None
    lit = int(plan.rng.choice([0, 2]))
    reach = float(plan.rng.uniform(2.5, 5.0))
    kerb = plan.kerb(side)
    for z, heads in ((plan.crossing + 15.5, (reach, reach * 0.5)), (plan.crossing - 1.2, (0.0,))):
        tall = 5.6 if len(heads) > 1 else 3.0
        x = kerb + side * 0.6
        post = signs.signal_post(-side, reach, tall) if len(heads) > 1 else signs.sign_post(3.6)
        plan.add(post, Id.POLE, x, z, CURB)
        for out in heads:
            plan.add(signs.signal_head(lit), Id.TRAFFIC_LIGHT, x - side * out, z - 0.2, CURB + tall + 0.05)


def overhead(plan: Street) -> None:
    """Sometimes a sign gantry, sometimes a footbridge."""
    rng = plan.rng
    draw = rng.random()
    z = float(rng.uniform(30, 75))
    if draw < 0.30 and not plan.blocked(z, 4.0):
        x, out = plan.right + 0.9, float(rng.uniform(3.0, 5.0))
        plan.add(signs.signal_post(-1, out, 6.6), Id.POLE, x, z, CURB)
        plan.add(signs.direction_sign(rng, out * 0.85), Id.TRAFFIC_SIGN, x - out * 0.55, z - 0.2, CURB + 6.5)
    elif draw < 0.40 and plan.crossing is None:
        x0, x1 = plan.left - 2.2, plan.right + 2.2
        deck = box(((x0 + x1) / 2, 5.9, z), (x1 - x0 + 2, 0.7, 3.0), "#b9b4a8")
        rail = box(((x0 + x1) / 2, 6.8, z - 1.45), (x1 - x0 + 2, 1.0, 0.06), "#7f8f96")
        piers = [box((x, 2.8, z), (0.9, 5.6, 1.2), "#a8a398") for x in (x0, x1)]
        plan.add(join([deck, rail, *piers]), Id.BRIDGE)
