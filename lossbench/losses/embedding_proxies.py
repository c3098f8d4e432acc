"""Losses of embeddings that draw them to proxies of their class and push them away from those of the others.

The proxies p are directions, parameters of the loss: one for each class of the training data, or several. They stand
for the samples of their class, so that no pairs are mined. x is an embedding, y its class, and cos(x, p) their cosine:
the lengths of both are left out. Proxies start and learn as the directions of `embedding_norm_softmax` do.

Where a loss says nothing else:

Parameters
----------
embeddings : Tensor (N, D)
    Argument of the call: floating point, of any length.
target : Tensor (N,)
    Argument of the call: integer class indices.
num_classes : int
    Number of classes K, from the data, at least 2.
num_features : int
    Width D of the embeddings, from the learner.

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import math

import torch
from torch import Tensor, nn

from lossbench.losses.classification import of_true_class, one_hot, with_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.directions import cosines, random_directions, unit
from lossbench.losses.links import on_unit_sphere
from lossbench.losses.margin import cosface

__all__ = ["proxy_anchor", "proxy_nca", "soft_triple"]


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source=(
        'Movshovitz-Attias et al. 2017, "No Fuss Distance Metric Learning using Proxies", arXiv:1703.07464; Teh et '
        'al. 2020, "ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component Analysis", arXiv:2004.01113 '
        "(the scale)"
    ),
    ranges={"s": "(0, inf)"},
)
class proxy_nca(nn.Module):  # noqa: N801  (called as the functions are: loss=proxy_nca)
    """Log-odds of the nearest proxy being one of another class, by squared distances on the sphere (Proxy-NCA).

    Formula: -log(exp(-s d(x, p_y)) / sum_{k != y} exp(-s d(x, p_k))), d = 2 - 2 cos

    The proxy of the true class is left out of the sum, as the paper has it: so the loss has no lower bound but that of
    the cosines and pushes on where all is right. pytorch-metric-learning and ProxyNCA++ leave it in: that is
    softplus(loss), or `embedding_norm_softmax` at the scale 2 s. s = 1 takes the distances as they are; ProxyNCA++
    has 9.

    Parameters
    ----------
    s : float above 0
        Scale of the distances: sqrt(s) is the length of embeddings and proxies, 1 / s the temperature.

    Returns
    -------
    Tensor (N,)
        Any number: from log(K - 1) - 4 s.

    Examples
    --------
    >>> criterion = proxy_nca(num_classes=2, num_features=2)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.tensor([[8.0, 6.0]]), torch.tensor([0])).detach()  # 0.4 - 0.8
    tensor([-0.4000])

    """

    def __init__(self, *, num_classes: int, num_features: int, s: float = 1.0) -> None:
        super().__init__()
        self.s = s
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        near = self.s * (2 * cosines(embeddings, self.weight) - 2)
        return with_true_class(near, target, -math.inf).logsumexp(-1) - of_true_class(near, target).squeeze(-1)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source='Kim et al. 2020, "Proxy Anchor Loss for Deep Metric Learning", arXiv:2003.13911',
    ranges={"alpha": "(0, inf)", "delta": "[0, 1]"},
    coupled=True,
)
class proxy_anchor(nn.Module):  # noqa: N801
    """Smooth hinges of each proxy on its hardest samples: those of its class farthest away, and the nearest others.

    Formula: (1 / |P+|) sum_{p in P+} log(1 + sum_{i of p} exp(-alpha (cos(x_i, p) - delta)))
    + (1 / K) sum_p log(1 + sum_{i not of p} exp(alpha (cos(x_i, p) + delta))), the mean of the values

    P+ are the proxies with a sample in the batch. The paper defines the loss of a batch; here each term is shared
    equally among the samples in it, and the values are N times the shares, so that their mean is the paper's loss. So
    the samples of a class have one value, but not one gradient: this goes to those that the terms are large for.

    Parameters
    ----------
    alpha : float above 0
        Steepness of the hinges.
    delta : float in [0, 1]
        Margin: cosines of the own class shall be above it, those of others below minus it.

    Examples
    --------
    >>> criterion = proxy_anchor(num_classes=2, num_features=2, alpha=1.0, delta=0.0)
    >>> _ = criterion.weight.data.copy_(torch.eye(2))
    >>> criterion(torch.zeros(2, 2), torch.tensor([0, 1])).detach()  # all cosines 0: log 2 + log 2
    tensor([1.3863, 1.3863])

    """

    def __init__(self, *, num_classes: int, num_features: int, alpha: float = 32.0, delta: float = 0.1) -> None:
        super().__init__()
        self.alpha, self.delta = alpha, delta
        self.weight = random_directions(num_classes, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return N times the share of each sample in the loss of the batch."""
        found = cosines(embeddings, self.weight)
        own = one_hot(found, target)
        pull = _soft_hinge(-self.alpha * (found - self.delta), own) / own.any(0).sum()
        push = _soft_hinge(self.alpha * (found + self.delta), ~own) / own.shape[1]
        return len(own) * torch.where(own, pull / own.sum(0).clamp(min=1), push / (~own).sum(0).clamp(min=1)).sum(-1)


