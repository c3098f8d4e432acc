"""Losses that weigh samples: by the count of their class, their influence, or the loss of their class.

The outputs are logits z; K the number of classes, y the true class.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
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

import torch
from torch import Tensor, nn

from lossbench.losses.class_weights import ClassCounts, effective_number
from lossbench.losses.classification import cross_entropy, log_probability, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64, per_class
from lossbench.losses.links import normalised_sigmoid, softmax
from lossbench.losses.sigmoid import ovr_bce, ovr_focal

__all__ = ["class_balanced_bce", "class_balanced_focal", "group_dro", "influence_balanced"]


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555',
    problem="imbalance",
    ranges={"beta": "[0, 1)"},
)
def class_balanced_bce(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    """Binary cross-entropies of all classes, weighted by the inverse of the effective number of the true class.

    Formula: w_y sum_k -(t_k log p_k + (1 - t_k) log(1 - p_k)), w_c = (1 - beta) / (1 - beta^n_c), then sum_c w_c = K

    p = sigmoid(z), t_k = 1 for the true class and 0 for the others. The weight is that of the sample's class, for its
    positive and its negative terms. beta = 0 is `ovr_bce`.

    Parameters
    ----------
    beta : float in [0, 1)
        About 1 - 1/N, N the number of distinguishable samples that a class could have.

    Examples
    --------
    >>> class_balanced_bce(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[90, 10], beta=0.99)
    tensor([2.3889])

    """
    return _weight_of_true_class(logits, target, class_counts, beta) * ovr_bce(logits, target)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source=(
        'Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555; Lin et '
        'al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002'
    ),
    problem="imbalance",
    ranges={"beta": "[0, 1)", "gamma": "[0, inf)"},
)
def class_balanced_focal(
    logits: Tensor, target: Tensor, *, class_counts: ClassCounts, beta: float = 0.9999, gamma: float = 0.5
) -> Tensor:
    """Sigmoid focal losses of all classes, weighted by the inverse of the effective number of the true class.

    Formula: w_y sum_k -(t_k (1 - p_k)^gamma log p_k + (1 - t_k) p_k^gamma log(1 - p_k)), w as in `class_balanced_bce`

    One sigmoid for each class, as in the authors' code; the softmax form is `loss=focal weighting=effective_number`.
    gamma = 0 is `class_balanced_bce`, beta = 0 is `ovr_focal`. The modulating factor is part of the gradient.

    Parameters
    ----------
    beta : float in [0, 1)
        About 1 - 1/N, N the number of distinguishable samples that a class could have.
    gamma : float from 0
        Strength of the down-weighting of easy terms.

    Examples
    --------
    >>> class_balanced_focal(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), class_counts=[9, 9], beta=0.9, gamma=1.0)
    tensor([0.6931])

    """
    return _weight_of_true_class(logits, target, class_counts, beta) * ovr_focal(logits, target, gamma=gamma)


@loss(
    task="multiclass",
    link=softmax,
    source='Park et al. 2021, "Influence-Balanced Loss for Imbalanced Visual Classification", arXiv:2110.02444',
    problem="imbalance",
    ranges={"alpha": "(0, inf)", "epsilon": "(0, inf)", "start_epoch": "[0, inf)"},
)
def influence_balanced(
    logits: Tensor,
    target: Tensor,
    *,
    features: Tensor,
    epoch: int,
    max_epochs: int,
    alpha: float = 1e4,
    epsilon: float = 1e-3,
    start_epoch: int | None = None,
) -> Tensor:
    """Cross-entropy, later divided by the influence of the sample on the decision boundary.

    Formula: -log p_y before `start_epoch`, then -alpha log p_y / (sum_k |p_k - Y_k| sum_j |h_j| + epsilon)

    p = softmax(z), Y the one-hot target, h the features in front of the last layer. The divisor is the size of the
    gradient in that layer; it is part of this loss's gradient, as in the authors' code, which also weighs the classes
    (`weighting=...` here). alpha only sets the scale: the default is the authors' for their features, learning rate and
    batch normalisation, and the loss jumps by it at `start_epoch`. A sample that is fitted well keeps the value
    alpha / (2 sum_j |h_j|), as long as epsilon is small beside the divisor.

    Parameters
    ----------
    logits : Tensor (N, K)
        Floating point, z.
    target : Tensor (N,)
        Integer class indices.
    features : Tensor (N, ...)
        Features of the samples, h.
    epoch : int
        Current epoch, counted from 0.
    max_epochs : int
        Number of epochs of the whole training.
    alpha : float above 0
        Scale of the balanced loss.
    epsilon : float above 0
        Keeps the divisor from 0.
    start_epoch : int, optional
        First epoch with the balanced loss; by default half of `max_epochs`, rounded down, as in the authors' training.

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
    >>> batch = {"features": torch.tensor([[2.0, -2.0]]), "max_epochs": 10, "alpha": 4.0}
    >>> influence_balanced(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), epoch=4, **batch)
    tensor([0.6931])
    >>> influence_balanced(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), epoch=5, **batch)
    tensor([0.6930])

    """
    log_p_y = log_probability(logits, target)
    if epoch < (max_epochs // 2 if start_epoch is None else start_epoch):
        return -log_p_y
    miss = -2 * torch.expm1(log_p_y)  # sum_k |p_k - Y_k| = 2 (1 - p_y)
    return -alpha * log_p_y / (miss * features.flatten(1).abs().sum(1) + epsilon)


@loss(
    task="multiclass",
    link=softmax,
    source='Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", arXiv:1911.08731',
    problem="imbalance",
    ranges={"eta": "[0, inf)"},
    coupled=True,
    detached="the class weights q",
)
class group_dro(nn.Module):  # noqa: N801  (called as the functions are: loss=group_dro)
    """Cross-entropy of the worst classes: the groups of distributionally robust optimisation are the classes.

    Formula: sum_c q_c L_c, L_c = mean of -log p_y over the batch's samples of c, q_c <- q_c e^(eta L_c) / sum

    The value of a sample is its share, N q_y / N_y (-log p_y) with N_y samples of its class among the N of the batch,
    so that the plain mean is the formula. q starts uniform and is raised once in each call in training, before the
    value is taken, by the losses of the classes in the batch; an absent class has the loss 0. The gradient
    holds q constant. With eta = 0 all classes count alike. Heavy weight decay or early stopping is part of the method
    in the paper.

    Parameters
    ----------
    logits : Tensor (N, K)
        Argument of the call: floating point.
    target : Tensor (N,)
        Argument of the call: integer class indices.
    num_classes : int
        Number of classes K.
    eta : float from 0
        Step size of q.

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
    >>> group_dro(num_classes=2, eta=0.0)(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
    tensor([0.4621, 0.4621, 0.4621, 1.3863])

    """

    log_q: Tensor

    def __init__(self, *, num_classes: int, eta: float = 0.01) -> None:
        super().__init__()
        self.eta = eta
        self.register_buffer("log_q", torch.zeros(num_classes).log_softmax(0))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the share of each sample and, in training, raise the weights of the worst classes."""
        values = cross_entropy(logits, target)
        members = one_hot(logits, target).to(self.log_q)
        count = members.sum(0).clamp(min=1)
        if self.training:
            class_loss = values.detach().to(self.log_q) @ members / count
            self.log_q = (self.log_q + self.eta * class_loss).log_softmax(0)
        return (len(target) * self.log_q.exp() / count).to(logits)[target.long()] * values


def _weight_of_true_class(logits: Tensor, target: Tensor, class_counts: ClassCounts, beta: float) -> Tensor:
    weights = effective_number(class_counts=float64(class_counts), beta=beta)
    return per_class(weights, logits)[target.long()]
