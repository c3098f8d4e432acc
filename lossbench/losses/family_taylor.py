"""A family to search in: losses of the probability of the true class alone, as a sum of few terms. Outputs are logits.

p = softmax(logits), y the true class, p_y its probability. `MEMBERS` and `NEAR` say which losses of the catalogue it
has, and how.
"""

import math

import torch
from torch import Tensor

from lossbench.losses.classification import log_probability
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["taylor"]


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Feng et al. 2020, "Can Cross Entropy Loss Be Robust to Label Noise?", doi:10.24963/ijcai.2020/305; Leng et '
        'al. 2022, "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", arXiv:2204.12511'
    ),
    ranges={
        "a_log": "[0, inf)",
        "gamma": "[0, inf)",
        "a_q": "[0, inf)",
        "q": "(0, 1]",
        "a1": "(-inf, inf)",
        "a2": "(-inf, inf)",
        "a3": "(-inf, inf)",
        "a4": "(-inf, inf)",
        "a5": "(-inf, inf)",
        "a6": "(-inf, inf)",
    },
    broadcasts=True,
)
def taylor(
    logits: Tensor,
    target: Tensor,
    *,
    a_log: float = 1.0,
    gamma: float = 0.0,
    a_q: float = 0.0,
    q: float = 0.7,
    a1: float = 0.0,
    a2: float = 0.0,
    a3: float = 0.0,
    a4: float = 0.0,
    a5: float = 0.0,
    a6: float = 0.0,
) -> Tensor:
    """Family of a focused logarithm, a power of p_y and a polynomial in 1 - p_y; by default the cross-entropy.

    Formula: a_log (1 - p_y)^gamma (-log p_y) + a_q (1 - p_y^q) / q + sum_(j=1..6) a_j (1 - p_y)^j

    The cross-entropy is sum_j (1 - p_y)^j / j: what is cut off or weighed otherwise there changes how far a sample that
    the model contradicts pulls. Exactly inside are `cross_entropy`, `focal`, `gce`, `mae_prob` (a1 = 2), `rce` and
    `sce` (a1), `poly1`, `poly1_focal` (a_(gamma+1) = epsilon, gamma a whole number up to 5), `taylor_ce` up to t = 6
    and `aul` (q a whole number up to 6). `ael` and `agce` are inside nearly: as their polynomials of degree 6, the
    first but for a constant. Outside is what reads the other probabilities, too (`brier`, but for two classes, where it
    is a2 = 2; `nce`, label smoothing), what has a kink (`phuber_ce`), and `js`, whose p log p no term has.

    Is it proper? With three classes or more a loss of p_y alone is minimised by the true probabilities only if it is
    a log p_y + b with a < 0 (Bernardo 1979), so as the cross-entropy: all weights 0 but a_log, and gamma 0. With two
    classes just if p L'(p) is the same at p and 1 - p, L(p_y) being the loss, so also for a2. Where L falls, as for
    weights from 0, the minimiser keeps the order of the probabilities: exchanging two of p_k changes the risk
    sum_k P(k) L(p_k) to the worse when they were in order. With weights below 0 L may rise, and the order be lost.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.
    a_log : float from 0
        Weight of the logarithm. It and every other parameter may also be a Tensor of the shape of the target, a value
        for each sample: in a stack of runs that differ in it.
    gamma : float from 0
        Focusing of the logarithm.
    a_q : float from 0
        Weight of the term of `gce`.
    q : float in (0, 1]
        Power of that term: towards 0 it is the logarithm, at 1 the term of a1.
    a1, a2, a3, a4, a5, a6 : float
        Weights of the powers of 1 - p_y.

    Returns
    -------
    Tensor (...)
        Values from 0, if no weight is below 0.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> taylor(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), a_log=0.0, a1=1.0, a2=0.5)
    tensor([0.6250])
    >>> taylor(torch.zeros(2, 2), torch.tensor([1, 1]), a1=torch.tensor([0.0, 2.0]))
    tensor([0.6931, 1.6931])

    """
    log_p_y = log_probability(logits, target)
    miss = -torch.expm1(log_p_y)
    # At p_y = 1 the derivative of the power is infinite for gamma < 1; that of its product with the logarithm is 0.
    focused = miss.clamp(min=torch.finfo(miss.dtype).tiny) ** gamma * -log_p_y
    polynomial = miss * (a1 + miss * (a2 + miss * (a3 + miss * (a4 + miss * (a5 + miss * a6)))))
    return a_log * focused - a_q * torch.expm1(q * log_p_y) / q + polynomial


_REVERSED = math.log(1e4)  # the weight of `rce` for its floor of 1e-4

MEMBERS: dict[str, dict[str, float]] = {
    "aul": {"a_log": 0.0, "a1": 4.5**2, "a2": 4.5, "a3": 1 / 3},
    "cross_entropy": {},
    "focal": {"gamma": 2.0},
    "gce": {"a_log": 0.0, "a_q": 1.0, "q": 0.7},
    "mae_prob": {"a_log": 0.0, "a1": 2.0},
    "poly1": {"a1": 2.0},
    "poly1_focal": {"gamma": 2.0, "a3": 1.0},
    "rce": {"a_log": 0.0, "a1": _REVERSED},
    "sce": {"a_log": 0.1, "a1": _REVERSED},
    "taylor_ce": {"a_log": 0.0, "a1": 1.0, "a2": 0.5},
}
"""The losses that the family has exactly: of each, at its defaults, the parameters that differ from the family's."""

NEAR: dict[str, dict[str, float]] = {
    "ael": {"a_log": 0.0, **{f"a{j}": math.exp(-0.4) * 0.4**j / math.factorial(j) for j in range(1, 7)}},
    "agce": {"a_log": 0.0, "a1": 0.82855, "a2": 0.10554, "a3": 0.01686, "a4": 0.04773, "a5": -0.03999, "a6": 0.02424},
}
"""The losses that it comes near to: `ael` less its smallest value, by its series; `agce` by the best polynomial."""
