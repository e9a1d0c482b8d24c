"""A scene of meshes to a picture and the object seen at each of its pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.datasets.scenes.mesh import Material, Mesh, cross, join
from pipeline.datasets.scenes.optics import Light, Shadows, Triangles, View
from pipeline.datasets.scenes.raster import NONE, rasterise
from pipeline.datasets.scenes.shade import develop

NEAR = 0.6
"""Triangles with a corner nearer than this (metres ahead) are not drawn."""
BAND = 96
"""Rows rendered at a time: the sample buffers stay small at any picture size."""
SHADOW_REACH, SHADOW_TEXELS = 90.0, 1280
GROUND = (Material.ASPHALT, Material.PAVING, Material.MARKING, Material.GRASS)


def render(
    meshes: Sequence[Mesh], view: View, light: Light, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw meshes.

    Parameters
    ----------
    meshes
        One an object.
    view, light
        Camera and weather.
    size
        Height and width of the picture.

    Returns
    -------
    (H, W, 3) picture, and (H, W) which mesh covers most of each pixel: its position in `meshes`, NONE for
    the sky. Both come from the same samples, so they agree at every pixel.
    """
    owner = np.repeat(np.arange(len(meshes), dtype=np.int32), [len(m.materials) for m in meshes])
    mesh = join(meshes)
    ahead = mesh.corners[..., 2].min(1) > NEAR
    mesh = Mesh(mesh.corners[ahead], mesh.normals[ahead], mesh.colors[ahead], mesh.materials[ahead])
    triangles = _project(mesh, view)
    shadows = _shadows(triangles, light)
    height, width = size
    image = np.empty((height, width, 3), np.uint8)
    seen = np.empty((height, width), np.int32)

    def draw(row: int) -> None:
        rows = min(BAND, height - row)
        depth = np.zeros((2 * rows, 2 * width), np.float32)
        index = np.full((2 * rows, 2 * width), NONE, np.int32)
        rasterise(triangles.screen, depth, index, 2 * row, 2.0)
        band = slice(row, row + rows)
        develop(index, row, triangles, view, light, shadows, image[band], seen[band])

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        list(threads.map(draw, range(0, height, BAND)))
    return image, np.append(owner[ahead], np.int32(NONE))[seen]


def _project(mesh: Mesh, view: View) -> Triangles:
    """Bend the road, project the corners, and turn normals of faces seen from behind towards the camera."""
    corners = mesh.corners.astype(np.float64)
    x, y, z = np.moveaxis(corners, -1, 0)
    x += 0.5 * view.bend * z * z - view.x
    screen = np.empty_like(corners)
    screen[..., 2] = 1 / z
    screen[..., 0] = view.column + view.focal * x * screen[..., 2]
    screen[..., 1] = view.row - view.focal * (y - view.height) * screen[..., 2]
    faces = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.einsum("ni,nki->n", faces, mesh.normals)
    seen_from = np.einsum("ni,ni->n", faces, corners[:, 0]) - faces[:, 1] * view.height
    away = (seen_from * outward > 0) & (mesh.materials != Material.LEAVES)
    normals = mesh.normals.copy()
    normals[away] *= -1
    return Triangles(screen, corners, normals, mesh.colors, mesh.materials)


def _shadows(triangles: Triangles, light: Light) -> Shadows:
    """What the sun sees first, and how crowded the ground is, blurred to soft contact shadows."""
    sun = np.array(light.sun)
    right = np.cross([0.0, 0.0, 1.0], sun)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(sun, right), sun])
    middle = turn @ [0.0, 0.0, SHADOW_REACH * 0.42]
    shift = SHADOW_REACH / 2 - middle
    shift[2] = 500.0
    across = np.column_stack([turn, shift])
    heights = np.zeros((SHADOW_TEXELS, SHADOW_TEXELS), np.float32)
    scale = SHADOW_TEXELS / SHADOW_REACH
    casters = triangles.corners[
        ~np.isin(triangles.materials, GROUND) & (triangles.corners[:, 0, 2] < SHADOW_REACH)
    ]
    rasterise(casters @ turn.T + shift, heights, np.empty(heights.shape, np.int32), 0, scale)

    low = casters[casters[..., 1].max(1) < 0.9][..., [0, 2, 1]] + [30.0, 0.0, 1.0]
    crowding = np.zeros((400, 240), np.float32)
    rasterise(low, crowding, np.empty(crowding.shape, np.int32), 0, 4.0)
    blurred = Image.fromarray((crowding > 0).astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(1.6))
    return Shadows(across, heights, scale, np.asarray(blurred, np.float32) / 255, 4.0, -30.0)
