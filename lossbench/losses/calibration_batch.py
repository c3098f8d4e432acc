"""Cross-entropy plus what a batch says of calibration. Outputs are logits; a value for each sample.

The term of the batch is added to the cross-entropy of each of its samples, so that the plain mean over the batch is the
mean cross-entropy plus the term. It is estimated on the batch: with few samples it is mostly noise.

p_i = softmax(logits) of sample i, q_i its largest probability, c_i 1 where that class is the true one and else 0.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (N, K)
    Floating point.
target : Tensor (N,)
    Integer class indices.

Returns
-------
Tensor (N,)
    Values from 0.

Raises
------
ValueError
    If the target does not hold class indices of the right shape.

"""

from torch import Tensor

from lossbench.losses.classification import cross_entropy, one_hot
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["dca", "mdca", "mmce"]


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Liang et al. 2020, "Improved Trainable Calibration Method for Neural Networks on Medical Imaging '
        'Classification", arXiv:2009.04057'
    ),
    problem="calibration",
    ranges={"beta": "[0, inf)"},
    coupled=True,
)
def dca(logits: Tensor, target: Tensor, *, beta: float = 1.0) -> Tensor:
    """Cross-entropy plus the difference between mean confidence and accuracy of the batch (DCA).

    Formula: -log p_y + beta |mean_i q_i - mean_i c_i|

    beta = 0 is the cross-entropy. Confidence that is too high on some samples and too low on others cancels out.

    Parameters
    ----------
    beta : float from 0
        Weight of the difference; the papers try 1 to 15.

    Examples
    --------
    >>> import torch
    >>> dca(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), beta=1.0)
    tensor([0.4365, 1.0027])

    """
    confidence, correct = _confidence_and_correctness(logits, target)
    return cross_entropy(logits, target) + beta * (confidence.mean() - correct.mean()).abs()


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Hebbalaguppe et al. 2022, "A Stitch in Time Saves Nine: A Train-Time Regularizing Loss for Improved '
        'Neural Network Calibration", arXiv:2203.13834'
    ),
    problem="calibration",
    ranges={"beta": "[0, inf)"},
    coupled=True,
)
def mdca(logits: Tensor, target: Tensor, *, beta: float = 1.0) -> Tensor:
    """Cross-entropy plus the difference between mean probability and frequency in the batch, of each class (MDCA).

    Formula: -log p_y + (beta / K) sum_k |mean_i p_ik - mean_i Y_ik|, with Y the one-hot labels

    beta = 0 is the cross-entropy. Unlike `dca` it looks at the probabilities of all classes, and has a gradient through
    each of them.

    Parameters
    ----------
    beta : float from 0
        Weight of the difference; the papers try 1 to 15.

    Examples
    --------
    >>> import torch
    >>> mdca(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), beta=1.0)
    tensor([1.1931, 1.1931])

    """
    excess = logits.softmax(-1) - one_hot(logits, target).to(logits.dtype)
    return cross_entropy(logits, target) + beta * excess.mean(0).abs().mean()


@loss(
    task="multiclass",
    link=softmax,
    source='Kumar et al. 2018, "Trainable Calibration Measures for Neural Networks from Kernel Mean Embeddings", ICML',
    problem="calibration",
    ranges={"weight": "[0, inf)", "width": "(0, inf)"},
    coupled=True,
)
def mmce(logits: Tensor, target: Tensor, *, weight: float = 2.0, width: float = 0.4) -> Tensor:
    """Cross-entropy plus the maximum mean calibration error of the batch, a kernel form of the calibration error.

    Formula: -log p_y + weight mean_{i,j} (c_i - q_i) (c_j - q_j) exp(-|q_i - q_j| / width)

    weight = 0 is the cross-entropy. The term is the square of the error that the paper defines, as the authors' code
    and that of Mukhoti et al. 2020 train it: without the root, whose slope at 0 is infinite. Their variant that weighs
    correct and wrong samples apart is another loss. It costs N^2 for a batch of N.

    Parameters
    ----------
    weight : float from 0
        Weight of the error; the paper tries 2 to 8.
    width : float above 0
        Width of the kernel, in units of probability.

    Examples
    --------
    >>> import torch
    >>> mmce(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), weight=2.0)
    tensor([3.6785])

    """
    confidence, correct = _confidence_and_correctness(logits, target)
    gap = correct - confidence
    # In place where the gradient allows it: for large batches new memory takes longer than the numbers in it.
    kernel = (confidence.unsqueeze(0) - confidence.unsqueeze(1)).abs().mul_(-1 / width).exp_()
    return cross_entropy(logits, target) + weight * (gap @ (kernel @ gap)) / len(gap) ** 2


def _confidence_and_correctness(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    confidence, predicted = logits.softmax(-1).max(-1)
    return confidence, (predicted == target).to(logits.dtype)
