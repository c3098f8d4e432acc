"""The learner for a stack: many runs of one architecture train together, each as it would alone.

The networks of all runs are one set of parameters with a leading run axis, so that a step is one forward pass, one
backward pass and one update for all. Nothing else is shared: each run keeps its `Supervised` learner, whose network
looks into the stack, and with it its loss, weighting, history and evaluations. Runs with the same loss call it once.
In a stack of candidates (`exact=False`), where what counts is the best, so do those whose loss is a family's member.
No operation mixes runs, so that one that diverges, fails or stops early leaves without touching the others.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.optim import Optimizer

from lossbench.compat.lightning import progress_of, wants_to_stop
from lossbench.errors import Diverged
from lossbench.learners.learner import OF_SAMPLES, joined
from lossbench.learners.stacked.members import Numbers, family_of, identity
from lossbench.learners.stacked.optimizer import OptimizerGroup, settings_of
from lossbench.learners.stacked.rates import OptimizerOfRates, settings_but_rate
from lossbench.learners.supervised import Supervised, in_full_precision, weighted
from lossbench.models.stacked_module import StackedModule
from lossbench.records.checkpoints import Checkpoint
from lossbench.records.record import ending_of
from lossbench.records.schema import Record
from lossbench.tasks.problem import Kept


class Stack(pl.LightningModule):
    """Train and evaluate many runs at once.

    `endings` says of each run that has left, by its number, how it ended; the others are `alive`.

    Parameters
    ----------
    learners : sequence of Supervised
        The runs, of one architecture and number of training samples; those with the same settings of optimizer and
        schedule side by side.
    data_of_runs : sequence of int
        The place of each run's data in the stacked batches.
    sizes : mapping
        For each evaluated part, the number of samples of each place.
    clip : float or None
        The largest norm (or value) of a run's gradient.
    clip_algorithm : str
        "norm" or "value", as Lightning has it.
    stoppers : sequence of lists of EarlyStopping, optional
        The early stopping of each run.
    checkpoints : sequence of dict, optional
        Where each run goes on from; all of the same epoch.
    exact : bool
        Whether each run gets bit for bit what it gets alone. Else within rounding, and faster: runs that differ in the
        numbers of a loss that broadcasts share its call, those that differ in the learning rate a step.

    """

    automatic_optimization = False
    _data: Tensor
    _places: Tensor
    _summed: Tensor

    def __init__(
        self,
        learners: Sequence[Supervised],
        data_of_runs: Sequence[int],
        sizes: Mapping[str, Sequence[int]],
        clip: float | None = None,
        clip_algorithm: str = "norm",
        stoppers: Sequence[list[EarlyStopping]] | None = None,
        checkpoints: Sequence[Checkpoint] = (),
        exact: bool = True,
    ) -> None:
        super().__init__()
        self.learners = learners
        self.stoppers = stoppers or [[] for _ in learners]
        self.endings: dict[int, Record] = {}
        self.began: list[int] = []
        self._sizes = sizes
        self._clip, self._clip_algorithm = clip, clip_algorithm
        self._checkpoints, self._exact = checkpoints, exact
        self._restore_learners()
        self._backbone = StackedModule([learner.network.backbone for learner in learners], range(len(learners)))
        self._heads = list(_heads(learners))
        self._groups = list(_loss_groups(learners, self._heads, data_of_runs, exact))
        self._modules_of_runs = nn.ModuleList([*self._heads, *self._groups])  # what Lightning moves and converts
        self.segments: list[OptimizerGroup] = []
        self.register_buffer("_data", torch.tensor(data_of_runs))
        self.register_buffer("_places", self._data[self._backbone.runs_of_slots])
        self.register_buffer("_summed", torch.tensor([each.loss.declaration.reduction == "sum" for each in learners]))
        self._weights: Tensor | None = None
        self._loss_sum: Tensor | float = 0.0
        self._samples = 0
        self._collected: dict[str, list[Kept]] = {}
        self._tested: set[int] = set()
        self._loops: tuple[int, dict[str, Any]] = (0, {})

    @property
    def alive(self) -> list[int]:
        """The runs that have not left."""
        return [run for run in range(len(self.learners)) if run not in self.endings]

    def configure_optimizers(self) -> list[Optimizer]:
        """Let the networks look into the stack, and make optimizer and schedule for each of their settings."""
        made, settings = (OptimizerGroup, settings_of) if self._exact else (OptimizerOfRates, settings_but_rate)
        modules = [self._backbone, *self._heads]
        for module in modules:
            module.look_into()
        for _, runs in groupby(range(len(self.learners)), lambda run: settings(self.learners[run])):
            self.segments.append(made(list(runs), self.learners, modules))
            if self._checkpoints:
                self.segments[-1].restore(dict(enumerate(self._checkpoints)))
        return [segment.optimizer for segment in self.segments]

    def on_train_epoch_start(self) -> None:
        """Set this epoch's class weights."""
        self._loss_sum, self._samples = 0.0, 0
        self.began = self.alive
        weights = [learner.class_weights(self.current_epoch) for learner in self.learners]
        known = next((each for each in weights if each is not None), None)
        self._weights = None
        if known is not None:
            same = torch.ones_like(known)
            self._weights = torch.stack([same if each is None else each for each in weights]).to(self.device)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Update every run by the mean loss of its batch (its sum, for the losses that are defined as sums)."""
        values = self._values(batch)
        means = values.mean(1)
        self._drop_diverged(means.detach(), self.current_epoch * self.trainer.num_training_batches + batch_idx)
        self._loss_sum = self._loss_sum + values.detach().sum(1)
        self._samples += values.shape[1]
        alive = self.alive
        if alive:
            self.manual_backward(torch.where(self._summed, values.sum(1), means)[alive].sum())
            if self._clip:
                self._clip_gradients(self._clip)
            for segment in self.segments:
                segment.step()
            self.zero_grad()

    def _values(self, batch: Any) -> Tensor:
        """Return the weighted loss (R, N) of each sample of each run; 0 for those whose loss has failed."""
        features = self._backbone(batch.inputs, self._places)
        outputs = self._outputs(features)
        target = batch.target.index_select(0, self._data)
        weights = self._weights_of(batch, target)
        values = dict.fromkeys(range(len(self.learners)), torch.zeros(target.shape[1], device=self.device))
        for group in list(self._groups):
            try:
                terms = group(outputs[group.head], target, features, batch, self.current_epoch)
                value = group.loss.total(terms)
            except Exception as error:
                self.endings = {run: ending_of(error) for run in group.runs} | self.endings
                self._groups.remove(group)
            else:
                values |= zip(group.runs, value.unbind(0), strict=True)
                for name, term in terms.items() if group.loss.is_sum else ():  # a sum is a module, of a single run
                    run = group.runs[0]
                    self.learners[run].add_terms(**{name: weighted(term[0], None if weights is None else weights[run])})
        return weighted(torch.stack(list(values.values())), weights)

    def _weights_of(self, batch: Any, target: Tensor) -> Tensor | None:
        """Return the weights (R, N) of classes times those of samples; None where all are alike."""
        weights = None if self._weights is None else self._weights.gather(1, target)
        if (own := batch.extras.get("weight")) is None:
            return weights
        own = own.index_select(0, self._data)
        return own if weights is None else weights * own

    def _outputs(self, features: Tensor) -> list[Tensor]:
        """Return the outputs (slots, N, O) of each kind of head, (slots, N) for a single output."""
        outputs = []
        for head in self._heads:
            own = features.index_select(0, head.runs_of_slots)  # always copied: the layout decides how sums are rounded
            each = in_full_precision(head(own))
            outputs.append(each.squeeze(-1) if each.shape[-1] == 1 else each)
        return outputs

    def _drop_diverged(self, means: Tensor, step: int) -> None:
        finite = means.isfinite().tolist()
        for run in [run for run in self.alive if not finite[run]]:
            self.endings[run] = ending_of(Diverged(self.current_epoch, step, float(means[run])))

    def _clip_gradients(self, largest: float) -> None:
        """Clip the gradient of each run by itself, over its network and the parameters of its loss."""
        for segment in self.segments:
            for run in segment.runs:
                gradients = segment.gradients(run)
                if self._clip_algorithm == "value":
                    torch._foreach_clamp_min_(gradients, -largest)
                    torch._foreach_clamp_max_(gradients, largest)
                else:
                    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
                    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))

    def on_train_epoch_end(self) -> None:
        """Add this epoch to the history of each run that was in it to its end, and change the learning rates."""
        assert isinstance(self._loss_sum, Tensor)
        losses = (self._loss_sum / self._samples).tolist()
        for run in self.began:
            if self.endings.get(run, {"status": "finished"})["status"] == "finished":
                rate = next(segment.rate_of(run) for segment in self.segments if run in segment.runs)
                self.learners[run].end_epoch(self.current_epoch, losses[run], self._samples, rate)
        for segment in self.segments:
            segment.scheduler.step()

    def on_validation_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self._collected = {name: [] for name in self._sizes}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep outputs, targets and indices of one evaluation batch, of the test set where that counts for a run."""
        name = list(self._collected)[dataloader_idx]
        if name == "test":
            if batch_idx == 0:
                if collected := self._collected.get("val"):  # joined as at the end: the layout decides how sums round
                    self._collected["val"] = [joined(collected, dim=1)]
                self._tested = {run for run in self.alive if self._counts(run)}
            if not self._tested:
                return
        outputs = self._outputs(self._backbone(batch.inputs, self._places))
        part = {f"outputs/{head}": each for head, each in enumerate(outputs)} | self.learners[0].known_of(batch)
        part |= {name: batch.extras[name] for name in OF_SAMPLES if name in batch.extras}
        part = {name: tensor.detach().cpu() for name, tensor in part.items()}
        self._collected[name].append(part)

    def _counts(self, run: int) -> bool:
        """Tell whether this evaluation is one of the test set too, for a run: by the rule of the run alone."""
        learner, between = self.learners[run], self.trainer.check_val_every_n_epoch
        if self.trainer.state.fn == "validate" or learner.tests_at(self.current_epoch, between):
            return True
        if not self._collected.get("val"):
            return False
        try:
            better = learner.improves(self._of_run(run, self._collected["val"][0], self._sizes["val"]))
            return better or self._stops(run, learner.seen_ahead)
        except Exception as error:
            self.endings[run] = ending_of(error)
            return False

    def _stops(self, run: int, metrics: Mapping[str, float]) -> bool:
        """Tell whether early stopping will end a run after this evaluation, without its taking note."""
        stoppers = [copy.deepcopy(stopper) for stopper in self.stoppers[run] if stopper.monitor in metrics]
        return any(wants_to_stop(stopper, metrics[stopper.monitor]) for stopper in stoppers)

    def on_validation_epoch_end(self) -> None:
        """Let each run compute its metrics, and stop if it wants to."""
        parts = {name: joined(collected, dim=1) for name, collected in self._collected.items() if collected}
        self._collected = {}
        after_training = self.trainer.state.fn == "validate"
        for run in self.alive:
            own = {name: part for name, part in parts.items() if name != "test" or run in self._tested}
            predictions = {name: self._of_run(run, part, self._sizes[name]) for name, part in own.items()}
            try:
                metrics = self.learners[run].evaluate(None if after_training else self.current_epoch, predictions)
                if not after_training and self._wants_to_stop(run, metrics):
                    self.endings[run] = {"status": "finished"}
            except Exception as error:
                self.endings[run] = ending_of(error)

    def _of_run(self, run: int, part: Kept, sizes: Sequence[int]) -> Kept:
        place = int(self._data[run])
        head = next(number for number, head in enumerate(self._heads) if run in head.runs)
        outputs = part[f"outputs/{head}"][self._heads[head].runs.index(run), : sizes[place]]
        shared = {key: tensor[place, : sizes[place]] for key, tensor in part.items() if not key.startswith("outputs/")}
        return {"outputs": outputs, **shared}

    def _wants_to_stop(self, run: int, metrics: Mapping[str, float]) -> bool:
        """Ask the early stopping of a run, by the rule that Lightning asks it with."""
        answers = []
        for stopper in self.stoppers[run]:
            if stopper.monitor not in metrics:
                raise RuntimeError(f"EarlyStopping waits for {stopper.monitor!r}; there are {', '.join(metrics)}")
            answers.append(wants_to_stop(stopper, metrics[stopper.monitor]))
        return any(answers)

    def checkpoint_of(self, run: int) -> Checkpoint:
        """Return the checkpoint that Lightning would write if the run trained alone, after the current epoch."""
        learner, steps = self.learners[run], self.trainer.num_training_batches
        total = (self.current_epoch + 1) * steps
        if self._loops[0] != total:
            self._loops = total, progress_of(self.trainer, steps, total)  # the same for all runs
        segment = next(segment for segment in self.segments if run in segment.runs)
        checkpoint = {
            "epoch": self.current_epoch,
            "global_step": total,
            "pytorch-lightning_version": pl.__version__,
            "state_dict": {name: tensor.clone() for name, tensor in learner.state_dict().items()},
            "loops": self._loops[1],
            "callbacks": {stopper.state_key: stopper.state_dict() for stopper in self.stoppers[run]},
            "optimizer_states": [segment.state_of(run)],
            "lr_schedulers": [segment.scheduler.state_dict()],
        }
        learner.on_save_checkpoint(checkpoint)
        return checkpoint

    def _restore_learners(self) -> None:
        for learner, stoppers, checkpoint in zip(self.learners, self.stoppers, self._checkpoints, strict=False):
            learner.load_state_dict(checkpoint["state_dict"])
            learner.on_load_checkpoint(checkpoint)
            for stopper in stoppers:
                stopper.load_state_dict(checkpoint["callbacks"][stopper.state_key])


