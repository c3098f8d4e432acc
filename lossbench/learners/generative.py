"""What all learners of generative models share: samples from fixed noise at each evaluation, kept small."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench.errors import ConfigError
from lossbench.learners.learner import Learner
from lossbench.seeding import torch_stream
from lossbench.tasks.generation.samples import as_pixels
from lossbench.tasks.problem import Kept

FIXED = 0
"""The seed of the noise of evaluations: the same for all losses, seeds and epochs."""
SHOWN_SAMPLES, SHOWN_POINTS, SHOWN_IMAGES = 20, 500, 10
"""So many of them are kept of every evaluation, to see how they change."""
SIDE = 80
"""Points on each side of the grid on which a density is seen."""


class Generative(Learner):
    """Train a network from which samples are drawn.

    A way of learning says how samples are drawn (`sample`), and in `predictions` what is kept beside them.

    Parameters
    ----------
    evaluated_samples : int
        So many samples are drawn and measured at each evaluation, at most.
    **common
        As for every `Learner`.

    """

    needs: tuple[str, ...] = ()
    """What the network must have."""
    draws_ahead = True
    """Whether samples are drawn when an evaluation begins; else, as many as a part has, when it is measured."""

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
        if self.draws_ahead:
            self.samples = self.sample(self.evaluated_samples, torch_stream(FIXED, "samples")).cpu()

    def snapshot(self) -> Kept:
        """Return the first samples, and the first reconstructions of the test part."""
        if self.last is None:
            return {}
        test = self.last["test"]
        counts = {"samples": SHOWN_SAMPLES if self.problem.images else SHOWN_POINTS, "reconstructions": SHOWN_IMAGES}
        return {name: test[name][:count] for name, count in counts.items() if name in test}

    def over_the_plane(self, name: str, function: Callable[[Tensor], Tensor], side: int = SIDE) -> Kept:
        """Return the values of a function of points (N, 2) on a grid that spans the data, and its coordinates `side`.

        Nothing where it is not known where the data lie.
        """
        if self.problem.images or self.problem.modes is None:
            return {}
        reach = 1.5 * float(self.problem.modes.centers.abs().max())
        places = torch.linspace(-reach, reach, side)
        grid = torch.cartesian_prod(places, places).to(self.device, self.dtype)
        with torch.no_grad():
            return {"side": places, name: function(grid).float().cpu().reshape(side, side)}

    def compared_with_held_out(self, kept: Kept, samples: Tensor) -> Kept:
        """Keep as many samples as are held out, or as many of those as there are samples; images as pixels."""
        count = min(len(samples), len(kept["index"]))
        rows = torch.linspace(0, len(kept["index"]) - 1, count).long()
        held_out = {name: tensor[rows] for name, tensor in kept.items()}
        return {**held_out, "real": self.shown(held_out["real"]), "samples": self.shown(samples[:count])}

    def shown(self, values: Tensor) -> Tensor:
        """Return images as pixels, which keeps them small; points as they are."""
        return as_pixels(values) if self.problem.images else values
