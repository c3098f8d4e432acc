"""How a learner descends several terms: by their values, or by the gradient of each, and what is noted of them.

The parameters that are shared are those of the network that at least two terms depend on, as the graph of the first
step has it. A method by gradient says what gradient these get; all others, such as heads of a single term, get that of
the plain sum.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lossbench.errors import ConfigError
from lossbench.methods.combining import Combine

SEEN = 4
"""Steps of an epoch in which the gradients of the terms are looked at, where the method does without them."""


class Means:
    """Means of vectors over the steps of an epoch, where they are numbers."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add the values of a step."""
        values, known = values.detach().double(), values.isfinite()
        total, count = self.totals.get(name, (0.0, 0.0))
        self.totals[name] = (total + torch.where(known, values, 0.0), count + known)

    def __getitem__(self, name: str) -> Tensor:
        """Return the mean of each number; NaN of one that never was."""
        total, count = self.totals[name]
        return total / count


class Combining(nn.Module):
    """The terms of a learner, combined by a method; what it keeps from step to step is part of a checkpoint.

    Parameters
    ----------
    method : Combine
        How they are combined.
    names : sequence of str
        Of the terms.
    title : str
        What the method is called in errors, such as "combine=pcgrad".

    """

    means: Tensor

    def __init__(self, method: Combine, names: Sequence[str], title: str = "combine") -> None:
        super().__init__()
        self.method: Any = method  # of whose hooks only the names are known
        self.names, self.title = tuple(names), title
        self.register_buffer("means", torch.full((len(self.names),), torch.nan, dtype=torch.float64))
        self._noted = Means()
        self._values: list[Tensor] = []
        self._norms: Tensor | None = None
        self._shared: list[str] = []
        self._before: dict[str, Any] = {}

    @property
    def by_value(self) -> bool:
        """Whether what it returns of a step is descended as any loss is."""
        return bool(self.method.by == "value")

    def start_epoch(self, epoch: int) -> None:
        """Begin an epoch with the means of the one before."""
        self._noted = Means()
        self.method.start_epoch(epoch, None if self.means.isnan().all() else self.means.float())

    def end_epoch(self) -> dict[str, float]:
        """Return what the history has of an epoch: weights, norms and cosines of gradients, as far as there are any."""
        noted, history = self._noted, dict[str, float]()
        if "value" in noted.totals:
            self.means.copy_(noted["value"])
        pairs = [(one, other) for place, one in enumerate(self.names) for other in self.names[place + 1 :]]
        keys = {
            "weight": [f"train/weight/{name}" for name in self.names],
            "norm": [f"train/gradient_norm/{name}" for name in self.names],
            "cosine": [f"train/cosine/{one}/{other}" for one, other in pairs],
        }
        for kind, of_kind in keys.items():
            if kind in noted.totals:
                history |= dict(zip(of_kind, noted[kind].tolist(), strict=True))
        return {name: value for name, value in history.items() if not math.isnan(value)}

    def value(self, learner: pl.LightningModule, values: Sequence[Tensor], step: int) -> Tensor:
        """Return what a step descends; of a method by gradient the plain sum, until `backward` has its gradients."""
        if len(values) != len(self.names):
            raise ConfigError(f"{self.title}: the loss has {len(values)} terms, not {', '.join(self.names)}.")
        self._noted.add("value", torch.stack(list(values)))
        self._values = list(values)
        if not self.by_value:
            return torch.stack(self._values).sum()
        if step in _looked_at(learner):
            with torch.autocast(values[0].device.type, enabled=False):
                jacobian = self.jacobian(learner, self._values, keep=True)[0]
                self._note(jacobian @ jacobian.T)
        if hasattr(self.method, "balance"):
            self._norms = self._norms_at_last(learner)
        combined = self.method(torch.stack(self._values))
        self._noted.add("weight", self.method.weights)
        return combined

    def backward(self, learner: pl.LightningModule, loss: Tensor) -> None:
        """Give each parameter its gradient: by the method where it is shared, else that of the plain sum.

        What the trainer has multiplied the sum by, for accumulated batches or half precision, multiplies gradients too.
        A method sees them without it.
        """
        one = [each for each in self._values if each.requires_grad][:1]
        scale = float(torch.autograd.grad(loss, one, retain_graph=True)[0])
        halved = scale > 1  # half precision: on their way back, too, small numbers must not become 0
        values = [scale * each for each in self._values] if halved else self._values
        with torch.autocast(loss.device.type, enabled=False):
            jacobian, rest = self.jacobian(learner, values, keep=False)
            if halved:
                jacobian /= scale
            gradient = self.method(jacobian)
            products = getattr(self.method, "products", None)
            self._note(jacobian @ jacobian.T if products is None else products)
        self._noted.add("weight", self.method.weights)
        parameters = dict(learner.named_parameters())
        shared = [parameters[name] for name in self._shared]
        gradient = gradient if scale == 1 else scale * gradient  # a product with 1 would go over all once more
        pieces = gradient.split([each.numel() for each in shared])
        others = rest if halved else {name: scale * each for name, each in rest.items()}
        for name, found in [*zip(self._shared, pieces, strict=True), *others.items()]:
            parameter = parameters[name]
            own = found.to(parameter.dtype).view_as(parameter)
            parameter.grad = own if parameter.grad is None else parameter.grad + own
        self._values = []

    def jacobian(
        self, learner: pl.LightningModule, values: Sequence[Tensor], keep: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the gradients (T, P) of the terms at the shared parameters, and their sum at each of the others.

        Parameters
        ----------
        learner : LightningModule
            Whose parameters they are.
        values : sequence of Tensor
            The terms of a step.
        keep : bool
            Whether the graph is still needed.

        """
        parameters = {name: each for name, each in learner.named_parameters() if each.requires_grad}
        found: Iterator[dict[str, Tensor]] = (
            _gradients(value, parameters, retain_graph=keep or place + 1 < len(values))
            for place, value in enumerate(values)
        )
        if not self._shared:  # as wide as all terms together is only the first step
            found = iter(first := list(found))
            self._shared = self._shared_of(first, parameters)
        shared = {name: parameters[name] for name in self._shared}
        size, one = sum(each.numel() for each in shared.values()), next(iter(shared.values()))
        precise = torch.promote_types(one.dtype, torch.float32)
        jacobian = torch.empty(len(values), size, dtype=precise, device=one.device)
        rest: dict[str, Tensor] = {}
        for row, gradients in zip(jacobian, found, strict=True):
            places = row.split([each.numel() for each in shared.values()])
            for name, place in zip(shared, places, strict=True):
                if name in gradients:
                    place.copy_(gradients.pop(name).flatten())
                else:
                    place.zero_()
            for name, gradient in gradients.items():
                rest[name] = rest[name] + gradient if name in rest else gradient
        return jacobian, rest

    def _shared_of(self, rows: Sequence[Mapping[str, Tensor]], parameters: Mapping[str, Tensor]) -> list[str]:
        """Return the names of the parameters of the network that at least two terms depend on."""
        of_network = [name for name in parameters if name.startswith("network.")]
        shared = [name for name in of_network if sum(name in row for row in rows) > 1]
        if not shared:
            raise ConfigError(
                f"{self.title}: no two of the terms {', '.join(self.names)} depend on the same parameter of the "
                "network, so that nothing is to be combined. Use combine=sum."
            )
        return shared

    def _norms_at_last(self, learner: pl.LightningModule) -> Tensor:
        """Return the norm (T,) of the gradient of each term at the weights of the last shared layer."""
        if not self._shared:
            self.jacobian(learner, self._values, keep=True)
        parameters = dict(learner.named_parameters())
        last = [name for name in self._shared if parameters[name].ndim > 1] or self._shared
        weights = {last[-1]: parameters[last[-1]]}
        rows = [_gradients(value, weights, retain_graph=True) for value in self._values]
        return torch.stack([row[last[-1]].norm() if row else torch.zeros_like(self._values[0]) for row in rows])

    def _note(self, products: Tensor) -> None:
        """Note from their products (T, T) the norms of gradients, and the cosine of each pair; one of 0 has none."""
        norms = products.diagonal().clamp_min(0).sqrt()
        one, other = torch.triu_indices(len(norms), len(norms), 1, device=norms.device)
        self._noted.add("norm", norms)
        self._noted.add("cosine", products[one, other] / (norms[one] * norms[other]))

    def before(self, learner: Any, batch: Any) -> None:
        """Note what a second look at a batch must find as it was, where the method asks for one."""
        if hasattr(self.method, "after_step"):
            self._before = {"steps": learner.global_step, "draws": _draws(learner)}

    def after(self, learner: Any, batch: Any) -> None:
        """Let the method see a step: the balance of the terms, and the same batch's terms after it.

        The second look has the same random numbers, and leaves all buffers and sums as they are.
        """
        if self._norms is not None:
            self.method.balance(torch.stack(self._values).detach(), self._norms.detach())
        self._norms, self._values = None, []
        if not self._before or learner.global_step == self._before["steps"]:
            return
        sums, buffers = dict(learner._term_sums), {name: each.clone() for name, each in learner.named_buffers()}
        draws = _draws(learner)
        _set_draws(learner, self._before["draws"])
        with torch.no_grad(), learner.trainer.precision_plugin.forward_context():
            terms = learner.per_sample_terms(batch)
        reduce = Tensor.sum if learner.loss.declaration.reduction == "sum" else Tensor.mean
        values = torch.stack([reduce(term) for term in terms.values()])
        _set_draws(learner, draws)
        learner._term_sums = sums
        with torch.no_grad():
            for name, buffer in learner.named_buffers():
                buffer.copy_(buffers[name])
        self.method.after_step(values)


def _gradients(value: Tensor, parameters: Mapping[str, Tensor], retain_graph: bool) -> dict[str, Tensor]:
    """Return the gradient of a term at each parameter that it depends on."""
    if not value.requires_grad:
        return {}
    found = torch.autograd.grad(value, list(parameters.values()), retain_graph=retain_graph, allow_unused=True)
    return {name: each for name, each in zip(parameters, found, strict=True) if each is not None}


def _looked_at(learner: pl.LightningModule) -> set[int]:
    """Return the steps of an epoch in which gradients are looked at, spread over it; the first, if none knows how many.

    A stream of batches, or a module without a trainer, has no number of steps.
    """
    trainer = getattr(learner, "_trainer", None)
    steps = math.inf if trainer is None else trainer.num_training_batches
    return set(range(SEEN)) if math.isinf(steps) else {int(each * steps / SEEN) for each in range(SEEN)}


def _draws(learner: Any) -> tuple[Tensor, Tensor | None]:
    own = getattr(learner, "_draws", None)
    return torch.get_rng_state(), None if own is None else own.get_state()


def _set_draws(learner: Any, state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        learner._draws.set_state(state[1])
