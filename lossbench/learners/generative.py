"""What all learners of generative models share: samples from fixed noise at each evaluation, kept small."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Learner, Predictions
from lossbench.streams import torch_stream

FIXED = 0
"""The seed of the noise of evaluations: the same for all losses, seeds and epochs."""
KEPT = 64
"""So many samples, and images of the data, are kept of an evaluation."""
SHOWN_SAMPLES, SHOWN_POINTS, SHOWN_IMAGES = 20, 500, 10
"""So many of them are kept of every evaluation, to see how they change."""


class Generative(Learner):
    """Train a network from which samples are drawn.

    A way of learning says how samples are drawn (`sample`), and in `predictions` what is kept beside them.

    Parameters
    ----------
    evaluated_samples : int
        So many samples are drawn and measured at each evaluation.
    **common
        As for every `Learner`.

    """

    needs: tuple[str, ...] = ()
    """What the network must have."""

    def __init__(self, evaluated_samples: int, **common: Any) -> None:
        super().__init__(**common)
        kind = type(self).__name__.lower()
        if missing := [name for name in self.needs if not hasattr(self.network, name)]:
            raise ConfigError(
                f"learner.network={type(self.network).__name__} has no {' or '.join(missing)}, which learner={kind} "
                f"needs. Use a network of its own: learner/network={kind}_..."
            )
        self.evaluated_samples = evaluated_samples
        self.samples = torch.empty(0)

    @abstractmethod
    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Draw so many samples from the noise of a generator on the CPU."""

    def on_validation_epoch_start(self) -> None:
        """Draw the samples of this evaluation."""
        super().on_validation_epoch_start()
        self.samples = self.sample(self.evaluated_samples, torch_stream(FIXED, "samples")).cpu()

    def predictions(self, together: Predictions) -> Predictions:
        """Keep a few samples, and of the images and their reconstructions as many; all other tensors whole."""
        few = {name: together[name][:KEPT] for name in together if name in ("images", "reconstructions")}
        return {**together, **few, "samples": as_pixels(self.samples[:KEPT])}

    def snapshot(self) -> Predictions:
        """Return the first samples, and the first reconstructions of the test part."""
        if self.last is None:
            return {}
        test = self.last["test"]
        samples = SHOWN_SAMPLES if test["samples"].ndim > 2 else SHOWN_POINTS
        counts = {"samples": samples, "reconstructions": SHOWN_IMAGES}
        return {name: test[name][:count] for name, count in counts.items() if name in test}


def as_pixels(values: Tensor) -> Tensor:
    """Return images in 0..1 as uint8 to keep them small; what is no image, (N, F), as it is."""
    return (255 * values.clamp(0, 1)).round().to(torch.uint8) if values.ndim > 2 else values


def in_units(values: Tensor) -> Tensor:
    """Return what `as_pixels` made in 0..1 again."""
    return values / 255 if values.dtype == torch.uint8 else values
