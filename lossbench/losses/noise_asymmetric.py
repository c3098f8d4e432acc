"""Asymmetric losses for wrong labels, and their sums with `nce`. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, p_y its probability, K the number of classes. A loss is asymmetric when a
mixture of labels is fitted best by betting on the most frequent one alone: wrong labels then cost nothing, as long as
the right one is the most frequent.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import torch
from torch import Tensor

from lossbench.losses.active_passive import nce
from lossbench.losses.classification import log_probability
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax
from lossbench.losses.noise import amse

__all__ = ["ael", "agce", "aul", "jal", "nce_ael", "nce_agce", "nce_aul"]


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"a": "(0, inf)", "q": "(0, inf)"},
)
def agce(logits: Tensor, target: Tensor, *, a: float = 0.6, q: float = 0.6) -> Tensor:
    """Asymmetric generalised cross-entropy.

    Formula: ((a + 1)^q - (a + p_y)^q) / q

    a towards 0 is `gce`, q = 1 is 1 - p_y (half of `mae_prob`). For q > 1 it is completely asymmetric: a sample pulls
    the more, the more the model already agrees.

    Parameters
    ----------
    a : float above 0
        Shift of the probability: the larger, the more even the pull.
    q : float above 0
        Exponent.

    Returns
    -------
    Tensor (...)
        Values in [0, ((a + 1)^q - a^q) / q].

    Examples
    --------
    >>> agce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=1.0, q=2.0)
    tensor([0.8750])

    """
    p_y = log_probability(logits, target).exp()
    return ((a + 1) ** q - (a + p_y) ** q) / q


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"a": "(1, inf)", "q": "(0, inf)"},
)
def aul(logits: Tensor, target: Tensor, *, a: float = 5.5, q: float = 3.0) -> Tensor:
    """Asymmetric unhinged loss.

    Formula: ((a - p_y)^q - (a - 1)^q) / q

    q = 1 is 1 - p_y (half of `mae_prob`), whatever a is.

    Parameters
    ----------
    a : float above 1
        Where the power starts: the larger, the more even the pull.
    q : float above 0
        Exponent.

    Returns
    -------
    Tensor (...)
        Values in [0, (a^q - (a - 1)^q) / q].

    Examples
    --------
    >>> aul(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=2.0, q=2.0)
    tensor([0.6250])

    """
    p_y = log_probability(logits, target).exp()
    return ((a - p_y) ** q - (a - 1) ** q) / q


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"a": "(0, inf)"},
)
def ael(logits: Tensor, target: Tensor, *, a: float = 2.5) -> Tensor:
    """Asymmetric exponential loss.

    Formula: exp(-p_y / a)

    For large a the gradient is that of (1 - p_y) / a. The smallest value is exp(-1 / a), not 0.

    Parameters
    ----------
    a : float above 0
        Width: the larger, the more even the pull.

    Returns
    -------
    Tensor (...)
        Values in [exp(-1 / a), 1].

    Examples
    --------
    >>> ael(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=0.5)
    tensor([0.3679])

    """
    return torch.exp(-log_probability(logits, target).exp() / a)


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "a": "(0, inf)", "q": "(0, inf)"},
)
def nce_agce(
    logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 4.0, a: float = 6.0, q: float = 1.5
) -> Tensor:
    """Normalised cross-entropy and asymmetric generalised cross-entropy.

    Formula: alpha `nce` + beta `agce`, `agce` = ((a + 1)^q - (a + p_y)^q) / q

    The values are for CIFAR-10; for CIFAR-100 they are alpha 10, beta 0.1, a 1.8 and q 3.

    Parameters
    ----------
    alpha : float from 0
        Weight of the normalised cross-entropy.
    beta : float from 0
        Weight of the asymmetric loss.
    a : float above 0
        Shift of the probability.
    q : float above 0
        Exponent.

    Examples
    --------
    >>> nce_agce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=1.0, q=2.0)
    tensor([4.])

    """
    return alpha * nce(logits, target) + beta * agce(logits, target, a=a, q=q)


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "a": "(1, inf)", "q": "(0, inf)"},
)
def nce_aul(
    logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 4.0, a: float = 6.3, q: float = 1.5
) -> Tensor:
    """Normalised cross-entropy and asymmetric unhinged loss.

    Formula: alpha `nce` + beta `aul`, `aul` = ((a - p_y)^q - (a - 1)^q) / q

    The values are for CIFAR-10; for CIFAR-100 they are alpha 10, beta 0.015, a 6 and q 3.

    Parameters
    ----------
    alpha : float from 0
        Weight of the normalised cross-entropy.
    beta : float from 0
        Weight of the asymmetric loss.
    a : float above 1
        Where the power starts.
    q : float above 0
        Exponent.

    Examples
    --------
    >>> nce_aul(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=2.0, q=2.0)
    tensor([3.])

    """
    return alpha * nce(logits, target) + beta * aul(logits, target, a=a, q=q)


@loss(
    task="multiclass",
    link=softmax,
    source='Zhou et al. 2021, "Asymmetric Loss Functions for Learning with Noisy Labels", arXiv:2106.03110',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "a": "(0, inf)"},
)
def nce_ael(logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 4.0, a: float = 5.0) -> Tensor:
    """Normalised cross-entropy and asymmetric exponential loss.

    Formula: alpha `nce` + beta `ael`, `ael` = exp(-p_y / a)

    The values are for CIFAR-10; for CIFAR-100 they are alpha 10, beta 0.1 and a 1.5.

    Parameters
    ----------
    alpha : float from 0
        Weight of the normalised cross-entropy.
    beta : float from 0
        Weight of the asymmetric loss.
    a : float above 0
        Width.

    Returns
    -------
    Tensor (...)
        Values in [beta exp(-1 / a), alpha + beta].

    Examples
    --------
    >>> nce_ael(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=0.5)
    tensor([1.9715])

    """
    return alpha * nce(logits, target) + beta * ael(logits, target, a=a)


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2025, "Joint Asymmetric Loss for Learning with Noisy Labels", arXiv:2507.17692',
    problem="noise",
    ranges={"alpha": "[0, inf)", "beta": "[0, inf)", "a": "[1, inf)"},
)
def jal(logits: Tensor, target: Tensor, *, alpha: float = 1.0, beta: float = 1.0, a: float = 30.0) -> Tensor:
    """Joint asymmetric loss: normalised cross-entropy and asymmetric mean squared error.

    Formula: alpha `nce` + beta `amse`, `amse` = mean_k (p_k - a Y_k)^2

    The values are for CIFAR-10; for CIFAR-100 they are alpha 5, beta 1 and a 20. The smallest value is
    beta (a - 1)^2 / K.

    Parameters
    ----------
    alpha : float from 0
        Weight of the normalised cross-entropy.
    beta : float from 0
        Weight of the asymmetric loss.
    a : float from 1
        What the given class's label counts as, instead of 1.

    Returns
    -------
    Tensor (...)
        Values in [beta (a - 1)^2 / K, alpha + beta (1 + a^2) / K].

    Examples
    --------
    >>> jal(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=2.0)
    tensor([1.7500])

    """
    return alpha * nce(logits, target) + beta * amse(logits, target, a=a)
