"""Losses that resist wrong labels. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, p_y its probability, K the number of classes.

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
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["amse", "gce", "js", "mae_prob", "phuber_ce", "taylor_ce", "truncated_gce"]


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Zhang and Sabuncu 2018, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy '
        'Labels", arXiv:1805.07836'
    ),
    problem="noise",
    ranges={"q": "(0, 1]"},
    broadcasts=True,
)
def gce(logits: Tensor, target: Tensor, *, q: float = 0.7) -> Tensor:
    """Generalised cross-entropy: between the cross-entropy and the absolute error on probabilities.

    Formula: (1 - p_y^q) / q

    q towards 0 is the cross-entropy, q = 1 is 1 - p_y (half of `mae_prob`). The larger q, the less a sample that the
    model contradicts pulls: more resistance to wrong labels, and slower learning. Without the truncation of the paper.

    Parameters
    ----------
    q : float in (0, 1]
        From fast (0) to resistant (1).

    Returns
    -------
    Tensor (...)
        Values in [0, 1 / q].

    Examples
    --------
    >>> gce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), q=1.0)
    tensor([0.5000])

    """
    # expm1 of the logarithm: keeps its digits for small q, and has a finite gradient at p_y = 0.
    return -torch.expm1(q * log_probability(logits, target)) / q


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Zhang and Sabuncu 2018, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy '
        'Labels", arXiv:1805.07836'
    ),
    problem="noise",
    ranges={"q": "(0, 1]", "k": "[0, 1)", "start": "[0, 1]"},
)
def truncated_gce(
    logits: Tensor,
    target: Tensor,
    *,
    epoch: int,
    max_epochs: int,
    q: float = 0.7,
    k: float = 0.5,
    start: float = 0.33,
) -> Tensor:
    """Generalised cross-entropy that leaves out the samples whose label the model finds unlikely.

    Formula: (1 - max(p_y, k)^q) / q from the epoch start max_epochs on, before it `gce`: (1 - p_y^q) / q

    A sample with p_y <= k has a constant value and no gradient. A fresh model gives no label a probability of 0.5, so
    truncation from the first epoch would leave nothing to learn from: it begins after a share of the training, a third
    as in the paper. This is the form that looks at each sample as it is now; the paper also prunes samples by a table
    that it renews every few epochs. k = 0 is `gce`.

    Parameters
    ----------
    epoch : int
        Number of the current epoch, from 0.
    max_epochs : int
        Epochs of the whole training.
    q : float in (0, 1]
        From fast (0) to resistant (1).
    k : float in [0, 1)
        The probability below which a sample is left out.
    start : float in [0, 1]
        The share of the training after which the truncation begins.

    Returns
    -------
    Tensor (...)
        Values in [0, 1 / q]; at most (1 - k^q) / q once truncated.

    Examples
    --------
    >>> truncated_gce(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), epoch=9, max_epochs=10, q=1.0)
    tensor([0.5000])

    """
    value = gce(logits, target, q=q)
    return value if epoch < start * max_epochs else value.clamp(max=(1 - k**q) / q)


@loss(
    task="multiclass",
    link=softmax,
    source='Ghosh et al. 2017, "Robust Loss Functions under Label Noise for Deep Neural Networks", arXiv:1712.09482',
    problem="noise",
)
def mae_prob(logits: Tensor, target: Tensor) -> Tensor:
    """Absolute error between probabilities and the one-hot label, summed over the classes.

    Formula: sum_k |p_k - Y_k| = 2 (1 - p_y)

    Summed over the K possible labels, the loss is the constant 2 (K - 1), which makes it tolerant to uniform label
    noise. It learns slowly with many classes, as its gradient vanishes for small p_y. Some codes return half of it.

    Returns
    -------
    Tensor (...)
        Values in [0, 2].

    Examples
    --------
    >>> mae_prob(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([1.])

    """
    return -2 * torch.expm1(log_probability(logits, target))


@loss(
    task="multiclass",
    link=softmax,
    source='Feng et al. 2020, "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI',
    problem="noise",
    ranges={"t": "[1, inf)"},
)
def taylor_ce(logits: Tensor, target: Tensor, *, t: int = 2) -> Tensor:
    """Cross-entropy whose Taylor series in 1 - p_y ends after t terms.

    Formula: sum_{j=1..t} (1 - p_y)^j / j

    t = 1 is 1 - p_y (half of `mae_prob`), t towards infinity is the cross-entropy.

    Parameters
    ----------
    t : int from 1
        Number of terms: the fewer, the more resistant.

    Returns
    -------
    Tensor (...)
        Values from 0 to 1 + 1/2 + ... + 1/t.

    Raises
    ------
    ValueError
        If t is no whole number, or the target does not hold class indices of the right shape.

    Examples
    --------
    >>> taylor_ce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), t=2)
    tensor([0.6250])

    """
    if t != int(t):
        raise ValueError(f"t={t}: the number of terms must be a whole number from 1, such as 2.")
    miss = -torch.expm1(log_probability(logits, target))
    powers = torch.arange(1, int(t) + 1, dtype=miss.dtype, device=miss.device)
    return (miss.unsqueeze(-1) ** powers / powers).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Menon et al. 2020, "Can Gradient Clipping Mitigate Label Noise?", ICLR',
    problem="noise",
    ranges={"tau": "(1, inf)"},
)
def phuber_ce(logits: Tensor, target: Tensor, *, tau: float = 2.0) -> Tensor:
    """Cross-entropy that goes on as a straight line in p_y below p_y = 1 / tau.

    Formula: -log p_y where p_y > 1 / tau, else 1 + log(tau) - tau p_y

    The partially Huberised cross-entropy: the line is the tangent at 1 / tau, so the slope in p_y is never below -tau.
    tau towards infinity is the cross-entropy.

    Parameters
    ----------
    tau : float above 1
        Steepest slope in p_y; 2 for CIFAR-10 and 10 for CIFAR-100 in the paper.

    Returns
    -------
    Tensor (...)
        Values in [0, 1 + log(tau)].

    Examples
    --------
    >>> phuber_ce(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), tau=2.0)
    tensor([1.4547])

    """
    log_p_y = log_probability(logits, target)
    line = 1 + math.log(tau) - tau * log_p_y.exp()
    return torch.where(log_p_y > -math.log(tau), -log_p_y, line)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Englesson and Azizpour 2021, "Generalized Jensen-Shannon Divergence Loss for Learning with Noisy '
        'Labels", arXiv:2105.04522'
    ),
    problem="noise",
    ranges={"w": "(0, 1)"},
)
def js(logits: Tensor, target: Tensor, *, w: float = 0.5) -> Tensor:
    """Jensen-Shannon divergence between label and prediction, on the scale of the cross-entropy.

    Formula: [w KL(Y, m) + (1 - w) KL(p, m)] / Z, with m = w Y + (1 - w) p and Z = -(1 - w) log(1 - w)

    w towards 0 is the cross-entropy, w towards 1 is 1 - p_y (half of `mae_prob`); both are approached slowly. The
    generalised form of the paper, which also compares the predictions for augmented copies of an input, is not this.

    Parameters
    ----------
    w : float in (0, 1)
        Weight of the label.

    Returns
    -------
    Tensor (...)
        Values from 0 to 1 + w log(w) / ((1 - w) log(1 - w)).

    Examples
    --------
    >>> js(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), w=0.5)
    tensor([0.6226])

    """
    log_p_y = log_probability(logits, target)
    miss = -torch.expm1(log_p_y)
    log_m_y = torch.log1p((w - 1) * miss)
    # KL(p, m): each class but y has p_k / m_k = 1 / (1 - w), and together they have the probability 1 - p_y.
    prediction_part = log_p_y.exp() * (log_p_y - log_m_y) - miss * math.log1p(-w)
    return (w * log_m_y + (w - 1) * prediction_part) / ((1 - w) * math.log1p(-w))


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2025, "Joint Asymmetric Loss for Learning with Noisy Labels", arXiv:2507.17692',
    problem="noise",
    ranges={"a": "[1, inf)"},
)
def amse(logits: Tensor, target: Tensor, *, a: float = 30.0) -> Tensor:
    """Asymmetric mean squared error: squared distance of the probabilities to a label that lies far outside of them.

    Formula: mean_k (p_k - a Y_k)^2 = (sum_k p_k^2 + a (a - 2 p_y)) / K

    a = 1 is the mean squared error on probabilities, the Brier score divided by K. The larger a, the more it is linear
    in p_y. The smallest value is (a - 1)^2 / K.

    Parameters
    ----------
    a : float from 1
        What the given class's label counts as, instead of 1.

    Returns
    -------
    Tensor (...)
        Values in [(a - 1)^2 / K, (1 + a^2) / K].

    Examples
    --------
    >>> amse(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a=2.0)
    tensor([1.2500])

    """
    p_y = log_probability(logits, target).exp()
    return (logits.softmax(-1).square().sum(-1) + a * (a - 2 * p_y)) / logits.shape[-1]
