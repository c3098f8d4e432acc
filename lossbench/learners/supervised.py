"""The learner for everything that is predict-and-compare: classification and regression."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lossbench.evaluation import EVALUATIONS
from lossbench.intervals import takes
from lossbench.learners.learner import Learner, Predictions
from lossbench.learners.teacher import Teacher
from lossbench.losses.binding import context_names
from lossbench.mixup import Mixture, draw_mixture
from lossbench.posthoc import adjust
from lossbench.weighting import at_least_one

NONE: Mapping[str, Any] = {"kind": "none"}


@takes(task="one of: distributional")
class Supervised(Learner):
    """Train a network that maps inputs to outputs, and compare these with targets.

    Parameters
    ----------
    weighting : callable
        Weights of the classes, or for regression of bins of the target, from the context that it asks for by name.
    mixup : mapping
        kind ("none" or "mixup") and alpha; see `mixup.draw_mixture`.
    posthoc : mapping
        kind and parameters of what is done to outputs before they are evaluated; see `posthoc.adjust`.
    teacher : Teacher, optional
        For a loss that asks for `teacher_logits`.
    **common
        As for every `Learner`; the network is a `lossbench.models.Network`.

    """

    def __init__(
        self,
        weighting: Callable[..., Tensor],
        mixup: Mapping[str, Any] = NONE,
        posthoc: Mapping[str, Any] = NONE,
        teacher: Teacher | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.weighting = weighting
        self.mixup, self.posthoc = mixup, posthoc
        self.teacher = teacher
        self._class_weights: Tensor | None = None
        self._mixture: Mixture | None = None
        self._fitted: dict[str, float] = {}

    def on_train_epoch_start(self) -> None:
        """Set this epoch's class weights and random numbers."""
        super().on_train_epoch_start()
        weights = self.class_weights(self.current_epoch)
        self._class_weights = None if weights is None else weights.to(self.device)

    def class_weights(self, epoch: int) -> Tensor | None:
        """Return the weights (K,) of the classes, or of bins of the target, in an epoch; None where all are alike."""
        asked = context_names(self.weighting)
        if self.problem.task in ("binary", "multiclass"):
            counts = {"class_counts": torch.tensor(at_least_one(self.problem.class_counts or ()))}
        elif self.problem.density is not None and "bin_counts" in asked:
            counts = {"bin_counts": self.problem.density.counts}
        else:
            return None
        known = {**counts, "epoch": epoch, "max_epochs": self.max_epochs}
        weights = self.weighting(**{name: known[name] for name in asked})
        return None if (weights == 1).all() else weights.float()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the mean loss of the batch, or of its samples mixed with each other."""
        if self.mixup["kind"] != "none":
            size = len(batch.target)
            self._mixture = draw_mixture(size, self.mixup["alpha"], self.seed, self.current_epoch, batch_idx)
        return super().training_step(batch, batch_idx)

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the weighted loss (N,) of each sample of a batch."""
        mixture = self._mixture
        inputs = batch.inputs if mixture is None else mixture.mix(batch.inputs)
        features = self.network.backbone(inputs)
        outputs = in_full_precision(self.network.outputs(features))
        context = {"epoch": self.current_epoch, "features": features, "index": batch.index, "inputs": inputs}
        if self.teacher is not None:
            context["teacher_logits"] = in_full_precision(self.teacher(inputs))
        if mixture is None:
            return self._share(outputs, batch.target, context)
        own = self._share(outputs, batch.target, context, mixture.share)
        return own + self._share(outputs, batch.target[mixture.partner], context, 1 - mixture.share)

    def _share(self, outputs: Tensor, target: Tensor, context: Mapping[str, Any], share: float = 1.0) -> Tensor:
        """Return the weighted loss (N,) for a target that counts by a share; add its parts to the terms."""
        expected = target if self.loss.declaration.task == "multiclass" else target.to(outputs.dtype)
        value = self.loss(outputs, expected, **context)
        weights = None if self._class_weights is None else self._class_weights[self._places(target)]
        self.add_terms(**{name: share * weighted(part, weights) for name, part in self.loss.parts.items()})
        return share * weighted(value, weights)

    def _places(self, target: Tensor) -> Tensor:
        """Return the class of each sample, or the bin that its target lies in."""
        density = self.problem.density
        if density is None:
            return target
        edges = (density.edges.to(target) - self.problem.center) / self.problem.scale
        return torch.bucketize(target, edges)

    def evaluate(self, epoch: int | None, parts: Mapping[str, Predictions]) -> dict[str, float]:
        """Adjust the outputs as `posthoc` says, then compute the metrics; what was fitted is one of them."""
        adjusted, self._fitted = adjust(self.posthoc, parts, self.loss, self.problem)
        return super().evaluate(epoch, adjusted)

    def kept(self, batch: Any) -> Predictions:
        """Keep outputs, targets and indices."""
        return {"outputs": self.network(batch.inputs), **labels(batch)}

    def predictions(self, together: Predictions) -> Predictions:
        """Turn outputs into probabilities or predictions in the units of the target."""
        together = {**together, "outputs": together["outputs"].double()}
        return EVALUATIONS[self.problem.task].predict(self.loss, together, self.problem)

    def metrics(self, part: str, predictions: Predictions) -> dict[str, float]:
        """Compute the metrics of the task."""
        measured = EVALUATIONS[self.problem.task].measure(part, predictions, self.problem)
        return measured | self._fitted if part == "val" else measured

    def further_metrics(self, part: str, predictions: Predictions) -> dict[str, float]:
        """Compute the metrics of the task that are computed only at the end of a run."""
        return EVALUATIONS[self.problem.task].measure_further(part, predictions, self.problem)


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Multiply values by the weights of their classes, where there are some."""
    return values if weights is None else weights * values


def in_full_precision(outputs: Tensor) -> Tensor:
    """Return outputs in float32, or in float64 if they are: losses are not computed in half precision."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def labels(batch: Any) -> Predictions:
    """Return what an evaluation keeps of a batch beside its outputs; of a single input, the input too."""
    kept = {"target": batch.target, "target_clean": batch.target_clean, "index": batch.index}
    single = batch.inputs.numel() == batch.index.numel()
    return {**kept, "inputs": batch.inputs.reshape(batch.index.shape)} if single else kept
