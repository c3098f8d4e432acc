"""Corrupted masks against distances and objects counted one picture after another."""

import numpy as np
import pytest
from scipy import ndimage

from lossbench.data.mask_noise import (
    boundary_jitter,
    less_foreground,
    missing_objects,
    rare_classes,
)
from lossbench.data.scenes import digit_scenes, lesions
from lossbench.errors import ConfigError

SQUARES = digit_scenes(np.ones((1, 9, 9)), np.array([0]), 60, np.random.default_rng(0), size=48, most=3)
KINDS = digit_scenes(np.ones((4, 9, 9)), np.arange(4), 60, np.random.default_rng(1), size=48, most=4)
CROSS = ndimage.generate_binary_structure(2, 2)


def rng(seed=0):
    return np.random.default_rng(seed)


def with_unknown(masks):
    masks = masks.copy()
    masks[:, :7, 5:20] = 255
    return masks


CORRUPTIONS = {
    "jitter": lambda masks, seed: boundary_jitter(masks, rng(seed), 2),
    "missing": lambda masks, seed: missing_objects(masks, rng(seed), 0.4),
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_corruption_repeats_itself_and_leaves_the_clean_masks_and_unknown_pixels_alone(corrupt):
    masks = with_unknown(KINDS.classes)
    before = masks.copy()
    first, again, other = (corrupt(masks, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(masks, before)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert (first.masks != other.masks).any() and first.masks.dtype == np.uint8
    np.testing.assert_array_equal(first.masks == 255, masks == 255)
    changed = first.masks != masks
    assert first.facts["changed"] == pytest.approx(changed.sum() / (masks != 255).sum())
    assert first.facts["pictures"] == pytest.approx(changed.any((1, 2)).mean())
    assert all(type(value) in (int, float) for value in first.facts.values())


@pytest.mark.parametrize("masks", [SQUARES.classes, KINDS.classes, with_unknown(KINDS.classes)])
@pytest.mark.parametrize("radius", [1.0, 2.5, 4.0])
def test_boundaries_move_at_most_by_the_radius(masks, radius):
    moved = boundary_jitter(masks, rng(), radius).masks
    assert set(np.unique(moved)) <= set(np.unique(masks))
    share = 0
    for before, after in zip(masks, moved, strict=True):
        for kind in np.unique(after[after != before]):
            gained = (after == kind) & (before != kind)
            # The next pixel of the class lies d away, the boundary half a pixel less.
            away = ndimage.distance_transform_edt(before != kind)[gained] - 0.5
            assert away.max() < radius
            share = max(share, away.max())
    assert share > radius / 2 - 0.5


def test_objects_grow_and_shrink_by_the_same_on_average():
    before = np.zeros((500, 32, 40), dtype=np.uint8)
    before[:, :, 10:20] = before[:, :, 30:] = 1  # straight: at a corner there is more room outside
    moved = boundary_jitter(before, rng(), 4).masks
    grown, shrunk = (moved > before).sum(), (moved < before).sum()
    assert grown == pytest.approx(shrunk, rel=0.1) and grown > 0
    in_one_picture = ((moved > before).any((1, 2)) & (moved < before).any((1, 2))).mean()
    assert in_one_picture > 0.9  # here to the one side and there to the other


def test_a_straight_boundary_moves_where_the_displacements_say():
    """The nodes of the displacements are drawn first, uniform in [0, 1], and interpolated by scipy."""
    before = np.zeros((1, 32, 32), dtype=np.uint8)
    before[:, :, 16:] = 1
    moved = boundary_jitter(before, rng(5), 5).masks[0]
    nodes = rng(5).random((1, 2, 5, 5), dtype=np.float32)[0]
    at = (np.arange(32) + 0.5) / 32 * 4
    places = np.stack(np.meshgrid(at, at, indexing="ij"))
    background, object_ = (10 * ndimage.map_coordinates(each, places, order=1) - 5 for each in nodes)
    outside = 15.5 - np.arange(32)  # of the object, in pixels
    expected = outside < (object_ - background) / 2
    np.testing.assert_array_equal(moved == 1, expected)


@pytest.mark.parametrize("radius", [0.0, 0.5])
def test_a_small_radius_moves_nothing(radius):
    assert boundary_jitter(KINDS.classes, rng(), radius).facts == {"changed": 0.0, "pictures": 0.0}


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.29, 1.0])
@pytest.mark.parametrize("known", [False, True])
def test_exactly_its_rate_of_the_objects_is_missing_each_as_a_whole(rate, known):
    masks = with_unknown(KINDS.classes)
    made = missing_objects(masks, rng(), rate, KINDS.instances if known else None)
    objects = gone = 0
    for mask, after, instances in zip(masks, made.masks, KINDS.instances, strict=True):
        if known:
            parts = [(instances == number) & (mask != 255) for number in np.unique(instances[instances > 0])]
        else:
            labels = [ndimage.label(mask == kind, CROSS) for kind in (1, 2, 3, 4)]
            parts = [found == number for found, count in labels for number in range(1, count + 1)]
        parts = [part for part in parts if part.any()]
        missing = [(after[part] == 0).all() for part in parts]
        assert all((after[part] == mask[part]).all() or lost for part, lost in zip(parts, missing, strict=True))
        objects, gone = objects + len(parts), gone + sum(missing)
    assert made.facts["objects"] == objects and made.facts["missing"] == gone == int(rate * objects + 1e-9)


def test_empty_masks_have_no_objects_to_miss():
    made = missing_objects(np.zeros((3, 4, 4), dtype=np.uint8), rng(), 0.5)
    assert made.facts == {"objects": 0, "missing": 0, "changed": 0.0, "pictures": 0.0}


def few_classes(count, most=3):
    digits = np.ones((4, 6, 6))
    return digit_scenes(digits, np.arange(4), count, rng(), size=32, most=most, scales=(1.0, 1.5)).classes


@pytest.mark.parametrize("factor", [1, 5, 20, 50])
def test_the_pixels_of_classes_fall_by_the_factor(factor):
    masks = with_unknown(few_classes(4000))
    chosen = rare_classes(masks, factor, rng())
    rows = chosen.rows
    assert (np.diff(rows) > 0).all() and len(rows) < 4000
    counts = [int((masks[rows] == kind).sum()) for kind in range(5)]
    assert chosen.facts["pixels"] == counts and chosen.facts["factor"] == pytest.approx(counts[1] / counts[4])
    expected = factor ** (np.arange(4) / 3)
    np.testing.assert_allclose(counts[1] / np.array(counts[1:]), expected, rtol=0.15 if factor < 50 else 0.35)
    np.testing.assert_array_equal(rows, rare_classes(masks, factor, rng()).rows)
    assert not np.array_equal(rows, rare_classes(masks, factor, rng(1)).rows)


def test_classes_that_are_always_seen_together_stay_as_they_are():
    masks = np.tile(np.array([[1, 1, 2, 0]], dtype=np.uint8), (50, 1, 1))
    assert rare_classes(masks, 2, rng()).facts["factor"] == 2
    chosen = rare_classes(masks, 8, rng())
    assert chosen.facts.get("factor", 2) == 2
    assert rare_classes(np.zeros((4, 2, 2), dtype=np.uint8), 8, rng()).rows.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("factor", [1, 1.5, 4])
def test_the_share_of_the_foreground_falls_by_the_factor(factor):
    masks = with_unknown(lesions(3000, rng()).masks)
    chosen = less_foreground(masks, factor, rng())
    kept = masks[chosen.rows]
    assert chosen.facts["share_before"] == pytest.approx((masks == 1).sum() / (masks != 255).sum())
    assert chosen.facts["share"] == pytest.approx((kept == 1).sum() / (kept != 255).sum())
    assert chosen.facts["share"] == pytest.approx(chosen.facts["share_before"] / factor, rel=0.03)
    assert (factor == 1) == (len(kept) == 3000)
    assert len(kept) > 3000 / (4 * factor)


def test_a_share_that_no_picture_has_is_refused():
    with pytest.raises(ConfigError, match=r"factor=20.*no picture has less than 0.0[0-9]+. Use a factor below"):
        less_foreground(SQUARES.classes[SQUARES.box_labels[:, 1] >= 0], 20, rng())
