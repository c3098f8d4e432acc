"""Weights of classes and their schedule: an axis of its own, to be combined with any classification loss.

A weighting returns K weights that sum to K. `class_counts`, `epoch` and `max_epochs` come by name, as for losses. One
that asks for `bin_counts` is for regression: it returns the weights of bins of the target.
"""

import torch
from torch import Tensor

from lossbench.losses import class_weights
from lossbench.losses.class_weights import ClassCounts, as_float
from lossbench.ranges import takes

inverse = takes()(class_weights.inverse)
effective_number = takes(beta="number [0, 1)")(class_weights.effective_number)


def none(*, class_counts: ClassCounts) -> Tensor:
    """Weigh all classes alike.

    Parameters
    ----------
    class_counts : Tensor or sequence of K numbers
        Training samples of each class; only K matters here.

    Returns
    -------
    Tensor (K,)
        Ones, in the dtype of the counts, or torch's default dtype if they are integers.

    Examples
    --------
    >>> none(class_counts=[90, 10])
    tensor([1., 1.])

    """
    return torch.ones_like(as_float(class_counts))


@takes(beta="number [0, 1)", start_epoch="int [0, inf) or null")
def drw(
    *,
    class_counts: ClassCounts,
    epoch: int,
    max_epochs: int,
    beta: float = 0.9999,
    start_epoch: int | None = None,
) -> Tensor:
    """Weigh all classes alike at first, and by their effective number in the last part of the training.

    Formula: w_c = 1 before `start_epoch`, then the weights of `effective_number`

    Parameters
    ----------
    class_counts : Tensor or sequence of K numbers
        Training samples of each class, all above 0.
    epoch : int
        Current epoch, counted from 0.
    max_epochs : int
        Number of epochs of the whole training.
    beta : float in [0, 1)
        As in `effective_number`.
    start_epoch : int, optional
        First epoch with weights; by default 80 % of `max_epochs`, rounded down.

    Returns
    -------
    Tensor (K,)
        Weights above 0 that sum to K.

    Raises
    ------
    ValueError
        If a class has no sample; also before `start_epoch`, so that it doesn't end a training half way.

    References
    ----------
    Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss" (deferred re-weighting).

    Examples
    --------
    >>> drw(class_counts=[90, 10], beta=0.99, epoch=159, max_epochs=200)
    tensor([1., 1.])
    >>> drw(class_counts=[90, 10], beta=0.99, epoch=160, max_epochs=200)
    tensor([0.2768, 1.7232])

    """
    weights = effective_number(class_counts=class_counts, beta=beta)
    start = 4 * max_epochs // 5 if start_epoch is None else start_epoch
    return weights if epoch >= start else torch.ones_like(weights)


@takes(reach="int [0, inf)", sigma="number (0, inf)", power="number [0, 1]")
def lds(*, bin_counts: Tensor, reach: int = 2, sigma: float = 2.0, power: float = 0.5) -> Tensor:
    """Weigh targets by how rare they and their neighbours are (label distribution smoothing, for regression).

    Formula: w_b = N v_b / sum_j n_j v_j, with v_b = 1 / sum_j k(b - j) n_j^power and k(d) = exp(-d^2 / (2 sigma^2)) for
    |d| up to reach

    The weights of the N training samples have the mean 1. As in the authors' code the counts are raised to the power
    before they are smoothed; for power = 1, the inverse of the smoothed density, it also limits them to 5 .. 1000,
    which is left out. Its kernel is an impulse filtered inside the window, whose borders reflect, so that it is
    flatter: 0.86 where this one is 0.61, two bins away at sigma 2. power = 0 and counts that are all the same give
    equal weights, but for the outer bins, beyond which there is nothing.

    Parameters
    ----------
    bin_counts : Tensor (B,)
        Training samples n_b in equal bins of the target; some may be 0.
    reach : int from 0
        Bins on either side that count; 2 is the authors' kernel size of 5.
    sigma : float above 0
        Width of the kernel, in bins.
    power : float in [0, 1]
        Strength.

    Returns
    -------
    Tensor (B,)
        Weights from 0; 0 for a bin that is far from every sample.

    References
    ----------
    Yang et al. 2021, "Delving into Deep Imbalanced Regression".

    Examples
    --------
    >>> lds(bin_counts=torch.tensor([90, 10]), reach=0, power=1.0)
    tensor([0.5556, 5.0000])

    """
    counts = as_float(bin_counts)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, dtype=counts.dtype) ** 2) / (2 * sigma**2))
    smoothed = torch.nn.functional.conv1d(
        (counts**power).view(1, 1, -1), kernel.view(1, 1, -1), padding=reach
    ).flatten()
    inverse_density = torch.where(smoothed > 0, 1 / smoothed, 0.0)
    return inverse_density * counts.sum() / (counts * inverse_density).sum()
