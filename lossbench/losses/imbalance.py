"""Losses for class imbalance and long tails. Outputs are logits (LDAM: cosines); a value for each sample.

p = softmax(logits), y the true class, p_y its probability, n_c the number of training samples of class c, K the number
of classes. The mean over a batch is the plain mean, also with weights: torch divides by the sum of the weights instead.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.
class_counts : Tensor or sequence of K numbers
    Training samples n_c of each class, all above 0.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If there are not K counts or a class has no sample.

"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.class_weights import ClassCounts, effective_number, inverse, positive_counts
from lossbench.losses.classification import cross_entropy, log_probability, of_indices
from lossbench.losses.declaration import loss
from lossbench.losses.links import scaled_softmax, softmax

__all__ = ["balanced_softmax", "class_balanced", "focal", "ldam", "logit_adjustment", "weighted_cross_entropy"]


@loss(
    task="multiclass",
    link=softmax,
    source='Elkan 2001, "The Foundations of Cost-Sensitive Learning", IJCAI',
    problem="imbalance",
    ranges={"weight": "[0, inf)"},
)
def weighted_cross_entropy(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, weight: Sequence[float] | None = None
) -> Tensor:
    """Cross-entropy with a weight for each class, by default its inverse frequency.

    Formula: a_y (-log p_y)

    The mean of the returned values differs from torch's `cross_entropy(weight=...)`, which divides by the sum of the
    weights of the batch and not by its size.

    Parameters
    ----------
    class_counts : Tensor or sequence of K numbers
        Training samples of each class, all above 0.
    weight : sequence of K floats, optional
        The weights a_c, used as they are; by default the inverse frequencies, normalised to sum K.

    Raises
    ------
    ValueError
        If there are not K counts or weights, or a class has no sample and `weight` is not given.

    Examples
    --------
    >>> weighted_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[90, 10])
    tensor([1.2477])

    """
    weights = inverse(class_counts=float64(class_counts)) if weight is None else float64(weight)
    return _class_weighted(logits, target, weights)


@loss(
    task="multiclass",
    link=softmax,
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002',
    problem="imbalance",
    ranges={"gamma": "[0, inf)"},
)
def focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy with less weight on samples that are already classified well.

    Formula: (1 - p_y)^gamma (-log p_y)

    The softmax form without alpha (weigh classes with `weighting=...`); the factor is part of the gradient. gamma = 0
    is the cross-entropy. With two classes it equals the sigmoid form of the paper on the difference of the logits; with
    more it doesn't, and libraries disagree on which of the two "focal loss" means. It is minimised by probabilities
    that are less confident than the true ones.

    Parameters
    ----------
    gamma : float from 0
        Strength of the down-weighting.

    Returns
    -------
    Tensor (...)
        Values from 0, at most the cross-entropy.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> focal(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), gamma=1.0)
    tensor([1.8734])

    """
    value = of_indices(logits, target)
    miss = -torch.expm1(-value)
    if gamma not in (0, 1) and gamma < 2:
        # At p_y = 1 a derivative of the power is infinite; the whole loss has the derivative 0 there.
        miss = miss.clamp(min=torch.finfo(logits.dtype).tiny)
    return miss**gamma * value


@loss(
    task="multiclass",
    link=softmax,
    source='Ren et al. 2020, "Balanced Meta-Softmax for Long-Tailed Visual Recognition", arXiv:2007.10740',
    problem="imbalance",
)
def balanced_softmax(logits: Tensor, target: Tensor, *, class_counts: ClassCounts) -> Tensor:
    """Cross-entropy of a softmax that carries the class frequencies of the training data.

    Formula: -log(n_y e^(z_y) / sum_k n_k e^(z_k))

    The frequencies act in training only: predictions are softmax(logits), for balanced classes. It is
    `logit_adjustment` with tau = 1.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point, z.

    Examples
    --------
    >>> balanced_softmax(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[90, 10])
    tensor([2.3026])

    """
    counts = positive_counts(float64(class_counts))
    return cross_entropy(logits + per_class(counts.log(), logits), target)


