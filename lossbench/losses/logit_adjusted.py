"""Cross-entropies whose logits are scaled or shifted, by class counts, in training only. Outputs are logits.

z the logits, p = softmax(z), y the true class, n_c the number of training samples of class c. Predictions are
softmax(z).

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point, z.
target : Tensor (...)
    Integer class indices.
class_counts : Tensor or sequence of K numbers
    Training samples n_c of each class, all above 0.

Returns
-------
Tensor (...)
    Values from 0.

Raises
------
ValueError
    If there are not K counts or a class has no sample.

"""

import math

import torch
from torch import Tensor, nn

from lossbench.losses.class_weights import ClassCounts, positive_counts
from lossbench.losses.classification import cross_entropy, log_probability, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64, logit_adjustment, per_class
from lossbench.losses.links import softmax

__all__ = ["cdt", "seesaw", "vs"]


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Kini et al. 2021, "Label-Imbalanced and Group-Sensitive Classification under Overparameterization", '
        "arXiv:2103.01550"
    ),
    problem="imbalance",
    ranges={"gamma": "[0, inf)", "tau": "[0, inf)"},
)
def vs(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, gamma: float = 0.3, tau: float = 1.0) -> Tensor:
    """Vector scaling: cross-entropy of logits scaled and shifted by the frequency of their class.

    Formula: -log(softmax(D z + tau log pi)_y), with D_c = (n_c / max_j n_j)^gamma and pi_c = n_c / sum_j n_j

    The shift works early in a training, the scale at its end, when the training data are fitted. gamma = 0 is
    `logit_adjustment`, tau = 0 is `cdt`, both 0 the cross-entropy. The authors' code has these defaults and 0.2 and 1.2
    for long-tailed CIFAR-10; the weights that it can multiply are `weighting=...` here.

    Parameters
    ----------
    gamma : float from 0
        Strength of the scale.
    tau : float from 0
        Strength of the shift.

    Examples
    --------
    >>> vs(torch.tensor([[1.0, 1.0]]), torch.tensor([1]), class_counts=[160, 10], gamma=0.25, tau=1.0)
    tensor([3.3098])

    """
    return logit_adjustment(_scaled(logits, class_counts, gamma), target, class_counts=class_counts, tau=tau)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Ye et al. 2020, "Identifying and Compensating for Feature Deviation in Imbalanced Deep Learning", '
        "arXiv:2001.01385"
    ),
    problem="imbalance",
    ranges={"gamma": "[0, inf)"},
)
def cdt(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, gamma: float = 0.2) -> Tensor:
    """Class-dependent temperatures: cross-entropy of logits divided by a number that is larger for rarer classes.

    Formula: -log(softmax(z / a)_y), with a_c = (max_j n_j / n_c)^gamma

    Dividing in training makes the model give rare classes larger logits, which makes up for their shrinking on test
    data. gamma = 0 is the cross-entropy; it is `vs` with tau = 0. The paper's gamma go from 0.1 to 0.4.

    Parameters
    ----------
    gamma : float from 0
        Strength of the scale.

    Examples
    --------
    >>> cdt(torch.tensor([[1.0, 1.0]]), torch.tensor([1]), class_counts=[160, 10], gamma=0.25)
    tensor([0.9741])

    """
    return cross_entropy(_scaled(logits, class_counts, gamma), target)


@loss(
    task="multiclass",
    link=softmax,
    source='Wang et al. 2021, "Seesaw Loss for Long-Tailed Instance Segmentation", arXiv:2008.10032',
    problem="imbalance",
    ranges={"p": "[0, inf)", "q": "[0, inf)", "eps": "(0, 1]"},
    detached="the compensation factor",
)
class seesaw(nn.Module):  # noqa: N801  (called as the functions are: loss=seesaw)
    """Cross-entropy that spares rare classes where a frequent one is true, unless they are mistaken for it.

    Formula: -log(e^(z_y) / (e^(z_y) + sum_(j != y) M_yj C_yj e^(z_j))), M_yj = min(1, N_j / N_y)^p,
    C_yj = max(1, p_j / p_y)^q

    N_c counts the samples of class c seen so far, at least 1. M mitigates the push on rarer classes, C raises it again
    where the model prefers j to y; C is held constant in the gradient and p_y in it is at least eps. p = q = 0 is the
    cross-entropy. A call in training uses the counts of the calls before it and then adds its own samples, so that a
    sample's value doesn't depend on its batch; in MMDetection the batch is counted first. After a few batches it makes
    no difference. The normalised classifier of the paper is `model.head=cosine`.

    Parameters
    ----------
    logits : Tensor (N, K)
        Argument of the call: floating point.
    target : Tensor (N,)
        Argument of the call: integer class indices.
    num_classes : int
        Number of classes K.
    p : float from 0
        Strength of the mitigation.
    q : float from 0
        Strength of the compensation.
    eps : float in (0, 1]
        Smallest p_y in the compensation.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> seesaw(num_classes=2)(torch.tensor([[math.log(2.0), 0.0]]), torch.tensor([1]))
    tensor([2.1972])

    """

    seen: Tensor

    def __init__(self, *, num_classes: int, p: float = 0.8, q: float = 2.0, eps: float = 0.01) -> None:
        super().__init__()
        self.p, self.q, self.eps = p, q, eps
        self.register_buffer("seen", torch.zeros(num_classes))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample and, in training, count the samples of each class."""
        true_class = one_hot(logits, target)
        log_seen = self.seen.clamp(min=1).log()
        mitigation = self.p * (log_seen - log_seen[target.long()].unsqueeze(-1)).clamp(max=0)
        log_p = logits.detach().log_softmax(-1)
        log_p_y = log_probability(logits.detach(), target).clamp(min=math.log(self.eps)).unsqueeze(-1)
        compensation = self.q * (log_p - log_p_y).clamp(min=0)
        if self.training:
            self.seen = self.seen + true_class.flatten(end_dim=-2).sum(0)
        shift = (mitigation.to(logits) + compensation).masked_fill(true_class, 0.0)
        return cross_entropy(logits + shift, target)


def _scaled(logits: Tensor, class_counts: ClassCounts, gamma: float) -> Tensor:
    counts = positive_counts(float64(class_counts))
    return per_class((counts / counts.max()) ** gamma, logits) * logits
