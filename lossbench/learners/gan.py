"""The learner of generative adversarial networks: critic and generator step in turn, by the two parts of one loss."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lossbench.learners.generative import FIXED, SHOWN_POINTS, SHOWN_SAMPLES, Generative
from lossbench.learners.learner import in_full_precision
from lossbench.ranges import takes
from lossbench.seeding import torch_stream
from lossbench.tasks.problem import Kept

SIDE = 40
"""Points on each side of the grid on which the critic of points is seen."""


@takes(critic_steps="int [1, inf)", evaluated_samples="int [2, inf)")
class GAN(Generative):
    """Train a generator against a critic, which the losses call discriminator where its score is a logit.

    The critic steps on every batch. After so many steps as `critic_steps` says, and at the end of an epoch, the
    generator steps. A loss is called with the scores of fake and real samples and the `player` whose step it is; one
    that asks for `gradient_norm` gets that of the critic at points between the pairs, for `real_gradient_norm` that at
    the real ones; where it has a parameter `clip` the weights of the critic are cut to that after each of its steps.

    The draws of latents and of the points in between come from two streams of (seed, epoch), alike for every loss. The
    history has the loss of the generator, and of the critic's last step before it `discriminator`, its loss, and
    `critic_estimate`, by how much real samples outscore fake ones: for a Wasserstein critic its estimate of the
    distance.

    Parameters
    ----------
    critic_steps : int
        Steps of the critic for each step of the generator.
    **common
        As for every `Generative`; the network is a `lossbench.models.gan.Adversaries`.

    """

    automatic_optimization = False

    needs = ("generate", "score", "latents")
    draws_ahead = False

    def __init__(self, critic_steps: int, **common: Any) -> None:
        super().__init__(**common)
        self.critic_steps = critic_steps
        self.clip = self.loss.settings.get("clip")
        self._latents = self._between = torch.Generator()

    def configure_optimizers(self) -> Any:
        """Give critic and generator an optimizer and a schedule each; what the loss learns goes with the critic."""
        optimizers = [
            self.optimizer_factory([*self.groups_of(self.network.critic), *self.groups_of(self.loss_module, 0.0)]),
            self.optimizer_factory(self.groups_of(self.network.generator)),
        ]
        return optimizers, [self.scheduler_factory(optimizer) for optimizer in optimizers]

    @staticmethod
    def groups_of(module: nn.Module | None, weight_decay: float | None = None) -> list[dict[str, Any]]:
        """Return the parameters of a module as a group of an optimizer, if it has any."""
        own = [] if module is None else list(module.parameters())
        decay = {} if weight_decay is None else {"weight_decay": weight_decay}
        return [{"params": own, **decay}] if own else []

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        super().on_train_epoch_start()
        self._latents = torch_stream(self.seed, "latent", self.current_epoch)
        self._between = torch_stream(self.seed, "interpolate", self.current_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Update the critic, and in its turn the generator."""
        critic, generator = self.optimizers()
        turn = (batch_idx + 1) % self.critic_steps == 0 or self.trainer.is_last_batch
        self._critic_step(critic, batch, tell=turn)
        if turn:
            value = self.per_sample_loss(batch)
            self._loss_sum = self._loss_sum + value.detach().sum()
            self._samples += len(value)
            self._step(generator, self.network.generator, value)

    def on_train_epoch_end(self) -> None:
        """Add this epoch to the history, and go on in the schedules."""
        super().on_train_epoch_end()
        for schedule in self.lr_schedulers():
            schedule.step()

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the generator's loss (N,) of new samples against the real ones of a batch."""
        with torch.no_grad():
            real_scores = in_full_precision(self.network.score(batch.inputs))
        fake_scores = in_full_precision(self.network.score(self._fakes(batch.inputs)))
        unread = torch.zeros_like(real_scores)
        return self._value(fake_scores, real_scores, batch, "generator", unread, unread)

    def _critic_step(self, optimizer: Any, batch: Any, tell: bool) -> None:
        with torch.no_grad():
            fakes = self._fakes(batch.inputs)
        scores = in_full_precision(self.network.score(torch.cat([fakes, batch.inputs])))
        fake_scores, real_scores = scores.chunk(2)
        unread = torch.zeros_like(real_scores)
        between = real = unread
        if "gradient_norm" in self.loss.step_context:
            between = gradient_norm(self.network, self._interpolated(fakes, batch.inputs))
        if "real_gradient_norm" in self.loss.step_context:
            real = gradient_norm(self.network, batch.inputs)
        value = self._value(fake_scores, real_scores, batch, "discriminator", between, real)
        if tell:
            self.add_terms(discriminator=value, critic_estimate=real_scores - fake_scores)
        self._step(optimizer, self.network.critic, value)
        if self.clip is not None:
            with torch.no_grad():
                for weight in self.network.critic.parameters():
                    weight.clamp_(-self.clip, self.clip)

    def _value(
        self, fake_scores: Tensor, real_scores: Tensor, batch: Any, player: str, between: Tensor, real: Tensor
    ) -> Tensor:
        return self.loss(
            fake_scores,
            real_scores,
            player=player,
            gradient_norm=between,
            real_gradient_norm=real,
            epoch=self.current_epoch,
            index=batch.index,
            inputs=batch.inputs,
        )

    def _step(self, optimizer: Optimizer, player: nn.Module, value: Tensor) -> None:
        mean = value.mean()
        self.require_finite(mean)
        optimizer.zero_grad()
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        self.manual_backward(value.sum() if self.loss.declaration.reduction == "sum" else mean, inputs=trained)
        optimizer.step()

    def _fakes(self, like: Tensor) -> Tensor:
        latents = torch.randn(len(like), self.network.latents, generator=self._latents)
        return self.network.generate(latents.to(like))

    def _interpolated(self, fakes: Tensor, real: Tensor) -> Tensor:
        part = torch.rand(len(real), *[1] * (real.ndim - 1), generator=self._between).to(real)
        return torch.lerp(fakes, real, part)

    def sample(self, count: int, noise: torch.Generator) -> Tensor:
        """Draw so many samples from the noise of a generator on the CPU."""
        latents = torch.randn(count, self.network.latents, generator=noise)
        with torch.no_grad():
            return self.network.generate(latents.to(self.device, self.dtype)).cpu()

    def kept(self, batch: Any) -> Kept:
        """Keep the held-out samples."""
        return {"real": batch.inputs, "index": batch.index}

    def predictions(self, kept: Kept) -> Any:
        """Draw as many samples as are held out, at most `evaluated_samples`, and compare them with as many of those."""
        samples = self.sample(min(self.evaluated_samples, len(kept["index"])), torch_stream(FIXED, "samples"))
        return super().predictions(self.compared_with_held_out(kept, samples))

    def snapshot(self) -> Kept:
        """Return some samples; for points also the score of the critic on a grid that spans the data."""
        count = SHOWN_SAMPLES if self.problem.images else SHOWN_POINTS
        samples = self.shown(self.sample(count, torch_stream(FIXED, "samples")))
        return {"samples": samples, **self.over_the_plane("critic", self.network.score, SIDE)}


def gradient_norm(network: Any, points: Tensor) -> Tensor:
    """Return the norm (N,) of the gradient of the critic's score at each of N points, itself differentiable."""
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.score(points).sum(), points, create_graph=True)
    return in_full_precision(gradient).flatten(1).norm(dim=1)