class LossGroup(nn.Module):
    """The runs of one kind of head that share a loss, with all parameters or all but numbers: they call it once."""

    rows: Tensor
    places: Tensor
    members: Tensor

    def __init__(
        self, learners: Sequence[Supervised], head: int, runs: list[int], rows: list[int], places: list[int]
    ) -> None:
        super().__init__()
        loss = learners[runs[0]].loss
        self.loss, self.module, self.head, self.runs = loss, loss.module, head, runs
        self.numbers = Numbers([learners[run].loss for run in runs])
        self.teachers = [learners[run].teacher for run in runs]
        for name, values in (("rows", rows), ("places", places), ("members", runs)):
            self.register_buffer(name, torch.tensor(values), persistent=False)

    def forward(self, outputs: Tensor, target: Tensor, features: Tensor, batch: Any, epoch: int) -> dict[str, Tensor]:
        """Return the terms (runs, N) of the loss, from the outputs of the head and the targets of all runs."""
        chosen, wanted = outputs.index_select(0, self.rows), target.index_select(0, self.members)
        said = self.loss.declaration
        if not (said.takes_classes or said.takes_embeddings):
            wanted = wanted.to(chosen.dtype)
        context: dict[str, Any] = {}
        for name in self.loss.step_context:
            if name == "features":
                context[name] = features.index_select(0, self.members).flatten(0, 1)
            elif name == "teacher_logits":
                context[name] = self._taught(batch.inputs.index_select(0, self.places))
            elif name == "epoch":
                context[name] = epoch
            else:
                known = batch.extras[name] if name in batch.extras else getattr(batch, name)
                context[name] = _flat(known, self.places)
        loss = self.numbers.given_to(self.loss, wanted.shape[1], chosen)
        terms = loss.terms(chosen.flatten(0, 1), wanted.flatten(0, 1), **context)
        return {name: term.view(wanted.shape[:2]) for name, term in terms.items()}

    def _taught(self, inputs: Tensor) -> Tensor:
        """Return the logits (runs x N, K) of the teacher of each run for its inputs (runs, N, ...)."""
        pairs = zip(self.teachers, inputs, strict=True)
        return torch.cat([in_full_precision(teacher(own)) for teacher, own in pairs if teacher is not None])


def _flat(tensor: Tensor, places: Tensor) -> Tensor:
    return tensor.index_select(0, places).flatten(0, 1)


def _heads(learners: Sequence[Supervised]) -> Iterator[StackedModule]:
    kinds: dict[str, list[int]] = {}
    for run, learner in enumerate(learners):
        head = learner.network.head
        shapes = [tuple(parameter.shape) for parameter in head.parameters()]
        kinds.setdefault(repr((type(head), shapes, getattr(head, "scale", None))), []).append(run)
    for runs in kinds.values():
        yield StackedModule([learners[run].network.head for run in runs], runs)


def _loss_groups(
    learners: Sequence[Supervised], heads: Sequence[StackedModule], data_of_runs: Sequence[int], exact: bool
) -> Iterator[LossGroup]:
    alike = identity if exact else family_of
    for number, head in enumerate(heads):
        shared: dict[object, list[int]] = {}
        for run in head.runs:
            loss = learners[run].loss
            alone = loss.module is not None or loss.declaration.coupled
            shared.setdefault(run if alone else alike(loss), []).append(run)
        for runs in shared.values():
            rows, places = [head.runs.index(run) for run in runs], [data_of_runs[run] for run in runs]
            yield LossGroup(learners, number, runs, rows, places)
