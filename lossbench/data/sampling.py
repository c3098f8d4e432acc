"""Which samples an epoch has, and in which order: each once, or drawn so that those of rare classes come oftener."""

import torch
from torch import Tensor

from lossbench.intervals import takes

POWERS = {"class_balanced": 0.0, "square_root": 0.5}
"""With which power of its number of samples the probability of a class grows; with 1 it would be as without."""


@takes(kind="one of: class_balanced, square_root, uniform")
def draw_order(kind: str, target: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the order of an epoch of as many samples as there are.

    "uniform" is a permutation of all samples. The others draw with replacement: first a class c with a probability
    proportional to n_c^q, n_c being its number of samples, then one of its samples. "class_balanced" (q = 0) gives all
    classes the same share of an epoch, "square_root" (q = 1/2) lies half way.

    Parameters
    ----------
    kind : str
        "uniform", "class_balanced" or "square_root".
    target : Tensor, shape (N,)
        Observed targets; those of "class_balanced" and "square_root" are classes, int64.
    generator : torch.Generator
        Draws the order.

    Returns
    -------
    Tensor of int64, shape (N,)
        Rows.

    References
    ----------
    Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss" (re-sampling); Mahajan et
    al. 2018, "Exploring the Limits of Weakly Supervised Pretraining" (square root).

    Examples
    --------
    >>> target = torch.tensor([0] * 90 + [1] * 10)
    >>> drawn = draw_order("class_balanced", target, torch.Generator().manual_seed(0))
    >>> len(drawn), bool(40 <= target[drawn].sum() <= 60)
    (100, True)

    """
    if kind == "uniform":
        return torch.randperm(len(target), generator=generator)
    counts = torch.bincount(target).double()
    of_each_sample = counts ** (POWERS[kind] - 1)  # the class's share, divided by its samples
    return torch.multinomial(of_each_sample[target], len(target), replacement=True, generator=generator)
