"""Equalization losses: rare classes are spared the many negative terms that samples of other classes give them.

z the logits, y the true class, t_k = 1 for k = y and 0 for the others, f_c = n_c / sum_j n_j the frequency of class c
in the training data. A class is rare where f_c < lam. The paper's frequencies are those of LVIS, with over a thousand
classes: with few, no class may be as rare as that, and lam must be raised to do anything.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point, z.
target : Tensor (...)
    Integer class indices.
class_counts : Tensor or sequence of K numbers
    Training samples n_c of each class, all above 0.

Raises
------
ValueError
    If there are not K counts or a class has no sample.

"""

import torch
from torch import Tensor, nn

from lossbench.losses.class_weights import ClassCounts, positive_counts
from lossbench.losses.classification import bce, log_probability, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.imbalance import float64, per_class
from lossbench.losses.links import normalised_sigmoid, softmax

__all__ = ["eql", "eql_v2", "softmax_eql"]


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source='Tan et al. 2020, "Equalization Loss for Long-Tailed Object Recognition", arXiv:2003.05176',
    problem="imbalance",
    ranges={"lam": "[0, 1]"},
)
def eql(logits: Tensor, target: Tensor, *, class_counts: ClassCounts, lam: float = 1.77e-3) -> Tensor:
    """Sum of one-vs-rest binary cross-entropies, without the negative terms of rare classes.

    Formula: sum_k w_k -(t_k log p_k + (1 - t_k) log(1 - p_k)), p = sigmoid(z), w_k = 0 if f_k < lam and t_k = 0, else 1

    Each sample is a foreground sample in the words of the paper. lam = 0 is `ovr_bce`.
    Where all classes are rare nothing holds the logits down.

    Parameters
    ----------
    lam : float in [0, 1]
        Frequency below which a class is rare; the default is that of the paper for LVIS.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Examples
    --------
    >>> eql(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]), class_counts=[90, 10], lam=0.2)
    tensor([0.6931, 1.3863])

    """
    true_class = one_hot(logits, target)
    counted = true_class | ~rare_classes(class_counts, logits, lam)
    return (bce(logits, true_class) * counted).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source='Tan et al. 2020, "Equalization Loss for Long-Tailed Object Recognition", arXiv:2003.05176',
    problem="imbalance",
    ranges={"gamma": "[0, 1]", "lam": "[0, 1]"},
)
def softmax_eql(
    logits: Tensor,
    target: Tensor,
    *,
    class_counts: ClassCounts,
    index: Tensor,
    epoch: int,
    gamma: float = 0.9,
    lam: float = 5e-3,
) -> Tensor:
    """Cross-entropy of a softmax that leaves out rare classes at random, except for their own samples.

    Formula: -log(e^(z_y) / sum_k w_k e^(z_k)), w_k = 1 - B_k for k != y with f_k < lam, else 1, B_k ~ Bernoulli(gamma)

    B is drawn anew for each sample, class and epoch. The draw is a function of torch's seed, the epoch, the sample's
    index and the rank of the class by its count, and takes nothing from the global generator: it is the same in any
    batch, on any device and in a resumed run, and other draws stay what they were. gamma = 0 or lam = 0 is the
    cross-entropy. The paper tunes gamma about 0.9 and lam to the data.

    Parameters
    ----------
    index : Tensor (...)
        Integer number of each sample in the training data.
    epoch : int
        Current epoch.
    gamma : float in [0, 1]
        Probability of leaving a rare class out.
    lam : float in [0, 1]
        Frequency below which a class is rare.

    Returns
    -------
    Tensor (...)
        Values from 0, at most the cross-entropy.

    Examples
    --------
    >>> sample = {"index": torch.tensor([7]), "epoch": 0}
    >>> logits = torch.tensor([[0.0, 0.0, 0.0]])
    >>> softmax_eql(logits, torch.tensor([0]), class_counts=[80, 15, 5], gamma=1.0, lam=0.1, **sample)
    tensor([0.6931])

    """
    # By rank and not by number, so that the draws follow the classes when these are numbered otherwise.
    rank = float64(class_counts).argsort(stable=True).argsort().to(logits.device)
    drawn = _random_bits(torch.initial_seed(), epoch, index.unsqueeze(-1), rank) < gamma * 2**32
    left_out = drawn & rare_classes(class_counts, logits, lam) & ~one_hot(logits, target)
    return -log_probability(logits.masked_fill(left_out, -torch.inf), target)


