"""Made-up scenes of spheres and boxes with exact depth, each seen by three cameras.

The world has x to the right, y down and z ahead, in metres, and the ground at y = 0. All that is seen is a sphere or a
box; ground and back wall are boxes, too, of which one face is in sight. A camera is a pinhole that looks along its own
z axis, with whole-numbered pixel centres. Depth is z of the point in the camera, not its distance. Each pixel is one
ray through its centre.

Colours are those of the points: their texture is a function of the place on the object, lit by one distant light
without shadows or gloss, so that all views agree. Only textures too fine for the pixels fade with distance.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from lossbench.data.corruptions import Array, Rng

MAX_DEPTH = 10.0
"""Depth is known up to it, in metres; beyond, and in the sky, it is 0."""
FOCAL = 0.9
"""Focal length, in widths of the image: 58 degrees are seen."""
SPHERES, BOXES = 3, 3
"""How many a scene has at most, beside ground and wall."""
SCENES_AT_ONCE = 16
"""Rendered in one go, which bounds the memory: about 100 MB at 48 pixels."""
_FLAT = BOXES + 2
AMBIENT = 0.45
"""The share of light that comes from everywhere."""


class DepthScenes(NamedTuple):
    """Images of N scenes and what is known of them.

    Parameters
    ----------
    images : ndarray (N, 3, H, W)
        uint8.
    depth : ndarray (N, H, W)
        Of the image, float32, in metres along its optical axis; 0 where it is not known.
    other_views : ndarray (N, 2, 3, H, W)
        uint8: first that of a camera to the right, neither turned nor moved otherwise, then that of one with a small
        motion of any kind.
    intrinsics : ndarray (N, 3, 3)
        Of all three cameras, in pixels, float32.
    poses : ndarray (N, 2, 4, 4)
        By which X_view = R X + t leads from the camera of the image to those of the other views, float32.

    """

    images: Array
    depth: Array
    other_views: Array
    intrinsics: Array
    poses: Array


class Objects(NamedTuple):
    """What N scenes are made of, O objects each: first the spheres, then the boxes.

    Parameters
    ----------
    center : ndarray (N, O, 3)
        In the world.
    axes : ndarray (N, O, 3, 3)
        Rotation matrices: a point X of the world is axes (X - center) in the object.
    size : ndarray (N, O, 3)
        Half the sides of a box; of a sphere thrice the same, its radius.
    present : ndarray (N, O)
        bool.
    colours : ndarray (N, O, 2, 3)
        Of the texture, in [0, 1].
    waves : ndarray (N, O, 3, 3)
        Three waves of the texture, in radians per metre of the object.
    pattern : ndarray (N, O)
        What is made of the waves: 0 checks, 1 stripes, 2 smooth noise.

    """

    center: Array
    axes: Array
    size: Array
    present: Array
    colours: Array
    waves: Array
    pattern: Array


class Cameras(NamedTuple):
    """V cameras in each of N scenes: rotations (N, V, 3, 3) to the world, centres (N, V, 3), intrinsics (3, 3)."""

    rotation: Array
    center: Array
    intrinsics: Array


class Light(NamedTuple):
    """Where light comes from, unit vectors (N, 3) in the world, and the colour (N, 3) of the sky in [0, 1]."""

    toward: Array
    sky: Array


def depth_scenes(count: int, rng: Rng, size: int = 48) -> DepthScenes:
    """Draw scenes and render them.

    Parameters
    ----------
    count : int
        Number of scenes N.
    rng : numpy.random.Generator
        The same state gives the same bits.
    size : int
        Pixels a side.

    Examples
    --------
    >>> scenes = depth_scenes(2, np.random.default_rng(0), size=32)
    >>> scenes.images.shape, bool((scenes.depth > 0).any()), float(scenes.depth.max()) <= MAX_DEPTH
    ((2, 3, 32, 32), True, True)

    """
    objects, light, cameras = draw(count, rng, size)
    images, depths = np.empty((count, 3, 3, size, size), np.uint8), np.empty((count, size, size), np.float32)
    for start in range(0, count, SCENES_AT_ONCE):
        part = slice(start, start + SCENES_AT_ONCE)
        seen, depth = render(
            Objects(*(each[part] for each in objects)),
            Light(*(each[part] for each in light)),
            Cameras(cameras.rotation[part], cameras.center[part], cameras.intrinsics),
            (size, size),
        )
        images[part] = (255 * seen).round()
        depths[part] = np.where(depth[:, 0] <= MAX_DEPTH, depth[:, 0], 0)
    return DepthScenes(
        images[:, 0],
        depths,
        images[:, 1:],
        np.tile(cameras.intrinsics.astype(np.float32), (count, 1, 1)),
        poses_from_first(cameras).astype(np.float32),
    )


def draw(count: int, rng: Rng, size: int) -> tuple[Objects, Light, Cameras]:
    """Draw what is seen in so many scenes, and by which cameras."""
    return _draw_objects(count, rng), _draw_light(count, rng), _draw_cameras(count, rng, size)


def render(objects: Objects, light: Light, cameras: Cameras, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Cast a ray through the centre of each pixel of each camera.

    Returns
    -------
    colours : ndarray (N, V, 3, H, W)
        In [0, 1].
    depth : ndarray (N, V, H, W)
        Of the nearest object, infinite in the sky.

    """
    height, width = shape
    column, row = (each.ravel() for each in np.meshgrid(np.arange(width), np.arange(height)))
    rays = np.linalg.solve(cameras.intrinsics, np.stack([column, row, np.ones_like(row)]).astype(float))
    direction = cameras.rotation @ rays  # (N, V, 3, P), of depth 1
    start = np.einsum("noij,nvoj->nvoi", objects.axes, cameras.center[:, :, None] - objects.center[:, None])[..., None]
    along = objects.axes[:, None] @ direction[:, :, None]  # (N, V, O, 3, P), in each object
    depths = np.concatenate(
        [
            _depth_of_spheres(start[:, :, :-_FLAT], along[:, :, :-_FLAT], objects.size[:, None, :-_FLAT, 0, None]),
            _depth_of_boxes(start[:, :, -_FLAT:], along[:, :, -_FLAT:], objects.size[:, None, -_FLAT:, :, None]),
        ],
        axis=2,
    )
    depths[~np.broadcast_to(objects.present[:, None, :, None], depths.shape)] = np.inf
    nearest = depths.argmin(axis=2, keepdims=True)  # (N, V, 1, P)
    depth = np.take_along_axis(depths, nearest, axis=2)[:, :, 0]
    along = np.take_along_axis(along, nearest[:, :, :, None], axis=2)[:, :, 0]
    start = np.take_along_axis(start, nearest[:, :, :, None], axis=2)[:, :, 0]
    sky = np.isinf(depth)
    far = np.where(sky, 1.0, depth)
    place = start + far[:, :, None] * along
    colours = _colours(objects, light, nearest[:, :, 0], place, along, far / cameras.intrinsics[0, 0])
    colours = np.where(sky[:, :, None], light.sky[:, None, :, None], colours)
    return colours.reshape(*colours.shape[:3], height, width), depth.reshape(*depth.shape[:2], height, width)


