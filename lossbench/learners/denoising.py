"""The learner of models that turn noise into samples step by step: denoising diffusion and flow matching."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbench.learners.generative import Generative
from lossbench.learners.learner import Called, in_full_precision
from lossbench.losses.links import predicted_noise, predicted_velocity
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept

Predict = Callable[[Tensor, Tensor], Tensor]
"""Maps noised samples (N, ...) and their times (N,) in [0, 1] to outputs (N, ...)."""

DIFFUSION_STEPS = 1000
SIGNAL = torch.cumprod(1 - torch.linspace(1e-4, 0.02, DIFFUSION_STEPS, dtype=torch.float64), 0)
"""The share of the variance that is signal after each step of diffusion: the linear schedule of Ho et al. 2020."""


class NoisySample(NamedTuple):
    """Samples on their way: what the network sees, when, what it must predict, and the signal-to-noise ratio (N,)."""

    samples: Tensor
    time: Tensor
    target: Tensor
    signal_to_noise: Tensor


class ProbabilityPath(NamedTuple):
    """A way between samples and noise: `corrupt` goes to a point that a number in [0, 1) names, `generate` back."""

    corrupt: Callable[[Tensor, Tensor, Tensor], NoisySample]
    generate: Callable[[Predict, Tensor, int, bool], Tensor]


def diffuse(clean: Tensor, noise: Tensor, where: Tensor) -> NoisySample:
    """Mix in the noise of one of the 1000 steps; the noise is to be predicted.

    Parameters
    ----------
    clean, noise : Tensor
        Shape (N, ...).
    where : Tensor
        In [0, 1), shape (N,): the step is 1000 times as large, rounded down.

    """
    step = (where * DIFFUSION_STEPS).long()
    signal = SIGNAL.to(clean)[step]
    return NoisySample(
        _wide(signal.sqrt(), clean) * clean + _wide((1 - signal).sqrt(), clean) * noise,
        step / DIFFUSION_STEPS,
        noise,
        signal / (1 - signal),
    )


def undo_diffusion(predict: Predict, noise: Tensor, steps: int, bounded: bool) -> Tensor:
    """Go back from noise in a few of the 1000 steps, without new noise (DDIM, Song et al. 2021, eta 0).

    Parameters
    ----------
    predict : callable
        Predicts the noise.
    noise : Tensor
        Standard normal, shape (N, ...).
    steps : int
        How often the network is asked.
    bounded : bool
        Whether samples lie in [-1, 1], so that what is foreseen as the clean sample may be held there.

    """
    times = torch.linspace(DIFFUSION_STEPS - 1, 0, steps).round().long()
    shares = [*SIGNAL[times].tolist(), 1.0]
    current = noise
    for k, time in enumerate(times):
        share, following = shares[k], shares[k + 1]
        predicted = predict(current, torch.full((len(noise),), float(time / DIFFUSION_STEPS)).to(noise))
        clean = (current - (1 - share) ** 0.5 * predicted) / share**0.5
        if bounded:
            clean = clean.clamp(-1, 1)
            predicted = (current - share**0.5 * clean) / (1 - share) ** 0.5
        current = following**0.5 * clean + (1 - following) ** 0.5 * predicted
    return current


def straight(clean: Tensor, noise: Tensor, where: Tensor) -> NoisySample:
    """Go the part `where` (N,) of the straight way from noise to samples; its direction is to be predicted."""
    part = _wide(where, clean)
    return NoisySample((1 - part) * noise + part * clean, where, clean - noise, (where / (1 - where)).square())


def follow(predict: Predict, noise: Tensor, steps: int, bounded: bool) -> Tensor:
    """Follow the predicted velocity from noise in so many steps of Euler's method."""
    current = noise
    for k in range(steps):
        current = current + predict(current, torch.full((len(noise),), k / steps).to(noise)) / steps
    return current.clamp(-1, 1) if bounded else current


PATHS: dict[Callable[..., Tensor], ProbabilityPath] = {
    predicted_noise: ProbabilityPath(diffuse, undo_diffusion),
    predicted_velocity: ProbabilityPath(straight, follow),
}
"""By the link of a loss: the path on which it is learned. A loss without a declaration learns to predict noise."""


@takes(evaluated_samples="int [2, inf)", steps="int [1, inf)")
class Denoising(Generative):
    """Train a network that predicts from a noised sample and its time what leads back to the sample.

    Noise and times come from a stream of their own for each epoch, and samples from fixed noise: the same for every
    loss. Images are trained in [-1, 1], points as they are.

    Parameters
    ----------
    steps : int
        How often the network is asked for a sample.
    **common
        As for every `Generative`; the network maps noised samples and times to outputs of the samples' shape.

    """

    needs = ("input_shape",)

    def __init__(self, steps: int, **common: Any) -> None:
        super().__init__(**common)
        self.steps = steps
        self.path = PATHS.get(self.loss.declaration.link, PATHS[predicted_noise])
        self._draws = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._draws = torch_stream(self.seed, "noise", self.current_epoch)

    def called_with(self, batch: Any) -> Called:
        """Return what the network makes of each sample, at a time and with noise of its own, and what it should."""
        clean = 2 * batch.inputs - 1 if self.problem.images else batch.inputs
        where = torch.rand(len(clean), generator=self._draws).to(clean)
        noise = torch.randn(clean.shape, generator=self._draws).to(clean)
        noised = self.path.corrupt(clean, noise, where)
        known = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        outputs = in_full_precision(self.network(noised.samples, noised.time))
        return outputs, noised.target, {**known, "signal_to_noise": noised.signal_to_noise}

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Turn noise into samples: images in 0..1, points as they are."""
        shape = self.network.input_shape
        start = torch.randn(count, *shape, generator=noise).to(self.device, self.dtype)
        with torch.no_grad():
            samples = self.path.generate(self.network, start, self.steps, self.problem.images)
        return (samples + 1) / 2 if self.problem.images else samples

    def kept(self, batch: Any) -> Kept:
        """Keep the held-out samples."""
        return {"real": batch.inputs, "index": batch.index}

    def predictions(self, kept: Kept) -> Any:
        """Compare the samples of this evaluation with held-out ones."""
        return super().predictions(self.compared_with_held_out(kept, self.samples))


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
