"""The learner for everything that is predict-and-compare: classification and regression."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbench.learners.learner import OF_SAMPLES, Learner, in_full_precision
from lossbench.learners.teacher import Teacher
from lossbench.losses.bound_loss import asking, context_names
from lossbench.losses.class_weights import at_least_one
from lossbench.methods import mixup as mixups
from lossbench.methods import posthoc as posthocs
from lossbench.methods.mixup import Mixture
from lossbench.methods.posthoc import Posthoc, adjust
from lossbench.tasks.problem import Kept


class Compared(NamedTuple):
    """What a loss is called with, and how much that counts."""

    outputs: Tensor
    target: Tensor
    context: Mapping[str, Any]
    share: float


class Supervised(Learner):
    """Train a network that maps inputs to outputs, and compare these with targets.

    Parameters
    ----------
    weighting : callable
        Weights of the classes, or for regression of bins of the target, from the context that it asks for by name.
    mixup : callable
        The mixture of a step, or None, from the context that it asks for by name; see `methods.mixup`.
    posthoc : callable
        What is done to outputs before they are evaluated, from the context that it asks for; see `methods.posthoc`.
    teacher : Teacher, optional
        For a loss that asks for `teacher_logits`.
    **common
        As for every `Learner`; the network is a `lossbench.models.Network`.

    """

    takes_a_model = True

    def __init__(
        self,
        weighting: Callable[..., Tensor],
        mixup: Callable[..., Mixture | None] = mixups.none,
        posthoc: Posthoc = posthocs.none,
        teacher: Teacher | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.weighting = _plain(weighting)
        self.posthoc = _plain(posthoc)
        self._mix = asking(_plain(mixup))
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
        if self.problem.task.has_classes:
            counts = {"class_counts": torch.tensor(at_least_one(self.problem.class_counts or ()))}
        elif self.problem.density is not None and "bin_counts" in context_names(self.weighting):
            counts = {"bin_counts": self.problem.density.counts}
        else:
            return None
        weights = asking(self.weighting)({**counts, "epoch": epoch, "max_epochs": self.max_epochs})
        return None if (weights == 1).all() else weights.float()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the mean loss of the batch, or of its samples mixed with each other."""
        known = {"samples": len(batch.target), "seed": self.seed, "epoch": self.current_epoch, "step": batch_idx}
        self._mixture = self._mix(known)
        return super().training_step(batch, batch_idx)

    def per_sample_loss(self, batch: Any) -> Tensor:
        """Return the weighted loss (N,) of each sample of a batch."""
        values = [self._weighted_loss(compared) for compared in self._compared(batch)]
        return values[0] if len(values) == 1 else values[0] + values[1]

    def per_sample_terms(self, batch: Any) -> dict[str, Tensor]:
        """Return the weighted terms (N,) of each sample of a batch."""
        parts = [self._weighted_terms(compared) for compared in self._compared(batch)]
        return parts[0] if len(parts) == 1 else {name: term + parts[1][name] for name, term in parts[0].items()}

    def _compared(self, batch: Any) -> Iterator[Compared]:
        """Yield what is compared: the outputs with the targets, and with those that samples are mixed with."""
        mixture = self._mixture
        inputs = batch.inputs if mixture is None else mixture.mix(batch.inputs)
        features = self.network.backbone(inputs)
        outputs = in_full_precision(self.network.outputs(features))
        known = {"epoch": self.current_epoch, "features": features, "index": batch.index, "inputs": inputs}
        context: dict[str, Any] = {**known, **batch.extras, **self.of_other_networks(inputs)}
        yield Compared(outputs, batch.target, context, 1.0 if mixture is None else mixture.share)
        if mixture is not None:
            own = {"weight": context["weight"][mixture.partner]} if "weight" in context else {}
            yield Compared(outputs, batch.target[mixture.partner], {**context, **own}, 1 - mixture.share)

    def of_other_networks(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return what networks that are not trained make of the inputs, by the name by which a loss asks for it."""
        return {} if self.teacher is None else {"teacher_logits": in_full_precision(self.teacher(inputs))}

    def _weighted_loss(self, compared: Compared) -> Tensor:
        """Return the weighted loss (N,) for a target that counts by a share; add its parts to the terms."""
        terms = self.loss.terms(compared.outputs, self._expected(compared), **compared.context)
        weights = self._weights_of(compared)
        if self.loss.is_sum:
            self.add_terms(**_shares(terms, compared, weights))
        return compared.share * weighted(self.loss.total(terms), weights)

    def _weighted_terms(self, compared: Compared) -> dict[str, Tensor]:
        """Return each weighted term (N,) of the loss, likewise."""
        terms = self.loss.each_term(compared.outputs, self._expected(compared), **compared.context)
        weights = self._weights_of(compared)
        self.add_terms(**_shares(terms, compared, weights))
        return _shares(self.loss.weighed(terms), compared, weights)

    def _expected(self, compared: Compared) -> Tensor:
        said, target = self.loss.declaration, compared.target
        return target if said.takes_classes or said.takes_embeddings else target.to(compared.outputs.dtype)

    def _weights_of(self, compared: Compared) -> Tensor | None:
        """Return the weights (N,) of the samples by their classes, and their own; None where all are alike."""
        weights = None if self._class_weights is None else self._class_weights[self._places(compared.target)]
        if (own := compared.context.get("weight")) is not None:
            weights = own if weights is None else weights * own
        return weights

    def _places(self, target: Tensor) -> Tensor:
        """Return the class of each sample, or the bin that its target lies in."""
        density = self.problem.density
        if density is None:
            return target
        edges = (density.edges.to(target) - self.problem.center) / self.problem.scale
        return torch.bucketize(target, edges)

    def adjusted(self, parts: Mapping[str, Kept]) -> Mapping[str, Kept]:
        """Adjust the outputs as `posthoc` says; what was fitted is one of the metrics."""
        adjusted, self._fitted = adjust(self.posthoc, parts, self.loss, self.problem)
        return adjusted

    def kept(self, batch: Any) -> Kept:
        """Keep outputs, targets and indices, what else the task asks for, and groups and numbers of samples."""
        extras = self.problem.kept_of(batch.extras, *OF_SAMPLES)
        return {"outputs": self.network(batch.inputs), **self.known_of(batch), **extras}

    def known_of(self, batch: Any) -> Kept:
        """Return what an evaluation keeps of a batch beside its outputs; of a single input, the input too."""
        kept = {"target": batch.target, "target_clean": batch.target_clean, "index": batch.index}
        single = batch.inputs.numel() == batch.index.numel()
        return {**kept, "inputs": batch.inputs.reshape(batch.index.shape)} if single else kept

    def predictions(self, kept: Kept) -> Any:
        """Turn outputs into what is predicted: in double precision, but of pixels, which are many."""
        outputs = kept["outputs"]
        return super().predictions({**kept, "outputs": outputs.double() if outputs.ndim <= 2 else outputs.float()})

    def metrics(self, part: str, predictions: Any) -> dict[str, float]:
        """Compute the metrics of the task; what was fitted is one of the validation part."""
        measured = super().metrics(part, predictions)
        return measured | self._fitted if part == "val" else measured


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of lossbench as a plain partial: that of Hydra looks through its policy in each call.

    That took an eighth of a step of a small network.
    """
    if isinstance(function, partial) and str(getattr(function.func, "__module__", "")).startswith("lossbench."):
        return partial(function.func, *function.args, **function.keywords)
    return function


def _shares(terms: Mapping[str, Tensor], compared: Compared, weights: Tensor | None) -> dict[str, Tensor]:
    return {name: compared.share * weighted(term, weights) for name, term in terms.items()}


def weighted(values: Tensor, weights: Tensor | None) -> Tensor:
    """Multiply values by the weights of their classes, where there are some."""
    return values if weights is None else weights * values
