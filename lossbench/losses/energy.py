"""Losses of energy-based models, whose density is known but for a constant: p(x) = exp(-E(x)) / Z.

A loss compares the energy E of each sample of the data with those of S samples that go with it: of the model itself, or
of noise. Low energy is high density, so each of them lowers the energy of data and raises that of the others. Some
texts print contrastive divergence with the signs the other way round, which makes data unlikely.

Densities may be against any measure, if only the same one throughout: those of a run are against a Gaussian that is
fitted to the training samples, q(x), so that p(x) = q(x) exp(-E(x)) / Z.

Where a loss says nothing else:

Parameters
----------
energies : Tensor
    E of samples of the data, floating, shape (N,).
drawn_energies : Tensor
    E of the samples that go with each of them, shape (N, S).

Returns
-------
Tensor
    Shape (N,).

"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.losses.declaration import loss
from lossbench.losses.links import identity

__all__ = ["contrastive_divergence", "noise_contrastive"]


@loss(
    task="energy",
    link=identity,
    source=(
        'Hinton 2002, "Training Products of Experts by Minimizing Contrastive Divergence", '
        'doi:10.1162/089976602760128018; persistent: Tieleman 2008, "Training Restricted Boltzmann Machines using '
        'Approximations to the Likelihood Gradient", doi:10.1145/1390156.1390290; alpha: Du and Mordatch 2019, '
        '"Implicit Generation and Modeling with Energy-Based Models", arXiv:1903.08689'
    ),
    ranges={"steps": "[1, inf)", "alpha": "[0, inf)"},
    shapes="N , N S -> N",
)
def contrastive_divergence(
    energies: Tensor, drawn_energies: Tensor, *, steps: int = 10, persistent: bool = False, alpha: float = 0.01
) -> Tensor:
    """Contrastive divergence (CD-k): data against samples of the model after k steps of a Markov chain.

    Formula: E(x) - mean_s E(x_s) + alpha (E(x)^2 + mean_s E(x_s)^2)

    Its gradient is that of the negative log-likelihood where the x_s are samples of the model; they are held constant.
    The learner draws them by Langevin dynamics, which begins at the data, or if persistent where it ended the step
    before. The value itself says nothing: it is about 0 whenever the chain has not moved, and at the optimum. alpha
    keeps energies near 0, which without it drift apart.

    Parameters
    ----------
    drawn_energies : Tensor
        E of samples of the model, shape (N, S).
    steps : int
        k, the steps of the chain that the learner makes, in [1, inf); the value does not depend on it.
    persistent : bool
        Whether chains go on from where they were; the value does not depend on it.
    alpha : float
        Weight of the squared energies, in [0, inf).

    Examples
    --------
    >>> contrastive_divergence(torch.tensor([1.0]), torch.tensor([[3.0]]), alpha=0.0)
    tensor([-2.])

    """
    difference = energies - drawn_energies.mean(1)
    return difference + alpha * (energies.square() + drawn_energies.square().mean(1))


@loss(
    task="energy",
    link=identity,
    source=(
        'Gutmann and Hyvärinen 2010, "Noise-Contrastive Estimation: A New Estimation Principle for Unnormalized '
        'Statistical Models", AISTATS, PMLR 9:297-304; Gutmann and Hyvärinen 2012, JMLR 13:307-361 (nu)'
    ),
    ranges={"nu": "[1, inf)"},
    shapes="N , N S -> N",
)
class noise_contrastive(nn.Module):  # noqa: N801
    """Noise-contrastive estimation: tell data from noise of a known density, by the logarithm of their ratio.

    Formula: -log sigmoid(u(x)) - sum_s log sigmoid(-u(x_s)), u(x) = -E(x) - c - log p_noise(x) - log S, c learned

    The x_s are noise. With enough of it the best u is the logarithm of p_data over S p_noise, so that E + c is the
    negative log-density of the data: c is learned as the log-partition log Z, and no chain is needed. Noise that is far
    from the data is told apart too easily to teach much; more of it helps.

    Parameters
    ----------
    drawn_energies : Tensor
        E of samples of noise, shape (N, S).
    log_noise, drawn_log_noise : Tensor
        Log-density of the noise at the data, (N,), and at the noise, (N, S), in nats, against the measure that E is
        meant against.
    nu : int
        S, samples of noise that the learner draws for each of the data, in [1, inf).

    Examples
    --------
    >>> at_data, at_noise = torch.zeros(1), torch.zeros(1, 1)
    >>> noise_contrastive(nu=1)(torch.zeros(1), torch.zeros(1, 1), log_noise=at_data, drawn_log_noise=at_noise).detach()
    tensor([1.3863])

    """

    def __init__(self, *, nu: int = 10) -> None:
        super().__init__()
        self.log_partition = nn.Parameter(torch.zeros(()))

    def forward(
        self, energies: Tensor, drawn_energies: Tensor, *, log_noise: Tensor, drawn_log_noise: Tensor
    ) -> Tensor:
        """Return the loss of each sample."""
        constant = self.log_partition + math.log(drawn_energies.shape[1])
        of_data = energies + constant + log_noise
        of_noise = drawn_energies + constant + drawn_log_noise
        return F.softplus(of_data) + F.softplus(-of_noise).sum(1)
