"""The learner of energy-based models: a network against a Gaussian that is fitted to the data, and its chains."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.generative import Generative
from lossbench.learners.learner import in_full_precision
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.generation.frechet import Gaussian
from lossbench.tasks.generation.plane import Plane
from lossbench.tasks.problem import Kept

LEAST_VARIANCE = 1e-3
"""Added to each variance of the Gaussian, as a part of their mean: some pixels of images never change."""


class Whitened:
    """Samples as x = mean + root w of w that is standard normal where x has the distribution of a Gaussian.

    Parameters
    ----------
    gaussian : Gaussian
        Mean and covariance of flattened samples.
    shape : sequence of int
        Of one sample.

    """

    def __init__(self, gaussian: Gaussian, shape: tuple[int, ...]) -> None:
        variances = gaussian.covariance.diagonal()
        ridge = LEAST_VARIANCE * variances.mean() * torch.eye(len(variances), dtype=variances.dtype)
        self.shape = shape
        self.mean, self.root = gaussian.mean, torch.linalg.cholesky(gaussian.covariance + ridge)
        self.std = variances.sqrt()
        self.scale = float(variances.mean().sqrt())
        self.constant = float(self.root.diagonal().log().sum()) + len(variances) / 2 * math.log(2 * math.pi)

    def back(self, whitened: Tensor) -> Tensor:
        """Return the samples x (N, ...) of numbers w (N, D)."""
        return (whitened @ self.root.T.to(whitened) + self.mean.to(whitened)).view(-1, *self.shape)

    def __call__(self, samples: Tensor) -> Tensor:
        """Return the numbers w (N, D) of samples x (N, ...)."""
        centered = samples.flatten(1) - self.mean.to(samples)
        return torch.linalg.solve_triangular(self.root.to(samples), centered.T, upper=False).T

    def standard(self, samples: Tensor) -> Tensor:
        """Return samples less their mean, in units of one standard deviation for all numbers."""
        return (samples - self.mean.to(samples).view(self.shape)) / self.scale

    def log_density(self, samples: Tensor) -> Tensor:
        """Return the log-density (N,) of the Gaussian."""
        return -0.5 * self(samples).square().sum(1) - self.constant


def langevin(
    potential: Callable[[Tensor], Tensor], start: Tensor, steps: int, step_size: float, noise: torch.Generator
) -> Tensor:
    """Follow Langevin dynamics, each step accepted or not by the rule of Metropolis (MALA).

    Formula: w - step_size^2 / 2 grad potential(w) + step_size n, n standard normal

    So exp(-potential) is kept by steps of any size; where they are too large for it, few are accepted.

    Parameters
    ----------
    potential : callable
        Maps (N, D) to (N,).
    start : Tensor
        Where it begins, shape (N, D).
    steps, step_size : int, float
        How many, and how large.
    noise : torch.Generator
        On the CPU.

    References
    ----------
    Roberts and Tweedie 1996, "Exponential Convergence of Langevin Distributions and Their Discrete Approximations".

    """

    def seen(where: Tensor) -> tuple[Tensor, Tensor]:
        """Return the potential, and where a step leads without noise."""
        where = where.detach().requires_grad_()
        height = potential(where)
        (slope,) = torch.autograd.grad(height.sum(), where)
        return height.detach(), where.detach() - step_size**2 / 2 * slope

    with torch.inference_mode(False), torch.enable_grad():
        current = start.clone()
        height, ahead = seen(current)
        for _ in range(steps):
            drawn = torch.randn(current.shape, generator=noise).to(current)
            proposed = ahead + step_size * drawn
            its_height, its_ahead = seen(proposed)
            back = (current - its_ahead).square().sum(1) / step_size**2
            log_ratio = height - its_height + 0.5 * (drawn.square().sum(1) - back)
            accepted = torch.rand(len(current), generator=noise).to(current).log() < log_ratio
            current, ahead = (
                torch.where(accepted[:, None], new, old) for new, old in ((proposed, current), (its_ahead, ahead))
            )
            height = torch.where(accepted, its_height, height)
        return current


@takes(evaluated_samples="int [2, inf)", step_size="number (0, inf)", sampling_steps="int [1, inf)")
class Energy(Generative):
    """Train a network that gives the energy of a sample, against a Gaussian q that is fitted to the training samples.

    The density is p(x) = q(x) exp(-E(x)) / Z, so that a network that gives 0 is the best Gaussian. A loss is called
    with the energies of data, and of samples that go with each of them: of noise from q for a loss that asks for
    `log_noise`, as many as its parameter `nu` says; else of chains, by its parameters `steps` and `persistent`. Against
    q the log-density of this noise is 0. Chains run where q is standard normal. What is drawn comes from a stream of
    its own for each epoch.

    Of points the density is normalised, and samples are drawn, on a grid (`tasks.generation.plane`); images are drawn
    by chains that begin at q, and have no log-likelihood.

    Parameters
    ----------
    step_size : float
        Of Langevin dynamics, in standard deviations of the data.
    sampling_steps : int
        Of the chains that draw images.
    **common
        As for every `Generative`; the network maps standardised samples to energies (N,).

    """

    needs = ("input_shape",)

    def __init__(self, step_size: float, sampling_steps: int, **common: Any) -> None:
        super().__init__(**common)
        if self.loss.is_sum:
            raise ConfigError("losses of energies can't be added: each has samples of its own drawn. Use one of them.")
        assert self.problem.gaussian is not None
        self.step_size, self.sampling_steps = step_size, sampling_steps
        self.whitened = Whitened(self.problem.gaussian, self.network.input_shape)
        self.chains = torch.empty(0)
        self.plane: Plane | None = None
        self._draws = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._draws = torch_stream(self.seed, "chains", self.current_epoch)

    def energy(self, samples: Tensor) -> Tensor:
        """Return the energy (N,) of samples (N, ...)."""
        return in_full_precision(self.network(self.whitened.standard(samples)))

    def log_density(self, samples: Tensor) -> Tensor:
        """Return the log-density (N,) of samples (N, ...) but for the log-partition."""
        return self.whitened.log_density(samples) - self.energy(samples)

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each sample."""
        context = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        of_noise = "log_noise" in self.loss.step_context
        drawn = self._noise(batch.inputs) if of_noise else self._walked(batch.inputs)
        energies, drawn_energies = self.energy(batch.inputs), self.energy(drawn).view(len(batch.inputs), -1)
        context |= {"log_noise": torch.zeros_like(energies), "drawn_log_noise": torch.zeros_like(drawn_energies)}
        return self.loss(energies, drawn_energies, **context)

    def _noise(self, like: Tensor) -> Tensor:
        count = self.loss.settings.get("nu", 1) * len(like)
        return self.whitened.back(torch.randn(count, self.whitened.mean.numel(), generator=self._draws).to(like))

    def _walked(self, data: Tensor) -> Tensor:
        """Return samples of chains, one for each of the data."""
        persistent = self.loss.settings.get("persistent", False)
        start = self._chains(data) if persistent else self.whitened(data)
        ended = self.follow(start, self.loss.settings.get("steps", 1), self._draws)
        if persistent:
            self.chains[: len(ended)] = ended.to(self.chains)
        return self.whitened.back(ended)

    def _chains(self, data: Tensor) -> Tensor:
        """Return where chains stand, as many as there are data; new ones begin at the Gaussian."""
        missing = len(data) - len(self.chains)
        if missing > 0:
            begun = torch.randn(missing, self.whitened.mean.numel(), generator=self._draws)
            self.chains = torch.cat([self.chains.view(-1, begun.shape[1]), begun])
        return self.chains[: len(data)].to(data)

    def follow(self, start: Tensor, steps: int, noise: torch.Generator) -> Tensor:
        """Follow chains from whitened samples (N, D)."""

        def potential(whitened: Tensor) -> Tensor:
            return self.energy(self.whitened.back(whitened)) + 0.5 * whitened.square().sum(1)

        return langevin(potential, start, steps, self.step_size, noise)

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Draw points from the grid, and other samples by chains."""
        if self.network.input_shape == (2,):
            mean, std = (each.to(self.device, self.dtype) for each in (self.whitened.mean, self.whitened.std))
            with torch.no_grad():
                self.plane = Plane(self.log_density, mean, std)
            return self.plane.draw(count, noise)
        start = torch.randn(count, self.whitened.mean.numel(), generator=noise).to(self.device, self.dtype)
        return self.whitened.back(self.follow(start, self.sampling_steps, noise))

    def kept(self, batch: Any) -> Kept:
        """Keep the held-out samples, and of points their log-likelihoods."""
        kept = {"real": batch.inputs, "index": batch.index}
        if self.plane is None:
            return kept
        return {**kept, "log_likelihood": self.log_density(batch.inputs) - self.plane.log_partition}

    def predictions(self, kept: Kept) -> Any:
        """Compare the samples of this evaluation with held-out ones; keep the log-likelihood of all of these."""
        compared = self.compared_with_held_out(kept, self.samples)
        likelihood = {name: kept[name] for name in ("log_likelihood",) if name in kept}
        return super().predictions({**compared, **likelihood})

    def snapshot(self) -> Kept:
        """Return the first samples; of points also the density over the plane."""
        plane = self.plane
        if plane is None:
            return super().snapshot()
        density = self.over_the_plane("log_density", lambda points: self.log_density(points) - plane.log_partition)
        return {**super().snapshot(), **density}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the chains as well."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["lossbench"]["chains"] = self.chains

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the chains as well."""
        super().on_load_checkpoint(checkpoint)
        self.chains = checkpoint["lossbench"]["chains"]
