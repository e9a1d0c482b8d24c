"""Camera, weather and triangles, in the form that the compiled shader takes."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

Vector = tuple[float, float, float]


class View(NamedTuple):
    """A pinhole camera that looks along z: focal length and principal point in pixels, heights in metres."""

    focal: float
    column: float
    row: float
    x: float  # how far right of the street's middle it is, metres
    height: float
    bend: float  # of the road, 1/m: what lies straight ahead at z is drawn bend * z * z / 2 to the right
    lane: float  # lane width, for the tyre tracks


class Light(NamedTuple):
    """The weather: directions are unit vectors, colours linear RGB."""

    sun: Vector
    sun_color: Vector
    zenith: Vector
    horizon: Vector
    ground: Vector
    haze: float  # 1/m
    clouds: float  # cover, 0..1
    cloud_shift: float
    exposure: float


class Triangles(NamedTuple):
    """What is drawn: see mesh.Mesh; `screen` holds column, row and 1/z of the corners."""

    screen: NDArray[Any]
    corners: NDArray[Any]
    normals: NDArray[Any]
    colors: NDArray[Any]
    materials: NDArray[Any]


class Shadows(NamedTuple):
    """Heights towards the sun over a plane across its rays, and what stands on the ground."""

    across: NDArray[Any]  # (3, 3): the rows turn a point into column, row, height
    heights: NDArray[Any]
    scale: float  # texels per metre, in `heights`
    crowding: NDArray[Any]  # (z, x) 0..1
    crowding_scale: float
    crowding_left: float
