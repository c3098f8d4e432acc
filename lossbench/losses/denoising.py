"""Losses of models that learn to denoise: how far the prediction of noise, or of a velocity, is off.

Each is the mean over the numbers of a sample. Papers write the squared norm, which is as many times larger as a sample
has numbers; their code takes the mean. Link and learner say what is predicted: of a loss with the link
`predicted_noise` the noise in a sample on the path of denoising diffusion, of one with `predicted_velocity` the
direction from noise to sample on a straight path.

Where a loss says nothing else:

Parameters
----------
outputs : Tensor
    Predicted noise f, floating, shape (N, ...).
noise : Tensor
    The noise e that was mixed in, standard normal, shape (N, ...).

Returns
-------
Tensor
    Shape (N,).

"""

import torch.nn.functional as F
from torch import Tensor

from lossbench.losses.declaration import loss
from lossbench.losses.links import predicted_noise, predicted_velocity


@loss(
    task="denoising",
    link=predicted_noise,
    source='Ho, Jain, Abbeel 2020, "Denoising Diffusion Probabilistic Models", equation 14, arXiv:2006.11239',
)
def denoise_mse(outputs: Tensor, noise: Tensor) -> Tensor:
    """Squared error of the predicted noise: the simple objective of denoising diffusion models.

    Formula: mean_i (e_i - f_i)^2

    Against the variational bound it leaves out the weights of the steps, which would favour those of little noise.

    Examples
    --------
    >>> import torch
    >>> denoise_mse(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]))
    tensor([2.])

    """
    return (outputs - noise).square().flatten(1).mean(1)


@loss(
    task="denoising",
    link=predicted_noise,
    source='Chen et al. 2021, "WaveGrad: Estimating Gradients for Waveform Generation", arXiv:2009.00713',
)
def denoise_l1(outputs: Tensor, noise: Tensor) -> Tensor:
    """Absolute error of the predicted noise.

    Formula: mean_i abs(e_i - f_i)

    It learns the median of the noise and not its mean, which the sampling equations ask for: samples may lose variety.

    Examples
    --------
    >>> import torch
    >>> denoise_l1(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]))
    tensor([1.])

    """
    return (outputs - noise).abs().flatten(1).mean(1)


@loss(
    task="denoising",
    link=predicted_noise,
    source=(
        'Huber 1964, "Robust Estimation of a Location Parameter", doi:10.1214/aoms/1177703732, on the noise of '
        "Ho, Jain, Abbeel 2020, arXiv:2006.11239"
    ),
    ranges={"delta": "(0, inf)"},
)
def denoise_huber(outputs: Tensor, noise: Tensor, *, delta: float = 1.0) -> Tensor:
    """Huber's error of the predicted noise: squared where it is small, absolute where it is large.

    Formula: mean_i h(e_i - f_i), h(r) = r^2 / 2 if abs(r) <= delta else delta (abs(r) - delta / 2)

    Parameters
    ----------
    delta : float
        Where the error turns from squared to absolute, in (0, inf).

    Examples
    --------
    >>> import torch
    >>> denoise_huber(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]))
    tensor([0.7500])

    """
    return F.huber_loss(outputs, noise, reduction="none", delta=delta).flatten(1).mean(1)


@loss(
    task="denoising",
    link=predicted_noise,
    source='Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", arXiv:2303.09556',
    ranges={"gamma": "(0, inf)"},
)
def denoise_min_snr(outputs: Tensor, noise: Tensor, *, signal_to_noise: Tensor, gamma: float = 5.0) -> Tensor:
    """Squared error of the predicted noise, with less weight where there is little noise (min-SNR).

    Formula: min(SNR, gamma) / SNR mean_i (e_i - f_i)^2

    SNR is the ratio of the variances of signal and noise at the step of a sample. In terms of the clean sample that
    follows from the prediction, the weight is min(SNR, gamma) on its squared error. An infinite gamma is `denoise_mse`.

    Parameters
    ----------
    signal_to_noise : Tensor
        SNR of each sample, at least 0, shape (N,).
    gamma : float
        The ratio from which on the weight falls, in (0, inf).

    Examples
    --------
    >>> import torch
    >>> outputs, noise = torch.zeros(2, 1), torch.ones(2, 1)
    >>> denoise_min_snr(outputs, noise, signal_to_noise=torch.tensor([1.0, 50.0]))
    tensor([1.0000, 0.1000])

    """
    weight = (gamma / signal_to_noise).clamp_max(1.0)
    return weight * (outputs - noise).square().flatten(1).mean(1)


@loss(
    task="denoising",
    link=predicted_velocity,
    source=(
        'Lipman et al. 2023, "Flow Matching for Generative Modeling", arXiv:2210.02747; Liu, Gong, Liu 2023, '
        '"Flow Straight and Fast" (rectified flow), arXiv:2209.03003'
    ),
)
def flow_matching(outputs: Tensor, velocity: Tensor) -> Tensor:
    """Squared error of the predicted velocity on the straight path from noise to sample.

    Formula: mean_i (v_i - f_i)^2, with v = x1 - x0 at x_t = (1 - t) x0 + t x1

    x0 is noise and x1 a sample. The paper leaves a little noise at the end of the path (sigma_min); here it is 0, as in
    rectified flow.

    Parameters
    ----------
    outputs : Tensor
        Predicted velocity f at x_t, floating, shape (N, ...).
    velocity : Tensor
        The velocity v of the path, shape (N, ...).

    Examples
    --------
    >>> import torch
    >>> flow_matching(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]))
    tensor([2.])

    """
    return (outputs - velocity).square().flatten(1).mean(1)