@loss(
    task="embedding",
    link=on_unit_sphere,
    shapes="N D , N -> N",
    source='Qian et al. 2019, "SoftTriple Loss: Deep Metric Learning Without Triplet Sampling", arXiv:1909.05235',
    ranges={"centers": "[1, inf)", "la": "(0, inf)", "gamma": "(0, inf)", "margin": "[0, inf)", "tau": "[0, inf)"},
)
class soft_triple(nn.Module):  # noqa: N801
    """Cross-entropy of similarities to classes that have several centres each, drawn together (SoftTriple).

    Formula: -log(softmax(la (S - margin e_y))_y) + tau R, with S_k = sum_j q_kj cos(x, p_kj),
    q_kj = softmax_j(cos(x, p_kj) / gamma), R = (1 / (K C (C - 1))) sum_k sum_{i < j} |p_ki - p_kj|

    C centres for each class, of length 1. q, which is largest at the nearest centre, maximises the mean cosine plus
    gamma times its own entropy. R merges centres that are not needed; it is the same for all samples, so that the mean
    over a batch has it once. Centres in the same place have no gradient from each other. One centre is
    `embedding_cosface` with s = la.

    Parameters
    ----------
    centers : int from 1
        Centres C of each class.
    la : float above 0
        Scale of the similarities (the paper's lambda).
    gamma : float above 0
        Weight of the entropy: near 0 the nearest centre counts alone.
    margin : float from 0
        Margin, in units of the cosine (the paper's delta).
    tau : float from 0
        Weight of R.

    Examples
    --------
    >>> criterion = soft_triple(num_classes=2, num_features=2, centers=2, la=5.0, margin=0.0, tau=0.2)
    >>> _ = criterion.weight.data.copy_(torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [-1.0, 0.0]]]))
    >>> criterion(torch.zeros(1, 2), torch.tensor([0])).detach()  # log 2 + 0.2 (2 sqrt(2) / 4)
    tensor([0.8346])

    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_features: int,
        centers: int = 10,
        la: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
        tau: float = 0.2,
    ) -> None:
        super().__init__()
        self.la, self.gamma, self.margin, self.tau = la, gamma, margin, tau
        self.weight = random_directions(num_classes, centers, num_features)

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        found = cosines(embeddings, self.weight)
        similarity = ((found / self.gamma).softmax(-1) * found).sum(-1)
        return cosface(similarity, target, m=self.margin, s=self.la) + self.tau * self._spread()

    def _spread(self) -> Tensor:
        num_classes, centers = self.weight.shape[:2]
        first, second = torch.triu_indices(centers, centers, 1, device=self.weight.device)
        ends = unit(self.weight)
        apart = (ends[:, first] - ends[:, second]).norm(dim=-1)
        return apart.sum() / (num_classes * max(centers * (centers - 1), 1))


def _soft_hinge(exponents: Tensor, among: Tensor) -> Tensor:
    """Return log(1 + sum of exp) over the samples (N, K) that are meant, (K,)."""
    zero = exponents.new_zeros(1, exponents.shape[1])
    return torch.cat([zero, exponents.masked_fill(~among, -math.inf)]).logsumexp(0)
