"""Losses of scores: each query against the passages of its batch, of which some are relevant to it.

A score s is a cosine here, so that what a loss compares it with, a temperature or a margin, has the scale of cosines. A
passage is relevant where its grade is above 0. A query without a relevant passage among these has the value 0, and so
has one without any other passage where the two are compared. Of pairs only those whose first passage is relevant are
formed: N x R x M numbers for at most R relevant passages to a query, which is meant for batches (M in the hundreds).

Where a loss says nothing else:

Parameters
----------
scores : Tensor (N, M)
    Floating point, of N queries against M passages.
grades : Tensor (N, M)
    How well a passage answers a query, whole numbers from 0: 0 is not relevant.

Returns
-------
Tensor (N,)
    Values from 0.

"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.losses.pairs_of_samples import mean_of

__all__ = [
    "approx_ndcg", "info_nce", "lambda_rank", "list_net", "rank_net", "score_contrastive", "score_distillation",
    "score_margin_ranking", "score_triplet",
]  # fmt: skip

_SMALLEST = 1e-4
"""The least squared distance of which a root is taken: a root has no slope at 0."""


@loss(
    task="retrieval",
    link=identity,
    source='van den Oord et al. 2018, "Representation Learning with Contrastive Predictive Coding", arXiv:1807.03748',
    ranges={"temperature": "(0, inf)"},
    shapes="N M , N M -> N",
)
def info_nce(scores: Tensor, grades: Tensor, *, temperature: float = 0.05) -> Tensor:
    """Tell a relevant passage from those of the batch that are not, by cross-entropy.

    Formula: mean over relevant p of -log(e^(s_p / t) / (e^(s_p / t) + sum over j not relevant of e^(s_j / t)))

    Of several relevant passages each has a term of its own, without the others in its sum (the mean stands outside the
    logarithm, as in `NTXentLoss` of pytorch-metric-learning). With one it is the cross-entropy of the scores.

    Parameters
    ----------
    temperature : float above 0
        t: cosines are divided by it.

    Examples
    --------
    >>> info_nce(torch.zeros(1, 4), torch.tensor([[0, 1, 0, 0]]))
    tensor([1.3863])

    """
    relevant, scaled = grades > 0, scores / temperature
    others = scaled.masked_fill(relevant, _nowhere(scaled)).logsumexp(1, keepdim=True)
    return mean_of(F.softplus(others - scaled), relevant)


@loss(
    task="retrieval",
    link=identity,
    source='Herbrich et al. 2000, "Large Margin Rank Boundaries for Ordinal Regression", MIT Press',
    ranges={"margin": "[0, inf)"},
    shapes="N M , N M -> N",
)
def score_margin_ranking(scores: Tensor, grades: Tensor, *, margin: float = 0.2) -> Tensor:
    """Ask that a passage of a higher grade scores above one of a lower grade by a margin.

    Formula: mean over pairs with g_i > g_j of max(0, m - s_i + s_j)

    With m = 0, which `F.margin_ranking_loss` has unless told otherwise, equal scores satisfy it and nothing is learned
    from them.

    Parameters
    ----------
    margin : float from 0
        m, in units of the scores.

    Examples
    --------
    >>> score_margin_ranking(torch.tensor([[0.5, 0.4, 0.1]]), torch.tensor([[1, 0, 0]]))
    tensor([0.0500])

    """
    differences, pairs = _pairs(scores, grades)
    return mean_of((margin - differences).relu(), pairs)


@loss(
    task="retrieval",
    link=identity,
    source=(
        'Hadsell et al. 2006, "Dimensionality Reduction by Learning an Invariant Mapping", doi:10.1109/CVPR.2006.100; '
        'Lin et al. 2015, "DeepHash: Getting Regularization, Depth and Fine-Tuning Right" (m_p), arXiv:1501.04711'
    ),
    ranges={"margin": "(0, 2]", "pos_margin": "[0, 2)"},
    shapes="N M , N M -> N",
)
def score_contrastive(scores: Tensor, grades: Tensor, *, margin: float = 1.0, pos_margin: float = 0.0) -> Tensor:
    """Draw relevant passages to the query, and push the others away until they are at a distance.

    Formula: mean over relevant of max(0, d - m_p)^2 + mean over the others of max(0, m - d)^2, with d^2 = 2 - 2 s

    d is the distance of unit vectors whose cosine is s. Each mean has its own number of passages, else the one relevant
    passage would vanish among those of the batch. With m = 1 a passage counts while its cosine is above 1/2.

    With m_p = 0, as in the paper, a pair is drawn together until it is one vector, which different texts only are if
    learned by heart: on `help_topics` nDCG of validation and test falls after some epochs, while that of training rises
    (m of 1, 1.4 and 2). `info_nce` and `score_triplet` rest at cosines near 1/2; this one, too, with m_p = 1, m = 1.4.

    Parameters
    ----------
    margin : float in (0, 2]
        m, the distance from which other passages no longer count.
    pos_margin : float in [0, 2)
        m_p, the distance within which relevant passages no longer count; below m.

    Examples
    --------
    >>> score_contrastive(torch.tensor([[0.9, 0.9, 0.5]]), torch.tensor([[1, 0, 0]]))
    tensor([0.3528])

    """
    squared, relevant = (2 - 2 * scores).relu(), grades > 0
    distance = squared.clamp(min=_SMALLEST).sqrt()
    near = squared if pos_margin == 0 else (distance - pos_margin).relu() ** 2
    value = mean_of(near, relevant) + mean_of((margin - distance).relu() ** 2, ~relevant)
    return torch.where(relevant.any(1), value, 0)


@loss(
    task="retrieval",
    link=identity,
    source=(
        'Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", arXiv:1503.03832'
    ),
    ranges={"margin": "[0, inf)", "negatives": "one of: hardest, mean"},
    shapes="N M , N M -> N",
)
def score_triplet(scores: Tensor, grades: Tensor, *, margin: float = 0.2, negatives: str = "hardest") -> Tensor:
    """Ask that a relevant passage is nearer to the query than the others, by a margin of squared distances.

    Formula: mean over relevant p of max(0, d_p^2 - d_n^2 + m), with d^2 = 2 - 2 s

    n is the nearest passage that is not relevant, or the mean goes over all of them. d_p^2 - d_n^2 is 2 (s_n - s_p), so
    that with grades 0 and 1 and the mean it is twice `score_margin_ranking` with half of the margin.
    `F.triplet_margin_loss` takes distances that are not squared.

    Parameters
    ----------
    margin : float from 0
        m, of squared distances.
    negatives : str
        "hardest": the highest score that is not relevant; "mean": all of them.

    Examples
    --------
    >>> score_triplet(torch.tensor([[0.5, 0.45, 0.1]]), torch.tensor([[1, 0, 0]]))
    tensor([0.1000])

    """
    relevant = grades > 0
    if negatives == "mean":
        differences, pairs = _pairs(scores, relevant.to(scores.dtype))
        return mean_of((margin - 2 * differences).relu(), pairs)
    hardest = scores.masked_fill(relevant, _nowhere(scores)).amax(1, keepdim=True)
    return mean_of((margin + 2 * (hardest - scores)).relu(), relevant)


@loss(
    task="retrieval",
    link=identity,
    source='Burges et al. 2005, "Learning to Rank using Gradient Descent", doi:10.1145/1102351.1102363',
    ranges={"temperature": "(0, inf)"},
    shapes="N M , N M -> N",
)
def rank_net(scores: Tensor, grades: Tensor, *, temperature: float = 0.05) -> Tensor:
    """RankNet: the logistic loss of each pair of a higher and a lower grade.

    Formula: mean over pairs with g_i > g_j of log(1 + e^(-(s_i - s_j) / t))

    1 / t is sigma of the later papers. The mean makes a query count alike however many passages there are.

    Parameters
    ----------
    temperature : float above 0
        t: differences of cosines are divided by it.

    Examples
    --------
    >>> rank_net(torch.zeros(1, 3), torch.tensor([[2, 1, 0]]))
    tensor([0.6931])

    """
    differences, pairs = _pairs(scores, grades)
    return mean_of(F.softplus(-differences / temperature), pairs)


@loss(
    task="retrieval",
    link=identity,
    source=(
        'Cao et al. 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach", doi:10.1145/1273496.1273513'
    ),
    ranges={"temperature": "(0, inf)", "grade_temperature": "(0, inf)"},
    shapes="N M , N M -> N",
)
def list_net(scores: Tensor, grades: Tensor, *, temperature: float = 0.05, grade_temperature: float = 0.25) -> Tensor:
    """ListNet: cross-entropy of the chances to come first, by the scores and by the grades.

    Formula: -sum_j q_j log p_j, with p = softmax(s / t) and q = softmax(g / t_g)

    The paper has t_g = 1. One relevant passage of grade 1 among 64 then has a q of 0.04, hardly more than each of the
    others; with t_g = 0.25 it has 0.46, and one of grade 2 has 0.98. The least value is the entropy of q, which is
    above 0: a lead that goes beyond q costs again.

    Parameters
    ----------
    temperature : float above 0
        t: cosines are divided by it.
    grade_temperature : float above 0
        t_g: grades are divided by it.

    Examples
    --------
    >>> list_net(torch.zeros(1, 4), torch.tensor([[0, 1, 0, 0]]))
    tensor([1.3863])

    """
    first = (grades.to(scores.dtype) / grade_temperature).softmax(1)
    value = -(first * (scores / temperature).log_softmax(1)).sum(1)
    return torch.where((grades > 0).any(1), value, 0)


@loss(
    task="retrieval",
    link=identity,
    source='Burges et al. 2006, "Learning to Rank with Nonsmooth Cost Functions", NeurIPS 19',
    ranges={"temperature": "(0, inf)"},
    detached="the change of nDCG by each swap",
    shapes="N M , N M -> N",
)
def lambda_rank(scores: Tensor, grades: Tensor, *, temperature: float = 0.05) -> Tensor:
    """LambdaRank: RankNet, each pair weighed by how much nDCG changes when its two passages change places.

    Formula: sum over pairs with g_i > g_j of |Delta_ij| log(1 + e^(-(s_i - s_j) / t))

    Delta_ij = (2^g_i - 2^g_j) (1 / log2(1 + r_i) - 1 / log2(1 + r_j)) / (the best DCG of these passages). r is the rank
    by the scores, from 1; of equal scores the passage that stands first in the batch ranks first. Delta is held
    constant in the gradient, which is what the paper defines; the value is that of LambdaLoss (Wang et al. 2018). It is
    a sum, since the weights of all pairs are shares of one nDCG.

    Parameters
    ----------
    temperature : float above 0
        t: differences of cosines are divided by it.

    Examples
    --------
    Two passages in the wrong order, at ranks 1 and 2: Delta is 1 - 1 / log2(3) = 0.369.

    >>> lambda_rank(torch.tensor([[0.05, 0.0]]), torch.tensor([[0, 1]]))
    tensor([0.4847])

    """
    differences, pairs = _pairs(scores, grades)
    places = _most_relevant(grades)
    rank = scores.detach().argsort(dim=1, descending=True, stable=True).argsort(1) + 1
    gains, discounts = _gains(grades, scores), 1 / (rank.to(scores.dtype) + 1).log2()
    change = (gains.gather(1, places).unsqueeze(2) - gains.unsqueeze(1)) * (
        discounts.gather(1, places).unsqueeze(2) - discounts.unsqueeze(1)
    )
    weights = torch.where(pairs, change.abs(), 0) / _best_dcg(gains)[:, None, None]
    return (weights * F.softplus(-differences / temperature)).sum((1, 2))


@loss(
    task="retrieval",
    link=identity,
    source=(
        'Qin et al. 2010, "A general approximation framework for direct optimization of information retrieval '
        'measures", doi:10.1007/s10791-009-9124-x'
    ),
    ranges={"temperature": "(0, inf)"},
    shapes="N M , N M -> N",
)
def approx_ndcg(scores: Tensor, grades: Tensor, *, temperature: float = 0.05) -> Tensor:
    """ApproxNDCG: 1 - nDCG, with ranks that are sums of sigmoids.

    Formula: 1 - sum_i (2^g_i - 1) / log2(1 + r_i) / (the best DCG), r_i = 1 + sum_(j != i) sigmoid((s_j - s_i) / t)

    As t goes to 0 it becomes 1 - nDCG of all passages of the batch, equal scores sharing the mean of their ranks. 1 / t
    is the alpha of the paper. Where scores lie further apart than some t the sigmoids, and with them the gradient,
    vanish.

    Parameters
    ----------
    temperature : float above 0
        t: differences of cosines are divided by it.

    Returns
    -------
    Tensor (N,)
        In [0, 1).

    Examples
    --------
    >>> approx_ndcg(torch.tensor([[0.1, 0.9]]), torch.tensor([[1, 0]]))
    tensor([0.3691])

    """
    differences, _ = _pairs(scores, grades)
    gains = _gains(grades, scores)
    rank = 0.5 + (-differences / temperature).sigmoid().sum(2)  # a passage beats itself by one half
    dcg = (gains.gather(1, _most_relevant(grades)) / (1 + rank).log2()).sum(1)
    return torch.where((grades > 0).any(1), 1 - dcg / _best_dcg(gains), 0)


@loss(
    task="retrieval",
    link=identity,
    source='Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531',
    ranges={"temperature": "(0, inf)", "teacher_temperature": "(0, inf)"},
    shapes="N M , N M -> N",
)
def score_distillation(
    scores: Tensor,
    grades: Tensor,
    *,
    teacher_scores: Tensor,
    temperature: float = 0.05,
    teacher_temperature: float = 2.0,
) -> Tensor:
    """Learn the scores of a teacher, BM25: the divergence of what comes first by the scores from what does by its.

    Formula: KL(q || p) = sum_j q_j (log q_j - log p_j), with p = softmax(s / t) and q = softmax(s_teacher / t_T)

    The grades are not read, so that a query without a relevant passage teaches, too. Scores of BM25 are not cosines:
    they go from 0 to some tens, and have a temperature of their own. The gradient is not multiplied by t^2.

    Parameters
    ----------
    teacher_scores : Tensor (N, M)
        Of the teacher, of the same queries and passages; without gradient.
    temperature : float above 0
        t: cosines are divided by it.
    teacher_temperature : float above 0
        t_T: the scores of the teacher are divided by it.

    Examples
    --------
    >>> score_distillation(torch.zeros(1, 4), torch.zeros(1, 4), teacher_scores=torch.zeros(1, 4))
    tensor([0.])

    """
    given = (teacher_scores.to(scores.dtype) / teacher_temperature).log_softmax(1)
    return F.kl_div((scores / temperature).log_softmax(1), given, reduction="none", log_target=True).sum(1)


def _pairs(scores: Tensor, grades: Tensor) -> tuple[Tensor, Tensor]:
    """Return s_i - s_j (N, R, M) of the R best passages i of each query and all j, and where grade_i > grade_j."""
    places = _most_relevant(grades)
    differences = scores.gather(1, places).unsqueeze(2) - scores.unsqueeze(1)
    return differences, grades.gather(1, places).unsqueeze(2) > grades.unsqueeze(1)


def _most_relevant(grades: Tensor) -> Tensor:
    """Return the places (N, R) of the passages of the highest grades, R the most that are relevant to one query."""
    most = max(1, int((grades > 0).sum(1).max())) if len(grades) else 1
    return grades.argsort(dim=1, descending=True, stable=True)[:, :most]


def _gains(grades: Tensor, scores: Tensor) -> Tensor:
    return torch.exp2(grades.to(scores.dtype)) - 1


def _best_dcg(gains: Tensor) -> Tensor:
    """Return the DCG (N,) of the best order; 1 where nothing is relevant."""
    ranks = torch.arange(1, gains.shape[1] + 1, device=gains.device, dtype=gains.dtype)
    best = (gains.sort(1, descending=True).values / (1 + ranks).log2()).sum(1)
    return torch.where(best > 0, best, 1)


def _nowhere(scores: Tensor) -> float:
    """Return what stands for a score that is left out: unlike -inf with a gradient where nothing else is left."""
    return max(-1e30, torch.finfo(scores.dtype).min / 8)
