"""Region mutual information against the determinant of the joint scatter, and what it rewards."""

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter

from lossbench.losses.labelled_pixels import IGNORED
from lossbench.losses.mutual_information import region_mutual_information
from lossbench.losses.pixels import pixel_bce
from tests.support.losses import assert_same_loss
from tests.support.pixels import certain, images


def scatter(vectors):
    return torch.cov(vectors, correction=0) * vectors.shape[1] if vectors.shape[1] else 0


def joint(logits, target, radius, pool):
    """The term of regions of one image by log det(joint) - log det(predicted), the determinant of what is left."""
    total = torch.zeros((), dtype=logits.dtype)
    s = logits.sigmoid().where((target != IGNORED).unsqueeze(-1), torch.zeros(()).to(logits))
    for k in range(logits.shape[-1]):
        truth = (target == k).to(logits)
        if not truth.any():
            continue
        maps = [smaller(each, pool) for each in (truth, s[..., k], (target != IGNORED).to(logits))]
        t, p, there = (torch.nn.functional.unfold(each[None, None], radius)[0] for each in maps)
        whole = there.bool().all(0)
        both = scatter(torch.cat([t, p])[:, whole]) + 5e-4 * torch.eye(2 * radius**2)
        rest = torch.slogdet(both).logabsdet - torch.slogdet(both[radius**2 :, radius**2 :]).logabsdet
        total = total + rest / (2 * radius**2)
    return total


def smaller(each, pool):
    """The largest of each block of pixels, the first block beginning pool // 2 outside of the map."""
    height, width = ((size + 2 * (pool // 2) - pool) // pool + 1 for size in each.shape)
    padded = torch.nn.functional.pad(each, [pool // 2, pool, pool // 2, pool], value=0)
    rows, columns = (range(0, pool * count, pool) for count in (height, width))
    blocks = [padded[row : row + pool, column : column + pool].max() for row in rows for column in columns]
    return torch.stack(blocks).view(height, width)


@pytest.mark.parametrize(("radius", "pool"), [(3, 3), (2, 1), (3, 2), (1, 1)])
@pytest.mark.parametrize("ignored", [False, True])
def test_the_term_of_regions_is_a_ratio_of_determinants(radius, pool, ignored):
    logits, target = images(2, height=14, width=15)
    target[0][target[0] == 3] = 1  # an absent class has no term
    if ignored:
        target[0, :3, :4] = target[1, 5:7, 8] = IGNORED

    def defined(logits):
        return torch.stack([joint(*each, radius, pool) for each in zip(logits, target, strict=True)])

    def ours(logits):
        return region_mutual_information(logits, target, weight=0.0, radius=radius, pool=pool)

    assert_same_loss(ours, defined, logits, rtol=1e-6, atol=1e-8)


def test_the_largest_of_each_block_is_that_of_scipy():
    """Of the reference above, by another way: the same pixels of a filter over the whole image."""
    each = images(1)[0][0, ..., 0].sigmoid()
    filtered = maximum_filter(each.numpy(), 3, mode="constant", cval=0.0)[::3, ::3]
    np.testing.assert_array_equal(smaller(each, 3), filtered)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_weights(weight):
    logits, target = images()
    regions = region_mutual_information(logits, target, weight=0.0)
    expected = weight * pixel_bce(logits, target) + (1 - weight) * regions
    torch.testing.assert_close(region_mutual_information(logits, target, weight=weight), expected)


def test_structure_is_rewarded_and_not_brightness():
    """A prediction that is less sure everywhere explains the truth as well; one that is moved does not."""
    _, target = images()
    sure = certain(target) / 2000 * 8 - 4
    value = region_mutual_information(sure, target, weight=0.0, pool=1)
    unsure = region_mutual_information(torch.logit(0.3 + 0.4 * sure.sigmoid()), target, weight=0.0, pool=1)
    moved = region_mutual_information(sure.roll(3, 2), target, weight=0.0, pool=1)
    nothing = region_mutual_information(torch.zeros_like(sure), target, weight=0.0, pool=1)
    assert ((unsure - value).abs() < 0.2 * (moved - value)).all()
    assert (value < moved).all() and (moved < nothing).all()


def test_images_that_are_too_small_are_refused():
    logits, target = images(1, height=6, width=20)
    with pytest.raises(ValueError, match=r"images of shape \(6, 20\) are \(2, 7\) with pool=3: no square of radius=3"):
        region_mutual_information(logits, target)
    region_mutual_information(logits, target, pool=1)
