"""Embeddings told apart by ranking: for each anchor its positives before the rest of the batch.

s_ij is the cosine of two embeddings; they are normalised inside, as in the papers. The positives P_i of an anchor are
the other samples of its class or, for `nt_xent`, the other view of its image. An anchor without a positive has the
value 0, and embeddings that are all equal or all 0 have finite values and gradients. Memory grows with N^2.

Where a loss says nothing else:

Parameters
----------
embeddings : Tensor (N, D)
    Floating point; half precision is computed in float32.
target : Tensor (N,)
    Integer class indices.

Returns
-------
Tensor (N,)
    Values from 0, one for each anchor.

Raises
------
ValueError
    If the target is not of shape (N,).

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import on_unit_sphere
from lossbench.losses.pairs_of_samples import (
    cosines,
    log_sum_exp,
    mean_of,
    other_view,
    others,
    positives_and_negatives,
)

__all__ = ["nt_xent", "smooth_ap", "sup_con"]

_AT_ONCE = 2**18
"""Differences of cosines that `smooth_ap` holds at one time."""


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=('Brown et al. 2020, "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval", arXiv:2007.12163'),
    ranges={"tau": "(0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def smooth_ap(embeddings: Tensor, target: Tensor, *, tau: float = 0.01) -> Tensor:
    """One less the average precision of each anchor's ranking of the others, its steps made sigmoids.

    Formula: 1 - (1 / |P_i|) sum_{p in P_i} (1 + sum_{j in P_i, not p} G_jp) / (1 + sum_{j not i, p} G_jp), with
    G_jp = sigmoid((s_ij - s_ip) / tau)

    An anchor is not ranked itself. Without a negative all rankings are right, and its value is 0. For M pairs of an
    anchor and a positive, M N differences are computed, a part at a time, with their slopes: memory grows with N^2
    only, but the time of few, large classes nearly with N^3. There is no second derivative. pytorch-metric-learning's
    loss uses labels only to count (its positives are rows that stand together) and has the anchor as its own first hit.

    Parameters
    ----------
    tau : float above 0
        Width of a step, in units of the cosine.

    Examples
    --------
    >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> smooth_ap(points, torch.tensor([0, 0, 1, 2]))
    tensor([0.5000, 0.6000, 0.0000, 0.0000])

    """
    s = cosines(embeddings)
    positive, negative = positives_and_negatives(target)
    anchors, positives = torch.nonzero(positive & negative.any(1, keepdim=True), as_tuple=True)
    at_once = max(_AT_ONCE // max(len(target), 1), 1)
    missing, slope = s.new_zeros(len(target)), torch.zeros_like(s)
    with torch.no_grad():
        for i, p in zip(anchors.split(at_once), positives.split(at_once), strict=True):
            share, its_slope = _share_of_negatives(s[i], positive[i], negative[i], p.unsqueeze(1), tau)
            missing.index_add_(0, i, share)
            slope.index_add_(0, i, its_slope)
    number = positive.sum(1).clamp_min(1)
    # s - s.detach() is 0 and has the gradient of s: the value with its own slope, of which no part had to be kept.
    return (missing + (slope * (s - s.detach())).sum(1)) / number


def _share_of_negatives(s: Tensor, positive: Tensor, negative: Tensor, p: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Return what the precision at positive p lacks to 1, (M,), and its derivative by the cosines s (M, N).

    It is the share of negatives among the samples that an anchor ranks as high as p.
    """
    above = ((s - s.gather(1, p)) / tau).sigmoid()
    wrong = (above * negative).sum(1, keepdim=True)
    right = 0.5 + (above * positive).sum(1, keepdim=True)  # 1 for p itself, whose step to itself is one half
    ranked = right + wrong
    slope = above * (1 - above) * (negative * right - positive * wrong) / (tau * ranked.square())
    return (wrong / ranked).squeeze(1), slope.scatter_add(1, p, -slope.sum(1, keepdim=True))


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Khosla et al. 2020, "Supervised Contrastive Learning", arXiv:2004.11362',
    ranges={"tau": "(0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def sup_con(embeddings: Tensor, target: Tensor, *, tau: float = 0.1) -> Tensor:
    """Cross-entropy of each positive against all other samples, averaged over the positives.

    Formula: -(1 / |P_i|) sum_{p in P_i} log(exp(s_ip / tau) / sum_{j not i} exp(s_ij / tau))

    The mean over positives is outside of the logarithm, as the paper advises. Equal embeddings have log(N - 1). With
    positives alone, or several of them, the least value is not 0 but log |P_i|. The authors' code multiplies by
    tau / 0.07, which is no part of the formula.

    Parameters
    ----------
    tau : float above 0
        Temperature of the cosines.

    Examples
    --------
    >>> sup_con(torch.ones(4, 2), torch.tensor([0, 0, 1, 2]))
    tensor([1.0986, 1.0986, 0.0000, 0.0000])

    """
    logits = cosines(embeddings) / tau
    positive, _ = positives_and_negatives(target)
    return mean_of(log_sum_exp(logits, others(target)).unsqueeze(1) - logits, positive)


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), '
        "arXiv:2002.05709"
    ),
    ranges={"tau": "(0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def nt_xent(embeddings: Tensor, target: Tensor, *, index: Tensor, tau: float = 0.5) -> Tensor:
    """Cross-entropy of the other view of the same image against all other rows; classes are not looked at.

    Formula: -log(exp(s_iv / tau) / sum_{j not i} exp(s_ij / tau)), v the other view of i

    For two views of each image (`data.views=2`). Equal embeddings of B images have log(2 B - 1). A row without another
    view has the value 0, and is one of the rest to other rows.

    Parameters
    ----------
    index : Tensor (N,)
        Numbers of the images: two rows with the same are views of one (`other_view`).
    tau : float above 0
        Temperature of the cosines.

    Examples
    --------
    >>> nt_xent(torch.ones(4, 2), torch.zeros(4), index=torch.tensor([8, 9, 8, 9]))
    tensor([1.0986, 1.0986, 1.0986, 1.0986])

    """
    logits = cosines(embeddings) / tau
    view, paired = other_view(index)
    own = logits.gather(1, view.unsqueeze(1)).squeeze(1)
    return torch.where(paired, log_sum_exp(logits, others(target)) - own, 0.0)
