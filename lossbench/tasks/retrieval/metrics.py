"""The order of passages and what it is worth, for all queries at once.

An order is kept to its first 100 passages. Of equal scores the passage of the lower number comes first, so that an
order does not depend on the machine; tools differ here (trec_eval takes the names of the documents from the last).

What is relevant is told by lists: `target` (N, G), numbers of the passages that answer a query, then -1, and their
`grades` (N, G), 0 after the end. A query that nothing answers has the value 0 everywhere.
"""

import torch
from torch import Tensor

DEPTH = 100
"""Passages of an order that are kept."""
CUT = 10
"""Of nDCG and the precisions."""


def ranked(scores: Tensor, depth: int = DEPTH) -> Tensor:
    """Return the numbers of the passages with the highest scores, the best first.

    Parameters
    ----------
    scores : Tensor (N, M)
        Of each query with each passage; NaN comes last.
    depth : int
        How many; all, if there are not so many.

    Returns
    -------
    Tensor (N, min(depth, M))
        int64; of equal scores the lower number first.

    Examples
    --------
    >>> ranked(torch.tensor([[0.1, 0.7, 0.7, 0.9]]), depth=3)
    tensor([[3, 1, 2]])

    """
    scores = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    depth = min(depth, scores.shape[1])
    last = scores.topk(depth, dim=1).values[:, -1:]
    above, equal = scores > last, scores == last
    room = depth - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1) <= room))  # `topk` takes any of those that are equal to the last
    numbers = chosen.nonzero()[:, 1].view(-1, depth)
    return numbers.gather(1, scores.gather(1, numbers).argsort(dim=1, descending=True, stable=True))


def grades_of(numbers: Tensor, target: Tensor, grades: Tensor) -> Tensor:
    """Return the grades (N, k) of some passages (N, k) of each query.

    Examples
    --------
    >>> grades_of(torch.tensor([[3, 1, 2]]), torch.tensor([[2, -1]]), torch.tensor([[1, 0]]))
    tensor([[0, 0, 1]])

    """
    found = torch.zeros_like(numbers)
    for column in range(target.shape[1]):  # a few answers to a query at most
        found += (numbers == target[:, column, None]) * grades[:, column, None]
    return found


def of_order(found: Tensor, grades: Tensor) -> dict[str, Tensor]:
    """Measure the order of each query.

    Parameters
    ----------
    found : Tensor (N, k)
        Grades of the first passages, in their order; k is 100, or the number of passages if there are fewer.
    grades : Tensor (N, G)
        Grades of all passages that are relevant, 0 after the end.

    Returns
    -------
    dict of str to Tensor (N,)
        By the names of the metrics, float64.

    Examples
    --------
    >>> of_order(torch.tensor([[0, 1, 0]]), torch.tensor([[1, 1]]))["map_at_10"]
    tensor([0.2500], dtype=torch.float64)

    """
    hits, relevant = (found > 0).double(), (grades > 0).sum(1).double()
    ranks = torch.arange(1, found.shape[1] + 1, device=found.device, dtype=torch.float64)
    so_far = hits.cumsum(1)
    precisions = (hits * so_far / ranks)[:, :CUT].sum(1)
    in_first = {k: hits[:, :k].sum(1) for k in (1, 5, CUT, DEPTH)}
    among_r = (hits * (ranks <= relevant[:, None])).sum(1)
    some = relevant.clamp(min=1)
    return {
        "ndcg_at_10": _ndcg(torch.exp2(found.double()) - 1, torch.exp2(grades.double()) - 1),
        "ndcg_linear_at_10": _ndcg(found.double(), grades.double()),
        "mrr": (hits / ranks).amax(1),
        "map_at_10": precisions / some,
        "context_precision_at_10": precisions / in_first[CUT].clamp(min=1),
        "r_precision": among_r / some,
        **{f"recall_at_{k}": count / some for k, count in in_first.items()},
        **{f"hit_rate_at_{k}": (in_first[k] > 0).double() for k in (1, CUT)},
    }


