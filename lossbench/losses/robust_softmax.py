"""Losses for wrong labels that change the softmax itself. Outputs are logits; a value for each sample.

z the logits, p = softmax(z), y the given class, p_y its probability. `bi_tempered` and `logit_clip` train probabilities
other than p, and have the links that give those.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
target : Tensor (...)
    Integer class indices.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import math
from typing import Any

import torch
from torch import Tensor

from lossbench.losses.classification import cross_entropy, log_probability, of_true_class
from lossbench.losses.declaration import loss
from lossbench.losses.links import one_against_rest, softmax, with_log_odds

__all__ = ["bi_tempered", "eps_softmax", "logit_clip"]

_NEWTON_STEPS = {torch.float32: 8, torch.float64: 10}
"""Enough for full precision at t2 up to 4 and 10,000 classes, whatever the logits; 5 do in most cases."""


@with_log_odds(lambda outputs, *, t2: one_against_rest(_tempered_log_softmax(outputs, t2)))
def tempered_softmax(outputs: Tensor, *, t2: float) -> Tensor:
    """Turn logits (N, K) into the heavy-tailed probabilities (N, K) that `bi_tempered` trains."""
    return _tempered_log_softmax(outputs, t2).exp()


@with_log_odds(lambda outputs, *, tau: one_against_rest(_clipped(outputs, tau)))
def clipped_softmax(outputs: Tensor, *, tau: float) -> Tensor:
    """Turn logits (N, K) into the probabilities (N, K) of the clipped logits that `logit_clip` trains."""
    return _clipped(outputs, tau).softmax(-1)


@loss(
    task="multiclass",
    link=tempered_softmax,
    source='Amid et al. 2019, "Robust Bi-Tempered Logistic Loss Based on Bregman Divergences", arXiv:1906.03361',
    problem="noise",
    ranges={"t1": "[0, 1]", "t2": "[1, 4]"},
)
def bi_tempered(logits: Tensor, target: Tensor, *, t1: float = 0.8, t2: float = 1.2) -> Tensor:
    """Bi-tempered logistic loss: a bounded logarithm of a softmax with a heavy tail.

    Formula: -log_t1(q_y) - (1 - sum_k q_k^(2 - t1)) / (2 - t1), log_t(x) = (x^(1-t) - 1) / (1-t), q tempered softmax

    q_k = exp_t2(z_k - lam) with exp_t(x) = max(0, 1 + (1 - t) x)^(1/(1-t)), and lam such that q sums to 1. t1 below 1
    bounds the loss, against wrong labels far from the boundary; t2 above 1 gives the tail, against those near to it. t1
    = t2 = 1 is the cross-entropy. The authors' code finds lam by 5 steps of a fixed point, too few for a large t2; here
    it is exact, as is its gradient. Only tails (t2 from 1) are served, not the light ones of t2 < 1.

    Parameters
    ----------
    target : Tensor (...) or (..., K)
        Integer class indices (...), or floating-point class probabilities (..., K).
    t1 : float in [0, 1]
        Temperature of the logarithm; the loss is at most 1 / (1 - t1).
    t2 : float in [1, 4]
        Temperature of the softmax.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the shapes don't fit.

    Examples
    --------
    >>> bi_tempered(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), t1=0.0, t2=1.0)
    tensor([0.2500])

    """
    log_q = _tempered_log_softmax(logits, t2)
    if target.is_floating_point():
        soft = target.to(log_q.dtype)
        own = torch.xlogy(soft, soft) if t1 == 1 else (soft ** (2 - t1) - soft) / (1 - t1)  # soft log_t1(soft)
        rest = (own - soft ** (2 - t1) / (2 - t1) - soft * _log_t(log_q, t1)).sum(-1)
    else:
        rest = -_log_t(of_true_class(log_q, target).squeeze(-1), t1) - 1 / (2 - t1)
    return (rest + torch.exp((2 - t1) * log_q).sum(-1) / (2 - t1)).to(logits.dtype)


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2024, "epsilon-Softmax: Approximating One-Hot Vectors for Mitigating Label Noise", NeurIPS',
    problem="noise",
    ranges={"m": "[0, inf)", "alpha": "[0, inf)", "beta": "[0, inf)", "eps": "(0, 1)"},
)
def eps_softmax(
    logits: Tensor,
    target: Tensor,
    *,
    m: float = 100000.0,
    alpha: float = 0.01,
    beta: float = 5.0,
    eps: float = 1e-8,
) -> Tensor:
    """Cross-entropy of an almost one-hot prediction, and absolute error on probabilities.

    Formula: -alpha log max((p_y + m [y is argmax p]) / (1 + m), eps) + 2 beta (1 - p_y)

    The most likely class gets m more, then all are divided by 1 + m: the larger m, the nearer to one-hot. Raising to
    `eps` is part of the definition: with the default m it cuts off the gradient of the first part where another class
    is the most likely and p_y < 0.001. m = 0, alpha = 1, beta = 0 is the cross-entropy. The second part and the metrics
    use p itself. The value jumps where another class becomes the most likely one. In the authors' code the loss is
    called ECE; it has nothing to do with the calibration error.

    Parameters
    ----------
    m : float from 0
        What is added; 1e5 for uniform noise on CIFAR-10, 1e3 for asymmetric noise, 1e4 for CIFAR-100.
    alpha : float from 0
        Weight of the cross-entropy.
    beta : float from 0
        Weight of the absolute error, `mae_prob`.
    eps : float in (0, 1)
        Smallest probability in the logarithm.

    Returns
    -------
    Tensor (...)
        Values in [0, -alpha log(eps) + 2 beta].

    Examples
    --------
    >>> eps_softmax(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), m=1.0, alpha=1.0, beta=0.0)
    tensor([2.8201])

    """
    log_p_y = log_probability(logits, target)
    miss = -torch.expm1(log_p_y)
    is_largest = logits.argmax(-1) == target
    # log1p sees 0 in place of what is not chosen: at m = 0 and p_y = 0 its gradient would be infinite.
    raised = torch.log1p(-torch.where(is_largest, miss, 0) / (1 + m))
    log_mixed = torch.where(is_largest, raised, log_p_y - math.log1p(m))
    return 2 * beta * miss - alpha * log_mixed.clamp(min=math.log(eps))


@loss(
    task="multiclass",
    link=clipped_softmax,
    source=(
        'Wei et al. 2023, "Mitigating Memorization of Noisy Labels by Clipping the Model Prediction", arXiv:2212.04055'
    ),
    problem="noise",
    ranges={"tau": "(0, inf)"},
)
def logit_clip(logits: Tensor, target: Tensor, *, tau: float = 1.0) -> Tensor:
    """Cross-entropy of logits whose norm is at most tau.

    Formula: -log softmax(z min(1, tau / |z|))_y, |z| the Euclidean norm

    Bounds the cross-entropy on both sides, and with it the pull of a wrong label. tau towards infinity is the cross-
    entropy. The probabilities are those of the clipped logits, which are what is trained: beyond tau the norm of z is
    free. Some codes clip at tau but scale to 1 / tau, the same only at tau = 1. The paper tunes tau; the default here
    is no more than a start.

    Parameters
    ----------
    tau : float above 0
        Largest norm.

    Returns
    -------
    Tensor (...)
        Values in [log(1 + (K - 1) exp(-c)), log(1 + (K - 1) exp(c))], with c = tau sqrt(K / (K - 1)).

    Examples
    --------
    >>> logit_clip(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), tau=1.0)
    tensor([1.3133])

    """
    return cross_entropy(_clipped(logits, tau), target)


def _clipped(logits: Tensor, tau: float) -> Tensor:
    # The clamp keeps the gradient finite at the norm 0.
    return logits * (tau / torch.linalg.vector_norm(logits, dim=-1, keepdim=True).clamp(min=tau))


def _log_t(log_q: Tensor, t: float) -> Tensor:
    """Return the tempered logarithm of q."""
    return log_q if t == 1 else torch.expm1((1 - t) * log_q) / (1 - t)


def _tempered_log_softmax(logits: Tensor, t2: float) -> Tensor:
    """Return the logarithm of the tempered softmax, in float32 or better."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if t2 == 1:
        return logits.log_softmax(-1)
    log_q: Tensor = _TemperedLogSoftmax.apply(logits, t2)
    return log_q


