"""Losses that learn from the outputs of another network."""

from torch import Tensor
from torch.nn import functional as F

from lossbench.losses.classification import cross_entropy
from lossbench.losses.declaration import adds, loss
from lossbench.losses.links import softmax

__all__ = ["distillation"]


@loss(
    task="multiclass",
    link=softmax,
    source='Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531',
    ranges={"temperature": "(0, inf)", "alpha": "[0, 1]"},
)
@adds("labels", "teacher")
def distillation(
    logits: Tensor, target: Tensor, *, teacher_logits: Tensor, temperature: float = 4.0, alpha: float = 0.9
) -> tuple[Tensor, Tensor]:
    """Cross-entropy, and the divergence from what a trained network, the teacher, predicts for the same input.

    Formula: (1 - a) (-log p_y) + a T^2 KL(softmax(t / T) || softmax(z / T)), with t the logits of the teacher

    T^2 makes up for the gradient of the second term, which shrinks by it; at a high temperature that gradient comes
    near to (z - t) / K for logits whose mean is 0. a = 0 is the cross-entropy. torch has the divergence as `F.kl_div`,
    whose arguments come in the other order.

    Parameters
    ----------
    logits : Tensor (..., K)
        Floating point.
    target : Tensor (...)
        Integer class indices.
    teacher_logits : Tensor (..., K)
        The teacher's logits for the same inputs; no gradient is taken of them.
    temperature : float above 0
        T, by which the logits of both are divided; the higher, the more the improbable classes count.
    alpha : float in [0, 1]
        The share a of the teacher.

    Returns
    -------
    Tensor (...)
        Values from 0.

    Raises
    ------
    ValueError
        If the target does not hold class indices of the right shape.

    Examples
    --------
    >>> import torch
    >>> distillation(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), teacher_logits=torch.tensor([[0.0, 0.0]]))
    tensor([0.6581])

    """
    teacher = (teacher_logits.detach() / temperature).log_softmax(-1)
    student = (logits / temperature).log_softmax(-1)
    divergence = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    return (1 - alpha) * cross_entropy(logits, target), alpha * temperature**2 * divergence
