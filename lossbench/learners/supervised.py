"""The learner for everything that is predict-and-compare: classification and regression."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lossbench.evaluation import EVALUATIONS
from lossbench.learners.learner import Learner, Predictions
from lossbench.losses.binding import context_names


class Supervised(Learner):
    """Train a network that maps inputs to outputs, and compare these with targets.

    Parameters
    ----------
    weighting : callable
        Class weights from the context that it asks for by name; not used where there are no classes.
    **common
        As for every `Learner`; the network is a `lossbench.models.Network`.

    """

    def __init__(self, weighting: Callable[..., Tensor], **common: Any) -> None:
        super().__init__(**common)
        self.weighting = weighting
        self._class_weights: Tensor | None = None

    def on_train_epoch_start(self) -> None:
        """Set this epoch's class weights and random numbers."""
        super().on_train_epoch_start()
        weights = self.class_weights(self.current_epoch)
        self._class_weights = None if weights is None else weights.to(self.device)

    def class_weights(self, epoch: int) -> Tensor | None:
        """Return the weights (K,) of the classes in an epoch; None where all weigh the same."""
        if self.problem.task not in ("binary", "multiclass"):
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

    def kept(self, batch: Any) -> Predictions:
        """Keep outputs, targets and indices."""
        return {"outputs": self.network(batch.inputs), **labels(batch)}

    def predictions(self, together: Predictions) -> Predictions:
        """Turn outputs into probabilities or predictions in the units of the target."""
        together = {**together, "outputs": together["outputs"].double()}
        return EVALUATIONS[self.problem.task].predict(self.loss, together, self.problem)

    def metrics(self, part: str, predictions: Predictions) -> dict[str, float]:
        """Compute the metrics of the task."""
        return EVALUATIONS[self.problem.task].measure(part, predictions, self.problem)


def in_full_precision(outputs: Tensor) -> Tensor:
    """Return outputs in float32, or in float64 if they are: losses are not computed in half precision."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def labels(batch: Any) -> Predictions:
    """Return what an evaluation keeps of a batch beside its outputs; of a single input, the input too."""
    kept = {"target": batch.target, "target_clean": batch.target_clean, "index": batch.index}
    single = batch.inputs.numel() == batch.target.numel()
    return {**kept, "inputs": batch.inputs.reshape(batch.target.shape)} if single else kept
