"""Class weights and their schedule: an axis of its own, to be combined with any classification loss.

A weighting returns K weights that sum to K. `class_counts`, `epoch` and `max_epochs` come by name, as for losses.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ClassCounts = Tensor | Sequence[float]


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
    return torch.ones_like(_as_float(class_counts))


def inverse(*, class_counts: ClassCounts) -> Tensor:
    """Weigh each class by the inverse of its frequency, so that all classes count the same in total.

    Formula: w_c = K (1 / n_c) / sum_j (1 / n_j)

    Parameters
    ----------
    class_counts : Tensor or sequence of K numbers
        Training samples n_c of each class, all above 0.

    Returns
    -------
    Tensor (K,)
        Weights above 0 that sum to K.

    Raises
    ------
    ValueError
        If a class has no sample.

    References
    ----------
    Elkan 2001, "The Foundations of Cost-Sensitive Learning".

    Examples
    --------
    >>> inverse(class_counts=[90, 10])
    tensor([0.2000, 1.8000])

    """
    return _sum_to_number_of_classes(1 / positive_counts(class_counts))


def effective_number(*, class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    """Weigh each class by the inverse of its effective number of samples.

    Formula: w_c = K v_c / sum_j v_j, with v_c = (1 - beta) / (1 - beta^n_c)

    beta = 0 gives equal weights, beta towards 1 the inverse frequency.

    Parameters
    ----------
    class_counts : Tensor or sequence of K numbers
        Training samples n_c of each class, all above 0.
    beta : float in [0, 1)
        About 1 - 1/N, N the number of distinguishable samples that a class could have.

    Returns
    -------
    Tensor (K,)
        Weights above 0 that sum to K.

    Raises
    ------
    ValueError
        If a class has no sample.

    References
    ----------
    Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples".

    Examples
    --------
    >>> effective_number(class_counts=[90, 10], beta=0.99)
    tensor([0.2768, 1.7232])

    """
    log_beta = math.log(beta) if beta > 0 else -math.inf
    # expm1 keeps the digits of 1 - beta^n for beta near 1; the factor 1 - beta falls out of the normalised weights.
    return _sum_to_number_of_classes(-1 / torch.expm1(positive_counts(class_counts) * log_beta))


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


def positive_counts(class_counts: ClassCounts) -> Tensor:
    """Return the class counts (K,) as a floating-point tensor; raise ValueError if one is not above 0."""
    counts = _as_float(class_counts)
    if not (counts > 0).all():
        empty = (~(counts > 0)).nonzero().flatten().tolist()
        raise ValueError(
            f"class_counts={counts.tolist()}: no sample in class {', '.join(map(str, empty))}. Weights, priors "
            "and margins need a sample of each class: lower the imbalance, or use a loss and weighting without counts."
        )
    return counts


def _as_float(class_counts: ClassCounts) -> Tensor:
    counts = torch.as_tensor(class_counts)
    return counts if counts.is_floating_point() else counts.to(torch.get_default_dtype())


def _sum_to_number_of_classes(weights: Tensor) -> Tensor:
    return weights * (len(weights) / weights.sum())
