"""The plan of a street: its measures, and the objects that have been put in it, each with its class."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.mesh import Mesh

LANE = 3.4
PARKING = 2.3
REACH = 235.0
"""Length of the street, metres."""
CROSS_STREET = 13.0
"""Width of a cross street, metres."""


class Id(IntEnum):
    """Class ids, as in ApolloScape's label maps."""

    OTHERS = 0
    ROVER = 1
    SKY = 17
    CAR = 33
    MOTORBICYCLE = 34
    BICYCLE = 35
    PERSON = 36
    RIDER = 37
    TRUCK = 38
    BUS = 39
    TRICYCLE = 40
    ROAD = 49
    SIDEWALK = 50
    TRAFFIC_CONE = 65
    ROAD_PILE = 66
    FENCE = 67
    TRAFFIC_LIGHT = 81
    POLE = 82
    TRAFFIC_SIGN = 83
    WALL = 84
    DUSTBIN = 85
    BILLBOARD = 86
    BUILDING = 97
    BRIDGE = 98
    VEGETATION = 113
    CAR_GROUPS = 161
    PERSON_GROUP = 164
    UNLABELED = 255


@dataclass
class Street:
    """A street under construction: its measures, and what has been put there so far.

    Lengths are metres; x = 0 is the line between the directions (traffic keeps right), z = 0 the camera.
    """

    rng: np.random.Generator
    lit: float  # share of windows with a light on
    own: int  # lanes in the camera's direction
    opposite: int
    parking: tuple[bool, bool]  # left, right
    walk: float  # width of the sidewalks
    crossing: float | None  # where a cross street begins
    objects: list[tuple[Mesh, Id]] = field(default_factory=list)

    @property
    def left(self) -> float:
        """The left kerb."""
        return -self.opposite * LANE - (PARKING if self.parking[0] else 0.4)

    @property
    def right(self) -> float:
        """The right kerb."""
        return self.own * LANE + (PARKING if self.parking[1] else 0.4)

    def add(
        self, mesh: Mesh, label: Id, x: float = 0.0, z: float = 0.0, y: float = 0.0, yaw: float = 0.0
    ) -> None:
        """Put a mesh down as one object."""
        self.objects.append((mesh.placed(x, y, z, yaw), label))

    @property
    def camera_lane(self) -> int:
        """The lane that the camera drives in, counted from the line between the directions."""
        return min(self.own - 1, 1)

    def kerb(self, side: int) -> float:
        """The kerb's place on one side (-1 left, 1 right)."""
        return self.right if side > 0 else self.left

    def blocked(self, z: float, margin: float = 1.5) -> bool:
        """Whether a place along the sidewalk lies in the cross street."""
        return (
            self.crossing is not None and self.crossing - margin < z < self.crossing + CROSS_STREET + margin
        )


def instance_ids(labels: list[Id]) -> NDArray[np.uint16]:
    """Each object's value in instance maps: class * 1000 + count, in groups 65535, elsewhere 255."""
    seen: dict[Id, int] = {}
    numbers = np.full(len(labels), 255, np.uint16)
    for i, label in enumerate(labels):
        if Id.CAR <= label <= Id.TRICYCLE:
            numbers[i] = label * 1000 + seen.get(label, 0)
            seen[label] = seen.get(label, 0) + 1
        elif label in (Id.CAR_GROUPS, Id.PERSON_GROUP):
            numbers[i] = 65535
    return numbers


def choose(rng: np.random.Generator, count: int) -> int:
    """A variant of something of which there are `count`."""
    return int(rng.integers(count))
