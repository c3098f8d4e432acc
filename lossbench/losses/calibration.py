"""Losses for honest probabilities. Outputs are logits (EDL: evidence); a value for each sample.

p = softmax(logits), y the true class, p_y its probability, Y its one-hot vector, K the number of classes. Those that
compare a whole batch are in `calibration_batch`, kinds of the focal loss in `calibration_focal`.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point, z.
target : Tensor (...)
    Integer class indices.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.classification import cross_entropy, log_probability, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.links import dirichlet_mean, normalised_softmax, softmax

__all__ = [
    "brier",
    "confidence_penalty",
    "edl",
    "logit_norm",
    "mbls",
    "squentropy",
]


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident Output Distributions", '
        "arXiv:1701.06548"
    ),
    problem="calibration",
    ranges={"beta": "[0, inf)"},
)
def confidence_penalty(logits: Tensor, target: Tensor, *, beta: float = 0.1) -> Tensor:
    """Cross-entropy less a share of the entropy of the prediction, which rewards being unsure.

    Formula: -log p_y - beta H(p), with H(p) = -sum_k p_k log p_k

    beta = 0 is the cross-entropy. Like label smoothing it pulls towards the uniform distribution, by the divergence in
    the other direction. Values can be negative.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    beta : float from 0
        Weight of the entropy.

    Returns
    -------
    Tensor (...)
        Values above -beta log K.

    Examples
    --------
    >>> confidence_penalty(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), beta=0.1)
    tensor([0.6238])

    """
    log_p = logits.log_softmax(-1)
    return (beta * log_p.exp() * log_p).sum(-1) - log_probability(logits, target)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Liu et al. 2022, "The Devil is in the Margin: Margin-based Label Smoothing for Network Calibration", '
        "arXiv:2111.15430"
    ),
    problem="calibration",
    ranges={"margin": "[0, inf)", "alpha": "[0, inf)"},
)
def mbls(logits: Tensor, target: Tensor, *, margin: float = 10.0, alpha: float = 0.1) -> Tensor:
    """Cross-entropy with a penalty on logits that fall more than a margin behind the largest (MbLS).

    Formula: -log p_y + (alpha / K) sum_k max(0, max_j z_j - z_k - margin)

    alpha = 0 is the cross-entropy. margin = 0 pulls all logits together, as label smoothing does; a margin lets them
    differ. The mean runs over all K classes, the largest included.

    Parameters
    ----------
    margin : float from 0
        Distance of the logits that costs nothing.
    alpha : float from 0
        Weight of the penalty.

    Examples
    --------
    >>> mbls(torch.tensor([[12.0, 0.0]]), torch.tensor([0]), margin=10.0, alpha=0.1)
    tensor([0.1000])

    """
    behind = logits.amax(-1, keepdim=True) - logits
    return alpha * (behind - margin).relu().mean(-1) - log_probability(logits, target)


@loss(
    task="multiclass",
    link=normalised_softmax,
    source='Wei et al. 2022, "Mitigating Neural Network Overconfidence with Logit Normalization", arXiv:2205.09310',
    problem="calibration",
    ranges={"tau": "(0, inf)"},
)
def logit_norm(logits: Tensor, target: Tensor, *, tau: float = 0.04) -> Tensor:
    """Cross-entropy of logits scaled to one length, so that confidence can't grow by length alone (LogitNorm).

    Formula: -log(softmax(z / (tau |z|))_y)

    Only the direction of z counts. The link is what is trained, softmax(z / (tau |z|)): nothing holds the length of z,
    so that softmax(z), which the paper takes as a score of unknown inputs, would be a probability of no loss. At z = 0
    the gradient is huge (1e7 / tau): don't start with a last layer of zeros.

    Parameters
    ----------
    tau : float above 0
        Temperature; the best value depends on the data. 0.04 is the paper's for CIFAR-10; the command in the authors'
        code for CIFAR-10 and WRN-40-2 has 0.01, and its parser 1.

    Returns
    -------
    Tensor (...)
        Values above 0: the larger tau, the further.

    Examples
    --------
    >>> logit_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([1]), tau=0.1)
    tensor([0.1269])

    """
    return cross_entropy(F.normalize(logits, dim=-1, eps=1e-7) / tau, target)


@loss(
    task="multiclass",
    link=softmax,
    source='Brier 1950, "Verification of Forecasts Expressed in Terms of Probability"',
    problem="calibration",
)
def brier(logits: Tensor, target: Tensor) -> Tensor:
    """Squared error between probabilities and the one-hot label, summed over the classes (Brier score).

    Formula: sum_k (p_k - Y_k)^2

    Proper: minimised by the true probabilities, like the cross-entropy; but bounded, so that its gradient vanishes
    where the model is sure and wrong. Some codes take the mean over the classes, K times less; the binary Brier score,
    (p_1 - y)^2, is half of this with two classes.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.

    Returns
    -------
    Tensor (...)
        Values in [0, 2].

    Examples
    --------
    >>> brier(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor([0.5000])

    """
    return (logits.softmax(-1) - one_hot(logits, target).to(logits.dtype)).square().sum(-1)


@loss(
    task="multiclass",
    link=dirichlet_mean,
    source='Sensoy et al. 2018, "Evidential Deep Learning to Quantify Classification Uncertainty", arXiv:1806.01768',
    problem="calibration",
    ranges={"annealing": "(0, inf)"},
)
def edl(outputs: Tensor, target: Tensor, *, epoch: int, annealing: float = 10.0) -> Tensor:
    """Evidential classification: expected squared error under a Dirichlet distribution, less evidence where it errs.

    Formula: sum_k (Y_k - a_k / S)^2 + a_k (S - a_k) / (S^2 (S + 1)) + min(1, epoch / annealing) KL(Dir(a') to Dir(1))

    a = 1 + relu(outputs) are the parameters of a Dirichlet distribution, S = sum_k a_k; a' = Y + (1 - Y) a keeps the
    evidence for the wrong classes, and the KL divergence to the uniform distribution pulls it to 0. Its weight grows
    from 0 over the first epochs. The probabilities are the mean a / S. Outputs below 0 have no gradient, so that a
    class whose outputs fall below 0 for all samples is lost: small networks often lose one or two. Some codes take exp
    or softplus instead of the relu of the paper. Computed in float32 at least.

    Parameters
    ----------
    outputs : Tensor (..., K)
        Floating point; above 0 they are evidence.
    epoch : int
        Current epoch, counted from 0.
    annealing : float above 0
        Epochs until the divergence has its full weight.

    Returns
    -------
    Tensor (...)
        Values above 0.

    Examples
    --------
    >>> edl(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), epoch=0)
    tensor([0.2000])

    """
    true_class = one_hot(outputs, target)
    alpha = 1 + outputs.to(torch.promote_types(outputs.dtype, torch.float32)).relu()
    strength = alpha.sum(-1, keepdim=True)
    mean = alpha / strength
    risk = (true_class.to(mean.dtype) - mean).square() + mean * (1 - mean) / (strength + 1)
    divergence = _divergence_from_uniform(alpha.masked_fill(true_class, 1))
    return (risk.sum(-1) + min(1.0, epoch / annealing) * divergence).to(outputs.dtype)


def _divergence_from_uniform(alpha: Tensor) -> Tensor:
    """Return the KL divergence of the Dirichlet distributions of parameters (..., K) to the uniform one."""
    strength = alpha.sum(-1)
    log_normaliser = strength.lgamma() - alpha.lgamma().sum(-1) - math.lgamma(alpha.shape[-1])
    return log_normaliser + ((alpha - 1) * (alpha.digamma() - strength.digamma().unsqueeze(-1))).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Hui et al. 2023, "Cut your Losses with Squentropy", arXiv:2302.03952',
    problem="calibration",
)
def squentropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy plus the mean square of the logits of the wrong classes.

    Formula: -log p_y + (1 / (K - 1)) sum_{j != y} z_j^2

    The square fixes the level of the logits, which the cross-entropy leaves free, near 0 for the wrong classes.

    Examples
    --------
    >>> squentropy(torch.tensor([[1.0, 1.0]]), torch.tensor([1]))
    tensor([1.6931])

    """
    wrong = logits.masked_fill(one_hot(logits, target), 0)
    return wrong.square().sum(-1) / (logits.shape[-1] - 1) - log_probability(logits, target)
