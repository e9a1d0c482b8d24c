"""Who is on the street: vehicles in lanes and at the kerb, riders, people on foot."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes import cars, furniture, lorries, people
from pipeline.datasets.scenes.ground import CURB
from pipeline.datasets.scenes.mesh import Mesh, join
from pipeline.datasets.scenes.plan import LANE, PARKING, Id, Street, choose


def drive(plan: Street, index: int) -> None:
    rng = plan.rng
    special = (Id.BUS, Id.TRUCK, Id.MOTORBICYCLE, Id.TRICYCLE)[index % 4]
    dense = float(rng.uniform(0.7, 2.2))
    camera = plan.camera_lane
    star = int(rng.integers(-plan.opposite, plan.own))
    for lane in range(-plan.opposite, plan.own):
        x, back = (lane + 0.5) * LANE, lane < 0
        near = float(rng.uniform(9, 19)) if lane == camera else float(rng.uniform(5, 16))
        z, first = near, True
        while z < 92:
            kind = special if first and lane == star else _vehicle_kind(rng)
            half = {Id.BUS: 6.0, Id.TRUCK: 4.2}.get(kind, 2.4)
            _vehicle(plan, kind, x + float(rng.uniform(-0.25, 0.25)), z + half, np.pi if back else 0.0)
            z += 2 * half + float(rng.uniform(3.5, 22)) * dense
            first = False
    far = [
        (lane, z)
        for lane in range(-plan.opposite, plan.own)
        for z in np.arange(102, 160, 8.0)
        if rng.random() < 0.5
    ]
    if far:
        group = [
            cars.car(choose(rng, cars.VARIANTS), True).placed(
                (lane + 0.5) * LANE, 0, z + float(rng.uniform(-1, 1)), np.pi * (lane < 0)
            )
            for lane, z in far
        ]
        plan.add(join(group), Id.CAR_GROUPS)
    for side in (-1, 1):
        _kerbside(plan, side)
    if plan.crossing is not None and rng.random() < 0.6:
        kind = Id.CAR if rng.random() < 0.8 else Id.MOTORBICYCLE
        _vehicle(
            plan, kind, float(rng.uniform(plan.left - 6, plan.right + 6)), plan.crossing + 9.0, np.pi / 2
        )
    if plan.opposite and rng.random() < 0.3:
        end = plan.crossing - 9 if plan.crossing is not None else 90.0
        plan.add(furniture.railing(0.0, 2.0, end, "#e4e6e6"), Id.FENCE)


def _vehicle_kind(rng: np.random.Generator) -> Id:
    kinds = (Id.CAR, Id.BUS, Id.TRUCK, Id.MOTORBICYCLE, Id.TRICYCLE)
    return kinds[rng.choice(5, p=[0.84, 0.04, 0.05, 0.05, 0.02])]


def _vehicle(plan: Street, kind: Id, x: float, z: float, yaw: float) -> None:
    rng = plan.rng
    if kind == Id.MOTORBICYCLE:
        _ridden(plan, people.motorbike(choose(rng, 16)), kind, x, z, yaw)
    elif kind == Id.TRICYCLE:
        plan.add(people.tricycle(choose(rng, 16)), kind, x, z, 0.0, yaw)
    else:
        if kind == Id.CAR:
            mesh = cars.car(choose(rng, cars.VARIANTS), z > 42)
        else:
            mesh = (lorries.bus if kind == Id.BUS else lorries.truck)(choose(rng, lorries.VARIANTS))
        plan.add(mesh, kind, x, z, 0.0, yaw + float(rng.normal(0, 0.015)))


def _ridden(plan: Street, both: tuple[Mesh, Mesh], kind: Id, x: float, z: float, yaw: float) -> None:
    turn = yaw + float(plan.rng.normal(0, 0.06))
    plan.add(both[0], kind, x, z, 0.0, turn)
    plan.add(both[1], Id.RIDER, x, z, 0.0, turn)


def _kerbside(plan: Street, side: int) -> None:
    """Parked cars, and people on two wheels beside them."""
    rng, kerb = plan.rng, plan.kerb(side)
    yaw = 0.0 if side > 0 or plan.opposite == 0 else np.pi
    if plan.parking[side > 0]:
        z = float(rng.uniform(5, 12))
        while z < 95:
            if rng.random() < 0.75 and not plan.blocked(z, 7.0):
                _vehicle(plan, Id.CAR, kerb - side * 1.15, z, yaw)
            z += float(rng.uniform(5.6, 7.5))
    lane = (kerb - side * (PARKING + 0.5)) if plan.parking[side > 0] else kerb - side * 0.7
    for z in rng.uniform(7, 45, int(rng.integers(1, 4))):
        if rng.random() < 0.75:
            _ridden(plan, people.bicycle(choose(rng, 16)), Id.BICYCLE, lane, float(z), yaw)
        else:
            _ridden(plan, people.motorbike(choose(rng, 16)), Id.MOTORBICYCLE, lane, float(z), yaw)


def walk(plan: Street) -> None:
    rng = plan.rng
    for side in (-1, 1):
        for z in rng.gamma(2.2, 10.0, int(rng.integers(3, 11))) + 5.5:
            if plan.blocked(z):
                continue
            x = plan.kerb(side) + side * float(rng.uniform(1.3, plan.walk - 0.4))
            yaw = float(rng.choice([0, np.pi])) + float(rng.normal(0, 0.25))
            for _ in range(int(rng.choice([1, 1, 2]))):
                plan.add(people.person(choose(rng, people.VARIANTS)), Id.PERSON, x, float(z), CURB, yaw)
                x += 0.55 if x < plan.kerb(side) + side * 2.0 else -0.55
    if rng.random() < 0.35:
        side, z = int(rng.choice([-1, 1])), float(rng.uniform(38, 70))
        spots = rng.uniform([1.5, -1.5], [plan.walk, 1.5], (int(rng.integers(4, 8)), 2))
        crowd = [
            people.person(choose(rng, people.VARIANTS)).placed(side * a, 0, b, float(rng.uniform(-3, 3)))
            for a, b in spots
        ]
        plan.add(join(crowd), Id.PERSON_GROUP, plan.kerb(side), z, CURB)
    if plan.crossing is not None:
        for x in rng.uniform(plan.left, plan.right, int(rng.integers(0, 6))):
            z = plan.crossing - 3.0 + float(rng.uniform(-1.2, 1.2))
            plan.add(
                people.person(choose(rng, people.VARIANTS)),
                Id.PERSON,
                float(x),
                z,
                0.0,
                float(rng.choice([-1, 1])) * np.pi / 2,
            )
