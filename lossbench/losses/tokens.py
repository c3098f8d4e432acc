"""Losses for texts that are predicted token by token, each given the true tokens before it.

Outputs are logits (N, T, V) of T places over V tokens, p their softmax; the target has the token y_t of each place and
-1 where a text has ended, which is left out. A loss returns one value for each text. What a text's places add up to is
`per`: with "token" the mean over its tokens, with "sequence" their sum. The mean over a batch weighs texts alike, so
that with texts of different lengths it is neither that of all tokens (torch's reduction "mean") under "token" nor under
"sequence"; the two also want different learning rates. A text without a token has the value 0 and no gradient, where
torch's mean is NaN.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, T, V)
    Floating point; half precision is computed in float32.
target : Tensor (N, T)
    Tokens 0 to V - 1, int64; -1 leaves a place out.

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target has not the shape that belongs to the logits.

"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = [
    "structured_hinge",
    "token_cosine",
    "token_cross_entropy",
    "token_focal",
    "token_label_smoothing",
    "unlikelihood",
]


@loss(
    task="text",
    link=softmax,
    source='Bengio et al. 2003, "A Neural Probabilistic Language Model", JMLR 3',
    ranges={"per": "one of: token, sequence"},
    shapes="N T V , N T -> N",
)
def token_cross_entropy(logits: Tensor, target: Tensor, *, per: str = "token") -> Tensor:
    """Negative log-likelihood of the tokens of a text.

    Formula: -sum_t log p_t(y_t), or its mean over t

    e to the mean over all tokens is the perplexity.

    Parameters
    ----------
    per : str
        "token": the mean over a text's tokens; "sequence": their sum.

    Examples
    --------
    >>> token_cross_entropy(torch.zeros(2, 3, 4), torch.tensor([[0, 1, -1], [-1, -1, -1]]), per="sequence")
    tensor([2.7726, 0.0000])

    """
    return _over_tokens(-_of_target(_log_softmax(logits), target), target, per)


@loss(
    task="text",
    link=softmax,
    source='Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762; Szegedy et al. 2016, arXiv:1512.00567',
    problem="calibration",
    ranges={"per": "one of: token, sequence", "smoothing": "[0, 1)"},
    shapes="N T V , N T -> N",
)
def token_label_smoothing(logits: Tensor, target: Tensor, *, per: str = "token", smoothing: float = 0.1) -> Tensor:
    """Cross-entropy of tokens towards a mixture of the true token and all tokens alike.

    Formula: -(1 - smoothing) log p(y_t) - (smoothing / V) sum_v log p(v), over the places t as `per` says

    The true token has its part of the uniform share, and so has each token that stands for padding. smoothing = 0 is
    `token_cross_entropy`. Its perplexity is worse by construction; the authors report better translations.

    Parameters
    ----------
    per : str
        "token": the mean over a text's tokens; "sequence": their sum.
    smoothing : float in [0, 1)
        Share of the uniform distribution.

    Examples
    --------
    >>> token_label_smoothing(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[0]]))
    tensor([0.2269])

    """
    log_p = _log_softmax(logits)
    values = -(1 - smoothing) * _of_target(log_p, target) - smoothing * log_p.mean(-1)
    return _over_tokens(values, target, per)


@loss(
    task="text",
    link=softmax,
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002; here for each token',
    problem="imbalance",
    ranges={"gamma": "[0, inf)", "per": "one of: token, sequence"},
    shapes="N T V , N T -> N",
)
def token_focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0, per: str = "token") -> Tensor:
    """Cross-entropy with less weight on tokens that are predicted well already, as the frequent ones soon are.

    Formula: (1 - p(y_t))^gamma (-log p(y_t)), over the places t as `per` says

    The factor is part of the gradient; gamma = 0 is `token_cross_entropy`. As for classes, it is minimised by
    probabilities that are less sure than the true ones.

    Parameters
    ----------
    gamma : float from 0
        Strength of the down-weighting.
    per : str
        "token": the mean over a text's tokens; "sequence": their sum.

    Examples
    --------
    >>> token_focal(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[1]]), gamma=1.0)
    tensor([1.8734])

    """
    log_p = _of_target(_log_softmax(logits), target)
    miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)  # a power below 1 has no slope at 0
    return _over_tokens(miss**gamma * -log_p, target, per)


@loss(
    task="text",
    link=softmax,
    source='Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", arXiv:1908.04319',
    ranges={"alpha": "[0, inf)", "per": "one of: token, sequence"},
    shapes="N T V , N T -> N",
)
def unlikelihood(logits: Tensor, target: Tensor, *, alpha: float = 1.0, per: str = "token") -> Tensor:
    """Cross-entropy that also makes tokens unlikely which the text has had before, against endless repetition.

    Formula: -log p(y_t) - alpha sum_{c in {y_1 ... y_(t-1)} without y_t} log(1 - p(c)), over the places t as `per` says

    The token-level objective: the negatives are the set of the true tokens before, each counted once. alpha = 0 is
    `token_cross_entropy`. log(1 - p) is exact; the authors' code holds 1 - p above 1e-5.

    Parameters
    ----------
    alpha : float from 0
        Weight of what is made unlikely.
    per : str
        "token": the mean over a text's tokens; "sequence": their sum.

    Examples
    --------
    The second place has the first token as a negative; each has p = 1/2:

    >>> unlikelihood(torch.zeros(1, 2, 2), torch.tensor([[0, 1]]), per="sequence")
    tensor([2.0794])

    """
    log_p = _log_softmax(logits)
    tokens = F.one_hot(target.clamp_min(0), log_p.shape[-1]) * (target >= 0).unsqueeze(-1)
    before = (tokens.cumsum(-2) > tokens) & (tokens == 0)
    unlikely = _log_of_the_others(log_p).where(before, 0.0).sum(-1)
    return _over_tokens(-_of_target(log_p, target) - alpha * unlikely, target, per)


@loss(
    task="text",
    link=softmax,
    source=(
        'Taskar et al. 2003, "Max-Margin Markov Networks", NeurIPS 16; Tsochantaridis et al. 2005, "Large Margin '
        'Methods for Structured and Interdependent Output Variables", JMLR 6'
    ),
    ranges={"margin": "(0, inf)", "per": "one of: token, sequence"},
    shapes="N T V , N T -> N",
)
def structured_hinge(logits: Tensor, target: Tensor, *, margin: float = 1.0, per: str = "token") -> Tensor:
    """Hinge between the true text and the worst one, which may score less by as much as it has wrong tokens.

    Formula: max_{y'} [margin |{t: y'_t != y_t}| + sum_t z_t(y'_t)] - sum_t z_t(y_t)

    A text scores the sum of its logits z, and its cost is the Hamming distance, so that the maximum over all texts
    parts into one for each place: max_v [margin [v != y_t] + z_t(v)] - z_t(y_t). It is 0 where every true token leads
    by the margin. It says nothing of probabilities: those of the softmax, by which it is measured, come as they may.

    Parameters
    ----------
    margin : float above 0
        The lead that each true token needs.
    per : str
        "token": the mean over a text's tokens; "sequence": their sum, the formula.

    Examples
    --------
    >>> structured_hinge(torch.tensor([[[2.0, 0.0], [0.5, 0.0]]]), torch.tensor([[0, 0]]), per="sequence")
    tensor([0.5000])

    """
    scores = logits.to(_at_least_single(logits))
    true = target.clamp_min(0).unsqueeze(-1)
    cost = torch.full_like(scores, margin).scatter(-1, true, 0.0)
    return _over_tokens((scores + cost).amax(-1) - _of_target(scores, target), target, per)


@loss(
    task="text",
    link=softmax,
    source=(
        'Hoe et al. 2021, "One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective", '
        "arXiv:2109.14449; here of distributions over tokens"
    ),
    ranges={"per": "one of: token, sequence"},
    shapes="N T V , N T -> N",
)
def token_cosine(logits: Tensor, target: Tensor, *, per: str = "token") -> Tensor:
    """One less the cosine between the expected word vector and that of the true token, all word vectors orthonormal.

    Formula: 1 - cos(sum_v p(v) e_v, e_{y_t}) = 1 - p(y_t) / |p|, over the places t as `per` says

    The cosine loss of two vectors, `F.cosine_embedding_loss` with target 1, needs word vectors. None are pretrained
    here, and made-up ones would say nothing of words, so that no two are alike: with any orthonormal e, the loss is
    that between the probabilities and the one-hot token. It is bounded: where p(y_t) is near 0 it hardly has a
    gradient.

    Parameters
    ----------
    per : str
        "token": the mean over a text's tokens; "sequence": their sum.

    Returns
    -------
    Tensor (N,)
        Values in [0, 1] for a token.

    Examples
    --------
    >>> token_cosine(torch.zeros(1, 1, 4), torch.tensor([[2]]))
    tensor([0.5000])

    """
    log_p = _log_softmax(logits)
    log_cosine = _of_target(log_p, target) - (2 * log_p).logsumexp(-1) / 2
    return _over_tokens(-torch.expm1(log_cosine), target, per)


def _at_least_single(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def _log_softmax(logits: Tensor) -> Tensor:
    """Return the log-probabilities, in float32 at least: a sum over tokens is too long for half precision."""
    return logits.log_softmax(-1, dtype=_at_least_single(logits))


def _of_target(values: Tensor, target: Tensor) -> Tensor:
    """Take from values (..., V) those of the tokens; at padding that of token 0."""
    return values.gather(-1, target.clamp_min(0).unsqueeze(-1)).squeeze(-1)


def _over_tokens(values: Tensor, target: Tensor, per: str) -> Tensor:
    """Sum values (..., T) over the tokens of each text, or average them."""
    known = target >= 0
    total = values.where(known, 0.0).sum(-1)
    return total / known.sum(-1).clamp_min(1) if per == "token" else total


def _log_of_the_others(log_p: Tensor) -> Tensor:
    """Return log(1 - p) of each token, finite also where p rounds to 1: the likeliest is taken from the others' sum."""
    top = F.one_hot(log_p.argmax(-1), log_p.shape[-1]).bool()
    others = log_p.masked_fill(top, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.where(top, others, torch.log1p(-log_p.masked_fill(top, -torch.inf).exp()))
