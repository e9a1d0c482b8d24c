"""Samples to colours: sun and sky light, shadows, surface textures, haze, and the film's response."""

from __future__ import annotations

from math import exp, floor, sqrt
from typing import Any

import numba

from pipeline.datasets.scenes.mesh import Material
from pipeline.datasets.scenes.noise import billows, noise, scatter
from pipeline.datasets.scenes.optics import Light, Shadows, Triangles, Vector, View

PAINT, GLASS, ASPHALT, PAVING = (
    int(m) for m in (Material.PAINT, Material.GLASS, Material.ASPHALT, Material.PAVING)
)
PLASTER, BRICK, LEAVES, LAMP = (
    int(m) for m in (Material.PLASTER, Material.BRICK, Material.LEAVES, Material.LAMP)
)
GRASS, MARKING = int(Material.GRASS), int(Material.MARKING)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sky(x: float, y: float, z: float, light: Light, clouds: bool) -> Vector:
    """Light from a direction; below the horizon, what the ground gives back."""
    if y < 0.0:
        k = min(1.0, -4.0 * y)
        a, b = light.horizon, light.ground
        return a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k, a[2] + (b[2] - a[2]) * k
    k = sqrt(y)
    k = k * (2.0 - k)
    a, b = light.horizon, light.zenith
    red, green, blue = a[0] + (b[0] - a[0]) * k, a[1] + (b[1] - a[1]) * k, a[2] + (b[2] - a[2]) * k
    near_sun = max(0.0, x * light.sun[0] + y * light.sun[1] + z * light.sun[2])
    glow = 0.05 * near_sun**4 + 0.12 * near_sun**32
    if clouds and y > 0.005:
        cx, cz = x / (y + 0.12) * 1.1 + light.cloud_shift, z / (y + 0.12) * 1.6
        cover = billows(cx, cz, 5) - (1.0 - light.clouds) * 0.85
        k = min(1.0, max(0.0, cover * 3.2)) * min(1.0, y * 7.0)
        lit = 1.0 - 0.45 * min(1.0, max(0.0, cover * 2.2))
        bright = 0.75 * lit
        red += (bright * (0.35 + 0.22 * light.sun_color[0]) + 0.25 * a[0] - red) * k
        green += (bright * (0.35 + 0.22 * light.sun_color[1]) + 0.25 * a[1] - green) * k
        blue += (bright * (0.35 + 0.22 * light.sun_color[2]) + 0.28 * a[2] - blue) * k
    return (
        red + glow * light.sun_color[0],
        green + glow * light.sun_color[1],
        blue + glow * light.sun_color[2],
    )


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _lit(p: Vector, n: Vector, facing: float, shadows: Shadows, u: float, v: float) -> float:
    """Share of the sun that reaches a point, the shadow's edge softened by a scattered sample position."""
    q = shadows.across
    reach = 0.05 + 0.16 * (1.0 - facing)
    x, y, z = p[0] + n[0] * reach, p[1] + n[1] * reach, p[2] + n[2] * reach
    column = (q[0, 0] * x + q[0, 1] * y + q[0, 2] * z + q[0, 3]) * shadows.scale - 0.5
    row = (q[1, 0] * x + q[1, 1] * y + q[1, 2] * z + q[1, 3]) * shadows.scale - 0.5
    height = q[2, 0] * x + q[2, 1] * y + q[2, 2] * z + q[2, 3] + 0.06
    column += scatter(int(u), int(v)) - 0.5
    row += scatter(int(v) + 77, int(u)) - 0.5
    i, j = floor(row), floor(column)
    rows, columns = shadows.heights.shape
    if i < 0 or j < 0 or i >= rows - 1 or j >= columns - 1:
        return 1.0
    a, b = row - i, column - j
    h = shadows.heights
    top = (h[i, j] < height) * (1 - b) + (h[i, j + 1] < height) * b
    bottom = (h[i + 1, j] < height) * (1 - b) + (h[i + 1, j + 1] < height) * b
    return float(top * (1 - a) + bottom * a)


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _crowding(x: float, z: float, shadows: Shadows) -> float:
    column = (x - shadows.crowding_left) * shadows.crowding_scale - 0.5
    row = z * shadows.crowding_scale - 0.5
    i, j = floor(row), floor(column)
    c = shadows.crowding
    if i < 0 or j < 0 or i >= c.shape[0] - 1 or j >= c.shape[1] - 1:
        return 0.0
    a, b = row - i, column - j
    near = c[i, j] * (1 - b) + c[i, j + 1] * b
    far = c[i + 1, j] * (1 - b) + c[i + 1, j + 1] * b
    return float(near * (1 - a) + far * a)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _texture(material: int, p: Vector, view: View) -> float:
    """Brightness of a surface's own pattern at a point, about 1; fine patterns fade out with distance."""
    x, y, z = p[0] + view.x - 0.5 * view.bend * p[2] * p[2], p[1], p[2]
    pixel = z / view.focal
    if material in (ASPHALT, MARKING):
        grain = (noise(x * 28, z * 28) - 0.5) * max(0.0, 1 - pixel * 22)
        stains = billows(x * 0.9 + 3, z * 0.22, 3) - 0.5
        wear = 0.5 + billows(x * 4.0, z * 1.3, 3)
        if material == MARKING:
            return min(1.0, max(0.35, 1.9 - 1.3 * wear + grain * 0.6))
        across = x / view.lane
        across = abs(across - floor(across) - 0.5) - 0.25
        track = max(0.0, 1 - abs(across) * 7)
        patch = 0.12 if noise(x * 0.35 + 9, z * 0.09 + 40) > 0.72 else 0.0
        return 1.0 + 0.55 * grain + 0.42 * stains - 0.10 * track - patch
    if material == PAVING:
        i, j = floor(x / 0.6), floor(z / 0.6)
        a, b = x / 0.6 - i, z / 0.6 - j
        fade = max(0.0, 1 - pixel * 16)
        joint = 0.28 if min(a, b) < 0.06 else 0.0
        return (
            1.0 + fade * ((scatter(i, j) - 0.5) * 0.22 - joint) + 0.25 * (billows(x * 0.8, z * 0.8, 2) - 0.5)
        )
    if material == GRASS:
        return (
            0.72
            + 0.5 * billows(x * 1.5, z * 1.5, 3)
            + 0.4 * (noise(x * 19, z * 19) - 0.5) * max(0.0, 1 - pixel * 18)
        )
    if material == PLASTER:
        streaks = noise((x + z) * 2.3, y * 0.17) - 0.5
        return 1.0 + 0.12 * streaks + 0.16 * (billows((x + z) * 0.6, y * 0.6, 3) - 0.5)
    if material == BRICK:
        course = floor(y / 0.16)
        along = (x + z) / 0.5 + 0.5 * (course % 2)
        fade = max(0.0, 1 - pixel * 14)
        joint = 0.22 if min(y / 0.16 - course, (along - floor(along)) * 2.5) < 0.15 else 0.0
        return (
            1.0
            + fade * ((scatter(floor(along), course) - 0.5) * 0.35 - joint)
            + 0.2 * (noise(x + z, y) - 0.5)
        )
    return 1.0 + 0.10 * (noise((p[0] + z) * 5, (y + z) * 5) - 0.5)


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def sample(t: int, u: float, v: float, tri: Triangles, view: View, light: Light, shadows: Shadows) -> Vector:
    """Linear colour of triangle `t` (NONE: the sky) at column `u`, row `v`."""
    dx, dy = (u - view.column) / view.focal, (view.row - v) / view.focal
    if t < 0:
        length = sqrt(1 + dx * dx + dy * dy)
        return sky(dx / length, dy / length, 1 / length, light, True)
    s, c, m = tri.screen, tri.corners, tri.normals
    area = (s[t, 1, 0] - s[t, 0, 0]) * (s[t, 2, 1] - s[t, 0, 1]) - (s[t, 2, 0] - s[t, 0, 0]) * (
        s[t, 1, 1] - s[t, 0, 1]
    )
    w1 = ((u - s[t, 0, 0]) * (s[t, 2, 1] - s[t, 0, 1]) - (s[t, 2, 0] - s[t, 0, 0]) * (v - s[t, 0, 1])) / area
    w2 = ((s[t, 1, 0] - s[t, 0, 0]) * (v - s[t, 0, 1]) - (u - s[t, 0, 0]) * (s[t, 1, 1] - s[t, 0, 1])) / area
    w0 = max(0.0, 1 - w1 - w2) * s[t, 0, 2]
    w1, w2 = max(0.0, w1) * s[t, 1, 2], max(0.0, w2) * s[t, 2, 2]
    total = w0 + w1 + w2
    w0, w1, w2 = w0 / total, w1 / total, w2 / total
    p = (
        w0 * c[t, 0, 0] + w1 * c[t, 1, 0] + w2 * c[t, 2, 0],
        w0 * c[t, 0, 1] + w1 * c[t, 1, 1] + w2 * c[t, 2, 1],
        w0 * c[t, 0, 2] + w1 * c[t, 1, 2] + w2 * c[t, 2, 2],
    )
    nx = w0 * m[t, 0, 0] + w1 * m[t, 1, 0] + w2 * m[t, 2, 0]
    ny = w0 * m[t, 0, 1] + w1 * m[t, 1, 1] + w2 * m[t, 2, 1]
    nz = w0 * m[t, 0, 2] + w1 * m[t, 1, 2] + w2 * m[t, 2, 2]
    length = max(1e-6, sqrt(nx * nx + ny * ny + nz * nz))
    n = (nx / length, ny / length, nz / length)
    red, green, blue = _surface(t, p, n, u, v, tri, view, light, shadows)
    distance = sqrt(p[0] * p[0] + p[2] * p[2])
    k = 1 - exp(-distance * light.haze)
    near_sun = max(0.0, p[0] * light.sun[0] + p[2] * light.sun[2]) / max(1.0, distance)
    air = 0.92 + 0.25 * near_sun**4
    return (
        red + (light.horizon[0] * air - red) * k,
        green + (light.horizon[1] * air - green) * k,
        blue + (light.horizon[2] * air - blue) * k,
    )


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _surface(
    t: int,
    p: Vector,
    n: Vector,
    u: float,
    v: float,
    tri: Triangles,
    view: View,
    light: Light,
    shadows: Shadows,
) -> Vector:
    """Light that a surface sends to the camera, before haze."""
    material = tri.materials[t]
    color = (tri.colors[t, 0], tri.colors[t, 1], tri.colors[t, 2])
    if material == LAMP:
        return color[0], color[1], color[2]
    ground = material in (ASPHALT, PAVING, MARKING, GRASS)
    facing = n[0] * light.sun[0] + n[1] * light.sun[1] + n[2] * light.sun[2]
    if material == LEAVES:
        facing = 0.30 + 0.70 * facing
    sun = max(0.0, facing)
    if sun > 0.0:
        sun *= _lit(p, n, sun, shadows, u, v)
    open_sky = 0.5 + 0.5 * n[1]
    if ground:
        open_sky *= 1 - 0.78 * _crowding(p[0], p[2], shadows)
    else:
        open_sky *= 0.55 + 0.45 * min(1.0, max(0.0, p[1]) / 1.6)
    texture = _texture(material, p, view)
    below = (1 - 0.5 * (1 + n[1])) * (0.5 + 0.5 * sun)
    mid = (
        0.40 * light.zenith[0] + 0.60 * light.horizon[0],
        0.36 * light.zenith[1] + 0.58 * light.horizon[1],
        0.32 * light.zenith[2] + 0.50 * light.horizon[2],
    )
    red = color[0] * texture * (sun * light.sun_color[0] + open_sky * mid[0] + below * light.ground[0])
    green = color[1] * texture * (sun * light.sun_color[1] + open_sky * mid[1] + below * light.ground[1])
    blue = color[2] * texture * (sun * light.sun_color[2] + open_sky * mid[2] + below * light.ground[2])
    if material in (PAINT, GLASS):
        ex, ey, ez = p[0], p[1] - view.height, p[2]
        length = sqrt(ex * ex + ey * ey + ez * ez)
        ex, ey, ez = ex / length, ey / length, ez / length
        along = ex * n[0] + ey * n[1] + ez * n[2]
        rx, ry, rz = ex - 2 * along * n[0], ey - 2 * along * n[1], ez - 2 * along * n[2]
        grazing = (1 - min(1.0, abs(along))) ** 4
        mirror = 0.05 + 0.5 * grazing if material == PAINT else 0.13 + 0.7 * grazing
        a, b, d = sky(rx, ry, rz, light, material == GLASS)
        shine = max(0.0, rx * light.sun[0] + ry * light.sun[1] + rz * light.sun[2]) ** 80 * (
            1.8 if sun > 0 else 0.0
        )
        red += (a - red) * mirror + shine * light.sun_color[0]
        green += (b - green) * mirror + shine * light.sun_color[1]
        blue += (d - blue) * mirror + shine * light.sun_color[2]
    return red, green, blue


