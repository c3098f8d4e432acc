"""Class counts and the weights that follow from them, which losses and weightings share."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ClassCounts = Tensor | Sequence[float]


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


def at_least_one(class_counts: Sequence[int]) -> list[int]:
    """Return class counts in which a class without a sample counts as one with a single sample.

    That is what a run gives to losses, weightings and `posthoc`: its weight, prior and margin are those of the rarest
    class that can be. What is recorded and measured has the counts as they are.

    Examples
    --------
    >>> at_least_one([7, 0, 2])
    [7, 1, 2]

    """
    return [max(1, count) for count in class_counts]


def positive_counts(class_counts: ClassCounts) -> Tensor:
    """Return the class counts (K,) as a floating-point tensor; raise ValueError if one is not above 0."""
    counts = as_float(class_counts)
    if torch.compiler.is_compiling():  # torch.compile can't branch on a value
        return counts
    if not (counts > 0).all():
        empty = (~(counts > 0)).nonzero().flatten().tolist()
        raise ValueError(
            f"class_counts={counts.tolist()}: no sample in class {', '.join(map(str, empty))}. Weights, priors "
            "and margins need a sample of each class: give counts of at least 1, as a run does, or use a loss and "
            "weighting without counts."
        )
    return counts


def as_float(class_counts: ClassCounts) -> Tensor:
    """Return counts (K,) as a floating-point tensor."""
    counts = torch.as_tensor(class_counts)
    return counts if counts.is_floating_point() else counts.to(torch.get_default_dtype())


def _sum_to_number_of_classes(weights: Tensor) -> Tensor:
    return weights * (len(weights) / weights.sum())
