"""Cross-entropy in its plain forms and Poly-1. Outputs are logits; a loss returns a value for each sample.

p is softmax(logits) or sigmoid(logits), y the true class, p_y its probability.

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
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import sigmoid, softmax

__all__ = ["bce", "cross_entropy", "label_smoothing", "poly1", "poly1_focal"]

_NO_INDEX = torch.iinfo(torch.int64).min
"""What torch takes for a label to ignore is -100 else, and a sample with it has the value 0 without a word."""


@loss(
    task="binary",
    link=sigmoid,
    source='Cox 1958, "The Regression Analysis of Binary Sequences", doi:10.1111/j.2517-6161.1958.tb00292.x',
)
def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of one logit per sample.

    Formula: -(y log p + (1 - y) log(1 - p))

    Computed from the logit, without forming p: finite for any finite logit.
    It is the negative log-likelihood of logistic regression.

    Parameters
    ----------
    logits : Tensor (...)
        Floating point.
    target : Tensor (...)
        Class 0 or 1, integer or floating point, or a probability in [0, 1].

    Returns
    -------
    Tensor (...)
        Values from 0 (for targets 0 and 1).

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> bce(torch.tensor([0.0, 2.0]), torch.tensor([1, 0]))
    tensor([0.6931, 2.1269])

    """
    if target.dtype != logits.dtype:
        target = target.to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Bridle 1990, "Probabilistic Interpretation of Feedforward Classification Network Outputs, with '
        'Relationships to Statistical Pattern Recognition", doi:10.1007/978-3-642-76153-9_28'
    ),
)
def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Categorical cross-entropy, for class indices or class probabilities.

    Formula: -log p_y (indices), -sum_k Y_k log p_k (probabilities Y)
    It is the negative log-likelihood of multinomial logistic regression.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point; the classes come last, unlike in torch for more than two dimensions.
    target : Tensor (...) or (..., K)
        Integer class indices (...), or floating-point class probabilities (..., K), such as one-hot targets.

    Raises
    ------
    ValueError
        If the shapes don't fit.

    Examples
    --------
    >>> cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor([2.1269])
    >>> cross_entropy(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.5, 0.5]]))
    tensor([1.1269])

    """
    if not target.is_floating_point():
        return of_indices(logits, target)
    if target.shape != logits.shape:
        raise ValueError(
            f"target holds {target.dtype} of shape {tuple(target.shape)}, which are class probabilities: they need the "
            f"shape of the logits, {tuple(logits.shape)}. For class indices pass integers (target.long())."
        )
    return -(target.to(logits.dtype) * logits.log_softmax(-1)).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567; '
        'Muller et al. 2019, "When Does Label Smoothing Help?"'
    ),
    problem="calibration",
    ranges={"smoothing": "[0, 1)"},
)
def label_smoothing(logits: Tensor, target: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy towards a mixture of the true class and the uniform distribution.

    Formula: -(1 - smoothing) log p_y - (smoothing / K) sum_k log p_k

    The true class is part of the uniform share, so that its target is 1 - smoothing + smoothing / K (torch and timm
    agree). smoothing = 0 is the cross-entropy. The smallest value is the entropy of the mixture, above 0.

    Parameters
    ----------
    smoothing : float in [0, 1)
        Share of the uniform distribution.

    Examples
    --------
    >>> label_smoothing(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), smoothing=0.1)
    tensor([0.2269])

    """
    return of_indices(logits, target, smoothing)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Leng et al. 2022, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", '
        "arXiv:2204.12511"
    ),
    ranges={"epsilon": "[-1, inf)"},
    broadcasts=True,
)
def poly1(logits: Tensor, target: Tensor, *, epsilon: float = 2.0) -> Tensor:
    """Cross-entropy with another weight on the first term of its expansion in powers of 1 - p_y (Poly-1).

    Formula: -log p_y + epsilon (1 - p_y)

    The cross-entropy is sum_j (1 - p_y)^j / j; the weight of j = 1 becomes 1 + epsilon. epsilon = 0 is the
    cross-entropy, and it may be negative. The best value depends on the data: the default, 2, is that of ImageNet.

    Parameters
    ----------
    epsilon : float from -1
        What is added to the first weight, which is 1.

    Examples
    --------
    >>> poly1(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), epsilon=2.0)
    tensor([1.6931])

    """
    log_p_y = log_probability(logits, target)
    return -log_p_y - epsilon * torch.expm1(log_p_y)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Leng et al. 2022, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", '
        "arXiv:2204.12511"
    ),
    problem="imbalance",
    ranges={"epsilon": "[-1, inf)", "gamma": "[0, inf)"},
)
def poly1_focal(logits: Tensor, target: Tensor, *, epsilon: float = 1.0, gamma: float = 2.0) -> Tensor:
    """Focal loss with another weight on the first term of its expansion in powers of 1 - p_y.

    Formula: (1 - p_y)^gamma (-log p_y) + epsilon (1 - p_y)^(gamma + 1)

    The softmax form. The paper, which uses it for detection, has the sigmoid form; with two classes they are the same
    on the difference of the logits. epsilon = 0 is `focal`, gamma = 0 is `poly1`. For detection a negative epsilon,
    -1, was best.

    Parameters
    ----------
    epsilon : float from -1
        What is added to the first weight, which is 1.
    gamma : float from 0
        Strength of the down-weighting.

    Examples
    --------
    >>> poly1_focal(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), epsilon=1.0, gamma=2.0)
    tensor([0.2983])

    """
    log_p_y = log_probability(logits, target)
    # At p_y = 1 the derivative of the power is infinite for gamma < 1; the whole loss has the derivative 0 there.
    miss = (-torch.expm1(log_p_y)).clamp(min=torch.finfo(logits.dtype).tiny)
    return miss**gamma * (epsilon * miss - log_p_y)


