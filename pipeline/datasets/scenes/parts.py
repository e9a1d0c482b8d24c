"""What all vehicles share: colours, wheels, the gaps above them."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes.mesh import Material, Mesh, fan, join, rgb, surface, wheel_disc

CAR_COLORS = (
    *("#e8e8e6", "#c9ccd0", "#8d9298", "#3a3d42", "#15171b", "#7d1518", "#b3261e", "#1d3c6e", "#2f6db0"),
    *("#20533f", "#d7c9a7", "#6b4a33", "#d98a1f", "#4b5d73", "#f2f2f2", "#9aa3a8", "#701f3d", "#e5c21f"),
)
TYRE, RIM, TRIM = "#141416", "#7d8187", "#1b1c1f"
GLASS = rgb("#20262c")
TAIL, HEAD, AMBER, PLATE = rgb("#8c0f10"), rgb("#e9edf2"), rgb("#e08a1c"), rgb("#24489c")


def wheel(x: float, z: float, radius: float, width: float, side: int) -> Mesh:
    """Tyre and rim; `side` is where the rim looks."""
    face = x + side * (width / 2 + 0.012)
    angle = np.arange(20) * (2 * np.pi / 20)
    spokes = []
    for scale, color in ((0.66, RIM), (0.17, TRIM)):
        ring = np.stack(
            [0 * angle + face, radius + radius * scale * np.cos(angle), z + radius * scale * np.sin(angle)],
            -1,
        )
        face += side * 0.004
        spokes.append(fan(ring, color, Material.PAINT))
    rim = spokes[0]
    gaps = np.where((np.arange(20) % 4 == 0)[:, None], rgb(TRIM), rim.colors)
    rim = Mesh(rim.corners, rim.normals, gaps.astype(np.float32), rim.materials)
    return join([wheel_disc((x, radius, z), radius, width, TYRE, 20), rim, spokes[1]])


def arch(x: float, z: float, radius: float) -> Mesh:
    """The dark gap above a wheel, a half ring on the body's side."""
    angle = np.linspace(-0.15, np.pi + 0.15, 13)
    rings = [
        np.stack([0 * angle + x, radius + r * np.sin(angle), z + r * np.cos(angle)], -1)
        for r in (radius * 0.9, radius * 1.17)
    ]
    return surface(rings, TRIM, closed=False)
