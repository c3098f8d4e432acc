"""Ray-cast scenes: depth of planes and spheres by geometry, of boxes by small steps, and views that fit together."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from lossbench.data import ray_casting
from lossbench.data.ray_casting import MAX_DEPTH, SPHERES, Cameras, depth_scenes, draw, poses_from_first, render

SIZE = 48
COUNT = 12


def only(which, seed=0):
    """Return one scene in which one object is left, its light and its cameras."""
    objects, light, cameras = draw(1, np.random.default_rng(seed), SIZE)
    present = np.zeros_like(objects.present)
    present[:, which] = True
    return objects._replace(present=present), light, cameras


def looking(pitch=0.0, height=1.5):
    """Return a camera above the origin that looks ahead and down by so many radians."""
    rotation = Rotation.from_rotvec([-pitch, 0, 0]).as_matrix()
    return Cameras(
        rotation[None, None], np.array([[[0.0, -height, 0.0]]]), draw(1, np.random.default_rng(0), SIZE)[2][2]
    )


def unit_rays(camera):
    """Return the directions (H, W, 3) of unit length in which pixels see, in the camera."""
    row, column = np.mgrid[:SIZE, :SIZE]
    k = camera.intrinsics
    rays = np.stack([(column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones((SIZE, SIZE))], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


# --- Depth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [0.0, 0.2, -0.1])
def test_depth_of_the_ground_is_that_of_a_plane(pitch):
    """A ray whose slope is y meets the ground, h below, at depth h / (y cos + sin)."""
    objects, light, _ = only(-1)
    camera = looking(pitch)
    slope = (np.arange(SIZE) - camera.intrinsics[1, 2]) / camera.intrinsics[1, 1] * np.cos(pitch) + np.sin(pitch)
    depth = render(objects, light, camera, (SIZE, SIZE))[1][0, 0]
    expected = np.where(slope > 0, 1.5 / np.where(slope > 0, slope, 1), np.inf)
    # The ground ends at 100 m.
    expected[expected * (np.cos(pitch) - (slope - np.sin(pitch)) * np.tan(pitch)) > 100] = np.inf
    np.testing.assert_allclose(depth, np.tile(expected[:, None], SIZE), rtol=1e-9)


def test_depth_of_a_sphere_is_that_of_the_first_point_of_each_ray():
    """By the way along the ray to the point that is next to the centre, and the half chord before it."""
    objects, light, _ = only(0)
    camera = looking()
    center, radius = objects.center[0, 0] - camera.center[0, 0], objects.size[0, 0, 0]
    rays = unit_rays(camera)
    nearest = rays @ center
    half_chord = radius**2 - (center @ center - nearest**2)
    expected = np.where(half_chord > 0, (nearest - np.sqrt(half_chord.clip(0))) * rays[..., 2], np.inf)
    depth = render(objects, light, camera, (SIZE, SIZE))[1][0, 0]
    np.testing.assert_allclose(depth, expected, rtol=1e-9)
    assert 0 < np.isfinite(depth).mean() < 1


@pytest.mark.parametrize("which", [SPHERES, SPHERES + 1, -2])
def test_depth_of_a_turned_box_is_found_by_small_steps(which):
    objects, light, _ = only(which, seed=3)
    camera = looking()
    rays = unit_rays(camera)[::4, ::4]
    depths = np.arange(0.5, 14, 0.005)
    points = (rays / rays[..., 2:])[..., None, :] * depths[:, None] + camera.center[0, 0]
    local = (points - objects.center[0, which]) @ objects.axes[0, which].T
    inside = (np.abs(local) < objects.size[0, which]).all(-1)
    found = render(objects, light, camera, (SIZE, SIZE))[1][0, 0][::4, ::4]
    assert inside.any(-1).sum() > 3
    thin = np.isfinite(found) & ~inside.any(-1)  # grazed between two steps
    assert thin.mean() < 0.02 and np.isfinite(found[inside.any(-1)]).all()
    first = depths[inside.argmax(-1)]
    assert (np.abs(first - found)[inside.any(-1)] <= 0.005 + 1e-9).all()


def test_what_is_nearer_hides_what_is_behind():
    objects, light, cameras = draw(COUNT, np.random.default_rng(1), SIZE)
    whole = render(objects, light, cameras, (SIZE, SIZE))[1]
    alone = []
    for which in range(objects.present.shape[1]):
        present = np.zeros_like(objects.present)
        present[:, which] = objects.present[:, which]
        alone.append(render(objects._replace(present=present), light, cameras, (SIZE, SIZE))[1])
    np.testing.assert_array_equal(whole, np.min(alone, 0))


def test_brightness_follows_lamberts_law():
    """A sphere of one colour: the light that comes from where it faces the light is the whole, else the ambient one."""
    objects, light, _ = only(0)
    camera = looking()
    plain = objects._replace(colours=np.full_like(objects.colours, 0.5))
    colours, depth = render(plain, light, camera, (SIZE, SIZE))
    rays = unit_rays(camera)
    points = rays / rays[..., 2:] * np.where(np.isfinite(depth[0, 0]), depth[0, 0], 1)[..., None] + camera.center[0, 0]
    normal = (points - objects.center[0, 0]) / objects.size[0, 0, 0]
    expected = 0.5 * (0.45 + 0.55 * (normal @ light.toward[0]).clip(0))
    seen = np.isfinite(depth[0, 0])
    np.testing.assert_allclose(colours[0, 0, 0][seen], expected[seen], rtol=1e-7)


# --- Views --------------------------------------------------------------------------------------------------------


def test_poses_lead_points_of_the_world_from_camera_to_camera():
    cameras = draw(COUNT, np.random.default_rng(2), SIZE)[2]
    point = np.array([0.3, -0.8, 4.0])
    in_cameras = np.einsum("nvji,nvj->nvi", cameras.rotation, point - cameras.center)
    poses = poses_from_first(cameras)
    moved = np.einsum("nvij,nj->nvi", poses[..., :3, :3], in_cameras[:, 0]) + poses[..., :3, 3]
    np.testing.assert_allclose(moved, in_cameras[:, 1:], atol=1e-12)


def test_the_first_view_is_that_of_a_camera_to_the_right():
    poses = depth_scenes(COUNT, np.random.default_rng(3), size=16).poses
    np.testing.assert_allclose(poses[:, 0, :3, :3], np.tile(np.eye(3), (COUNT, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(poses[:, 0, 1:3, 3], 0, atol=1e-6)
    assert (poses[:, 0, 0, 3] >= -0.25).all() and (poses[:, 0, 0, 3] <= -0.15).all()
    angles = Rotation.from_matrix(poses[:, 1, :3, :3]).magnitude()
    assert (angles > 0.001).all() and (angles < 0.2).all()


def warped(scenes, row, view):
    """Return a view as the image shows it, by true depth and pose, where its points lie in the view, and how deep."""
    k, pose, depth = scenes.intrinsics[row], scenes.poses[row, view], scenes.depth[row].astype(float)
    v, u = np.mgrid[:SIZE, :SIZE]
    points = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones(u.shape)]) * depth
    x, y, z = np.einsum("ij,jhw->ihw", pose[:3, :3], points) + pose[:3, 3, None, None]
    z = np.where(depth > 0, z, 1)
    place = np.stack([k[1, 1] * y / z + k[1, 2], k[0, 0] * x / z + k[0, 2]])
    inside = (depth > 0) & (place >= 0).all(0) & (place <= SIZE - 1).all(0)
    seen = np.stack([map_coordinates(each.astype(float), place, order=1) for each in scenes.other_views[row, view]])
    return seen / 255, inside, z, place


@pytest.mark.parametrize("view", [0, 1])
def test_views_warped_by_depth_and_pose_are_the_image(view):
    """Where a point is hidden in the view, by the depth of the view itself, nothing is compared."""
    scenes = depth_scenes(COUNT, np.random.default_rng(4), SIZE)
    depths = render(*draw(COUNT, np.random.default_rng(4), SIZE), (SIZE, SIZE))[1]
    off, off_unwarped = [], []
    for row in range(COUNT):
        seen, inside, z, place = warped(scenes, row, view)
        around = [depths[row, 1 + view][tuple(f(place).astype(int).clip(0, SIZE - 1))] for f in (np.floor, np.ceil)]
        visible = inside & (np.abs(np.array(around) - z) < 0.1 * z).all(0)
        assert visible.mean() > 0.25
        image = scenes.images[row] / 255
        off.append(np.abs(seen - image)[:, visible].mean())
        off_unwarped.append(np.abs(scenes.other_views[row, view] / 255 - image)[:, visible].mean())
    assert np.mean(off) < 0.02 and np.mean(off) < np.mean(off_unwarped) / 3


def test_a_wrong_pose_does_not_fit():
    scenes = depth_scenes(COUNT, np.random.default_rng(4), SIZE)
    turned = scenes._replace(poses=np.linalg.inv(scenes.poses))
    for view in (0, 1):
        off = {each: [] for each in ("right", "wrong")}
        for row in range(COUNT):
            for which, each in (("right", scenes), ("wrong", turned)):
                seen, inside, *_ = warped(each, row, view)
                off[which].append(np.abs(seen - scenes.images[row] / 255)[:, inside].mean())
        assert np.mean(off["right"]) < 0.6 * np.mean(off["wrong"])


# --- What is drawn ------------------------------------------------------------------------------------------------


def test_shapes_types_and_what_is_known():
    scenes = depth_scenes(COUNT, np.random.default_rng(5), size=40)
    assert scenes.images.shape == (COUNT, 3, 40, 40) and scenes.images.dtype == np.uint8
    assert scenes.other_views.shape == (COUNT, 2, 3, 40, 40) and scenes.other_views.dtype == np.uint8
    assert scenes.depth.shape == (COUNT, 40, 40) and scenes.depth.dtype == np.float32
    assert scenes.intrinsics.shape == (COUNT, 3, 3) and scenes.poses.shape == (COUNT, 2, 4, 4)
    assert scenes.intrinsics.dtype == scenes.poses.dtype == np.float32
    known = scenes.depth > 0
    assert 0.4 < known.mean() < 0.95 and (known.mean((1, 2)) > 0.1).all()
    assert scenes.depth[known].min() > 0.5 and scenes.depth.max() <= MAX_DEPTH


def test_the_same_seed_gives_the_same_bits_however_many_are_rendered_at_once(monkeypatch):
    one = depth_scenes(5, np.random.default_rng(6), size=16)
    monkeypatch.setattr(ray_casting, "SCENES_AT_ONCE", 2)
    other = depth_scenes(5, np.random.default_rng(6), size=16)
    for each, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(each, same)
    assert not np.array_equal(one.images, depth_scenes(5, np.random.default_rng(7), size=16).images)
