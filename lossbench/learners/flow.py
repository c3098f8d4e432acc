"""The learner of normalising flows, and how images become numbers without bounds."""

from typing import Any

import torch
from torch import Tensor

from lossbench.learners.generative import FIXED, Generative
from lossbench.learners.learner import Called, in_full_precision
from lossbench.losses.flow import flow_nll
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept


def unbounded(images: Tensor, noise: Tensor, levels: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Spread the grey levels of images evenly, and take the logit.

    Formula: y = logit(alpha + (1 - 2 alpha) u), u = (k + noise) / L, for a pixel of level k of L

    Parameters
    ----------
    images : Tensor
        In 0..1, where level k is k / (L - 1), shape (N, ...).
    noise : Tensor
        Uniform in [0, 1), of the shape of the images.
    levels, alpha : int, float
        L, and how far values stay from 0 and 1, in (0, 0.5).

    Returns
    -------
    tuple of Tensor
        y, and log abs det of dy/dk of each image, (N,): the density of k, and not of u, is what bounds the probability
        of an image, since its mean over the noise is the integral over a box of volume 1.

    References
    ----------
    Theis, van den Oord, Bethge 2016, "A Note on the Evaluation of Generative Models", arXiv:1511.01844 (noise); Dinh,
    Sohl-Dickstein, Bengio 2017, arXiv:1605.08803, section 4.1 (logit).

    """
    shares = alpha + (1 - 2 * alpha) * (images * (levels - 1) + noise) / levels
    slopes = (1 - 2 * alpha) / levels / (shares * (1 - shares))
    return shares.logit(), slopes.log().flatten(1).sum(1)


def bounded(values: Tensor, levels: int, alpha: float) -> Tensor:
    """Return the images, in 0..1, of which `unbounded` made such values."""
    shares = (values.sigmoid() - alpha) / (1 - 2 * alpha)
    return (shares * levels).floor().clamp(0, levels - 1) / (levels - 1)


@takes(evaluated_samples="int [2, inf)", alpha="number (0, 0.5)")
class Flow(Generative):
    """Train a network that maps samples to standard normal latents and can be inverted.

    A loss is called with the latents and the log-determinant of the whole map. Points are taken as they are, images
    dequantised and unbounded; their log-likelihood is a bound on the log-probability of the image. The noise comes
    from a stream of its own for each epoch, and a fixed one for evaluations.

    Parameters
    ----------
    alpha : float
        How far pixels stay from 0 and 1 before the logit.
    **common
        As for every `Generative`; the network maps samples to latents and log-determinants, `inverse` maps them back.

    """

    needs = ("input_shape", "inverse")

    def __init__(self, alpha: float, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = alpha
        self._draws = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._draws = torch_stream(self.seed, "dequantise", self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Set the noise of an evaluation."""
        super().on_validation_epoch_start()
        self._draws = torch_stream(FIXED, "evaluated dequantisation")

    def called_with(self, batch: Any) -> Called:
        """Return the latents of each sample, and the log-determinant."""
        latents, log_determinant = self.mapped(batch.inputs)
        context = {"epoch": self.current_epoch, "index": batch.index, "inputs": batch.inputs}
        return latents, log_determinant, context

    def mapped(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples to latents; return them and the log-determinant, that of their preparation included."""
        if self.problem.levels is None:
            latents, log_determinant = self.network(samples)
            return in_full_precision(latents), in_full_precision(log_determinant)
        noise = torch.rand(samples.shape, generator=self._draws).to(samples)
        values, of_preparation = unbounded(samples, noise, self.problem.levels, self.alpha)
        latents, log_determinant = self.network(values)
        return in_full_precision(latents), in_full_precision(log_determinant) + of_preparation

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Map standard normal latents to samples: images in 0..1, points as they are."""
        latents = torch.randn(count, *self.network.input_shape, generator=noise).to(self.device, self.dtype)
        with torch.no_grad():
            samples: Tensor = in_full_precision(self.network.inverse(latents.flatten(1)))
        return samples if self.problem.levels is None else bounded(samples, self.problem.levels, self.alpha)

    def kept(self, batch: Any) -> Kept:
        """Keep the held-out samples and their log-likelihoods."""
        return {"real": batch.inputs, "index": batch.index, "log_likelihood": -flow_nll(*self.mapped(batch.inputs))}

    def predictions(self, kept: Kept) -> Any:
        """Compare the samples of this evaluation with held-out ones; keep the log-likelihood of all of these."""
        compared = self.compared_with_held_out(kept, self.samples)
        return super().predictions({**compared, "log_likelihood": kept["log_likelihood"]})

    def snapshot(self) -> Kept:
        """Return the first samples; of points also the density over the plane."""
        return {
            **super().snapshot(),
            **self.over_the_plane("log_density", lambda points: -flow_nll(*self.mapped(points))),
        }