def _depth_of_spheres(start: Array, along: Array, radius: Array) -> Array:
    """Return the depth (N, V, O, P) at which rays enter spheres around 0, infinite for those that miss."""
    square, mixed = (along**2).sum(3), (start * along).sum(3)
    room = mixed**2 - square * ((start**2).sum(3) - radius**2)
    depth = (-mixed - np.sqrt(room.clip(0))) / square
    return np.where((room > 0) & (depth > 0), depth, np.inf)


def _depth_of_boxes(start: Array, along: Array, size: Array) -> Array:
    """Return the depth (N, V, O, P) at which rays enter boxes around 0, infinite for those that miss."""
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)
    one, other = (-size - start) / along, (size - start) / along
    enter, leave = np.minimum(one, other).max(3), np.maximum(one, other).min(3)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def _colours(objects: Objects, light: Light, which: Array, place: Array, along: Array, pixel: Array) -> Array:
    """Return colours (N, V, 3, P) of places (N, V, 3, P) on objects (N, V, P), in these, seen along rays.

    `pixel` is how wide a pixel is there, in metres, across the ray.
    """
    scene = np.arange(len(which))[:, None, None]
    size, pattern = np.moveaxis(objects.size[scene, which], -1, 2), objects.pattern[scene, which]
    share = np.abs(place) / size
    normal = np.where(
        (which < SPHERES)[:, :, None], place / size, np.sign(place) * (share == share.max(2, keepdims=True))
    )
    facing = -(normal * along).sum(2) / np.sqrt((along**2).sum(2))
    waves = objects.waves[scene, which]  # (N, V, P, 3, 3)
    phase = np.einsum("nvpij,nvjp->invp", waves, place)
    # A wave shorter than two pixels can't be seen.
    per_metre = np.linalg.norm(objects.waves, axis=-1).max(-1)[scene, which] / (2 * np.pi)
    finest = per_metre * pixel / facing.clip(0.05)
    one, two, three = np.sin(phase)
    checks = np.tanh(3 * one) * np.tanh(3 * two) * np.tanh(3 * three)
    mix = np.choose(pattern, [checks, np.tanh(3 * one), (one + two + three) / 2]) * np.exp(-((2 * finest) ** 2))
    first, second = np.moveaxis(objects.colours[scene, which], (-2, -1), (0, 3))
    toward = np.einsum("noij,nj->noi", objects.axes, light.toward)[scene, which]
    lit = AMBIENT + (1 - AMBIENT) * np.einsum("nvip,nvpi->nvp", normal, toward).clip(0)
    return ((first + second + (first - second) * mix[:, :, None]) / 2 * lit[:, :, None]).clip(0, 1)