def of_random_order(grades: Tensor, passages: int) -> dict[str, Tensor]:
    """Return what is expected of each metric when all orders of the passages are equally likely.

    Parameters
    ----------
    grades : Tensor (N, G)
        Grades of all passages that are relevant, 0 after the end.
    passages : int
        How many passages there are.

    Returns
    -------
    dict of str to Tensor (N,)
        By the names of the metrics, float64.

    Examples
    --------
    >>> of_random_order(torch.tensor([[1]]), passages=50)["recall_at_5"]
    tensor([0.1000], dtype=torch.float64)

    """
    relevant = (grades > 0).sum(1).double()
    some, depth = relevant.clamp(min=1), min(DEPTH, passages)
    ranks = torch.arange(1, depth + 1, dtype=torch.float64)
    share = relevant / passages
    # No relevant passage among the first r: C(M - R, r) / C(M, r), for r = 0 ... depth.
    steps = ((passages - relevant[:, None] - ranks + 1) / (passages - ranks + 1)).clamp(min=0)
    none = torch.cat([torch.ones(len(grades), 1, dtype=torch.float64), steps.cumprod(1)], 1)
    return {
        "ndcg_at_10": _expected_ndcg(torch.exp2(grades.double()) - 1, passages),
        "ndcg_linear_at_10": _expected_ndcg(grades.double(), passages),
        "mrr": ((none[:, :-1] - none[:, 1:]) / ranks).sum(1),
        "map_at_10": _expected_precisions(relevant, passages, min(CUT, passages)) / some,
        "context_precision_at_10": _expected_context_precision(relevant, passages),
        "r_precision": share,
        **{f"recall_at_{k}": min(1.0, k / passages) * (relevant > 0).double() for k in (1, 5, CUT, DEPTH)},
        **{f"hit_rate_at_{k}": 1 - none[:, min(k, depth)] for k in (1, CUT)},
    }


def _ndcg(gains: Tensor, of_all: Tensor) -> Tensor:
    """Return the DCG (N,) of gains (N, k) in their order over that of all gains (N, G) in the best order."""
    best = of_all.sort(1, descending=True).values
    dcg, ideal = ((each[:, :CUT] * _discounts(each)).sum(1) for each in (gains, best))
    return torch.where(ideal > 0, dcg / ideal.where(ideal > 0, 1), 0)


def _discounts(gains: Tensor) -> Tensor:
    ranks = torch.arange(1, min(CUT, gains.shape[1]) + 1, device=gains.device, dtype=torch.float64)
    return 1 / (1 + ranks).log2()


def _expected_ndcg(gains: Tensor, passages: int) -> Tensor:
    """Return the expected nDCG: at each rank stands the mean of the gains of all passages."""
    mean = (gains.sum(1, keepdim=True) / passages).expand(-1, min(CUT, passages))
    return _ndcg(mean, gains)


def _expected_precisions(relevant: Tensor, passages: int | Tensor, first: int) -> Tensor:
    """Return the expected sum of precisions at the relevant ones among the first.

    A rank r is relevant with R / M, and then each rank before it with (R - 1) / (M - 1).
    """
    ranks = torch.arange(1, first + 1, dtype=torch.float64)
    others = (relevant[:, None] - 1) / max(1, int(passages) - 1)
    return (relevant[:, None] / passages * (1 + (ranks - 1) * others) / ranks).sum(1)


def _expected_context_precision(relevant: Tensor, passages: int) -> Tensor:
    """Return the expected context precision: that of n relevant ones among the first, times the chance of n."""
    first = min(CUT, passages)
    found = torch.arange(1, first + 1, dtype=torch.float64)
    each = _expected_precisions(found, first, first) / found
    log_chance = (
        _log_choose(relevant[:, None], found)
        + _log_choose(passages - relevant[:, None], first - found)
        - _log_choose(torch.tensor(float(passages)).double(), torch.tensor(float(first)).double())
    )
    return (log_chance.exp() * each).sum(1)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    """Return log of n over k; -inf where k is above n."""
    possible = (k <= n) & (k >= 0)
    k = torch.where(possible, k, 0)
    value = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return torch.where(possible, value, -torch.inf)
