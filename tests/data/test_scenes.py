"""Made-up pictures against what is known of them: laws of pixels, shares, and scenes rebuilt object by object."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from sklearn.datasets import load_digits

from lossbench.data import DataModule
from lossbench.data.scenes import FEWEST_PIXELS, digit_scenes, field, lesions
from lossbench.data.textures import smooth_noise, stretched, textures
from lossbench.errors import ConfigError

DIGITS = load_digits()


def rng(seed=0):
    return np.random.default_rng(seed)


def scenes(count=300, seed=0, **settings):
    return digit_scenes(DIGITS.images, DIGITS.target, count, rng(seed), **settings)


MAKERS = {
    "field": lambda seed: field(20, rng(seed)),
    "lesions": lambda seed: lesions(20, rng(seed)),
    "scenes": lambda seed: scenes(20, seed),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_same_seed_makes_the_same_pictures(make):
    first, again, other = make(3), make(3), make(4)
    assert all(np.array_equal(mine, yours) for mine, yours in zip(first, again, strict=True))
    assert not any(np.array_equal(mine, yours) for mine, yours in zip(first, other, strict=True))


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (2.0, 5.0), (0.3, 0.3)])
def test_the_pixels_of_a_field_have_their_law_and_its_labels_their_posterior(a, b):
    made = field(60, rng(), size=24, beta=(a, b))
    assert [made.images.dtype, made.masks.dtype, made.posterior.dtype] == [np.float32, np.uint8, np.float32]
    assert made.images.shape == (60, 1, 24, 24) and made.masks.shape == made.posterior.shape == (60, 24, 24)
    assert made.images.min() > 0 and made.images.max() < 1
    assert stats.kstest(made.posterior.ravel(), stats.beta(a, b).cdf).pvalue > 1e-3
    for low in np.arange(0, 1, 0.25):
        inside = (made.posterior > low) & (made.posterior <= low + 0.25)
        expected = made.posterior[inside].astype(float)
        spread = np.sqrt((expected * (1 - expected)).sum())
        assert abs(made.masks[inside].sum() - expected.sum()) < 4 * spread


@pytest.mark.parametrize(
    ("size", "share", "settings"),
    [(32, 0.02, {}), (48, 0.02, {}), (32, 0.005, {}), (48, 0.03, {"empty": 0.0}), (32, 0.01, {"most": 5, "others": 0})],
)
def test_lesions_have_their_share_of_the_pixels_and_lie_apart(size, share, settings):
    made = lesions(600, rng(), size, share, **settings)
    assert made.images.shape == (600, 1, size, size) and made.images.dtype == made.masks.dtype == np.uint8
    assert set(np.unique(made.masks)) == {0, 1}
    assert made.masks.mean() == pytest.approx(share, rel=0.15)
    without = (made.masks.max((1, 2)) == 0).mean()
    assert without == pytest.approx(settings.get("empty", 0.2), abs=0.06)
    counts = [ndimage.label(mask, np.ones((3, 3)))[1] for mask in made.masks]
    assert max(counts) <= settings.get("most", 3)
    bright, plain = made.images[made.masks[:, None] == 1].mean(), made.images[made.masks[:, None] == 0].mean()
    assert bright > plain + 30


def test_lesions_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"share=0.2.*at most 0.0"):
        lesions(2, rng(), share=0.2)
    with pytest.raises(ConfigError, match="at most 9 lesions"):
        lesions(2, rng(), most=7)


def test_a_scene_says_the_same_in_each_of_its_arrays():
    made = scenes(most=6, size=48)
    assert made.images.shape == (300, 3, 48, 48) and made.images.dtype == np.uint8
    assert made.classes.dtype == made.instances.dtype == np.uint8
    assert made.boxes.shape == (300, 6, 4) and made.boxes.dtype == np.float32 and made.box_labels.dtype == np.int64
    numbers = (made.box_labels >= 0).sum(1)
    assert numbers.min() >= 1 and numbers.max() == 6
    for instances, classes, boxes, labels, number in zip(*made[1:3][::-1], *made[3:], numbers, strict=True):
        assert (labels[:number] >= 0).all() and (labels[number:] == -1).all() and not boxes[number:].any()
        assert sorted(set(instances.ravel().tolist()) | {0}) == list(range(number + 1))
        found = ndimage.find_objects(instances)
        for place, (rows, columns) in enumerate(found):
            assert boxes[place].tolist() == [columns.start, rows.start, columns.stop, rows.stop]
            inside = instances == place + 1
            assert inside.sum() >= FEWEST_PIXELS and (classes[inside] == 1 + labels[place]).all()
        assert np.array_equal(classes > 0, instances > 0)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_digit_is_enlarged_bilinearly_as_torch_does(scale):
    """One digit fills the scene, on black: the picture is its ink, in a colour."""
    black, digits = np.zeros((1, 3, 8, 8), dtype=np.uint8), DIGITS.images[:5]
    made = digit_scenes(
        digits, np.arange(5), 30, rng(), backgrounds=black, most=1, size=8 * scale, scales=(scale, scale)
    )
    ink = torch.nn.functional.interpolate(
        torch.tensor(np.pad(digits, ((0, 0), (1, 1), (1, 1))))[None], scale_factor=scale, mode="bilinear"
    )
    inside = slice(scale, -scale)
    ink = ink[0, made.box_labels[:, 0], inside, inside].numpy() / 16
    full = made.images.max((2, 3), keepdims=True) / ink.max((1, 2))[:, None, None, None]
    assert np.abs(made.images - full * ink[:, None]).max() < 1.5
    np.testing.assert_array_equal(made.classes, np.where(ink >= 0.5, 1 + made.box_labels[:, :1, None], 0))


def test_later_digits_hide_earlier_ones_and_what_is_hardly_seen_is_dropped():
    full = np.ones((1, 16, 16))
    made = digit_scenes(full, np.array([2]), 400, rng(), size=16, most=4, scales=(1.0, 1.0))
    assert (made.instances == 1).all() and (made.classes == 3).all()
    assert made.box_labels[:, 0].tolist() == [2] * 400 and (made.box_labels[:, 1:] == -1).all()
    # Squares of 15 pixels in 16: of an earlier one an edge of 15 or 29 pixels is left, or nothing.
    crowded = digit_scenes(np.ones((1, 4, 4)), np.array([0]), 400, rng(), size=6, most=6, scales=(1.0, 1.0))
    visible = np.stack([(crowded.instances == k).sum((1, 2)) for k in range(1, 7)], 1)
    assert (visible[visible > 0] >= FEWEST_PIXELS).all() and (visible[visible > 0] < 16).any()
    assert ((visible > 0) == (crowded.box_labels >= 0)).all()


def test_colours_differ_from_what_they_cover():
    grey = np.full((1, 3, 4, 4), 128, dtype=np.uint8)
    made = digit_scenes(np.ones((1, 9, 9)), np.array([0]), 200, rng(), backgrounds=grey, most=1, size=24)
    inside = ndimage.binary_erosion(made.classes > 0, np.ones((1, 3, 3)))
    colours = made.images.transpose(0, 2, 3, 1)[inside].astype(int)
    assert np.abs(colours - 128).min() >= 0.35 * 255 - 2
    assert all(np.unique(colours[:, channel]).size > 20 for channel in range(3))


@pytest.mark.parametrize(("num_classes", "expected"), [(10, 10), (4, 4), (1, 1)])
def test_digits_are_merged_into_classes(num_classes, expected):
    made = scenes(num_classes=num_classes)
    assert set(made.box_labels[made.box_labels >= 0]) == set(range(expected))
    assert set(np.unique(made.classes)) == set(range(expected + 1))


def test_digits_of_bytes_are_those_of_floats():
    as_bytes = digit_scenes((DIGITS.images * 15).astype(np.uint8), DIGITS.target, 30, rng())
    for mine, yours in zip(as_bytes, scenes(30), strict=True):
        assert np.abs(mine.astype(int) - yours.astype(int)).max() <= 1


def test_a_scene_that_is_too_small_is_refused():
    with pytest.raises(ConfigError, match="8x8 pixels enlarged by 2 do not fit into 12x12"):
        scenes(size=12)


def test_pictures_behind_a_scene_are_stretched():
    images = rng().integers(0, 256, (3, 3, 5, 7)).astype(np.uint8)
    assert np.array_equal((stretched(images, 35) * 255).round(), images.repeat(7, axis=2).repeat(5, axis=3))
    images = images[..., :5]
    behind = digit_scenes(DIGITS.images, DIGITS.target, 10, rng(), backgrounds=images, size=20, most=1)
    far = ndimage.distance_transform_edt(behind.classes == 0, sampling=(1e4, 1, 1)) > 8
    possible = {tuple(colour) for colour in images.transpose(0, 2, 3, 1).reshape(-1, 3)}
    assert {tuple(colour) for colour in behind.images.transpose(0, 2, 3, 1)[far]} <= possible


def test_textures_fill_the_range_and_smooth_noise_is_smooth():
    made = textures(40, 32, rng())
    assert made.shape == (40, 3, 32, 32) and made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
    noise = smooth_noise(200, 2, (30, 20), 5, rng())
    assert noise.shape == (200, 2, 30, 20) and noise.dtype == np.float32
    assert -1e-6 <= noise.min() < 0.1 and 0.9 < noise.max() < 1 + 1e-6
    assert (
        np.abs(np.diff(noise, axis=2)).max() <= 5 / 30 + 1e-6 and np.abs(np.diff(noise, axis=3)).max() <= 5 / 20 + 1e-6
    )


def test_a_source_of_scenes_has_the_targets_and_the_classes_of_both_its_tasks():
    masks, boxes = (DataModule("digit_scenes", task, count=40, max_test=30) for task in ("segmentation", "detection"))
    masks.setup()
    boxes.setup()
    assert (masks.num_classes, boxes.num_classes) == (11, 10)
    assert boxes.class_names == masks.class_names[1:] == tuple("0123456789")
    seen, found = (next(iter(module.test_dataloader())) for module in (masks, boxes))
    assert torch.equal(seen.inputs, found.inputs) and found.target.shape == (30, 5) and found.target.min() == -1
    for mask, labels, corners in zip(seen.target, found.target, found.extras["boxes"], strict=True):
        for label, (x1, y1, x2, y2) in zip(labels[labels >= 0], corners.int(), strict=False):
            assert (mask[y1:y2, x1:x2] == 1 + label).sum() >= FEWEST_PIXELS