@numba.njit(nogil=True, cache=True, error_model="numpy")
def develop(
    index: Any, row0: int, tri: Triangles, view: View, light: Light, shadows: Shadows, image: Any, seen: Any
) -> None:
    """Shade a band of rows: the triangles that a pixel's four samples see, weighed by their number.

    Parameters
    ----------
    index
        (2 rows, 2 columns) triangle of each sample.
    row0
        The band's first row in the picture.
    image, seen
        (rows, columns, 3) uint8 and (rows, columns) int32, filled in: the picture, and the triangle that
        covers most of each pixel (of equals, the first from the top left).
    """
    height_ratio = 1.0 / (2.0 * view.column)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            red = green = blue = 0.0
            best = 0
            u, v = c + 0.5, row0 + r + 0.5
            for k in range(4):
                t = index[2 * r + k // 2, 2 * c + k % 2]
                count = 0
                for other in range(4):
                    if index[2 * r + other // 2, 2 * c + other % 2] == t:
                        if other < k:
                            count = 0
                            break
                        count += 1
                if count == 0:
                    continue
                if count > best:
                    best = count
                    seen[r, c] = t
                a, b, d = sample(t, u, v, tri, view, light, shadows)
                red += a * count
                green += b * count
                blue += d * count
            x, y = (u - view.column) * height_ratio, (v - view.row) * height_ratio
            gain = 0.25 * light.exposure / (1 + 0.65 * (x * x + y * y))
            grain = (scatter(c, row0 + r) + scatter(c + 5, row0 + r + 9) - 1.0) * 5.0
            image[r, c, 0] = _film(red * gain, grain)
            image[r, c, 1] = _film(green * gain, grain)
            image[r, c, 2] = _film(blue * gain, grain)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _film(x: float, grain: float) -> int:
    """Linear light to an sRGB byte, through a filmic curve (Hejl and Burgess-Dawson), with grain."""
    x = max(0.0, x - 0.004)
    return int(min(255.0, max(0.0, 255 * (x * (6.2 * x + 0.5)) / (x * (6.2 * x + 1.7) + 0.06) + grain + 0.5)))
