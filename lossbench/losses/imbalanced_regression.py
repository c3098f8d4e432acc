"""Losses for regression with rare targets: few samples where the target is extreme. A value for each sample.

r is the residual, target - prediction.

Where a loss says nothing else:

Parameters
----------
prediction, target : Tensor (...)
    Floating point, of the same shape.

Raises
------
ValueError
    If the shapes differ.

"""

import torch
from torch import Tensor, nn

from lossbench.losses.declaration import loss
from lossbench.losses.learned_scale import positive
from lossbench.losses.links import identity
from lossbench.losses.regression import residual_of

__all__ = ["balanced_mse", "focal_r_l1", "focal_r_l2"]


@loss(
    task="regression",
    link=identity,
    source='Yang et al. 2021, "Delving into Deep Imbalanced Regression", arXiv:2102.09554',
    problem="imbalance",
    ranges={"beta": "(0, inf)", "gamma": "[0, inf)"},
)
def focal_r_l1(prediction: Tensor, target: Tensor, *, beta: float = 0.2, gamma: float = 1.0) -> Tensor:
    """Absolute error with less weight on samples that are already predicted well (Focal-R).

    Formula: |r| (2 sigmoid(beta |r|) - 1)^gamma

    The factor is tanh(beta |r| / 2) to the power gamma, and part of the gradient; the authors' code can also take
    tanh(beta |r|), which is 2 beta here. gamma = 0 and large beta give the absolute error. It looks at the residual
    alone: rare targets gain only as far as they are predicted worse, and so do outliers.

    Parameters
    ----------
    beta : float above 0
        Inverse of the residual that counts as large, in units of 1 / target: in a run 1 / robust standard deviation,
        unless `data.standardize=none`. The default is the paper's, for ages in years; with a standardised target search
        larger ones.
    gamma : float from 0
        Strength of the down-weighting.

    Returns
    -------
    Tensor (...)
        Values from 0, at most the absolute error.

    Examples
    --------
    >>> focal_r_l1(torch.tensor([0.0]), torch.tensor([5.0]), beta=0.2, gamma=1.0)
    tensor([2.3106])

    """
    size = residual_of(prediction, target).abs()
    return size * _focus(size, beta, gamma)


@loss(
    task="regression",
    link=identity,
    source='Yang et al. 2021, "Delving into Deep Imbalanced Regression", arXiv:2102.09554',
    problem="imbalance",
    ranges={"beta": "(0, inf)", "gamma": "[0, inf)"},
)
def focal_r_l2(prediction: Tensor, target: Tensor, *, beta: float = 0.2, gamma: float = 1.0) -> Tensor:
    """Squared error with less weight on samples that are already predicted well (Focal-R).

    Formula: r^2 (2 sigmoid(beta |r|) - 1)^gamma

    As `focal_r_l1`, on the squared error.

    Parameters
    ----------
    beta : float above 0
        Inverse of the residual that counts as large, in units of 1 / target: in a run 1 / robust standard deviation,
        unless `data.standardize=none`. The default is the paper's, for ages in years; with a standardised target search
        larger ones.
    gamma : float from 0
        Strength of the down-weighting.

    Returns
    -------
    Tensor (...)
        Values from 0, at most the squared error.

    Examples
    --------
    >>> focal_r_l2(torch.tensor([0.0]), torch.tensor([5.0]), beta=0.2, gamma=1.0)
    tensor([11.5529])

    """
    size = residual_of(prediction, target).abs()
    return size.square() * _focus(size, beta, gamma)


@loss(
    task="regression",
    link=identity,
    source='Ren et al. 2022, "Balanced MSE for Imbalanced Visual Regression", arXiv:2203.16427',
    problem="imbalance",
    ranges={"sigma": "(0, inf)"},
    coupled=True,
    detached="the factor 2 sigma^2",
)
class balanced_mse(nn.Module):  # noqa: N801
    """Balanced MSE (batch-based Monte-Carlo): tell which target of the batch belongs to the prediction.

    Formula: -2 sigma^2 log(exp(-(y_i - f_i)^2 / (2 sigma^2)) / sum_j exp(-(y_j - f_i)^2 / (2 sigma^2))), sigma learned

    The targets of the batch stand for the distribution of the training targets, which the sum takes out: predictions
    f are for balanced targets, and don't shrink towards the frequent ones. The factor 2 sigma^2 gives the gradient
    the scale of the squared error and is held constant: sigma learns from the logarithm alone. The larger the batch,
    the better the distribution; a batch of one has the loss 0.

    Parameters
    ----------
    sigma : float above 0
        Where the standard deviation of the noise starts, in units of the target that the loss gets: in a run robust
        standard deviations, unless `data.standardize=none`; it stays above 1e-5 of it. The start matters, as sigma
        learns slowly (the authors give it a learning rate of its own): with a standardised target 1 says that all of it
        is noise, and predictions go far out. Search it.
    prediction, target : Tensor (N,)
        Arguments of the call: floating point, of the same shape. N x N numbers are computed.

    Returns
    -------
    Tensor (N,)
        Values from 0.

    Examples
    --------
    >>> balanced_mse(sigma=1.0)(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])).detach()
    tensor([0.9482, 0.9482])

    """

    def __init__(self, *, sigma: float = 1.0) -> None:
        super().__init__()
        self.start = sigma
        self.latent = nn.Parameter(torch.zeros(()))

    @property
    def sigma(self) -> Tensor:
        """The standard deviation of the noise learned so far."""
        return positive(self.latent, self.start)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample."""
        residual, variance = residual_of(prediction, target), 2 * self.sigma.square()
        between = target.unsqueeze(1) - target.unsqueeze(0)
        # The own square less that to target j, multiplied out: the difference of two large squares would lose digits.
        nearer = between * (residual.unsqueeze(1) + target.unsqueeze(0) - prediction.unsqueeze(1))
        return (nearer / variance).logsumexp(1) * variance.detach()


def _focus(size: Tensor, beta: float, gamma: float) -> Tensor:
    # At r = 0 the derivative of the power is infinite for gamma < 1; the whole loss has the derivative 0 there.
    return torch.tanh(0.5 * beta * size).clamp(min=torch.finfo(size.dtype).tiny) ** gamma
