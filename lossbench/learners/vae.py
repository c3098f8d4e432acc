"""The learner of variational autoencoders."""

from typing import Any

import torch
from torch import Tensor

from lossbench.learners.generative import FIXED, Generative
from lossbench.learners.learner import Called, in_full_precision
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.autoencoding.metrics import bound_of_each, similarity
from lossbench.tasks.generation.samples import KEPT, as_pixels
from lossbench.tasks.problem import Kept

BOUND = ("reconstruction", "kl")
"""The terms of the bound, which the history has in nats, whatever the loss makes of them."""


@takes(evaluated_samples="int [2, inf)")
class VAE(Generative):
    """Train a network that encodes an image as a Gaussian, and decodes a draw from it (Kingma and Welling 2014).

    The loss gets the decoded outputs, the images, `mean` and `log_variance` of the code, and for a loss that asks for
    them the `feature_maps` of a classifier. The draws come from
    streams of their own, the same for every loss: one for each epoch of training, and a fixed one for evaluations.

    Parameters
    ----------
    **common
        As for every `Generative`; the network has `encode`, `decode` and the width `latents` of a code.

    """

    needs = ("encode", "decode", "latents")

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self._draws = torch.Generator()

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._draws = torch_stream(self.seed, "latent", self.current_epoch)

    def called_with(self, batch: Any) -> Called:
        """Return outputs, images, and the code of each; what is known of the batch beside them."""
        outputs, mean, log_variance = self.reconstruct(batch.inputs)
        known = {"mean": mean, "log_variance": log_variance, "epoch": self.current_epoch}
        maps = {"feature_maps": self.problem.feature_maps, "index": batch.index, "inputs": batch.inputs}
        return outputs, batch.inputs, {**known, **maps}

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each image; the terms of the history are those of the bound, alike for every loss."""
        outputs, images, context = self.called_with(batch)
        value = self.loss(outputs, images, **context)
        self._add_bound(outputs, images, context)
        return value

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return the terms of the loss (N,) of each image; those of the bound stay in the history."""
        outputs, images, context = self.called_with(batch)
        terms = self.loss.each_term(outputs, images, **context)
        self.add_terms(**{name: term for name, term in terms.items() if name not in BOUND})
        self._add_bound(outputs, images, context)
        return self.loss.weighed(terms)

    @torch.no_grad()
    def _add_bound(self, outputs: Tensor, images: Tensor, context: dict[str, Any]) -> None:
        terms = bound_of_each(self.loss.link(outputs), images, context["mean"], context["log_variance"])
        self.add_terms(**{name: terms[name] for name in BOUND})

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode images, draw a code of each and decode it; return outputs, means and log variances."""
        mean, log_variance = map(in_full_precision, self.network.encode(images))
        draws = torch.randn(mean.shape, generator=self._draws, dtype=mean.dtype).to(mean.device)
        outputs = self.network.decode(mean + (0.5 * log_variance).exp() * draws)
        return in_full_precision(outputs), mean, log_variance

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Decode codes from the standard normal; return the means of the pixels."""
        codes = torch.randn(count, self.network.latents, generator=noise).to(self.device, self.dtype)
        return self.loss.link(in_full_precision(self.network.decode(codes)))

    def on_validation_epoch_start(self) -> None:
        """Set the draws of an evaluation."""
        super().on_validation_epoch_start()
        self._draws = torch_stream(FIXED, "evaluated latent")

    def kept(self, batch: Any) -> Kept:
        """Keep the bound of each image, the mean of its code, and some images with their reconstructions."""
        outputs, mean, log_variance = self.reconstruct(batch.inputs)
        means = self.loss.link(outputs)
        return {
            **bound_of_each(means, batch.inputs, mean, log_variance),
            "ssim": similarity(means, batch.inputs),
            "mean": mean,
            "target": batch.target,
            "index": batch.index,
            "images": as_pixels(batch.inputs[:KEPT]),
            "reconstructions": as_pixels(means[:KEPT]),
        }

    def predictions(self, kept: Kept) -> Any:
        """Keep what the task keeps, and a few samples."""
        return super().predictions({**kept, "samples": self.samples})

    def metrics(self, part: str, predictions: Any) -> dict[str, float]:
        """Measure the codes, and how far all samples are off, of which the predictions keep a few."""
        metrics = super().metrics(part, predictions)
        if self.problem.image_metrics is not None:
            metrics |= self.problem.image_metrics.measured(part, self.samples)
        return metrics
