"""Embeddings told apart by pairs and triplets of a batch: samples of one class come near, others go away.

A sample is an anchor; the other samples of its class are its positives, those of other classes its negatives. All of
them are compared, not drawn pairs. s_ij is the cosine and D_ij the Euclidean distance of two embeddings on the unit
sphere, D_ij^2 = 2 - 2 s_ij; `n_pair` alone takes embeddings as they are. An anchor without a positive, or without a
negative, has the value 0 in terms that need one, and embeddings that are all equal or all 0 have finite values and
gradients. Where embeddings are equal the gradient of their distance D is taken as 0. Sampling by class
(`sampler=pk`) gives each anchor a positive. Memory grows with N^2.

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
from torch.nn import functional as F

from lossbench.losses.classification import in_single_precision
from lossbench.losses.declaration import loss
from lossbench.losses.links import on_unit_sphere
from lossbench.losses.pairs_of_samples import (
    cosines,
    log_one_plus,
    log_sum_exp,
    mean_of,
    positives_and_negatives,
    root_of,
    squared_distances,
    unit,
)

__all__ = ["circle", "embedding_contrastive", "embedding_triplet", "lifted_structure", "multi_similarity", "n_pair"]


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", arXiv:1503.03832; '
        'Hermans et al. 2017, "In Defense of the Triplet Loss for Person Re-Identification", arXiv:1703.07737'
    ),
    ranges={
        "margin": "[0, 4]",
        "mining": "one of: all, batch_hard, semi_hard",
        "over": "one of: all, nonzero",
    },
    coupled=True,
    shapes="N D , N -> N",
)
def embedding_triplet(
    embeddings: Tensor, target: Tensor, *, margin: float = 0.2, mining: str = "semi_hard", over: str = "all"
) -> Tensor:
    """Hinge on triplets: a positive nearer to the anchor than a negative, by a margin of the squared distance.

    Formula: mean over triplets (i, p, n) of max(0, D_ip^2 - D_in^2 + margin)

    The triplets of an anchor i are, with `mining=all`, all of a positive p and a negative n; with `batch_hard`, the one
    of its farthest positive and nearest negative; with `semi_hard`, for each positive the nearest negative that is
    farther than this positive or, if there is none, the farthest negative. The mean is that of each anchor by itself,
    so that anchors count alike however large their class is. pytorch-metric-learning averages over all triplets that
    are not 0, and its distance is not squared unless told.

    Parameters
    ----------
    margin : float in [0, 4]
        Difference of squared distances from which a triplet costs nothing.
    mining : str
        Which triplets: "all", "batch_hard" or "semi_hard".
    over : str
        The mean is over "all" these triplets, or over those whose hinge is "nonzero".

    Raises
    ------
    ValueError
        If `mining` or `over` is none of these, or the target is not of shape (N,).

    Examples
    --------
    >>> points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> embedding_triplet(points, torch.tensor([0, 0, 1]), margin=0.2)
    tensor([1.4000, 1.8000, 0.0000])

    """
    if mining not in ("all", "batch_hard", "semi_hard") or over not in ("all", "nonzero"):
        raise ValueError(
            f"mining={mining!r}, over={over!r}: mining is one of all, batch_hard, semi_hard, and over all or nonzero."
        )
    s = cosines(embeddings)
    positive, negative = positives_and_negatives(target)
    if mining == "all":
        return _mean_of_all_triplets(s, positive, negative, margin, over)
    if mining == "batch_hard":
        near = s.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
        far = s.masked_fill(~positive, torch.inf).amin(1, keepdim=True)
        there = (positive.any(1) & negative.any(1)).unsqueeze(1)
    else:
        near, far, there = _semi_hard(s, negative), s, positive & negative.any(1, keepdim=True)
    excess = torch.where(there, 2 * (near - far) + margin, 0.0).relu()
    return mean_of(excess, there if over == "all" else excess > 0)


def _mean_of_all_triplets(s: Tensor, positive: Tensor, negative: Tensor, margin: float, over: str) -> Tensor:
    # With the negatives of an anchor in order, those that a positive lets cost anything are the first k: the sum of
    # their hinges is 2 (sum of these cosines) - k (2 s_ip - margin). So N^2 numbers suffice for N^3 triplets.
    nearest_first = (-s).masked_fill(~negative, torch.inf).sort(-1).values
    sums = F.pad((-nearest_first).masked_fill(nearest_first.isinf(), 0.0).cumsum(-1), (1, 0))
    bound = s - margin / 2
    k = torch.searchsorted(nearest_first.detach(), -bound.detach()).masked_fill(~positive, 0)
    excess = 2 * (sums.gather(-1, k) - k * bound)
    number = positive.sum(1) * negative.sum(1) if over == "all" else k.sum(1)
    return excess.sum(1) / number.clamp_min(1)


def _semi_hard(s: Tensor, negative: Tensor) -> Tensor:
    """Return the cosine (N, N) of each anchor, with each sample as positive, to the negative that is chosen for it."""
    nearest_first, order = (-s.detach()).masked_fill(~negative, torch.inf).sort(-1)
    farther = torch.searchsorted(nearest_first, -s.detach(), right=True)
    last = (negative.sum(1, keepdim=True) - 1).clamp_min(0)
    return s.gather(-1, order.gather(-1, farther.minimum(last)))


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping", doi:10.1109/CVPR.2006.100'
    ),
    ranges={"margin": "(0, 2]"},
    coupled=True,
    shapes="N D , N -> N",
)
def embedding_contrastive(embeddings: Tensor, target: Tensor, *, margin: float = 1.0) -> Tensor:
    """Squared distance to positives, and squared hinge on that to negatives.

    Formula: mean over positives p of D_ip^2 + mean over negatives n of max(0, margin - D_in)^2

    Each mean is by itself: among all pairs of a batch most are negative. The paper leaves the length of embeddings free
    and has half of both terms. pytorch-metric-learning's hinges are not squared, and its means are over those that are
    not 0. Negatives that fell on the anchor have no gradient.

    Parameters
    ----------
    margin : float in (0, 2]
        Distance from which a negative costs nothing; 2 is that of opposite points.

    Examples
    --------
    >>> embedding_contrastive(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]), margin=0.5)
    tensor([0.2500, 0.2500, 0.2500])

    """
    positive, negative = positives_and_negatives(target)
    squared = squared_distances(unit(embeddings))
    return mean_of(squared, positive) + mean_of((margin - root_of(squared)).relu().square(), negative)


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Oh Song et al. 2016, "Deep Metric Learning via Lifted Structured Feature Embedding", arXiv:1511.06452',
    ranges={"margin": "(0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def lifted_structure(embeddings: Tensor, target: Tensor, *, margin: float = 1.0) -> Tensor:
    """Each positive pair against all negatives of both of its samples, by the smooth bound of the hardest one.

    Formula: 1 / (2 |P|) sum over positive pairs (i, j) of max(0, J_ij)^2, J_ij = D_ij +
    log(sum_{n of i} exp(margin - D_in) + sum_{n of j} exp(margin - D_jn))

    This is equation 4 of the paper, which leaves the length of embeddings free; there D is on the unit sphere. The
    value of a sample is its share: half of the loss of each of its pairs, times N over the number |P| of pairs, so that
    the plain mean over the N samples is the formula.

    Parameters
    ----------
    margin : float above 0
        How far negatives are pushed; the paper calls it alpha.

    Examples
    --------
    >>> lifted_structure(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
    tensor([2.1501, 2.1501, 0.0000])

    """
    positive, negative = positives_and_negatives(target)
    distance = root_of(squared_distances(unit(embeddings)))
    pushed = log_sum_exp(margin - distance, negative)
    excess = (torch.logaddexp(pushed.unsqueeze(1), pushed) + distance).masked_fill(~positive, 0.0).relu()
    return excess.square().sum(1) * len(target) / (2 * positive.sum().clamp_min(1))


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Sohn 2016, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NeurIPS',
    ranges={"l2": "[0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def n_pair(embeddings: Tensor, target: Tensor, *, l2: float = 0.002) -> Tensor:
    """Cross-entropy of the inner product with a positive against those with all negatives.

    Formula: mean over positives p of log(1 + sum_n exp(x_i x_n - x_i x_p)) + (l2 / 2) |x_i|^2

    Inner products are those of the embeddings x as they are; instead of normalising, the paper keeps their length small
    by the second term, which every sample has. The weight is that of TensorFlow's implementation. The paper takes as
    negatives one sample of each other class of a batch of pairs, the positive of that pair, and so does
    pytorch-metric-learning (without the second term); here all samples of other classes are.

    Parameters
    ----------
    l2 : float from 0
        Weight of the squared length.

    Examples
    --------
    >>> n_pair(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]), l2=0.0)
    tensor([0.3133, 0.3133, 0.0000])

    """
    positive, negative = positives_and_negatives(target)
    x = in_single_precision(embeddings)
    products = x @ x.T
    against = log_one_plus(log_sum_exp(products, negative).unsqueeze(1) - products)
    return mean_of(against, positive) + l2 / 2 * x.square().sum(1)


@loss(
    task="embedding",
    link=on_unit_sphere,
    source=(
        'Wang et al. 2019, "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning", '
        "arXiv:1904.06627"
    ),
    ranges={"alpha": "(0, inf)", "beta": "(0, inf)", "base": "[-1, 1]", "epsilon": "[0, inf)"},
    coupled=True,
    shapes="N D , N -> N",
)
def multi_similarity(
    embeddings: Tensor,
    target: Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    epsilon: float = 0.1,
) -> Tensor:
    """Soft hinges on the cosines of those positives and negatives that are hard to tell apart.

    Formula: (1 / alpha) log(1 + sum_p exp(-alpha (s_ip - base))) + (1 / beta) log(1 + sum_n exp(beta (s_in - base)))

    Counted are the negatives with s_in above the least s_ip less epsilon, and the positives with s_ip below the largest
    s_in plus epsilon. An anchor without a positive has no such negative, one without a negative no such positive: both
    have the value 0. The paper calls base lambda; .5 is that of the authors' code.

    Parameters
    ----------
    alpha : float above 0
        Sharpness for positives.
    beta : float above 0
        Sharpness for negatives.
    base : float in [-1, 1]
        Cosine that positives should exceed, and negatives not reach.
    epsilon : float from 0
        How much easier than the hardest a counted pair may be; from 2 on all pairs count.

    Examples
    --------
    >>> multi_similarity(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
    tensor([0.6566, 0.6566, 0.0000])

    """
    s = cosines(embeddings)
    positive, negative = positives_and_negatives(target)
    with torch.no_grad():
        least = s.masked_fill(~positive, torch.inf).amin(1, keepdim=True)
        largest = s.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
        positive, negative = positive & (s < largest + epsilon), negative & (s > least - epsilon)
    pulled = log_one_plus(log_sum_exp(-alpha * (s - base), positive)) / alpha
    return pulled + log_one_plus(log_sum_exp(beta * (s - base), negative)) / beta


@loss(
    task="embedding",
    link=on_unit_sphere,
    source='Sun et al. 2020, "Circle Loss: A Unified Perspective of Pair Similarity Optimization", arXiv:2002.10857',
    ranges={"m": "[0, 1]", "gamma": "(0, inf)"},
    coupled=True,
    detached="the weights of pairs, how far each is from its optimum",
    shapes="N D , N -> N",
)
def circle(embeddings: Tensor, target: Tensor, *, m: float = 0.4, gamma: float = 80.0) -> Tensor:
    """Softplus of the hardest negative and positive, each weighted by how far it is from its optimum.

    Formula: softplus(log sum_n exp(gamma a_n (s_in - m)) + log sum_p exp(-gamma a_p (s_ip - 1 + m))), with
    a_n = max(0, s_in + m), a_p = max(0, 1 + m - s_ip), both held constant

    Positives are drawn towards 1 + m and negatives towards -m; the boundary is a circle around (s_n, s_p) = (0, 1). The
    defaults are the paper's for retrieval of fine-grained classes; for faces it has m .25 and gamma 256. An anchor
    needs both a positive and a negative, else its value is 0.

    Parameters
    ----------
    m : float in [0, 1]
        Relaxation: the smaller, the nearer the boundary is to the optimum.
    gamma : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> circle(torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]), m=0.5, gamma=2.0)
    tensor([1.3133, 1.3133, 0.0000])

    """
    s = cosines(embeddings)
    positive, negative = positives_and_negatives(target)
    a_n, a_p = (s.detach() + m).relu(), (1 + m - s.detach()).relu()
    pushed = log_sum_exp(gamma * a_n * (s - m), negative)
    pulled = log_sum_exp(-gamma * a_p * (s - 1 + m), positive)
    there = positive.any(1) & negative.any(1)
    return torch.where(there, log_one_plus(pushed + pulled), 0.0)
