"""Which samples an epoch has, and in which order: each once, or drawn so that those of rare classes come oftener.

A sampler returns the rows of an epoch, as many as there are samples. It asks by name for what it needs: `target`, the
observed targets of the samples, or `classes`, the same where each sample has one class; `batch_size`, so many of the
rows after each other are a batch (`batch_sizes`); `generator` draws the order.
"""

import torch
from torch import Tensor

from lossbench.data.shapes import require_groups
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


@takes(samples="int [2, inf)")
def pk(*, classes: Tensor, batch_size: int, generator: torch.Generator, samples: int = 4) -> Tensor:
    """Draw batches of P classes with K samples each, so that each sample has others of its class in its batch.

    P is batch_size / K, rounded down; what is left of a batch, and the end of the last one, is a smaller group. The
    classes of a batch are drawn with the same probability whatever their size, and none comes twice unless there are
    fewer than P. The samples of a class come in turn, in a new random order each time that they are through: none
    comes twice in a group, unless the class has fewer than K, and of a remainder below K others are left out each time.

    Parameters
    ----------
    classes : Tensor of int64, shape (N,)
        Observed classes.
    batch_size : int
        Samples of a batch.
    generator : torch.Generator
        Draws the order.
    samples : int
        K.

    Returns
    -------
    Tensor of int64, shape (N,)
        Rows; K of a class stand together.

    Raises
    ------
    ConfigError
        If K is above the size of a batch, or below 2.

    References
    ----------
    Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737.

    Examples
    --------
    >>> classes = torch.arange(6).repeat_interleave(10)
    >>> rows = pk(classes=classes, batch_size=8, samples=4, generator=torch.Generator().manual_seed(0))
    >>> [len(classes[batch].unique()) for batch in rows.split(8)], len(rows)
    ([2, 2, 2, 2, 2, 2, 2, 1], 60)

    """
    require_groups(samples, batch_size)
    sizes = torch.tensor(batch_sizes(len(classes), batch_size))
    number, counts = classes.unique(return_inverse=True, return_counts=True)[1:]
    groups = (sizes + samples - 1) // samples
    drawn = _classes_of_batches(len(counts), groups, generator)
    rows = _samples_of_groups(drawn, number, counts, samples, generator)
    of_batch = torch.repeat_interleave(torch.arange(len(sizes)), groups * samples)
    place = torch.arange(len(of_batch)) - ((groups * samples).cumsum(0) - groups * samples)[of_batch]
    return rows.flatten()[place < sizes[of_batch]]


def batch_sizes(size: int, batch_size: int) -> list[int]:
    """Return how many samples the batches of an epoch have; a last one of a single sample joins the one before it.

    Examples
    --------
    >>> batch_sizes(10, 4), batch_sizes(9, 4), batch_sizes(3, 4)
    ([4, 4, 2], [4, 5], [3])

    """
    whole, rest = divmod(size, batch_size)
    sizes = [batch_size] * whole + [rest] * (rest > 0)
    return [*sizes[:-2], batch_size + 1] if rest == 1 and whole else sizes


def _classes_of_batches(num_classes: int, groups: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the class of each group: of each batch so many, all before one comes again."""
    most = int(groups.max())
    rounds = -(-most // num_classes)
    order = torch.rand(len(groups), rounds, num_classes, generator=generator).argsort(2).flatten(1)[:, :most]
    return order[torch.arange(most) < groups[:, None]]


def _samples_of_groups(
    drawn: Tensor, classes: Tensor, counts: Tensor, samples: int, generator: torch.Generator
) -> Tensor:
    """Draw the samples (G, K) of groups whose classes are known.

    Each class has as many shuffled copies of its samples as its groups take, one after the other: a group takes the
    next K of the copy.
    """
    visits = torch.bincount(drawn, minlength=len(counts))
    per_copy = (counts // samples).clamp_min(1)  # groups
    copies = -(-visits // per_copy)
    of_copy = torch.repeat_interleave(torch.arange(len(counts)), copies)  # its class
    length = counts[of_copy]
    starts = length.cumsum(0) - length
    copy = torch.repeat_interleave(torch.arange(len(of_copy)), length)
    by_class, first = classes.argsort(stable=True), counts.cumsum(0) - counts
    unshuffled = by_class[torch.arange(len(copy)) - (starts - first[of_copy])[copy]]
    shuffled = unshuffled[(copy + torch.rand(len(copy), dtype=torch.float64, generator=generator)).argsort()]
    order = drawn.argsort(stable=True)
    visit = torch.empty_like(drawn)
    visit[order] = torch.arange(len(drawn)) - (visits.cumsum(0) - visits)[drawn[order]]
    start = starts[(copies.cumsum(0) - copies)[drawn] + visit // per_copy[drawn]]
    offset = (visit % per_copy[drawn] * samples)[:, None] + torch.arange(samples)
    return shuffled[start[:, None] + offset % counts[drawn][:, None]]