def log_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Return log p_y, shape (...), of logits (..., K) and integer class indices (...)."""
    return -of_indices(logits, target)


def of_true_class(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the outputs (..., 1) of the true classes, of outputs (..., K) and integer class indices (...)."""
    return outputs.gather(-1, place_of_true_class(outputs, target))


def place_of_true_class(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the index (..., 1) at which gather and scatter find the true classes (...) in outputs (..., K)."""
    require_indices(outputs, target)
    return target.long().unsqueeze(-1)


def with_true_class(outputs: Tensor, target: Tensor, value: Tensor | float) -> Tensor:
    """Return outputs (..., K) with a number, or numbers (..., 1), in the place of the true classes (...)."""
    return outputs.scatter(-1, target.long().unsqueeze(-1), value)


def one_hot(logits: Tensor, target: Tensor) -> Tensor:
    """Return the boolean mask (..., K) of the true classes, of outputs (..., K) and integer class indices (...)."""
    mask = torch.zeros_like(logits, dtype=torch.bool)
    return mask.scatter(-1, place_of_true_class(logits, target), True)


def signed_margin(scores: Tensor, target: Tensor) -> Tensor:
    """Return the scores (...) of class 1 with the sign of the label: y f, with y = 2 target - 1 in {-1, +1}."""
    require_labels_of(scores, target)
    return (2 * target.to(scores.dtype) - 1) * scores


def positives(scores: Tensor, target: Tensor) -> Tensor:
    """Return the boolean mask (...) of the positives, of scores (...) and targets 0 or 1 of the same shape."""
    require_labels_of(scores, target)
    return target > 0.5


def of_indices(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy (...) of logits (..., K) and integer class indices (...)."""
    require_indices(logits, target)
    target = target.long()
    if logits.ndim > 2:  # a view, even of the same shape, costs a node of the graph
        return of_indices(logits.flatten(0, -2), target.flatten(), smoothing).view(target.shape)
    return F.cross_entropy(logits, target, ignore_index=_NO_INDEX, reduction="none", label_smoothing=smoothing)


def in_single_precision(values: Tensor) -> Tensor:
    """Return values in float32 at least: long sums, and cosines, are too fine for half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def require_labels_of(scores: Tensor, target: Tensor) -> None:
    if target.shape != scores.shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)}, the outputs {tuple(scores.shape)}: give one label, 0 or 1, for "
            "each output."
        )


def require_indices(logits: Tensor, target: Tensor) -> None:
    # gather would take a shorter index without a word
    if target.is_floating_point() or target.shape != logits.shape[:-1]:
        raise ValueError(
            f"target holds {target.dtype} of shape {tuple(target.shape)}; logits of shape {tuple(logits.shape)} need "
            f"integer class indices of shape {tuple(logits.shape[:-1])}. Class probabilities: use cross_entropy."
        )
