"""Gradient harmonising: binary cross-entropies divided by how many have a gradient of the same size."""

import torch
from torch import Tensor, nn

from lossbench.losses.classification import bce, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.links import normalised_sigmoid, sigmoid, sigmoids

__all__ = ["dense_ghm_c", "ghm_c", "ovr_ghm_c"]


class _GradientDensity(nn.Module):
    """Number of terms with each size of gradient, |p - t| in [0, 1], as a moving average over batches."""

    histogram: Tensor

    def __init__(self, bins: int, momentum: float) -> None:
        super().__init__()
        self.bins, self.momentum = bins, momentum
        self.register_buffer("histogram", torch.zeros(bins))

    def weights(self, logits: Tensor, positive: Tensor) -> Tensor:
        """Return the number of terms over the density at each of them and, in training, keep the average."""
        precise = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))  # half: beside the edges of bins
        size = (precise.sigmoid() - positive.to(precise)).abs()
        bins = (size * self.bins).long().clamp(max=self.bins - 1)
        now = torch.bincount(bins.flatten(), minlength=self.bins).to(self.histogram)
        # The first batch stands for the batches before it: from 0, the first weights would be far too large.
        before = torch.where(self.histogram.sum() > 0, self.histogram, now)
        histogram = self.momentum * before + (1 - self.momentum) * now
        if self.training:
            self.histogram = histogram
        return (size.numel() / (self.bins * histogram[bins])).to(logits)


@loss(
    task="binary",
    link=sigmoid,
    source='Li et al. 2019, "Gradient Harmonized Single-Stage Detector", arXiv:1811.05181',
    problem="imbalance",
    ranges={"bins": "[1, inf)", "momentum": "[0, 1)"},
    coupled=True,
)
class ghm_c(_GradientDensity):  # noqa: N801  (called as the functions are: loss=ghm_c)
    """Binary cross-entropy divided by how many samples have a gradient of that size: gradient harmonising.

    Formula: -(N / (M S_b)) (t log p + (1 - t) log(1 - p)), S_b = momentum S_b + (1 - momentum) R_b

    p = sigmoid(z). |p - t|, the size of the gradient, lies in one of M equal bins of [0, 1]; R_b is the number of the
    batch's N samples in the sample's bin b, and S_b its moving average with this batch included, R_b in the first one.
    Many easy samples, and many hopeless ones, share the weight of their bin. With equally filled bins, or one bin, it
    is `bce`. The weights sum to N times the share of the bins that are not empty (momentum 0); MMDetection divides by
    the number of those instead of M. The weight is a step function of the logits, so that it has no gradient.

    Parameters
    ----------
    bins : int from 1
        Number of bins M.
    momentum : float in [0, 1)
        Share of the past in the moving average.

    Returns
    -------
    Tensor (N,)
        For logits (N,) and targets 0 or 1 (N,): values from 0.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> ghm_c(bins=2)(torch.tensor([-2.0, -2.0, -2.0, 2.0]), torch.zeros(4))
    tensor([0.0846, 0.0846, 0.0846, 4.2539])

    """

    def __init__(self, *, bins: int = 30, momentum: float = 0.75) -> None:
        super().__init__(bins, momentum)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample and, in training, move the density."""
        values = bce(logits, target)
        return self.weights(logits, target) * values


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Li et al. 2019, "Gradient Harmonized Single-Stage Detector", arXiv:1811.05181',
    problem="imbalance",
    ranges={"bins": "[1, inf)", "momentum": "[0, 1)"},
    coupled=True,
)
class ovr_ghm_c(_GradientDensity):  # noqa: N801  (called as the functions are: loss=ovr_ghm_c)
    """Sum of one-vs-rest binary cross-entropies, each divided by how many have a gradient of that size.

    Formula: sum_k -(N K / (M S_b(k))) (t_k log p_k + (1 - t_k) log(1 - p_k)), S as in `ghm_c`

    p = sigmoid(z), t_k = 1 for the true class and 0 for the others. The N K terms of a batch are what `ghm_c` calls
    samples: most are easy negatives.

    Parameters
    ----------
    bins : int from 1
        Number of bins M.
    momentum : float in [0, 1)
        Share of the past in the moving average.

    Returns
    -------
    Tensor (N,)
        For logits (N, K) and integer class indices (N,): values from 0.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> ovr_ghm_c(bins=2)(torch.tensor([[2.0, 2.0, -2.0, -2.0]]), torch.tensor([0]))
    tensor([4.5077])

    """

    def __init__(self, *, bins: int = 30, momentum: float = 0.75) -> None:
        super().__init__(bins, momentum)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample and, in training, move the density."""
        true_class = one_hot(logits, target)
        return (self.weights(logits, true_class) * bce(logits, true_class)).sum(-1)


@loss(
    task="detection",
    link=sigmoids,
    shapes="M K , M K -> M",
    source='Li et al. 2019, "Gradient Harmonized Single-Stage Detector", arXiv:1811.05181',
    problem="imbalance",
    ranges={"bins": "[1, inf)", "momentum": "[0, 1)"},
    coupled=True,
)
class dense_ghm_c(_GradientDensity):  # noqa: N801  (called as the functions are: loss=dense_ghm_c)
    """Cross-entropies of the classes at the places of a detector, divided by how many have a gradient of that size.

    Formula: sum_k -(P / (B S_b(k))) (y_k log p_k + (1 - y_k) log(1 - p_k)), S as in `ghm_c`, P: sum of y, at least 1

    What the loss was made for: nearly all M K terms of a batch of M places are easy negatives, in few of the B bins. A
    detector divides the sum over the places by the number of positives P, which gives the sum of the paper: cross-
    entropies over B S. Its weights don't grow with the places as those of `ghm_c` do.

    Parameters
    ----------
    bins : int from 1
        Number of bins B.
    momentum : float in [0, 1)
        Share of the past in the moving average.

    Returns
    -------
    Tensor (M,)
        For logits (M, K) and targets (M, K), 1 at the class of an object, else 0: values from 0.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> dense_ghm_c(bins=2)(torch.tensor([[2.0, 2.0], [-2.0, -2.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor([1.0846, 0.0423])

    """

    def __init__(self, *, bins: int = 30, momentum: float = 0.75) -> None:
        super().__init__(bins, momentum)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each place and, in training, move the density."""
        values = bce(logits, target)
        share = target.sum().clamp(min=1) / target.numel()
        return share * (self.weights(logits, target) * values).sum(-1)
