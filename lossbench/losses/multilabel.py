"""Losses of several labels, of which a sample may have any number: one logit z for each label, target 0 or 1 for each.

p = sigmoid(z), t the target, L the number of labels. The loss of a sample is the mean over the labels, unless the paper
defines it as a sum or in another way: each docstring says which. A label that is not known, NaN or -1, contributes
nothing: the mean is that over the known labels, and the sum that of their terms.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., L)
    Floating point.
target : Tensor (..., L)
    0 or 1 for each label, NaN or -1 where it is not known, integer or floating point.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If the shapes differ.

"""

from torch import Tensor

from lossbench.losses.classification import bce, positives
from lossbench.losses.declaration import loss
from lossbench.losses.focusing import binary_asymmetric
from lossbench.losses.known_labels import mean_over_known, split_known, sum_over_known
from lossbench.losses.links import sigmoids
from lossbench.losses.ranking import around_zero, two_way_shares
from lossbench.losses.sigmoid import binary_focal, label_smoothing_bce

__all__ = [
    "multilabel_asymmetric", "multilabel_bce", "multilabel_focal", "multilabel_label_smoothing", "multilabel_two_way",
    "multilabel_zlpr",
]  # fmt: skip


@loss(
    task="multilabel",
    link=sigmoids,
    source=(
        'Nam et al. 2014, "Large-Scale Multi-Label Text Classification: Revisiting Neural Networks" (which '
        "prefers it to a ranking of pairs), arXiv:1312.5419"
    ),
)
def multilabel_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of each label, the mean over the labels.

    Formula: (1/L) sum_k -(t_k log p_k + (1 - t_k) log(1 - p_k))

    Each label is a problem of two classes by itself (binary relevance). torch's `multilabel_soft_margin_loss`.

    Examples
    --------
    >>> import torch
    >>> multilabel_bce(torch.tensor([[0.0, 2.0, 0.0]]), torch.tensor([[1, 0, 0]]))
    tensor([1.1711])

    """
    target, known = split_known(target)
    return mean_over_known(bce(logits, target), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567',
    problem="calibration",
    ranges={"smoothing": "[0, 1)"},
)
def multilabel_label_smoothing(logits: Tensor, target: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Binary cross-entropy of each label towards a mixture of 0 or 1 and one half, the mean over the labels.

    Formula: (1/L) sum_k -(t'_k log p_k + (1 - t'_k) log(1 - p_k)), with t' = (1 - smoothing) t + smoothing / 2

    `label_smoothing_bce` of each label. smoothing = 0 is `multilabel_bce`. For a rare label smoothing / 2 may be more
    than its frequency: its probabilities are then far too high.

    Parameters
    ----------
    smoothing : float in [0, 1)
        Share of the uniform distribution.

    Returns
    -------
    Tensor (...)
        Values from the entropy of the mixture.

    Examples
    --------
    >>> import torch
    >>> multilabel_label_smoothing(torch.tensor([[2.0, -2.0]]), torch.tensor([[1, 0]]), smoothing=0.1)
    tensor([0.2269])

    """
    target, known = split_known(target)
    return mean_over_known(label_smoothing_bce(logits, target, smoothing=smoothing), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Lin et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002',
    problem="imbalance",
    ranges={"alpha": "[0, 1]", "gamma": "[0, inf)"},
)
def multilabel_focal(logits: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each label, the mean over the labels.

    Formula: (1/L) sum_k a_k (1 - q_k)^gamma (-log q_k), q_k = p_k and a_k = alpha if t_k = 1, else 1 - p_k, 1 - alpha

    `binary_focal` of each label. The paper divides the sum over a picture by its number of positives; here it is the
    plain mean, as in torchvision's `sigmoid_focal_loss`. alpha = 0.5 and gamma = 0 is half of `multilabel_bce`.

    Parameters
    ----------
    alpha : float in [0, 1]
        Weight of the labels that a sample has; the others have 1 - alpha.
    gamma : float from 0
        Strength of the down-weighting of easy labels.

    Examples
    --------
    >>> import torch
    >>> multilabel_focal(torch.zeros(1, 2), torch.tensor([[1, 0]]))
    tensor([0.0866])

    """
    target, known = split_known(target)
    return mean_over_known(binary_focal(logits, target, alpha=alpha, gamma=gamma), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification", arXiv:2009.14119',
    problem="imbalance",
    ranges={"gamma_pos": "[0, inf)", "gamma_neg": "[0, inf)", "margin": "[0, 1)"},
)
def multilabel_asymmetric(
    logits: Tensor,
    target: Tensor,
    *,
    gamma_pos: float = 0.0,
    gamma_neg: float = 4.0,
    margin: float = 0.05,
    detach_focusing: bool = False,
) -> Tensor:
    """Asymmetric focusing: easy negatives count less than easy positives, and very easy ones not at all.

    Formula: sum_k -(t_k (1 - p_k)^gamma_pos log p_k + (1 - t_k) q_k^gamma_neg log(1 - q_k)), q_k = max(p_k - margin, 0)

    `binary_asymmetric` of each label; the sum over the labels, as in the paper. The authors' code also sums over the
    batch. With all three numbers 0 it is L times `multilabel_bce`. p comes out too high when gamma_neg > gamma_pos. The
    factors are part of the gradient unless `detach_focusing`.

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
    >>> import torch
    >>> multilabel_asymmetric(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma_neg=1.0, margin=0.25)
    tensor([0.7651])

    """
    powers = {"gamma_pos": gamma_pos, "gamma_neg": gamma_neg, "margin": margin}
    target, known = split_known(target)
    return sum_over_known(binary_asymmetric(logits, target, **powers, detach_focusing=detach_focusing), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification", arXiv:2208.02955',
)
def multilabel_zlpr(logits: Tensor, target: Tensor) -> Tensor:
    """Rank the labels of a sample above zero and the others below it, by two log-sum-exp.

    Formula: log(1 + sum_(k: t_k = 0) e^(z_k)) + log(1 + sum_(k: t_k = 1) e^(-z_k))

    A smooth form of the largest violation over all pairs of a label and zero, zero and a non-label, and a label and a
    non-label. Each of the two terms is one for the sample, as in the paper: neither a sum nor a mean over the labels.
    Zero is the threshold; sigmoid(z_k) is only near the probability of label k. With one label it is `bce`.

    Parameters
    ----------
    logits : Tensor (..., L)
        Floating point, z.
    target : Tensor (..., L)
        0 or 1 for each label, NaN or -1 where it is not known, integer or floating point, t.

    Examples
    --------
    >>> import torch
    >>> multilabel_zlpr(torch.zeros(1, 3), torch.tensor([[1, 0, 0]]))
    tensor([1.7918])

    """
    target, known = split_known(target)
    return around_zero(logits, positives(logits, target), known)


@loss(
    task="multilabel",
    link=sigmoids,
    source='Kobayashi 2023, "Two-Way Multi-Label Loss", CVPR',
    ranges={"temperature_pos": "(0, inf)", "temperature_neg": "(0, inf)"},
    coupled=True,
)
def multilabel_two_way(
    logits: Tensor, target: Tensor, *, temperature_pos: float = 4.0, temperature_neg: float = 1.0
) -> Tensor:
    """Rank the labels of each sample above its other labels, and the samples of each label above the other samples.

    Formula: mean over samples i of log(1 + e^(neg_i + pos_i)) + mean over labels k of log(1 + e^(neg_k + pos_k))

    neg_i = T_n log sum_(k: t_ik = 0) e^(z_ik / T_n) and pos_i = T_p log sum_(k: t_ik = 1) e^(-z_ik / T_p) in row i;
    neg_k and pos_k are the same in column k. The means are over the samples that have a label, and over the labels that
    are in the batch. The value of a sample is its share: that of its row, and for each of its labels an equal part of
    its column, so that the plain mean is the formula. Only differences of logits count, so that one half is no natural
    threshold: judge it by `map` and `auroc`.

    Parameters
    ----------
    logits : Tensor (N, L)
        Floating point, z.
    target : Tensor (N, L)
        0 or 1 for each label, NaN or -1 where it is not known, integer or floating point, t.
    temperature_pos, temperature_neg : float above 0
        Softness T_p of the minimum over positives, T_n of the maximum over negatives.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Examples
    --------
    >>> import torch
    >>> multilabel_two_way(torch.zeros(2, 2), torch.tensor([[1, 0], [0, 1]]))
    tensor([1.3863, 1.3863])

    """
    target, known = split_known(target)
    return two_way_shares(logits, positives(logits, target), temperature_pos, temperature_neg, known)
