"""Region mutual information against the determinant of the joint scatter; SSIM of masks against kornia and loops."""

import kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import maximum_filter

from lossbench.losses.labelled_pixels import IGNORED
from lossbench.losses.mutual_information import mask_ssim, region_mutual_information
from lossbench.losses.pixels import pixel_bce
from lossbench.losses.similarity import gaussian, ssim_map
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


# --- Structural similarity of masks -------------------------------------------------------------------------------


def test_mask_ssim_is_kornias_inside_and_counts_what_is_there():
    """kornia reflects images at the border; further in both are the same."""
    logits, target = images(2, height=24, width=25)
    p, truth = logits.softmax(-1).movedim(-1, 1), F.one_hot(target, 4).movedim(-1, 1).double()
    target = target.clone()
    whole = kornia.metrics.ssim(p, truth, 11, max_val=1.0, eps=0.0)
    found = ssim_map(p, truth, torch.ones_like(p, dtype=torch.bool), gaussian(11, 1.5, p))
    torch.testing.assert_close(found[..., 5:-5, 5:-5], whole[..., 5:-5, 5:-5], rtol=1e-6, atol=1e-9)
    for background in (True, False):
        ours = mask_ssim(logits, target, background=background)
        torch.testing.assert_close(ours, 1 - found[:, 0 if background else 1 :].mean((1, 2, 3)))


def test_mask_ssim_by_loops_over_windows_with_ignored_pixels_and_absent_classes():
    logits, target = images(1, height=6, width=7, classes=3)
    target[target == 2], target[0, 1, 2:5] = 0, IGNORED
    p, valid = logits[0].softmax(-1).numpy(), (target[0] != IGNORED).numpy()

    def similarity(x, y, row, column):
        rows, columns = np.mgrid[max(0, row - 1) : min(6, row + 2), max(0, column - 1) : min(7, column + 2)]
        weight = np.exp(-0.5 * ((rows - row) ** 2 + (columns - column) ** 2)) * valid[rows, columns]
        weight /= weight.sum()
        x, y = x[rows, columns], y[rows, columns]
        m_x, m_y = (weight * x).sum(), (weight * y).sum()
        s_x, s_y, s_xy = (
            (weight * a * b).sum() for a, b in ((x - m_x, x - m_x), (y - m_y, y - m_y), (x - m_x, y - m_y))
        )
        return (2 * m_x * m_y + 1e-4) * (2 * s_xy + 9e-4) / ((m_x**2 + m_y**2 + 1e-4) * (s_x + s_y + 9e-4))

    truth = target[0].numpy()
    values = [
        1 - np.mean([similarity(p[..., k], (truth == k).astype(float), *place) for place in np.argwhere(valid)])
        for k in (0, 1)
    ]
    found = mask_ssim(logits, target, window=3, sigma=1.0)
    np.testing.assert_allclose(found, [np.mean(values)], rtol=1e-9)
    np.testing.assert_allclose(mask_ssim(logits, target, window=3, sigma=1.0, background=False), [values[1]], rtol=1e-9)
    assert torch.autograd.gradcheck(lambda z: mask_ssim(z, target, window=3), logits.requires_grad_())
    with pytest.raises(ValueError, match="odd number"):
        mask_ssim(logits, target, window=4)
