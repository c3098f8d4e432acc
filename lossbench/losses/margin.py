"""Losses that ask for a margin: hinges on scores, and cross-entropies of cosines with a margin for the true class.

f is the score of class 1 and y the label -1 or +1; with several classes z are the scores and y the true class. A hinge
is minimised by scores that tell the classes apart and not by probabilities: its link, sigmoid or softmax of the scores,
is a convention. It keeps their order, so that accuracy and AUROC are those of the scores; NLL, Brier score and
calibration error are those of the convention. The margin is 1: another one only changes the scale of the scores.

Where a loss says nothing else:

Parameters
----------
scores : Tensor (...)
    Floating point, f.
cosines : Tensor (..., K)
    Floating point, in [-1, 1].
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

from lossbench.losses.classification import (
    of_indices,
    of_true_class,
    place_of_true_class,
    signed_margin,
    with_true_class,
)
from lossbench.losses.declaration import loss
from lossbench.losses.links import scaled_softmax, sigmoid, softmax

__all__ = ["arcface", "cosface", "hinge", "multiclass_hinge", "norm_softmax", "squared_hinge", "weston_watkins"]


@loss(task="binary", link=sigmoid, source='Cortes and Vapnik 1995, "Support-Vector Networks", doi:10.1007/BF00994018')
def hinge(scores: Tensor, target: Tensor) -> Tensor:
    """Hinge loss: linear until the score of the true side exceeds 1, zero beyond (support vector machine).

    Formula: max(0, 1 - y f), with y = 2 target - 1

    Its population minimiser is the sign of p - 1/2: the scores hold no probabilities, and the link sigmoid(f) is a
    convention. At y f = 1 the gradient is taken as 0. torch's `hinge_embedding_loss` is another loss.

    Parameters
    ----------
    target : Tensor (...)
        Class 0 or 1, integer or floating point.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> hinge(torch.tensor([0.25, 0.25, 3.0]), torch.tensor([1, 0, 1]))
    tensor([0.7500, 1.2500, 0.0000])

    """
    return (1 - signed_margin(scores, target)).relu()


@loss(
    task="binary",
    link=sigmoid,
    source=(
        'Lee and Mangasarian 2001, "SSVM: A Smooth Support Vector Machine for Classification", '
        'doi:10.1023/A:1011215321374; Zhang 2004, "Statistical Behavior and Consistency of Classification '
        'Methods Based on Convex Risk Minimization" (the minimiser)'
    ),
)
def squared_hinge(scores: Tensor, target: Tensor) -> Tensor:
    """Squared hinge loss: quadratic until the score of the true side exceeds 1, zero beyond (L2-SVM).

    Formula: max(0, 1 - y f)^2, with y = 2 target - 1

    Its population minimiser is f = 2 p - 1. So (1 + f) / 2, cut to [0, 1], would estimate p; but it ties all scores
    beyond 1 and makes wrong ones infinitely unlikely. The link is sigmoid(f), the convention of all hinges here.

    Parameters
    ----------
    target : Tensor (...)
        Class 0 or 1, integer or floating point.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> squared_hinge(torch.tensor([0.5, 0.5, 3.0]), torch.tensor([1, 0, 1]))
    tensor([0.2500, 2.2500, 0.0000])

    """
    return (1 - signed_margin(scores, target)).relu().square()


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Crammer and Singer 2001, "On the Algorithmic Implementation of Multiclass Kernel-based Vector '
        'Machines", JMLR 2'
    ),
)
def multiclass_hinge(scores: Tensor, target: Tensor) -> Tensor:
    """Hinge loss on the lead of the true class over the best of the others (Crammer-Singer).

    Formula: max(0, 1 + max_{j != y} z_j - z_y)

    With two classes it is `hinge` on the difference of the scores. Where no class has a probability above 1/2, its
    population minimiser need not find the most probable one (it is not consistent). The link softmax(z) is a
    convention. Where several classes are the best of the others they share the gradient.

    Parameters
    ----------
    scores : Tensor (..., K)
        Floating point, z.

    Examples
    --------
    >>> multiclass_hinge(torch.tensor([[2.0, 1.5, 1.0]]), torch.tensor([0]))
    tensor([0.5000])

    """
    best_other = with_true_class(scores, target, -math.inf).amax(-1)
    return (1 + best_other - of_true_class(scores, target).squeeze(-1)).relu()


@loss(
    task="multiclass",
    link=softmax,
    source='Weston and Watkins 1999, "Support Vector Machines for Multi-Class Pattern Recognition", ESANN',
    ranges={"p": "[1, 2]"},
)
def weston_watkins(scores: Tensor, target: Tensor, *, p: float = 1.0) -> Tensor:
    """Hinge losses on the lead of the true class over each of the others, summed (Weston-Watkins).

    Formula: sum_{j != y} max(0, 1 + z_j - z_y)^p

    torch's `multi_margin_loss` divides it by K. With two classes it is `hinge` (p = 1) or `squared_hinge` (p = 2) on
    the difference of the scores. The link softmax(z) is a convention.

    Parameters
    ----------
    scores : Tensor (..., K)
        Floating point, z.
    p : float in [1, 2]
        Exponent: 1 for the hinge, 2 for its square.

    Examples
    --------
    >>> weston_watkins(torch.tensor([[2.0, 1.5, 1.25]]), torch.tensor([0]))
    tensor([0.7500])

    """
    place = place_of_true_class(scores, target)
    asked = torch.ones_like(scores).scatter(-1, place, 0.0)  # the true class leads itself by the 0 that is asked
    short = (scores + (asked - scores.gather(-1, place))).relu()
    return (short if p == 1 else short**p).sum(-1)


@loss(
    task="multiclass",
    link=scaled_softmax,
    source=(
        'Wang et al. 2017, "NormFace: L2 Hypersphere Embedding for Face Verification", arXiv:1704.06369; Zhai '
        'and Wu 2019, "Classification is a Strong Baseline for Deep Metric Learning"'
    ),
    head="cosine",
    ranges={"s": "(0, inf)"},
)
def norm_softmax(cosines: Tensor, target: Tensor, *, s: float = 20.0) -> Tensor:
    """Cross-entropy of scaled cosines: features and class weights count by their direction alone (NormFace).

    Formula: -log(softmax(s cos)_y)

    `cosface` and `arcface` without a margin. Without the scale the probabilities couldn't come near 1: over balanced
    classes the mean can't fall below log(1 + (K - 1) e^(-s K / (K - 1))). The paper learns s; here it is fixed, by
    default at the temperature 1/20 of Zhai and Wu.

    Parameters
    ----------
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> norm_softmax(torch.tensor([[0.5, 0.4]]), torch.tensor([0]), s=20.0)
    tensor([0.1269])

    """
    return of_indices(s * cosines, target)


@loss(
    task="multiclass",
    link=scaled_softmax,
    source='Wang et al. 2018, "CosFace: Large Margin Cosine Loss for Deep Face Recognition", arXiv:1801.09414',
    head="cosine",
    ranges={"m": "[0, inf)", "s": "(0, inf)"},
)
def cosface(cosines: Tensor, target: Tensor, *, m: float = 0.35, s: float = 64.0) -> Tensor:
    """Cross-entropy of scaled cosines, that of the true class less a margin (CosFace, large margin cosine loss).

    Formula: -log(softmax(s (cos - m e_y))_y)

    m = 0 is `norm_softmax`; a margin by class frequency is `ldam`. Predictions have no margin: softmax(s cos). The
    defaults are those for face recognition, with many thousand classes; with few classes a smaller s trains better.

    Parameters
    ----------
    m : float from 0
        Margin, in units of the cosine.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> cosface(torch.tensor([[0.5, 0.4]]), torch.tensor([0]), m=0.1, s=20.0)
    tensor([0.6931])

    """
    place = place_of_true_class(cosines, target)
    return of_indices(s * cosines.scatter_add(-1, place, cosines.new_full(place.shape, -m)), target)


@loss(
    task="multiclass",
    link=scaled_softmax,
    source='Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv:1801.07698',
    head="cosine",
    ranges={"m": "[0, 1.5]", "s": "(0, inf)"},
)
def arcface(cosines: Tensor, target: Tensor, *, m: float = 0.5, s: float = 64.0) -> Tensor:
    """Cross-entropy of scaled cosines, the angle of the true class widened by a margin (ArcFace).

    Formula: -log(softmax(s t)_y), with t_k = cos_k, but t_y = cos(theta_y + m), theta_y = arccos(cos_y)

    Beyond theta = pi - m, where the cosine would rise again, t_y = cos_y - m sin(m): as in the authors' code and in
    pytorch-metric-learning (whose margin is in degrees), t_y always falls with the angle, with a step there. m = 0 is
    `norm_softmax`. Predictions have no margin: softmax(s cos). The defaults are those for face recognition, with many
    thousand classes; with few classes a smaller s trains better.

    Parameters
    ----------
    cosines : Tensor (..., K)
        Floating point, in [-1, 1]; outside, t_y goes on as a straight line.
    m : float in [0, 1.5]
        Margin, in radians.
    s : float above 0
        Scale of the cosines.

    Examples
    --------
    >>> arcface(torch.tensor([[0.8, 0.5]]), torch.tensor([0]), m=0.5, s=20.0)
    tensor([1.8778])

    """
    place = place_of_true_class(cosines, target)
    # The slope of the sine is infinite at ±1; cut just inside, it stays finite.
    own, inside = cosines.gather(-1, place), 1 - torch.finfo(cosines.dtype).eps
    sine = own.clamp(-inside, inside).acos().sin()  # cheaper than sqrt(1 - cos^2)
    change = torch.sub(own * (math.cos(m) - 1), sine, alpha=math.sin(m))
    change = change.masked_fill(own <= -math.cos(m), -m * math.sin(m))
    return of_indices(s * cosines.scatter_add(-1, place, change), target)
