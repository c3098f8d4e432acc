"""Losses that correct wrong labels by the matrix of the noise. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, K the number of classes, T_ij the probability that a sample whose class is i has
the label j.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.

"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from lossbench.losses.classification import cross_entropy, of_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["backward_correction", "forward_correction"]

Matrix = Sequence[Sequence[float]]
_SINGULAR = (
    "the transition matrix can't be inverted: two classes get nearly the same labels. Lower the rate, or use "
    "forward_correction."
)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Patrini et al. 2017, "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach", '
        "arXiv:1609.03683"
    ),
    problem="noise",
    ranges={"rate": "[0, 1)", "matrix": "[0, 1]"},
)
def forward_correction(logits: Tensor, target: Tensor, *, rate: float = 0.2, matrix: Matrix | None = None) -> Tensor:
    """Cross-entropy of the probability that the noise turns the predicted classes into the given label.

    Formula: -log sum_i T_iy p_i, T_ij the probability that a sample of class i has the label j

    Trained on noisy labels, p becomes the probability of the clean ones, if T is right. T is known or estimated
    beforehand. rate = 0, or T the identity, is the cross-entropy.

    Parameters
    ----------
    rate : float in [0, 1)
        For T by default: a label is wrong at this rate, and then any of the other K - 1 with equal probability.
    matrix : sequence of K sequences of K floats, optional
        T itself, row i for the clean class i; `rate` is then not used.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the matrix is not K x K, a row does not sum to 1, a label can never occur, or the target does not hold class
        indices of the right shape.

    Examples
    --------
    >>> forward_correction(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), matrix=[[0.7, 0.3], [0.0, 1.0]])
    tensor([0.9586])

    """
    transition = _transition(matrix, rate, logits.shape[-1])
    if (transition.sum(0) == 0).any():
        raise ValueError(
            "a column of the matrix is 0 everywhere: this label could never occur, so none can be learned."
        )
    log_reached = _rows(transition.T.log(), logits, target)
    return -torch.logsumexp(log_reached + logits.log_softmax(-1), -1)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Patrini et al. 2017, "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach", '
        "arXiv:1609.03683"
    ),
    problem="noise",
    ranges={"rate": "[0, 1)", "matrix": "[0, 1]"},
)
def backward_correction(logits: Tensor, target: Tensor, *, rate: float = 0.2, matrix: Matrix | None = None) -> Tensor:
    """Cross-entropies of all labels, mixed so that their mean over the noise is the one of the clean label.

    Formula: sum_j (T^-1)_yj (-log p_j), T_ij the probability that a sample of class i has the label j

    Unbiased if T is right, but without a lower bound, and the less stable the nearer T is to a singular matrix (for the
    default T: rate = (K - 1) / K). rate = 0, or T the identity, is the cross-entropy.

    Parameters
    ----------
    rate : float in [0, 1)
        For T by default: a label is wrong at this rate, and then any of the other K - 1 with equal probability.
    matrix : sequence of K sequences of K floats, optional
        T itself, row i for the clean class i; `rate` is then not used.

    Returns
    -------
    Tensor (...)
        Any number: values can be negative.

    Raises
    ------
    ValueError
        If the matrix is not K x K, a row does not sum to 1, it can't be inverted, or the target does not hold class
        indices of the right shape.

    Examples
    --------
    >>> backward_correction(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), matrix=[[0.5, 0.5], [0.0, 1.0]])
    tensor([2.1269])

    """
    if matrix is not None:
        rows = tuple(tuple(float(each) for each in row) for row in matrix)
        return cross_entropy(logits, _rows(_inverse(rows, logits.shape[-1]), logits, target))
    # T is own I + other 1 1', whose rows sum to 1: its inverse is (I - other 1 1') / own.
    other = rate / (logits.shape[-1] - 1)
    own = 1 - rate - other
    if abs(own) < 1e-6:
        raise ValueError(_SINGULAR)
    log_p = logits.log_softmax(-1)
    return (other * log_p.sum(-1) - of_true_class(log_p, target).squeeze(-1)) / own


@cache
def _inverse(matrix: tuple[tuple[float, ...], ...], num_classes: int) -> Tensor:
    inverse, is_singular = torch.linalg.inv_ex(_transition(matrix, 0.0, num_classes))
    if is_singular or inverse.abs().max() > 1e6:
        raise ValueError(_SINGULAR)
    return inverse


def _transition(matrix: Matrix | None, rate: float, num_classes: int) -> Tensor:
    # K x K numbers on the CPU: an inverse needs float64, which not every device has.
    if matrix is None:
        symmetric = torch.full((num_classes, num_classes), rate / (num_classes - 1), dtype=torch.float64)
        return symmetric.fill_diagonal_(1 - rate)
    transition = torch.as_tensor(matrix, dtype=torch.float64, device="cpu")
    if transition.shape != (num_classes, num_classes):
        raise ValueError(
            f"matrix has shape {tuple(transition.shape)}; {num_classes} outputs need ({num_classes}, {num_classes})."
        )
    sums = transition.sum(1)
    if (transition < 0).any() or ((sums - 1).abs() > 1e-4).any():
        raise ValueError(
            f"the rows of matrix sum to {[round(float(each), 6) for each in sums]}: row i holds the probabilities of "
            "all labels for a sample of class i, from 0, and must sum to 1."
        )
    return transition


def _rows(matrix: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Return the row of a K x K matrix for each target, shape (..., K)."""
    if target.is_floating_point() or target.shape != logits.shape[:-1]:
        raise ValueError(
            f"target holds {target.dtype} of shape {tuple(target.shape)}; logits of shape {tuple(logits.shape)} need "
            f"integer class indices of shape {tuple(logits.shape[:-1])}."
        )
    rows = matrix.to(logits).index_select(0, target.long().flatten())  # which, unlike [...], takes no -1 as the last
    return rows.view(logits.shape)
