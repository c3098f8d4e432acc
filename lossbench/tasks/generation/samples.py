"""How generated samples are measured against held-out data: the same way for every loss and every generator.

Distances between two samples need no model and no features: sliced Wasserstein and MMD, with projections and bandwidth
that nothing but the held-out data decides. Of points whose modes are known there is also which of them are hit.
"""

import math

import torch
from torch import Tensor

from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Modes

KEPT = 64
"""So many samples, and images of the data, are kept of an evaluation."""
PROJECTIONS = 128
MMD_SAMPLES = 1000
GOOD = 3.0
"""A sample is good within so many standard deviations of a mode; of a Gaussian's own samples 98.9 % are."""
LEAST = 0.1
"""A mode counts where it has at least this part of the samples that an even share would give it."""
ROUNDING = 1e-7
"""Distances below this part of the largest number are rounding: they come from differences of squares."""
DISTINCT = 0.2
"""Samples have collapsed if they lie this much closer to each other than those of the data."""


def sample_metrics(samples: Tensor, real: Tensor, modes: Modes | None = None) -> dict[str, float]:
    """Compare generated samples with held-out data.

    `sliced_wasserstein` and `mmd` of all samples; for points with modes those of `mode_metrics`; else `diversity`, and
    `collapsed` (0 or 1) where it is below 0.2.

    Parameters
    ----------
    samples, real : Tensor, shape (N, ...)
        As many generated samples as held-out ones.
    modes : Modes or None
        Where the data lie, if that is known.

    Returns
    -------
    dict of str to float

    """
    samples, real = samples.flatten(1).double(), real.flatten(1).double()
    if not len(real):
        return {}
    metrics = {"sliced_wasserstein": sliced_wasserstein(samples, real), "mmd": mmd(samples, real)}
    if modes is not None:
        return metrics | mode_metrics(samples, modes)
    distinct = diversity(samples, real)
    if math.isnan(distinct):
        return metrics
    return metrics | {"diversity": distinct, "collapsed": float(distinct < DISTINCT)}


def sliced_wasserstein(samples: Tensor, real: Tensor) -> float:
    """Compute the sliced 2-Wasserstein distance of two samples, over 128 fixed random directions.

    Formula: sqrt(mean over directions of the mean of (sorted projected samples - sorted projected data)^2)

    Two samples of the same distribution have a distance above 0, which falls with their size.

    Parameters
    ----------
    samples, real : Tensor, shape (N, D)
        As many of the one as of the other.

    References
    ----------
    Bonneel, Rabin, Peyre, Pfister 2015, "Sliced and Radon Wasserstein Barycenters of Measures".

    Examples
    --------
    >>> real = torch.randn(50, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> round(sliced_wasserstein(real + 3, real), 6)
    3.0

    """
    directions = torch.randn(real.shape[1], PROJECTIONS, generator=torch_stream(0, "projections"), dtype=real.dtype)
    directions /= directions.norm(dim=0)
    difference = (samples @ directions).sort(dim=0).values - (real @ directions).sort(dim=0).values
    return float(difference.square().mean().sqrt())


def mmd(samples: Tensor, real: Tensor) -> float:
    """Compute the maximum mean discrepancy of two samples, from the first 1000 of each.

    Formula: sqrt(mean k(x, x') + mean k(y, y') - 2 mean k(x, y)), with k(x, y) = exp(-|x - y|^2 / (2 h^2))

    The bandwidth h is the median distance between two of the held-out samples. All pairs count, those of a sample with
    itself too: the value is then never negative, and of two samples of one distribution it is above 0.

    Parameters
    ----------
    samples, real : Tensor, shape (N, D)
        Generated and held-out.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schoelkopf, Smola 2012, "A Kernel Two-Sample Test".

    """
    samples, real = samples[:MMD_SAMPLES], real[:MMD_SAMPLES]
    within = torch.cdist(real, real)
    square = 2 * torch.pdist(real).median().clamp(min=1e-12) ** 2
    kernels = [torch.exp(-(distance**2) / square).mean() for distance in (within, torch.cdist(samples, samples))]
    crossed = torch.exp(-(torch.cdist(samples, real) ** 2) / square).mean()
    return math.sqrt(max(0.0, float(kernels[0] + kernels[1] - 2 * crossed)))


def mode_metrics(samples: Tensor, modes: Modes) -> dict[str, float]:
    """Say which modes the samples hit.

    - `good_samples`: the share within 3 standard deviations of the nearest mode (Srivastava et al. 2017).
    - `modes_covered`: the number of modes that have a tenth of their even share, counting good samples only.
    - `mode_kl`: KL divergence from the good samples' share of each mode to equal shares; log K where none is good.
    - `collapsed`: 1 if fewer than half of the modes are the nearest one for a tenth of their even share, counting all
      samples, good or not; else 0. So samples that are spread out are bad, but have not collapsed.

    Parameters
    ----------
    samples : Tensor, shape (N, 2)
        Generated.
    modes : Modes
        The K modes.

    References
    ----------
    Srivastava, Valkov, Russell, Gutmann, Sutton 2017, "VEEGAN: Reducing Mode Collapse in GANs using Implicit
    Variational Learning". They count a mode from one good sample on.

    Examples
    --------
    >>> modes = Modes(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), std=0.1)
    >>> mode_metrics(torch.tensor([[0.0, 0.2], [0.0, 0.4]]).double(), modes)["good_samples"]
    0.5

    """
    count = len(modes.centers)
    distance, nearest = torch.cdist(samples, modes.centers.to(samples)).min(dim=1)
    good = distance <= GOOD * modes.std
    hits, all_hits = (torch.bincount(nearest[chosen], minlength=count) for chosen in (good, torch.ones_like(good)))
    enough = LEAST * len(samples) / count
    share = hits.double() / hits.sum().clamp(min=1)
    return {
        "good_samples": float(good.double().mean()),
        "modes_covered": float((hits >= enough).sum()),
        "mode_kl": float(torch.xlogy(share, share * count).sum()) if good.any() else math.log(count),
        "collapsed": float((all_hits >= enough).sum() < count / 2),
    }


def diversity(samples: Tensor, real: Tensor) -> float:
    """Return the mean distance of a sample to its nearest neighbour, divided by that of the held-out data.

    It is near 0 where the generator makes few different samples, and at 1 where they differ as the data do; NaN where
    each of the data has its twin, so that there is nothing to divide by but rounding.

    Parameters
    ----------
    samples, real : Tensor, shape (N, D)
        Generated and held-out; the first 1000 of each count.

    """

    def to_the_nearest(points: Tensor) -> Tensor:
        distance = torch.cdist(points, points)
        return distance.fill_diagonal_(math.inf).min(dim=1).values.mean()

    apart = to_the_nearest(real[:MMD_SAMPLES])
    if not apart > ROUNDING * real.abs().max():
        return math.nan
    return float(to_the_nearest(samples[:MMD_SAMPLES]) / apart)


def as_pixels(images: Tensor) -> Tensor:
    """Return images in 0..1 as uint8, to keep them small."""
    return (255 * images.clamp(0, 1)).round().to(torch.uint8)


def in_units(kept: Tensor) -> Tensor:
    """Return what `as_pixels` made in 0..1 again; points as they are."""
    return kept / 255 if kept.dtype == torch.uint8 else kept