@loss(
    task="multiclass",
    link=normalised_sigmoid,
    source=(
        'Tan et al. 2021, "Equalization Loss v2: A New Gradient Balance Approach for Long-Tailed Object '
        'Detection", arXiv:2012.08548'
    ),
    problem="imbalance",
    ranges={"gamma": "[0, inf)", "mu": "[0, inf)", "alpha": "[0, inf)"},
)
class eql_v2(nn.Module):  # noqa: N801  (called as the functions are: loss=eql_v2)
    """One-vs-rest binary cross-entropies with weights that even out the gradients for and against each class.

    Formula: sum_k -(a_k t_k log p_k + b_k (1 - t_k) log(1 - p_k)), p = sigmoid(z), b_k = sigmoid(gamma (g_k - mu)),
    a_k = 1 + alpha (1 - b_k)

    g_k is the ratio of the gradients that class k got so far from its own samples to those from all others, both as
    sums of |p_k - t_k| times the weight that it had. A call in training uses the sums of the calls before it and then
    adds its own. A class without gradients so far has the weights 1.

    Parameters
    ----------
    logits : Tensor (N, K)
        Argument of the call: floating point.
    target : Tensor (N,)
        Argument of the call: integer class indices.
    num_classes : int
        Number of classes K.
    gamma : float from 0
        Steepness of the step from rare to balanced.
    mu : float from 0
        Ratio at which a class has half of the negative weight.
    alpha : float from 0
        How much more the positive term of a class counts that gets few of them.

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
    >>> balanced = eql_v2(num_classes=2, mu=1.0)
    >>> balanced(torch.zeros(2, 2), torch.tensor([0, 1]))  # the first batch: plain binary cross-entropies
    tensor([1.3863, 1.3863])
    >>> balanced(torch.zeros(2, 2), torch.tensor([0, 1]))  # g = mu, so that a = 1 + 4/2 and b = 1/2
    tensor([2.4260, 2.4260])

    """

    positive_gradient: Tensor
    negative_gradient: Tensor

    def __init__(self, *, num_classes: int, gamma: float = 12.0, mu: float = 0.8, alpha: float = 4.0) -> None:
        super().__init__()
        self.gamma, self.mu, self.alpha = gamma, mu, alpha
        self.register_buffer("positive_gradient", torch.zeros(num_classes))
        self.register_buffer("negative_gradient", torch.zeros(num_classes))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample and, in training, add up the gradients of the classes."""
        true_class = one_hot(logits, target)
        weights = torch.where(true_class, *self._weights()).to(logits)
        if self.training:
            size = (weights * (logits.detach().sigmoid() - true_class.to(logits)).abs()).flatten(end_dim=-2)
            own = true_class.flatten(end_dim=-2)
            self.positive_gradient = self.positive_gradient + (size * own).sum(0)
            self.negative_gradient = self.negative_gradient + (size * ~own).sum(0)
        return (weights * bce(logits, true_class)).sum(-1)

    def _weights(self) -> tuple[Tensor, Tensor]:
        ratio = self.positive_gradient / self.negative_gradient.clamp(min=1e-10)
        negative = (self.gamma * (ratio - self.mu)).sigmoid()
        negative = torch.where(self.positive_gradient + self.negative_gradient > 0, negative, 1.0)
        return 1 + self.alpha * (1 - negative), negative


def rare_classes(class_counts: ClassCounts, logits: Tensor, lam: float, size: float | None = None) -> Tensor:
    """Return the mask (K,) of the classes below a frequency: counts over `size`, or over their sum."""
    counts = positive_counts(float64(class_counts))
    return per_class((counts / (size or counts.sum()) < lam).double(), logits).bool()


_LOW_BITS = 2**32 - 1
"""The lower 32 bits: a remainder by 2^32, but in a fraction of the time."""


def _random_bits(seed: int, *parts: int | Tensor) -> Tensor:
    """Return integers in [0, 2^32) that look drawn at random and are a function of the arguments alone."""
    bits = _scrambled(torch.tensor(seed % 2**32))
    for part in parts:
        bits = _scrambled((bits + part) & _LOW_BITS)
    return bits


def _scrambled(numbers: Tensor) -> Tensor:
    # The 32-bit integer hash "lowbias32" (Wellons 2018). int64 wraps around, which leaves the lower 32 bits right.
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        numbers = ((numbers ^ (numbers >> shift)) * factor) & _LOW_BITS
    return numbers ^ (numbers >> 16)
