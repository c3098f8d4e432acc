"""The learner for everything that is predict-and-compare: classification and regression."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lossbench.errors import Diverged
from lossbench.losses.binding import BoundLoss, context_names
from lossbench.metric_names import higher_is_better
from lossbench.metrics import classification_metrics, noise_metrics, regression_metrics
from lossbench.models import Network
from lossbench.streams import derive_seed

Predictions = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """What the learner knows of the data.

    Parameters
    ----------
    task : str
        "regression", "binary" or "multiclass".
    num_classes : int or None
        Number of classes; None for regression.
    class_counts : sequence of int or None
        Training samples of each class, as observed.
    evaluated : sequence of str
        Names of the loaders that are evaluated after each epoch: "test", "val" if there is one, "train" under noise.
    monitor : str
        The metric on "val" that picks the best epoch.
    contaminated : Tensor
        Indices of the training and validation samples that were corrupted.
    center, scale : float
        Regression targets are trained as (target - center) / scale.

    """

    task: str
    num_classes: int | None
    class_counts: Sequence[int] | None
    evaluated: Sequence[str]
    monitor: str
    contaminated: Tensor
    center: float = 0.0
    scale: float = 1.0


class Supervised(pl.LightningModule):
    """Train a network with one loss and evaluate it on the validation and test parts after each epoch.

    After training, `history` holds the metrics of every epoch, `last` and `best` the evaluations of the last and of the
    best validation epoch: {"epoch": int, "metrics": {...}, "test": {...}, "val": {...}}.

    Parameters
    ----------
    network : Network
        Maps inputs to outputs.
    loss : BoundLoss
        The loss of each sample.
    weighting : callable
        Class weights from the context that it asks for by name; not used for regression.
    optimizer, scheduler : callable
        Make the optimizer from parameter groups, and the schedule from the optimizer.
    problem : Problem
        What is known of the data.
    max_epochs : int
        Length of the training.
    seed : int
        The training seed; the global generator is set from it and the epoch, so that a resumed run is the same run.

    """

    def __init__(
        self,
        network: Network,
        loss: BoundLoss,
        weighting: Callable[..., Tensor],
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler],
        problem: Problem,
        max_epochs: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.loss_module = loss.module
        self.weighting = weighting
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.problem = problem
        self.max_epochs = max_epochs
        self.seed = seed
        self.history: list[dict[str, float]] = []
        self.last: dict[str, Any] | None = None
        self.best: dict[str, Any] | None = None
        self._class_weights: Tensor | None = None
        self._loss_sum: Tensor | float = 0.0
        self._samples = 0
        self._collected: dict[str, list[Predictions]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the name of the current hook, which Lightning sets 40 times a step, in the short way."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave batches on the CPU as they are: to walk through them takes a tenth of a small step."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def configure_optimizers(self) -> dict[str, Any]:
        """Optimize the network, and the parameters of the loss without weight decay."""
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        if self.loss_module is not None and (own := list(self.loss_module.parameters())):
            groups.append({"params": own, "weight_decay": 0.0})
        optimizer = self.optimizer_factory(groups)
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler_factory(optimizer)}

    def on_train_epoch_start(self) -> None:
        """Set this epoch's class weights and random numbers."""
        torch.manual_seed(derive_seed(self.seed, "step", self.current_epoch))
        self._loss_sum, self._samples = 0.0, 0
        weights = self.class_weights(self.current_epoch)
        self._class_weights = None if weights is None else weights.to(self.device)

    def class_weights(self, epoch: int) -> Tensor | None:
        """Return the weights (K,) of the classes in an epoch; None where all weigh the same."""
        if self.problem.class_counts is None:
            return None
        known = {
            "class_counts": torch.as_tensor(self.problem.class_counts),
            "epoch": epoch,
            "max_epochs": self.max_epochs,
        }
        weights = self.weighting(**{name: known[name] for name in context_names(self.weighting)})
        return None if (weights == 1).all() else weights.float()

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the weighted loss (N,) of each sample of a batch."""
        features = self.network.backbone(batch.inputs)
        outputs = in_full_precision(self.network.outputs(features))
        target = batch.target if self.loss.declaration.task == "multiclass" else batch.target.to(outputs.dtype)
        value = self.loss(
            outputs, target, epoch=self.current_epoch, features=features, index=batch.index, inputs=batch.inputs
        )
        return value if self._class_weights is None else self._class_weights[batch.target] * value

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the mean loss of the batch (its sum, for the losses that are defined as sums)."""
        per_sample = self.per_sample_loss(batch)
        mean = per_sample.mean()
        if not torch.isfinite(mean):
            raise Diverged(self.current_epoch, self.global_step, float(mean.detach()))
        self._loss_sum = self._loss_sum + per_sample.detach().sum()
        self._samples += len(per_sample)
        return per_sample.sum() if self.loss.declaration.reduction == "sum" else mean

    def on_train_epoch_end(self) -> None:
        """Add this epoch to the history."""
        train_loss = float(self._loss_sum) / max(1, self._samples)
        self.log("train/loss", train_loss)
        self.end_epoch(self.current_epoch, train_loss)

    def end_epoch(self, epoch: int, train_loss: float) -> None:
        """Add an epoch, with its evaluation if it has one, to the history."""
        evaluated = self.last["metrics"] if self.last and self.last["epoch"] == epoch else {}
        self.history.append({"epoch": epoch, "train/loss": train_loss, **evaluated})

    def on_validation_epoch_start(self) -> None:
        """Forget the previous evaluation."""
        self._collected = {name: [] for name in self.problem.evaluated}

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keep outputs, targets and indices of one evaluation batch."""
        part = {"outputs": self.network(batch.inputs), **labels(batch)}
        part = {name: tensor.detach().cpu() for name, tensor in part.items()}
        self._collected[self.problem.evaluated[dataloader_idx]].append(part)

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics of each part."""
        parts = {name: joined(collected) for name, collected in self._collected.items() if collected}
        self._collected = {}
        metrics = self.evaluate(None if self.trainer.state.fn == "validate" else self.current_epoch, parts)
        # Lightning takes a millisecond for each name; no callback waits for the recall of a class.
        self.log_dict({name: value for name, value in metrics.items() if "/recall/" not in name})

    def evaluate(self, epoch: int | None, parts: Mapping[str, Predictions]) -> dict[str, float]:
        """Compute the metrics of an evaluation; keep it as the last one, and as the best one if it is.

        Parameters
        ----------
        epoch : int or None
            Its epoch; None for an evaluation after training, which is that of the last epoch.
        parts : mapping
            For each part the outputs, targets, clean targets and indices of all its samples.

        Returns
        -------
        dict of str to float
            Each metric as "part/name".

        """
        predicted = {name: self._predictions(together) for name, together in parts.items()}
        metrics = {
            f"{name}/{metric}": value
            for name, predictions in predicted.items()
            for metric, value in self._metrics(name, predictions).items()
        }
        if epoch is None:
            epoch = int(self.history[-1]["epoch"])
            self.history[-1] |= metrics
        kept = {name: predictions for name, predictions in predicted.items() if name != "train"}
        self.last = {"epoch": epoch, "metrics": metrics, **kept}
        if self._is_best(metrics):
            self.best = self.last
        return metrics

    def _predictions(self, together: Predictions) -> Predictions:
        together = {**together, "outputs": together["outputs"].double()}
        linked = self.loss.link(together["outputs"])
        if self.problem.task != "regression":
            names = {"outputs": "logits"}
            return {"probabilities": linked, **{names.get(name, name): tensor for name, tensor in together.items()}}
        center, scale = self.problem.center, self.problem.scale
        return {
            **{name: together[name] for name in together if name in ("index", "inputs")},
            "prediction": linked * scale + center,
            "target": together["target"].double() * scale + center,
            "target_clean": together["target_clean"].double() * scale + center,
        }

    def _metrics(self, name: str, predictions: Predictions) -> dict[str, float]:
        if self.problem.task == "regression":
            return regression_metrics(predictions["prediction"], predictions["target"], predictions["target_clean"])
        probabilities, target, clean = (predictions[key] for key in ("probabilities", "target", "target_clean"))
        if name == "train":
            return noise_metrics(probabilities, target, clean)
        metrics = classification_metrics(probabilities, target, self.problem.class_counts)
        if not torch.equal(target, clean):
            on_clean = classification_metrics(probabilities, clean, self.problem.class_counts)
            metrics |= {f"clean/{metric}": value for metric, value in on_clean.items()}
        return metrics

    def _is_best(self, metrics: dict[str, float]) -> bool:
        monitor = self.problem.monitor
        value = metrics.get(f"val/{monitor}")
        if value is None or not math.isfinite(value):
            return False
        if self.best is None:
            return True
        best = self.best["metrics"][f"val/{monitor}"]
        return bool(value > best if higher_is_better(monitor) else value < best)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep history and evaluations, so that a resumed run ends with the record of an undisturbed one."""
        checkpoint["lossbench"] = {"history": list(self.history), "last": self.last, "best": self.best}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what `on_save_checkpoint` kept."""
        kept = checkpoint["lossbench"]
        self.history, self.last, self.best = kept["history"], kept["last"], kept["best"]


def in_full_precision(outputs: Tensor) -> Tensor:
    """Return outputs in float32, or in float64 if they are: losses are not computed in half precision."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def labels(batch: Any) -> Predictions:
    """Return what an evaluation keeps of a batch beside its outputs; of a single input, the input too."""
    kept = {"target": batch.target, "target_clean": batch.target_clean, "index": batch.index}
    single = batch.inputs.numel() == batch.target.numel()
    return {**kept, "inputs": batch.inputs.reshape(batch.target.shape)} if single else kept


def joined(collected: Sequence[Predictions], dim: int = 0) -> Predictions:
    """Join what was kept of the batches of a part."""
    return {name: torch.cat([part[name] for part in collected], dim) for name in collected[0]}
