"""Losses against wrong labels that add a term to the cross-entropy. Outputs are logits; a value for each sample.

p = softmax(logits), y the given class, p_y its probability, K the number of classes. The term trusts the prediction
itself, what was predicted before, or what other labels would cost.

Where a loss says nothing else:

Parameters
----------
logits : Tensor (..., K)
    Floating point.
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
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.classification import log_probability
from lossbench.losses.declaration import loss
from lossbench.losses.links import softmax

__all__ = ["bootstrap_hard", "bootstrap_soft", "cores2", "elr", "peer_loss"]

_LOG_FLOOR = math.log(1e-8)
"""Added to each probability of `peer_loss` and `cores2`, whose negative terms would have no bound without it."""


@loss(
    task="multiclass",
    link=softmax,
    source='Reed et al. 2015, "Training Deep Neural Networks on Noisy Labels with Bootstrapping", arXiv:1412.6596',
    problem="noise",
    ranges={"beta": "[0, 1]"},
)
def bootstrap_soft(logits: Tensor, target: Tensor, *, beta: float = 0.95) -> Tensor:
    """Cross-entropy towards a mixture of the label and the prediction itself.

    Formula: -sum_k (beta Y_k + (1 - beta) p_k) log p_k

    The prediction in the mixture is part of the gradient, so this is the cross-entropy with a penalty on the entropy of
    p; some codes hold it constant. beta = 1 is the cross-entropy.

    Parameters
    ----------
    beta : float in [0, 1]
        Trust in the labels.

    Examples
    --------
    >>> bootstrap_soft(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), beta=0.5)
    tensor([1.2461])

    """
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    return -beta * log_probability(logits, target) + (1 - beta) * entropy


@loss(
    task="multiclass",
    link=softmax,
    source='Reed et al. 2015, "Training Deep Neural Networks on Noisy Labels with Bootstrapping", arXiv:1412.6596',
    problem="noise",
    ranges={"beta": "[0, 1]"},
)
def bootstrap_hard(logits: Tensor, target: Tensor, *, beta: float = 0.8) -> Tensor:
    """Cross-entropy towards a mixture of the label and the most likely class.

    Formula: -beta log p_y - (1 - beta) log max_k p_k

    beta = 1 is the cross-entropy.

    Parameters
    ----------
    beta : float in [0, 1]
        Trust in the labels.

    Examples
    --------
    >>> bootstrap_hard(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), beta=0.5)
    tensor([1.1269])

    """
    return -beta * log_probability(logits, target) - (1 - beta) * logits.log_softmax(-1).amax(-1)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Liu and Guo 2020, "Peer Loss Functions: Learning from Noisy Labels without Knowing Noise Rates", '
        "arXiv:1910.03231"
    ),
    problem="noise",
    ranges={"alpha": "[0, inf)"},
    coupled=True,
)
def peer_loss(logits: Tensor, target: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Cross-entropy with the given label, minus that with a label drawn from the batch.

    Formula: l(y) - alpha sum_k f_k l(k), with l(k) = -log(p_k + 1e-8), f_k the share of label k in the batch

    Punishes predictions that don't depend on the input; the rate of the noise need not be known. The paper pairs random
    inputs with random labels: here each sample meets every label of the batch, which is the mean over all pairs,
    without drawing. The 1e-8 bounds the second term, which could fall without end. alpha = 0 is, but for the 1e-8, the
    cross-entropy; the authors' experiments raise alpha during training, here it is constant.

    Parameters
    ----------
    alpha : float from 0
        Weight of the second term; 1 for balanced classes.

    Returns
    -------
    Tensor (...)
        Values from -18.4 alpha to 18.4.

    Examples
    --------
    >>> peer_loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor([-1.,  0.])

    """
    own = -_bounded(log_probability(logits, target))
    share = F.one_hot(target.long(), logits.shape[-1]).flatten(0, -2).to(logits.dtype).mean(0)
    return own + alpha * (share * _bounded(logits.log_softmax(-1))).sum(-1)


