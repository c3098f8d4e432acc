"""A family to search in: cross-entropies whose logits are scaled, shifted and held back by class counts in training.

z the outputs, y the true class, n_c the number of training samples of class c. `MEMBERS` says which losses of the
catalogue it has.
"""

import torch
from torch import Tensor

from lossbench.losses.class_weights import ClassCounts, positive_counts
from lossbench.losses.classification import cross_entropy, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64, per_class
from lossbench.losses.links import scaled_softmax

__all__ = ["margin_family"]


@loss(
    task="multiclass",
    link=scaled_softmax,
    source=(
        'Kini et al. 2021, "Label-Imbalanced and Group-Sensitive Classification under Overparameterization", '
        'arXiv:2103.01550; Cao et al. 2019, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", '
        "arXiv:1906.07413"
    ),
    problem="imbalance",
    ranges={
        "s": "(0, inf)",
        "m": "(-inf, inf)",
        "power": "[-2, 2]",
        "gamma": "[-2, 2]",
        "tau": "(-inf, inf)",
    },
    broadcasts=True,
)
def margin_family(
    logits: Tensor,
    target: Tensor,
    *,
    class_counts: ClassCounts,
    s: float = 1.0,
    m: float = 0.0,
    power: float = 0.25,
    gamma: float = 0.0,
    tau: float = 0.0,
) -> Tensor:
    """Family of margins by class frequency, each with its power, sign and place; by default the cross-entropy.

    Formula: -log(softmax(s (D z - m_y e_y) + tau log pi)_y), D_c = (n_c / n_max)^gamma, m_c = m (n_min / n_c)^power

    pi_c = n_c / sum_j n_j; n_max and n_min are the largest and the smallest count. Exactly inside are `cross_entropy`,
    `logit_adjustment` (tau), `balanced_softmax` (tau = 1), `cdt` (gamma), `vs` (gamma, tau) and, of outputs that are
    cosines, `norm_softmax` (s), `cosface` (m, s, power = 0) and `ldam` (m, s, power = 1/4): a linear layer has no
    cosines, `model.head=cosine` has. Outside are margins of the angle (`arcface`) and by pair of classes (`seesaw`) and
    weights of samples, which are `weighting=...`. Predictions are softmax(s z): no margin, scale by class or shift.

    Is it proper? With gamma = m = 0 its minimiser is s z = log P(y|x) - tau log pi + const: the true probabilities at
    tau = 0, those under balanced classes at tau = 1. Equal margins over two classes put the probabilities p where
    P / (1 - P) = u (u + a) / (1 + a u), with u = p / (1 - p) and a = e^(s m): the order is kept, but they are too
    confident by up to a factor a in the odds for m > 0, too modest for m < 0. With gamma other than 0 a constant added
    to D z changes softmax(s z), so that no loss tells which of many minimisers is found.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point, z.
    target : Tensor (...)
        Integer class indices.
    class_counts : Tensor or sequence of K numbers
        Training samples n_c of each class, all above 0.
    s : float above 0
        Scale of the outputs, one over the temperature. It and every other parameter may also be a Tensor of the shape
        of the target, a value for each sample: in a stack of runs that differ in it.
    m : float
        Margin of the rarest class in units of the outputs; below 0 it is a lead.
    power : float in [-2, 2]
        How fast margins fall with the counts: above 0 rare classes have the larger ones, at 0 all the same.
    gamma : float in [-2, 2]
        Strength of the scale by class; above 0 rare classes have the smaller one.
    tau : float
        Strength of the shift; above 0 it helps rare classes.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape, there are not K counts, or a class has no sample.

    Examples
    --------
    >>> margin_family(torch.tensor([[1.0, 1.0]]), torch.tensor([1]), class_counts=[160, 10], gamma=0.25, tau=1.0)
    tensor([3.3098])
    >>> margin_family(torch.tensor([[0.5, 0.5]]), torch.tensor([1]), class_counts=[160, 10], m=0.5, s=2.0)
    tensor([1.3133])

    """
    scale, margin, falling, stretch, shift = (_beside_classes(each) for each in (s, m, power, gamma, tau))
    counts = positive_counts(float64(class_counts))
    below_most = per_class((counts / counts.max()).log(), logits)
    above_least = per_class((counts / counts.min()).log(), logits)
    log_prior = per_class((counts / counts.sum()).log(), logits)
    margins = margin * torch.exp(-falling * above_least) * one_hot(logits, target)
    return cross_entropy(scale * (torch.exp(stretch * below_most) * logits - margins) + shift * log_prior, target)


def _beside_classes(value: float | Tensor) -> float | Tensor:
    """Return a parameter so that one for each sample, (...), broadcasts with outputs (..., K)."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


MEMBERS: dict[str, dict[str, float]] = {
    "balanced_softmax": {"tau": 1.0},
    "cdt": {"gamma": 0.2},
    "cosface": {"m": 0.35, "power": 0.0, "s": 64.0},
    "cross_entropy": {},
    "ldam": {"m": 0.5, "power": 0.25, "s": 30.0},
    "logit_adjustment": {"tau": 1.0},
    "norm_softmax": {"s": 20.0},
    "vs": {"gamma": 0.3, "tau": 1.0},
}
"""The losses that the family has exactly: of each, at its defaults, the parameters that differ from the family's."""