@loss(
    task="multiclass",
    link=softmax,
    source='Menon et al. 2021, "Long-Tail Learning via Logit Adjustment", arXiv:2007.07314',
    problem="imbalance",
    ranges={"tau": "[0, inf)"},
)
def logit_adjustment(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, tau: float = 1.0) -> Tensor:
    """Cross-entropy of logits shifted by the log-frequency of their class.

    Formula: -log(softmax(z + tau log pi)_y), with pi_c = n_c / sum_j n_j

    The shift acts in training only. tau = 0 is the cross-entropy, tau = 1 is consistent for the balanced error. A model
    trained with it must not be adjusted after training once more.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point, z.
    tau : float from 0
        Strength of the shift.

    Examples
    --------
    >>> logit_adjustment(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[90, 10], tau=2.0)
    tensor([4.4067])

    """
    counts = positive_counts(float64(class_counts))
    return cross_entropy(logits + per_class(tau * (counts / counts.sum()).log(), logits), target)


@loss(
    task="multiclass",
    link=scaled_softmax,
    source=(
        'Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", arXiv:1906.07413'
    ),
    problem="imbalance",
    head="cosine",
    ranges={"max_m": "[0, inf)", "s": "(0, inf)"},
)
def ldam(cosines: Tensor, target: Tensor, *, class_counts: ClassCounts, max_m: float = 0.5, s: float = 30.0) -> Tensor:
    """Cross-entropy with a margin for the true class that is the larger, the rarer the class.

    Formula: -log(softmax(s (cos - m_y e_y))_y), with m_c = max_m (n_min / n_c)^(1/4)

    The outputs are cosines between features and class weights (a cosine head); probabilities are softmax(s cos). The
    margin is taken off before the scaling. The deferred weights of the paper are `weighting=drw`.

    Parameters
    ----------
    cosines : Tensor (..., K)
        Floating point, in [-1, 1].
    class_counts : Tensor or sequence of K numbers
        Training samples n_c of each class, all above 0; n_min is the smallest.
    max_m : float from 0
        Margin of the rarest class.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> ldam(torch.tensor([[0.5, 0.5]]), torch.tensor([1]), class_counts=[160, 10], max_m=0.5, s=2.0)
    tensor([1.3133])

    """
    counts = positive_counts(float64(class_counts))
    margins = per_class(max_m * (counts.min() / counts) ** 0.25, cosines)
    true_class = F.one_hot(target.long(), cosines.shape[-1])
    return cross_entropy(s * (cosines - margins * true_class), target)


@loss(
    task="multiclass",
    link=softmax,
    source='Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555',
    problem="imbalance",
    ranges={"beta": "[0, 1)"},
)
def class_balanced(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    """Cross-entropy weighted by the inverse of the effective number of samples of the class.

    Formula: w_y (-log p_y), with w_c proportional to (1 - beta) / (1 - beta^n_c) and sum_c w_c = K

    The softmax form, the same as `loss=cross_entropy weighting=effective_number`. beta = 0 is the cross-entropy, beta
    towards 1 is `weighted_cross_entropy`.

    Parameters
    ----------
    beta : float in [0, 1)
        About 1 - 1/N, N the number of distinguishable samples that a class could have.

    Examples
    --------
    >>> class_balanced(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[90, 10], beta=0.99)
    tensor([1.1944])

    """
    return _class_weighted(logits, target, effective_number(class_counts=float64(class_counts), beta=beta))


def _class_weighted(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    return -per_class(weights, logits)[target.long()] * log_probability(logits, target)


def float64(numbers: ClassCounts) -> Tensor:
    """Return K numbers in float64 on the CPU: exact whatever the logits are, and not every device has float64."""
    return torch.as_tensor(numbers, dtype=torch.float64, device="cpu")


def per_class(values: Tensor, logits: Tensor) -> Tensor:
    """Return K numbers in the type of the logits (..., K); raise ValueError unless there is one for each class."""
    if values.shape != logits.shape[-1:]:
        raise ValueError(
            f"{values.numel()} class counts or weights for {logits.shape[-1]} outputs: give one number for each class."
        )
    return values.to(logits)
