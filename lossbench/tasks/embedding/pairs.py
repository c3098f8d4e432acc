"""Metrics of all pairs of embeddings on the unit sphere, and of how these are spread."""

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from lossbench.tasks.problem import Values

MOST = 3000
"""Pairs are those of at most so many samples, evenly spaced in their order."""
RATES = {"tar_at_far_01": 0.01, "tar_at_far_001": 0.001}


def spread(embedding: Tensor, target: Tensor) -> Values:
    """Measure embeddings (N, D) of length 1 with classes (N,): pairs, clusters and directions.

    A metric without a value, such as one of pairs where no two have one class, is left out.

    References
    ----------
    Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere"; Roy and Vetterli 2007, "The effective rank: A measure of effective dimensionality".

    """
    step = -(-len(target) // MOST)
    some, classes = embedding[::step], target[::step]
    rows, columns = torch.triu_indices(len(some), len(some), offset=1)
    cosines = (some @ some.T)[rows, columns].clamp(-1, 1)
    same = classes[rows] == classes[columns]
    found = {"effective_rank": effective_rank(embedding)}
    if len(cosines):
        found["uniformity"] = (-4 * (1 - cosines.double())).exp().mean().log()
    if same.any():
        found["alignment"] = 2 * (1 - cosines[same].double()).mean()
    if same.any() and not same.all():
        found |= verification(cosines, same) | {"nmi": clusters(embedding, target)}
    return found


def verification(cosines: Tensor, same: Tensor) -> Values:
    """Return what pairs accepted from a cosine on get right: AUC, equal error rate, rates of acceptance.

    Parameters
    ----------
    cosines : Tensor, shape (P,)
        Of the pairs.
    same : Tensor of bool, shape (P,)
        Whether both have one class; some have and some have not.

    Notes
    -----
    Pairs of equal cosine are accepted together. The equal error rate lies on the straight line between the two
    thresholds around it. The rate of true acceptance at one of false ones is that of the lowest threshold that keeps
    it: no more is accepted.

    Examples
    --------
    >>> told = verification(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False]))
    >>> float(told["verification_auc"]), float(told["eer"]), float(told["tar_at_far_01"])
    (0.75, 0.5, 0.5)

    """
    order = cosines.argsort(descending=True)
    ranked, hits = cosines[order], same[order].double()
    last = torch.ones(len(ranked), dtype=torch.bool)
    last[:-1] = ranked[1:] != ranked[:-1]
    accepted = torch.cat([torch.zeros(1, dtype=torch.float64), (hits.cumsum(0) / hits.sum())[last]])
    false = torch.cat([torch.zeros(1, dtype=torch.float64), ((1 - hits).cumsum(0) / (1 - hits).sum())[last]])
    gap = accepted + false - 1  # from -1 to 1: where it is 0, refused pairs of one class are as frequent as false ones
    at = int((gap >= 0).double().argmax())
    share = -gap[at - 1] / (gap[at] - gap[at - 1])
    return {
        "verification_auc": torch.trapezoid(accepted, false),
        "eer": false[at - 1] + share * (false[at] - false[at - 1]),
        **{name: accepted[false <= rate].max() for name, rate in RATES.items()},
    }


def effective_rank(embedding: Tensor) -> Tensor:
    """Return exp of the entropy of the singular values of embeddings (N, D), which are divided by their sum.

    Examples
    --------
    >>> float(effective_rank(torch.eye(4))), float(effective_rank(torch.ones(8, 4)))
    (4.0, 1.0)

    """
    values = torch.linalg.svdvals(embedding.double())
    shares = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
    return torch.special.entr(shares).sum().exp().round(decimals=9)


def clusters(embedding: Tensor, target: Tensor) -> Tensor:
    """Return the normalised mutual information of classes and as many clusters of k-means, by arithmetic mean."""
    count = len(target.unique())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # collapsed: there are fewer points
        found = KMeans(count, n_init=1, random_state=0).fit_predict(embedding.double().numpy())
    return torch.tensor(normalized_mutual_info_score(target.numpy(), found))
