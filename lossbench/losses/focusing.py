"""Asymmetric losses: a focusing power of its own for the positive and for the negative terms. Outputs are logits.

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

from lossbench.losses.classification import one_hot, positives
from lossbench.losses.declaration import loss
from lossbench.losses.links import normalised_sigmoid, sigmoid, softmax

__all__ = ["asymmetric_single_label", "binary_asymmetric", "ovr_asymmetric"]


@loss(
    task="binary",
    link=sigmoid,
    source='Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", arXiv:2009.14119',
    problem="imbalance",
    ranges={"gamma_pos": "[0, inf)", "gamma_neg": "[0, inf)", "margin": "[0, 1)"},
)
def binary_asymmetric(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    detach_focusing: bool = False,
) -> Tensor:
    """Binary cross-entropy with less weight on easy negatives, and none on very easy ones.

    Formula: -(t (1 - p)^gamma_pos log p + (1 - t) q^gamma_neg log(1 - q)), with q = max(p - margin, 0)

    p = sigmoid(z). With gamma_pos = gamma_neg = margin = 0 it is `bce`; with equal powers and margin = 0 the focal loss
    without alpha. A negative with p up to the margin has neither loss nor gradient, and p is no calibrated probability:
    it comes out too high when gamma_neg > gamma_pos. The factors are part of the gradient unless `detach_focusing`.

    Parameters
    ----------
    logits : Tensor (...)
        Floating point, z.
    target : Tensor (...)
        Class 0 or 1, integer or floating point, t.
    gamma_pos, gamma_neg : float from 0
        Strength of the down-weighting of easy positives and negatives.
    margin : float in [0, 1)
        What is taken off the probability of a negative.
    detach_focusing : bool
        Hold the factors (1 - p)^gamma_pos and q^gamma_neg constant in the gradient, as the authors' training does.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> binary_asymmetric(torch.tensor([0.0, 0.0]), torch.tensor([1, 0]), gamma_neg=1.0, margin=0.25)
    tensor([0.6931, 0.0719])

    """
    positive = positives(logits, target)
    return _asymmetric_terms(logits, positive, gamma_pos, gamma_neg, margin, detach_focusing)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", arXiv:2009.14119',
    problem="imbalance",
    ranges={"gamma_pos": "[0, inf)", "gamma_neg": "[0, inf)", "margin": "[0, 1)"},
)
def ovr_asymmetric(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    detach_focusing: bool = False,
) -> Tensor:
    """Asymmetric binary losses of one sigmoid for each class, summed over the classes.

    Formula: sum_k -(t_k (1 - p_k)^gamma_pos log p_k + (1 - t_k) q_k^gamma_neg log(1 - q_k)), q_k = max(p_k - margin, 0)

    p = sigmoid(z), t_k = 1 for the true class and 0 for the others: the multi-label loss of the paper on targets with
    one positive. With gamma_pos = gamma_neg = margin = 0 it is `ovr_bce`. It is not
    `asymmetric_single_label`, which works on a softmax. The factors are part of the gradient unless `detach_focusing`.

    Parameters
    ----------
    gamma_pos, gamma_neg : float from 0
        Strength of the down-weighting of easy positives and negatives.
    margin : float in [0, 1)
        What is taken off the probability of a negative.
    detach_focusing : bool
        Hold the factors (1 - p)^gamma_pos and q^gamma_neg constant in the gradient, as the authors' training does.

    Examples
    --------
    >>> ovr_asymmetric(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), gamma_neg=1.0, margin=0.25)
    tensor([0.7651])

    """
    true_class = one_hot(logits, target)
    return _asymmetric_terms(logits, true_class, gamma_pos, gamma_neg, margin, detach_focusing).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", arXiv:2009.14119',
    problem="imbalance",
    ranges={"gamma_pos": "[0, inf)", "gamma_neg": "[0, inf)", "smoothing": "[0, 1)"},
)
def asymmetric_single_label(
    logits: Tensor, target: Tensor, *, gamma_pos: float = 0.0, gamma_neg: float = 4.0, smoothing: float = 0.1
) -> Tensor:
    """Label smoothing whose terms are focused, with one power for the true class and another for the others.

    Formula: -Y_y (1 - p_y)^gamma_pos log p_y - sum_(k != y) Y_k p_k^gamma_neg log p_k, Y smoothed, p = softmax(z)

    Y_y = 1 - smoothing + smoothing / K and Y_k = smoothing / K. The single-label form of the authors, whose code and
    timm's smooth by 0.1 unless told otherwise. Without smoothing the other classes have no term: it is `focal` with
    gamma_pos. With both powers 0 it is `label_smoothing`. The powers are part of the gradient, as in the authors' code
    of this form, unlike that of their form for several labels.

    Parameters
    ----------
    gamma_pos, gamma_neg : float from 0
        Strength of the focusing of the term of the true class, and of those of the others.
    smoothing : float in [0, 1)
        Share of the uniform distribution in Y.

    Examples
    --------
    >>> asymmetric_single_label(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), gamma_neg=1.0, smoothing=0.5)
    tensor([0.6065])

    """
    true_class = one_hot(logits, target)
    log_p = logits.log_softmax(-1)
    share = smoothing / logits.shape[-1] + (1 - smoothing) * true_class.to(logits)
    # At p_y = 1 the derivative of the power is infinite for gamma < 1; the whole loss has the derivative 0 there.
    miss = (-torch.expm1(log_p)).clamp(min=torch.finfo(logits.dtype).tiny)
    focus = torch.where(true_class, miss**gamma_pos, (gamma_neg * log_p).exp())
    return -(share * focus * log_p).sum(-1)


def _asymmetric_terms(
    logits: Tensor, positive: Tensor, gamma_pos: float, gamma_neg: float, margin: float, detach_focusing: bool
) -> Tensor:
    log_p, log_rest = F.logsigmoid(logits), F.logsigmoid(-logits)
    kept = (log_p.exp() - margin).clamp(min=torch.finfo(logits.dtype).tiny)
    # log(1 - kept) = log(min(1 - p + margin, 1)) without forming 1 - p
    log_margin = logits.new_tensor(math.log(margin) if margin > 0 else -math.inf)
    log_rest_kept = torch.logaddexp(log_rest, log_margin).clamp(max=0)
    focusing = torch.where(positive, (gamma_pos * log_rest).exp(), kept**gamma_neg)
    if detach_focusing:
        focusing = focusing.detach()
    return -(focusing * torch.where(positive, log_p, log_rest_kept))
