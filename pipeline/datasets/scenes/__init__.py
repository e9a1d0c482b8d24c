"""Street scenes drawn from nothing: seeded, labelled at every pixel, no download.

A scene is laid out in metres (`layout`, `plan`, `roadside`, `traffic`), built of meshes (`mesh`, and a module
for each kind of thing), lit by a random hour and weather (`light`), and rendered (`render`, `raster`,
`shade`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scene:
    """A picture and its annotation, all of height H and width W."""

    image: NDArray[np.uint8]  # (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W) class ids, as in ApolloScape
    instances: NDArray[np.uint16]  # (H, W) class * 1000 + index, 65535 in groups, 255 elsewhere


def scene(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Draw frame `index` of the set that `seed` names, `size` (height, width) pixels large."""
    from pipeline.datasets.scenes import furniture, layout
    from pipeline.datasets.scenes.light import weather
    from pipeline.datasets.scenes.mesh import rgb
    from pipeline.datasets.scenes.optics import View
    from pipeline.datasets.scenes.plan import LANE, Id, instance_ids
    from pipeline.datasets.scenes.render import render

    rng = np.random.default_rng([seed, index])
    height, width = size
    light, lit = weather(rng)
    plan = layout.lay_out(rng, index, lit)
    x = (plan.camera_lane + 0.5) * LANE + float(rng.uniform(-0.3, 0.3))
    view = View(
        focal=0.68 * width,
        column=width * float(rng.uniform(0.46, 0.54)),
        row=height * float(rng.uniform(0.54, 0.59)),
        x=x,
        height=float(rng.uniform(1.45, 1.65)),
        bend=float(rng.choice([0.0, rng.uniform(-0.0022, 0.0022)])),
        lane=LANE,
    )
    plan.add(furniture.hood(rgb("#30363c")), Id.ROVER, view.x, 0.0, view.height - 1.5)
    image, seen = render([mesh for mesh, _ in plan.objects], view, light, size)
    labels = [label for _, label in plan.objects]
    ids = np.array([*labels, Id.SKY], np.uint8)
    instances = np.append(instance_ids(labels), np.uint16(255))
    return Scene(image, ids[seen], instances[seen])