class _TemperedLogSoftmax(torch.autograd.Function):
    """log q with its own derivative: dlog q_k = q_k^(t-1) (dz_k - dlam), dlam the mean of dz with the weights q^t."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, t: float) -> Tensor:
        shifted = logits - logits.amax(-1, keepdim=True)
        lam = torch.zeros_like(shifted[..., :1])
        # The sum of q to the power of 1 - t rises with lam, is concave and nearly straight, and at most 1 at lam = 0:
        # each Newton step comes nearer to 1 from below. In place, for new memory would take half of the time.
        for _ in range(_NEWTON_STEPS[logits.dtype]):
            stretched = (lam - shifted).mul_(t - 1)
            q = torch.log1p(stretched).div_(1 - t).exp_()
            total = q.sum(-1, keepdim=True)
            slope = q.div_(stretched.add_(1)).sum(-1, keepdim=True)
            lam = lam - torch.expm1((1 - t) * total.log()) / (t - 1) * total**t / slope
        return (lam - shifted).mul_(t - 1).log1p_().div_(1 - t)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.t = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (log_q,) = ctx.saved_tensors
        pulled = torch.exp((ctx.t - 1) * log_q) * gradient
        weights = (ctx.t * log_q).softmax(-1)
        return pulled - weights * pulled.sum(-1, keepdim=True), None
