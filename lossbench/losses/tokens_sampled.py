"""Losses for translations that the model itself has drawn, each with what it costs.

Outputs are the logits (N, S, T, V) of S translations of each text, the target their tokens, -1 after the end. The
log-probability of a translation is log p(y) = sum_t log p_t(y_t) over its tokens, without a division by its length. A
cost is a number, in a run 1 - BLEU of the sentence: what counts is the whole translation, and nothing of it has to be
differentiable. Gradients go through the probabilities alone.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, S, T, V)
    Floating point; half precision is computed in float32.
target : Tensor (N, S, T)
    The drawn tokens 0 to V - 1, int64; -1 leaves a place out.
costs : Tensor (N, S)
    Cost of each translation.

Returns
-------
Tensor (N,)

Raises
------
ValueError
    If the target has not the shape that belongs to the logits.

"""

import torch
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax
from lossbench.losses.tokens import token_cross_entropy

__all__ = ["minimum_risk", "reinforce"]


@loss(
    task="translation",
    link=softmax,
    source='Shen et al. 2016, "Minimum Risk Training for Neural Machine Translation", arXiv:1512.02433',
    ranges={"alpha": "(0, inf)"},
    shapes="N S T V , N S T -> N",
)
def minimum_risk(logits: Tensor, target: Tensor, *, costs: Tensor, alpha: float = 0.005) -> Tensor:
    """Mean cost over the drawn translations, as likely among themselves as the model makes them.

    Formula: sum_s Q_s cost_s, Q_s = p(y_s)^alpha / sum_s' p(y_s')^alpha

    The sums go over a set: a translation that was drawn again counts once. Equal costs have no gradient. A small alpha
    makes Q flat; the default is the paper's, for a large vocabulary. What the paper adds to the set, the reference,
    is here only if it was given as one of the S.

    Parameters
    ----------
    alpha : float above 0
        Sharpness of Q.

    Returns
    -------
    Tensor (N,)
        Values between the smallest and the largest cost.

    Examples
    --------
    >>> drawn, costs = torch.tensor([[[0], [1]]]), torch.tensor([[0.2, 0.6]])
    >>> minimum_risk(torch.zeros(1, 2, 1, 3), drawn, costs=costs)
    tensor([0.4000])

    """
    same = (target.unsqueeze(2) == target.unsqueeze(1)).all(-1)
    again = same.tril(-1).any(-1)  # equal to one that was drawn before
    share = (alpha * _log_probability(logits, target)).masked_fill(again, -torch.inf).softmax(-1)
    return (share * costs).sum(-1)


@loss(
    task="translation",
    link=softmax,
    source=(
        'Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning", arXiv:1612.00563; Williams 1992, '
        '"Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning"'
    ),
    shapes="N S T V , N S T -> N",
)
def reinforce(logits: Tensor, target: Tensor, *, costs: Tensor, baseline_cost: Tensor) -> Tensor:
    """Policy gradient with the model's own greedy translation as the baseline (self-critical).

    Formula: mean_s (cost_s - baseline cost) log p(y_s)

    With a reward of 1 - cost this is the mean of -(reward - baseline) log p. A translation that costs less than the
    greedy one is made likelier, one that costs more less likely; where all cost as much, nothing moves. Only its
    gradient means something: the value can be negative, and does not fall as the model improves.

    Parameters
    ----------
    baseline_cost : Tensor (N,)
        Cost of the greedy translation.

    Examples
    --------
    >>> drawn, costs = torch.tensor([[[0], [1]]]), torch.tensor([[0.2, 0.6]])
    >>> reinforce(torch.zeros(1, 2, 1, 2), drawn, costs=costs, baseline_cost=torch.tensor([0.5]))
    tensor([0.0693])

    """
    return ((costs - baseline_cost.unsqueeze(-1)) * _log_probability(logits, target)).mean(-1)


def _log_probability(logits: Tensor, target: Tensor) -> Tensor:
    """Return log p (N, S) of each drawn translation."""
    return -token_cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), per="sequence").unflatten(
        0, target.shape[:2]
    )