def poses_from_first(cameras: Cameras) -> Array:
    """Return matrices (N, V - 1, 4, 4) that lead from the first camera of each scene to the others."""
    inverse = cameras.rotation[:, 1:].swapaxes(-1, -2)
    poses = np.zeros((*inverse.shape[:2], 4, 4))
    poses[..., :3, :3] = inverse @ cameras.rotation[:, :1]
    poses[..., :3, 3] = (inverse @ (cameras.center[:, :1] - cameras.center[:, 1:])[..., None])[..., 0]
    poses[..., 3, 3] = 1
    return poses


def _draw_objects(count: int, rng: Rng) -> Objects:
    """Draw spheres and boxes on the ground, then wall and ground."""
    loose, total = SPHERES + BOXES, SPHERES + BOXES + 2
    ahead, radius = rng.uniform(1.8, 7, (count, loose)), rng.uniform(0.25, 0.8, (count, SPHERES, 1))
    size = np.concatenate([radius.repeat(3, 2), rng.uniform(0.2, 0.7, (count, BOXES, 3))], 1)
    center = np.stack([rng.uniform(-0.5, 0.5, (count, loose)) * ahead, -size[..., 1], ahead], -1)
    turn = rng.normal(0, [0.15, 0.0, 0.15], (count, total, 3))  # radians about x, y and z
    turn[..., 1] = rng.uniform(-np.pi / 2, np.pi / 2, (count, total)) * (rng.random((count, total)) < 0.7)
    tall = rng.uniform(0.75, 2.5, count)
    wall = np.stack([np.zeros(count), -tall, rng.uniform(5, 9.5, count)], -1)
    turn[:, -2] = np.stack([np.zeros(count), rng.uniform(-0.4, 0.4, count), np.zeros(count)], -1)
    turn[:, -1] = 0
    size_of_wall = np.stack([np.full(count, 50.0), tall, np.full(count, 0.1)], -1)
    present = rng.random((count, total)) < 0.75
    present[:, -1] = True
    waves, pattern = _draw_waves(count, total, rng)
    return Objects(
        np.concatenate([center, wall[:, None], np.tile([0.0, 1.0, 0.0], (count, 1, 1))], 1),
        Rotation.from_rotvec(turn.reshape(-1, 3)).as_matrix().reshape(count, total, 3, 3),
        np.concatenate([size, size_of_wall[:, None], np.tile([100.0, 1.0, 100.0], (count, 1, 1))], 1),
        present,
        rng.uniform(0.1, 1.0, (count, total, 2, 3)),
        waves,
        pattern,
    )


def _draw_waves(count: int, total: int, rng: Rng) -> tuple[Array, Array]:
    """Draw 0.5 to 1.5 waves per metre: for checks along the axes of the object, else in any direction."""
    pattern = rng.integers(3, size=(count, total))
    random = rng.normal(size=(count, total, 3, 3))
    random /= np.linalg.norm(random, axis=-1, keepdims=True)
    directions = np.where((pattern == 0)[..., None, None], np.eye(3), random)
    return 2 * np.pi * rng.uniform(0.5, 1.5, (count, total, 3, 1)) * directions, pattern


def _draw_light(count: int, rng: Rng) -> Light:
    """Draw light from above and, mostly, from behind the camera; and a bluish sky."""
    toward = np.stack([rng.uniform(-1, 1, count), np.full(count, -1.0), rng.uniform(-1.5, 0.3, count)], -1)
    sky = np.stack([rng.uniform(0.5, 0.7, count), rng.uniform(0.6, 0.8, count), rng.uniform(0.8, 1, count)], -1)
    return Light(toward / np.linalg.norm(toward, axis=-1, keepdims=True), sky)


def _draw_cameras(count: int, rng: Rng, size: int) -> Cameras:
    """Draw a camera that looks ahead and a little down, one 0.15 to 0.25 m to its right, and one nearby."""
    tilt = np.stack([rng.uniform(-0.2, 0.03, count), np.zeros(count), rng.uniform(-0.05, 0.05, count)], -1)
    first = Rotation.from_rotvec(tilt)
    moved = first * Rotation.from_rotvec(rng.normal(0, 0.025, (count, 3)))
    rotation = np.stack([first.as_matrix(), first.as_matrix(), moved.as_matrix()], 1)
    place = np.stack([np.zeros(count), -rng.uniform(1.1, 1.7, count), np.zeros(count)], -1)
    offset = np.zeros((count, 3, 3))
    offset[:, 1, 0] = rng.uniform(0.15, 0.25, count)
    offset[:, 2] = rng.normal(0, 0.1, (count, 3))
    center = place[:, None] + (rotation[:, :1] @ offset[..., None])[..., 0]
    middle = (size - 1) / 2
    return Cameras(rotation, center, np.array([[FOCAL * size, 0, middle], [0, FOCAL * size, middle], [0, 0, 1]]))
