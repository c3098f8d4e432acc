"""Normalised losses for wrong labels, and their sums with passive ones. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, p_y its probability, K the number of classes. An active loss looks at p_y only,
a passive one also presses the other classes down. Dividing a loss by its sum over all K labels makes it tolerant to
uniform noise, but slow to fit; a passive loss beside it makes up for that.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import math

import torch
from torch import Tensor

from lossbench.losses.classification import log_probability
from lossbench.losses.declaration import adds, loss
from lossbench.losses.imbalance import focal
from lossbench.losses.links import softmax

__all__ = ["anl_ce", "nce", "nce_mae", "nce_rce", "nfl", "nfl_rce", "rce", "sce"]

_SMALLEST_LOG_P = math.log(1e-7)
"""Where the negative losses of `anl_ce` cut off log p."""


@loss(
    task="multiclass",
    link=softmax,
    source='Ma et al. 2020, "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554',
    problem="noise",
)
def nce(logits: Tensor, target: Tensor) -> Tensor:
    """Normalised cross-entropy: the share of the given label in the cross-entropies of all labels.

    Formula: log p_y / sum_k log p_k

    Over the K possible labels it sums to 1, which makes it tolerant to uniform label noise. It fits slowly alone.

    Returns
    -------
    Tensor (...)
        Values in [0, 1].

    Examples
    --------
    >>> nce(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor([0.9437])

    """
    return log_probability(logits, target) / logits.log_softmax(-1).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Ma et al. 2020, "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554',
    problem="noise",
    ranges={"gamma": "[0, inf)"},
)
def nfl(logits: Tensor, target: Tensor, *, gamma: float = 0.5) -> Tensor:
    """Normalised focal loss: the share of the given label in the focal losses of all labels.

    Formula: (1 - p_y)^gamma log p_y / sum_k (1 - p_k)^gamma log p_k

    Over the K possible labels it sums to 1. gamma = 0 is `nce`. The factors are part of the gradient; the authors' code
    holds them constant.

    Parameters
    ----------
    gamma : float from 0
        Strength of the down-weighting.

    Returns
    -------
    Tensor (...)
        Values in [0, 1].

    Examples
    --------
    >>> nfl(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor([0.9785])

    """
    log_p = logits.log_softmax(-1)
    # As in focal: at p_k = 1 the derivative of the power is infinite for gamma < 1.
    miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(logits.dtype).tiny)
    return focal(logits, target, gamma=gamma) / (miss**gamma * -log_p).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2019, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", arXiv:1908.06112',
    problem="noise",
    ranges={"floor": "(0, 1)"},
)
def rce(logits: Tensor, target: Tensor, *, floor: float = 1e-4) -> Tensor:
    """Reverse cross-entropy: prediction and label change places.

    Formula: -sum_k p_k log max(Y_k, floor) = -log(floor) (1 - p_y)

    The zeros of the one-hot label Y are raised to `floor`, which only scales the loss: it is `mae_prob` times
    -log(floor) / 2. The paper writes A = log(floor) = -4, its code and all later ones have 1e-4, A = -9.21. Those codes
    also raise p to 1e-7, which changes a value by less than 1e-6 for each class and is left out here.

    Parameters
    ----------
    floor : float in (0, 1)
        What a label of zero counts as.

    Returns
    -------
    Tensor (...)
        Values in [0, -log(floor)].

    Examples
    --------
    >>> rce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([4.6052])

    """
    return math.log(floor) * torch.expm1(log_probability(logits, target))


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2019, "Symmetric Cross Entropy for Robust Learning with Noisy Labels", arXiv:1908.06112',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "floor": "(0, 1)"},
)
@adds("active", "passive")
def sce(
    logits: Tensor, target: Tensor, *, alpha: float = 0.1, beta: float = 1.0, floor: float = 1e-4
) -> tuple[Tensor, Tensor]:
    """Symmetric cross-entropy: cross-entropy, which fits, and its reverse, which resists wrong labels.

    Formula: alpha (-log p_y) + beta `rce`, `rce` = -log(floor) (1 - p_y)

    alpha = 1 and beta = 0 is the cross-entropy. The weights depend on the number of classes: 0.1 and 1 for CIFAR-10, 6
    and 0.1 for CIFAR-100.

    Parameters
    ----------
    alpha, beta : float from 0
        Weights of the cross-entropy and of its reverse.
    floor : float in (0, 1)
        What a label of zero counts as in the reverse cross-entropy.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Examples
    --------
    >>> sce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([4.6745])

    """
    return -alpha * log_probability(logits, target), beta * rce(logits, target, floor=floor)


@loss(
    task="multiclass",
    link=softmax,
    source='Ma et al. 2020, "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)"},
)
@adds("active", "passive")
def nce_rce(logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Normalised cross-entropy (active) and reverse cross-entropy (passive).

    Formula: alpha `nce` + beta `rce`, `rce` = -log(1e-4) (1 - p_y)

    The weights depend on the number of classes: 1 and 1 for CIFAR-10, 10 and 0.1 for CIFAR-100. The paper clips the
    norm of the gradient at 5. It differs from `nce_mae` in the scale of beta only.

    Parameters
    ----------
    alpha, beta : float from 0
        Weights of the active and of the passive loss.

    Returns
    -------
    Tensor (...)
        Values in [0, alpha + 9.21 beta].

    Examples
    --------
    >>> nce_rce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([5.1052])

    """
    return alpha * nce(logits, target), beta * rce(logits, target)


@loss(
    task="multiclass",
    link=softmax,
    source='Ma et al. 2020, "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)"},
)
@adds("active", "passive")
def nce_mae(logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Normalised cross-entropy (active) and absolute error on probabilities (passive).

    Formula: alpha `nce` + beta (1 - p_y)

    The absolute error has the scale of the authors' code, half of `mae_prob`: weights from a code that has 2 (1 - p_y)
    must be doubled.

    Parameters
    ----------
    alpha, beta : float from 0
        Weights of the active and of the passive loss.

    Returns
    -------
    Tensor (...)
        Values in [0, alpha + beta].

    Examples
    --------
    >>> nce_mae(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([1.])

    """
    return alpha * nce(logits, target), -beta * torch.expm1(log_probability(logits, target))


@loss(
    task="multiclass",
    link=softmax,
    source='Ma et al. 2020, "Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "gamma": "[0, inf)"},
)
@adds("active", "passive")
def nfl_rce(
    logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 1.0, gamma: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Normalised focal loss (active) and reverse cross-entropy (passive).

    Formula: alpha `nfl` + beta `rce`, `rce` = -log(1e-4) (1 - p_y)

    gamma = 0 is `nce_rce`. The weights depend on the number of classes, as there.

    Parameters
    ----------
    alpha, beta : float from 0
        Weights of the active and of the passive loss.
    gamma : float from 0
        Strength of the down-weighting in the focal loss.

    Returns
    -------
    Tensor (...)
        Values in [0, alpha + 9.21 beta].

    Examples
    --------
    >>> nfl_rce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([5.1052])

    """
    return alpha * nfl(logits, target, gamma=gamma), beta * rce(logits, target)


@loss(
    task="multiclass",
    link=softmax,
    source='Ye et al. 2023, "Active Negative Loss Functions for Learning with Noisy Labels", NeurIPS',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)"},
)
@adds("active", "passive")
def anl_ce(logits: Tensor, target: Tensor, *, alpha: float = 5.0, beta: float = 5.0) -> tuple[Tensor, Tensor]:
    """Active negative loss: normalised cross-entropy, and normalised complements of the other labels' ones.

    Formula: alpha `nce` + beta (1 - (A + log p_y) / sum_k (A + log p_k)), with A = -log 1e-7 and p raised to 1e-7

    The second part presses each other class down; over the K possible labels it sums to K - 1. Raising p to 1e-7 is
    part of its definition and cuts its gradient off below. The full method (ANL-CE) also adds delta times the sum of
    the absolute weights of the network, 5e-5 for CIFAR-10, and no weight decay: that is a property of the parameters
    and not of outputs, so it is not in this value.

    Parameters
    ----------
    alpha : float from 0
        Weight of the normalised cross-entropy; 5 for CIFAR-10, 10 for CIFAR-100.
    beta : float from 0
        Weight of the negative part; 5 for CIFAR-10, 1 for CIFAR-100.

    Returns
    -------
    Tensor (...)
        Values in [0, alpha + beta].

    Examples
    --------
    >>> anl_ce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([5.])

    """
    complement = (log_probability(logits, target) - _SMALLEST_LOG_P).relu()
    complements = (logits.log_softmax(-1) - _SMALLEST_LOG_P).relu().sum(-1)
    return alpha * nce(logits, target), beta * (1 - complement / complements)
