"""Which samples an epoch has, and in which order: each once, or drawn so that those of rare classes come oftener.

A sampler returns the rows of an epoch, as many as there are samples. It asks by name for what it needs: `target`, the
observed targets of the samples, or `classes`, the same where each sample has one class; `generator` draws the order.
"""

import torch
from torch import Tensor

from lossbench.ranges import takes


def uniform(*, target: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a permutation of all samples.

    Parameters
    ----------
    target : Tensor, shape (N, ...)
        Observed targets; only N matters here.
    generator : torch.Generator
        Draws the order.

    Returns
    -------
    Tensor of int64, shape (N,)
        Rows.

    """
    return torch.randperm(len(target), generator=generator)


@takes(power="number [0, 1]")
def by_class(*, classes: Tensor, generator: torch.Generator, power: float = 0.0) -> Tensor:
    """Draw with replacement: first a class c with a probability proportional to n_c^power, then one of its samples.

    n_c is the number of samples of the class. Power 0 gives all classes the same share of an epoch, 1/2 lies half way,
    and with 1 their shares are as without.

    Parameters
    ----------
    classes : Tensor of int64, shape (N,)
        Observed classes.
    generator : torch.Generator
        Draws the order.
    power : float in [0, 1]
        Of the number of samples.

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
    >>> classes = torch.tensor([0] * 90 + [1] * 10)
    >>> drawn = by_class(classes=classes, generator=torch.Generator().manual_seed(0))
    >>> len(drawn), bool(40 <= classes[drawn].sum() <= 60)
    (100, True)

    """
    counts = torch.bincount(classes).double()
    of_each_sample = counts ** (power - 1)  # the class's share, divided by its samples
    return torch.multinomial(of_each_sample[classes], len(classes), replacement=True, generator=generator)
