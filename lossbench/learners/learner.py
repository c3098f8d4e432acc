"""What all ways of learning share: steps by the mean loss, a history of epochs, evaluations, the best epoch."""

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lossbench.compat.lightning import FastHooks, tell_callbacks
from lossbench.compat.torch import seed_device, without_gpu_checks
from lossbench.errors import Diverged
from lossbench.learners.combining import Combining
from lossbench.losses.bound_loss import BoundLoss
from lossbench.seeding import derive_seed
from lossbench.tasks.problem import Kept, Problem

Called = tuple[Tensor, Tensor, dict[str, Any]]
Measured = tuple[Any, dict[str, float]]
"""What is predicted on a part, and its metrics."""
OF_SAMPLES = ("group", "id")
"""What predictions keep of each sample, whatever the task, where the data have it."""


class Learner(FastHooks):
    """Train a network with one loss, and evaluate it after each epoch: on the test part where that counts.

    After training, `history` holds the metrics of every epoch, `last` and `best` the evaluations of the last and of the
    best validation epoch: {"epoch": int, "metrics": {...}, "test": {...}, "val": {...}}.

    A way of learning says what the loss of each sample is, by what it is called with (`called_with`) or by its value
    (`per_sample_loss`), and what an evaluation keeps of a batch (`kept`). What is predicted and measured of a whole
    part is said by the task.

    Parameters
    ----------
    network : nn.Module
        What is trained.
    loss : BoundLoss
        The loss of each sample.
    optimizer, scheduler : callable
        Make the optimizer from parameter groups, and the schedule from the optimizer.
    problem : Problem
        What is known of the data.
    max_epochs : int
        Length of the training.
    seed : int
        The training seed; the global generator is set from it and the epoch, so that a resumed run is the same run.

    """

    key = ""
    """The key of the run, which its checkpoints carry."""
    takes_a_model = False
    """Whether it trains the model of the group `model`, and what is combined with a loss."""
    stepping: Mapping[str, Any] = MappingProxyType({"interval": "epoch"})
    """When Lightning steps the schedule."""
    cold = ""
    """What is to be said if a run begins with random weights; nothing, where that is usual."""
    evaluated = ""
    """The hash of the weights that were evaluated last."""
    test_every = 1
    """Every how many evaluations the test set is evaluated, beside the last and those at which validation is best."""

    def __init__(
        self,
        network: nn.Module,
        loss: BoundLoss,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler],
        problem: Problem,
        max_epochs: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.loss = loss
        self.loss_module = loss.module
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.problem = problem
        self.max_epochs = max_epochs
        self.seed = seed
        self.history: list[dict[str, float]] = []
        self.last: dict[str, Any] | None = None
        self.best: dict[str, Any] | None = None
        self.snapshots: list[dict[str, Any]] = []
        self._loss_sum: Tensor | float = 0.0
        self._samples, self._rate = 0, 0.0
        self._term_sums: dict[str, Tensor] = {}
        self._collected: dict[str, list[Kept]] = {}
        self._tests, self._early = True, dict[str, Measured]()
        self.combining: Combining | None = None

    @property
    def is_evaluated(self) -> bool:
        """Whether the last evaluation is that of the network as it is, whatever a callback has made of it since."""
        return self.is_tested and self.evaluated == self._weights()

    @property
    def is_tested(self) -> bool:
        """Whether the last evaluation was one of the test set too, where the data have one."""
        return self.last is not None and ("test" in self.last or "test" not in self.problem.evaluated)

    def _weights(self) -> str:
        """Return a hash of the weights."""
        found = hashlib.sha256()
        for tensor in self.network.state_dict().values():
            found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
        return found.hexdigest()[:16]

    def called_with(self, batch: Any) -> Called:
        """Return what the loss is called with: outputs, target, and its context by name."""
        raise NotImplementedError(f"{type(self).__name__} has neither `called_with` nor `per_sample_loss`")

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the loss (N,) of each sample of a batch."""
        outputs, target, context = self.called_with(batch)
        return self.loss(outputs, target, **context)

    @property
    def term_names(self) -> tuple[str, ...]:
        """The names of what `per_sample_terms` returns."""
        return self.loss.term_names

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return what the loss of each sample adds up, each (N,), with the loss's own weights; of one term, `loss`.

        The history has the mean of each, without its weight where the loss is a sum of others.
        """
        if len(self.loss.term_names) == 1:
            return {"loss": self.per_sample_loss(batch)}
        outputs, target, context = self.called_with(batch)
        terms = self.loss.each_term(outputs, target, **context)
        self.add_terms(**terms)
        return self.loss.weighed(terms)

    @property
    def tells_terms(self) -> bool:
        """Whether it knows the terms of a loss that has several: one of a user's may only know their sum."""
        kind = type(self)
        return not (kind.called_with is Learner.called_with and kind.per_sample_terms is Learner.per_sample_terms)

    @abstractmethod
    def kept(self, batch: Any) -> Kept:
        """Return what an evaluation keeps of a batch: tensors whose first axis is the sample."""

    def predictions(self, kept: Kept) -> Any:
        """Turn what was kept of a whole part into what is predicted; this is what the files of a run hold.

        Where the data have a `group` of samples, it stays with them: the verdict draws such samples together. So does
        the `id` of each sample of a user's table.
        """
        predicted = self.problem.task.evaluate.predict(self.loss, kept, self.problem)
        return {**predicted, **{name: kept[name] for name in OF_SAMPLES if name in kept}}

    def metrics(self, part: str, predictions: Any) -> dict[str, float]:
        """Measure the predictions on a part ("val", "test" or "train")."""
        measured: dict[str, float] = self.problem.task.evaluate.measure(part, predictions, self.problem)
        return measured

    def final_metrics(self, part: str, predictions: Any) -> dict[str, float]:
        """Measure what is worth measuring only once, at the end of a run, of the predictions on "val" or "test"."""
        measure = getattr(self.problem.task.evaluate, "measure_final", None)
        return {} if measure is None else measure(part, predictions, self.problem)

    def snapshot(self) -> Kept:
        """Return a few small tensors that show what was learned up to an evaluation; `snapshots` keeps them."""
        return {}

    def configure_optimizers(self) -> Any:
        """Optimize the network, and without weight decay what the loss, or the combination of its terms, learns."""
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        learned = [each for each in (self.loss_module, self.combining) if each is not None]
        if own := [parameter for module in learned for parameter in module.parameters()]:
            groups.append({"params": own, "weight_decay": 0.0})
        optimizer = without_gpu_checks(self.optimizer_factory(groups))
        schedule = {"scheduler": self.scheduler_factory(optimizer), **self.stepping}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_epoch_start(self) -> None:
        """Set this epoch's random numbers."""
        seed_device(self.device, derive_seed(self.seed, "step", self.current_epoch))
        self._loss_sum, self._samples, self._term_sums = 0.0, 0, {}
        if self.combining is not None:
            self.combining.start_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Note the learning rate with which an epoch begins."""
        if batch_idx == 0:
            self._rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the mean loss of the batch (its sum, for the losses that are defined as sums)."""
        if self.combining is not None:
            return self._combined(self.combining, batch, batch_idx)
        per_sample = self.per_sample_loss(batch)
        mean = per_sample.mean()
        self.require_finite(mean)
        self._loss_sum = self._loss_sum + per_sample.detach().sum()
        self._samples += len(per_sample)
        return per_sample.sum() if self.loss.declaration.reduction == "sum" else mean

    def _combined(self, combining: Combining, batch: Any, batch_idx: int) -> Tensor:
        """Return what a combination of the terms makes of a batch; the history has the mean of their plain sum."""
        combining.before(self, batch)
        terms = self.per_sample_terms(batch)
        plain = torch.stack(list(terms.values())).detach().sum(0)
        self.require_finite(plain.mean())
        self._loss_sum = self._loss_sum + plain.sum()
        self._samples += len(plain)
        reduce = Tensor.sum if self.loss.declaration.reduction == "sum" else Tensor.mean
        value = combining.value(self, [reduce(term) for term in terms.values()], batch_idx)
        self.require_finite(value)
        return value

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Go back through the graph of a step, as the combination of the terms asks for it."""
        if self.combining is None or self.combining.by_value:
            super().backward(loss, *args, **kwargs)
        else:
            self.combining.backward(self, loss)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let the combination of the terms see what a step has made of them, where it asks for that."""
        if self.combining is not None:
            self.combining.after(self, batch)

    def require_finite(self, value: Tensor) -> None:
        """Raise `Diverged` if the mean loss of a batch is not a finite number."""
        if not math.isfinite(number := value.item()):
            raise Diverged(self.current_epoch, self.global_step, number)

    def add_terms(self, **terms: Tensor) -> None:
        """Add the parts (N,) of which the loss of a batch consists; the history has the mean of each over an epoch."""
        for name, values in terms.items():
            self._term_sums[name] = self._term_sums.get(name, 0.0) + values.detach().sum()

    def on_train_epoch_end(self) -> None:
        """Add this epoch to the history."""
        train_loss = float(self._loss_sum) / max(1, self._samples)
        tell_callbacks(self.trainer, {"train/loss": train_loss})
        self.end_epoch(self.current_epoch, train_loss, self._samples, self._rate)

    def end_epoch(self, epoch: int, train_loss: float, samples: int, rate: float) -> None:
        """Add an epoch to the history: its mean loss over so many samples, its learning rate, its evaluation if any."""
        evaluated = self.last["metrics"] if self.last and self.last["epoch"] == epoch else {}
        terms = {f"train/{name}": float(total) / max(1, samples) for name, total in self._term_sums.items()}
        self._term_sums = {}
        if self.combining is not None:
            terms |= self.combining.end_epoch()
        self.history.append({"epoch": epoch, "train/loss": train_loss, "train/lr": rate, **terms, **evaluated})

    def on_validation_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self._collected = {name: [] for name in self.problem.evaluated}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep what matters of one evaluation batch, of the test set where that counts."""
        name = self.problem.evaluated[dataloader_idx]
        if name == "test":
            if batch_idx == 0:
                self._tests = self._counts()
            if not self._tests:
                return
        part = {name: tensor.detach().cpu() for name, tensor in self.kept(batch).items()}
        self._collected[name].append(part)

    def _counts(self) -> bool:
        """Tell whether this evaluation is one of the test set too; the validation part has been collected by now."""
        if self.trainer.state.fn == "validate" or self.tests_at(
            self.current_epoch, self.trainer.check_val_every_n_epoch
        ):
            return True
        collected = self._collected.get("val") or []
        return bool(collected) and self.improves(joined(collected))

    def tests_at(self, epoch: int, between: int | None = 1) -> bool:
        """Tell whether the test set is evaluated after an epoch whatever comes out; evaluations are so far apart."""
        between = between or 1
        number = (epoch + 1) // between - 1
        return number % self.test_every == 0 or epoch + between >= self.max_epochs

    def improves(self, validation: Kept) -> bool:
        """Measure the validation part ahead, and tell whether it is better than before, by observed or clean targets.

        `evaluate` takes these measurements, and does not make them again.
        """
        self._early = self.measured({"val": validation})
        return self._is_best(self.seen_ahead) or self._is_best_clean(self.seen_ahead)

    @property
    def seen_ahead(self) -> dict[str, float]:
        """The metrics of a validation part that `improves` has measured."""
        return {f"val/{name}": value for name, value in self._early["val"][1].items()}

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of each part."""
        parts = {name: joined(collected) for name, collected in self._collected.items() if collected}
        self._collected = {}
        metrics = self.evaluate(None if self.trainer.state.fn == "validate" else self.current_epoch, parts)
        self.evaluated = self._weights()
        tell_callbacks(self.trainer, metrics)

    def evaluate(self, epoch: int | None, parts: Mapping[str, Kept]) -> dict[str, float]:
        """Compute the metrics of an evaluation; keep it as the last one, and as the best one if it is.

        Parameters
        ----------
        epoch : int or None
            Its epoch; None for an evaluation after training, which is that of the last epoch.
        parts : mapping
            For each part what `kept` returned for all its samples.

        Returns
        -------
        dict of str to float
            Each metric as "part/name".

        """
        measured = self.measured(parts)
        metrics = {f"{name}/{metric}": value for name, (_, own) in measured.items() for metric, value in own.items()}
        if epoch is None:
            epoch = int(self.history[-1]["epoch"])
            self.history[-1] |= metrics
        kept = {name: predictions for name, (predictions, _) in measured.items() if name != "train"}
        self.last = {"epoch": epoch, "metrics": metrics, **kept}
        if self._is_best(metrics):
            self.best = self.last
        if self.is_tested and (shown := self.snapshot()):
            self.snapshots.append({"epoch": torch.tensor(epoch), **shown})
        return metrics

    def measured(self, parts: Mapping[str, Kept]) -> dict[str, Measured]:
        """Return what is predicted on each part, and its metrics; of the validation part once for an evaluation."""
        early, self._early = self._early, {}
        found = dict[str, Measured]()
        for name, together in self.adjusted(parts).items():
            if name in early:
                found[name] = early[name]
            else:
                predictions = self.predictions(together)
                found[name] = predictions, self.metrics(name, predictions)
        return found

    def adjusted(self, parts: Mapping[str, Kept]) -> Mapping[str, Kept]:
        """Return what was kept of each part as it is to be evaluated."""
        return parts

    def _is_best(self, metrics: dict[str, float]) -> bool:
        monitor = self.problem.monitor
        value = metrics.get(f"val/{monitor}")
        best = None if self.best is None else self.best["metrics"][f"val/{monitor}"]
        return self._is_better(monitor, value, best)

    def _is_best_clean(self, metrics: dict[str, float]) -> bool:
        """Tell whether the validation part is best by clean targets, where the data tell these from observed ones."""
        task = self.problem.task
        name = task.clean_monitor(self.problem.monitor, metrics)
        values = [value for row in self.history if (value := row.get(name)) is not None and math.isfinite(value)]
        higher = task.higher_is_better(name)
        return self._is_better(name, metrics.get(name), (max if higher else min)(values) if values else None)

    def _is_better(self, name: str, value: float | None, best: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        return best is None or (value > best if self.problem.task.higher_is_better(name) else value < best)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep history and evaluations, so that a resumed run ends with the record of an undisturbed one."""
        history = json.dumps(self.history)  # a single text: torch looks at each number of a dictionary
        kept = {"history": history, "last": self.last, "best": self.best, "snapshots": list(self.snapshots)}
        checkpoint["lossbench"] = {"key": self.key, "evaluated": self.evaluated, **kept}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what `on_save_checkpoint` kept."""
        kept = checkpoint["lossbench"]
        history = kept["history"]  # a list in checkpoints of earlier versions
        self.history = json.loads(history) if isinstance(history, str) else history
        self.last, self.best = kept["last"], kept["best"]
        self.evaluated = kept["evaluated"]
        self.snapshots = kept["snapshots"]


def joined(collected: Sequence[Kept], dim: int = 0) -> Kept:
    """Join what was kept of the batches of a part."""
    return {name: torch.cat([part[name] for part in collected], dim) for name in collected[0]}


def in_full_precision(outputs: Tensor) -> Tensor:
    """Return outputs in float32, or in float64 if they are: losses are not computed in half precision."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