@loss(
    task="multiclass",
    link=softmax,
    source=(
        'Cheng et al. 2021, "Learning with Instance-Dependent Label Noise: A Sample Sieve Approach", arXiv:2010.02347'
    ),
    problem="noise",
    ranges={"beta": "[0, inf)", "start": "[0, 1]", "ramp": "[0, 1]"},
)
def cores2(
    logits: Tensor,
    target: Tensor,
    *,
    epoch: int,
    max_epochs: int,
    beta: float = 2.0,
    start: float = 0.1,
    ramp: float = 0.3,
) -> Tensor:
    """Cross-entropy with a reward for confidence: the mean cross-entropy over all labels is subtracted.

    Formula: -log p_y - b mean_k (-log(p_k + 1e-8)), b = beta min(1, max(0, (epoch - start E) / (ramp E - 1)))

    Confident predictions don't follow wrong labels. b is 0 at first, then grows to beta, by default over the shares of
    the E epochs that the authors' code has: of 100, 10 without and 30 to grow, in 29 equal steps from 0 in epoch 10 to
    beta in epoch 39. The 1e-8, theirs too, bounds the second term. Their sieve, which leaves out the samples with a
    positive value from then on, is not part of this; nor is their division of the learning rate by 1 + b.

    Parameters
    ----------
    epoch : int
        Number of the current epoch, from 0.
    max_epochs : int
        Epochs of the whole training, E.
    beta : float from 0
        Weight of the second term in the end; 0 is the cross-entropy.
    start : float in [0, 1]
        Share of the training before b grows.
    ramp : float in [0, 1]
        Share of the training in which it grows, its last epoch at beta; one epoch or less for at once.

    Returns
    -------
    Tensor (...)
        Values from -18.4 beta.

    Examples
    --------
    >>> cores2(torch.tensor([[2.0, 0.0]]), torch.tensor([1]), epoch=9, max_epochs=10)
    tensor([-0.1269])

    """
    past_start, steps = epoch - start * max_epochs, ramp * max_epochs - 1
    growth = float(past_start > -1e-9) if steps < 1e-9 else min(1.0, max(0.0, past_start / steps))
    return beta * growth * _bounded(logits.log_softmax(-1)).mean(-1) - log_probability(logits, target)


@loss(
    task="multiclass",
    link=softmax,
    source='Liu et al. 2020, "Early-Learning Regularization Prevents Memorization of Noisy Labels", arXiv:2007.00151',
    problem="noise",
    ranges={"beta": "[0, 1)", "lam": "[0, inf)"},
    detached="the moving mean of the predictions for each sample",
)
class elr(nn.Module):  # noqa: N801  it is called by this name, as are the losses without memory
    """Early-learning regularisation: the cross-entropy, with a pull towards what was predicted for a sample before.

    Formula: -log p_y + lam log(1 - sum_k t_k p_k), with t the moving mean of p for this sample

    At each call t becomes beta t + (1 - beta) p, starting from 0, and is held constant in the gradient. What is learned
    early, before wrong labels are memorised, is kept. As in the authors' code p is clamped to [1e-4, 1 - 1e-4] outside
    of the cross-entropy, and the p that enters t is then divided by its sum. lam = 0 is the cross-entropy. In
    evaluation mode t is not stored.

    Parameters
    ----------
    logits : Tensor (N, K)
        Argument of the call: floating point.
    target : Tensor (N,)
        Argument of the call: integer class indices.
    index : Tensor (N,)
        Argument of the call: the numbers of the training samples.
    num_samples : int
        Training samples: one row of memory for each.
    num_classes : int
        Number of classes K.
    beta : float in [0, 1)
        Share of the past in the moving mean; 0.7 for CIFAR-10, 0.9 for CIFAR-100.
    lam : float from 0
        Weight of the pull; 3 for CIFAR-10, 7 for CIFAR-100.

    Returns
    -------
    Tensor (N,)
        Values from -9.21 lam.

    Examples
    --------
    >>> criterion = elr(num_samples=5, num_classes=2, beta=0.5, lam=1.0)
    >>> criterion(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), index=torch.tensor([3]))
    tensor([0.4055])

    """

    memory: Tensor

    def __init__(self, *, num_samples: int, num_classes: int, beta: float = 0.7, lam: float = 3.0) -> None:
        super().__init__()
        self.beta = beta
        self.lam = lam
        self.register_buffer("memory", torch.zeros(num_samples, num_classes))

    def forward(self, logits: Tensor, target: Tensor, *, index: Tensor) -> Tensor:
        """Return the loss of each sample (N,), and remember its prediction."""
        # In bfloat16 1 - 1e-4 would be 1, and the logarithm infinite.
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        p = precise.softmax(-1).clamp(1e-4, 1 - 1e-4)
        with torch.no_grad():
            mean = self.beta * self.memory[index] + (1 - self.beta) * p / p.sum(-1, keepdim=True)
            if self.training:
                self.memory[index] = mean.to(self.memory.dtype)
        pull = torch.log1p(-(mean * p).sum(-1))
        return self.lam * pull.to(logits.dtype) - log_probability(logits, target)


def _bounded(log_p: Tensor) -> Tensor:
    """Return log(p + 1e-8) of log p."""
    return torch.logaddexp(log_p, log_p.new_tensor(_LOG_FLOOR))
