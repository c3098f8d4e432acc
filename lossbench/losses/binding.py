"""Give a loss what it asks for by name, as pytest does for fixtures.

A keyword-only parameter without a default is context. What holds for the whole run (`RUN_CONTEXT`) is bound once;
what changes from step to step (`STEP_CONTEXT`) is passed at each call.
"""

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.catalogue import RUN_CONTEXT, STEP_CONTEXT
from lossbench.errors import ConfigError
from lossbench.intervals import contains
from lossbench.links import exponential, identity, log_odds_of, sigmoid, sigmoids, softmax
from lossbench.losses.declaration import Declaration, Task, require_labels, require_shapes, shape_of_values

PER_CLASS = ("multiclass", "multilabel")
"""The tasks of losses that take an output for each class or label."""
TASK_LINKS: dict[str, Callable[..., Any]] = {
    "regression": identity,
    "binary": sigmoid,
    "multiclass": softmax,
    "multilabel": sigmoids,
    "count": exponential,
    "sequence": softmax,
}


@dataclass(frozen=True)
class BoundLoss:
    """A loss with all that it needs for a run: a callable `(outputs, target) -> (N,)`.

    Parameters
    ----------
    function : callable
        The loss function, or the `nn.Module` that holds its parameters or memory.
    declaration : Declaration
        What the loss says of itself.
    parameters : mapping
        Its hyper-parameters and run context, by name.
    step_context : tuple of str
        What each call must supply besides outputs and target, of `catalogue.STEP_CONTEXT`.
    factor : float
        What its values are multiplied by, where `optimizer.calibrate` says so.
    checks_shapes : bool
        Whether the function compares the shapes of outputs and target itself, as one that is declared does.
    checks_labels : bool
        Whether to look for labels that the outputs lack, on the CPU; `load_loss` says so, a run has looked before.

    """

    function: Callable[..., Tensor]
    declaration: Declaration
    parameters: Mapping[str, Any]
    step_context: tuple[str, ...] = ()
    factor: float = 1.0
    checks_shapes: bool = False
    checks_labels: bool = False

    def __call__(self, outputs: Tensor, target: Tensor, **context: Any) -> Tensor:
        """Return the loss of each sample; of `context`, the function gets only what it asks for.

        Raises
        ------
        ValueError
            If the target has not the shape that belongs to the outputs, or one of its labels is none of theirs.
        ConfigError
            If the function does not return one number for each sample.

        """
        if not self.checks_shapes:
            require_shapes(self.declaration, outputs, target, self.name)
        if self.checks_labels and target.device.type == "cpu" and not torch.compiler.is_compiling():
            with suppress(RuntimeError):  # under torch.func.vmap no value can be asked for
                require_labels(self.declaration, outputs, target, self.name)
        value = self.function(outputs, target, **{name: context[name] for name in self.step_context})
        shape = shape_of_values(self.declaration, outputs)
        if not isinstance(value, Tensor) or value.shape != shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(
                f"loss {self.name} returned {found} for outputs of shape {tuple(outputs.shape)}; it must return one "
                f"number per sample, shape {shape}. Leave out the mean: the benchmark takes it."
            )
        return value if self.factor == 1.0 else self.factor * value

    @property
    def name(self) -> str:
        """The name of its function or module."""
        function = getattr(self.function, "func", self.function)
        return str(getattr(function, "__name__", type(function).__name__))

    def link(self, outputs: Tensor) -> Any:
        """Turn outputs into probabilities (N, K), a point prediction (N,), or predicted distributions."""
        return self._linked(self.declaration.link, outputs)

    def log_odds(self, outputs: Tensor) -> Tensor:
        """Turn outputs of classes or labels into the log-odds of their probabilities, of the same shape as these."""
        own = getattr(self.declaration.link, "log_odds", None)
        return log_odds_of(self.link(outputs)) if own is None else self._linked(own, outputs)

    def _linked(self, link: Callable[..., Any], outputs: Tensor) -> Any:
        return link(outputs, **{name: self.parameters[name] for name in context_names(link)})

    def num_outputs(self, num_classes: int | None) -> int:
        """Return how many outputs of the network it takes for each sample."""
        if self.declaration.task in PER_CLASS and num_classes:
            return num_classes
        outputs = self.declaration.outputs
        if isinstance(outputs, int):
            return outputs
        return outputs(**{name: self.parameters[name] for name in context_names(outputs)})

    @property
    def parts(self) -> Mapping[str, Tensor]:
        """The values (N,) of which those of the last call were made, for a loss that is made of others."""
        return getattr(self.function, "parts", {})

    def copy(self) -> "BoundLoss":
        """Return a loss that can be called without a trace: of one with a memory, a copy."""
        return self if self.module is None else replace(self, function=copy.deepcopy(self.module))

    @property
    def module(self) -> nn.Module | None:
        """The loss as a module, if it has parameters or memory."""
        return self.function if isinstance(self.function, nn.Module) else None


def context_names(function: Callable[..., Any]) -> list[str]:
    """Return the keyword-only parameters without a default."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
    ]


def bind(
    factory: Callable[..., Any],
    parameters: Mapping[str, Any],
    context: Mapping[str, Any],
    task: Task = "multiclass",
    learner: str = "supervised",
) -> BoundLoss:
    """Bind a loss to its hyper-parameters and to the run's context.

    Parameters
    ----------
    factory : callable
        A loss function, or an `nn.Module` class whose constructor takes the hyper-parameters and the run's context.
    parameters : mapping
        Hyper-parameters by name.
    context : mapping
        What the run can supply: of `catalogue.RUN_CONTEXT`. With task and learner it is also `run_context`, by which a
        loss binds its terms.
    task, learner : str
        The task that a loss without a declaration is taken to serve, and the way of learning.

    Raises
    ------
    ConfigError
        If the loss asks for something that nobody supplies, or a parameter is outside its range.

    """
    link = TASK_LINKS.get(task, identity)
    said: Declaration | None = getattr(factory, "declaration", None)
    declared = said is not None
    declaration = said or Declaration(task, link, source="", learner=learner)
    if declaration.task == "distributional" and declaration.link is identity:
        raise ConfigError(
            f"loss {getattr(factory, '__name__', factory)} must say how its outputs become a distribution: "
            "@loss(task='distributional', learner='distributional', link=lossbench.distributions.gaussian, outputs=2, "
            "source=...), or another link of lossbench.distributions."
        )
    for name, value in parameters.items():
        if name in declaration.ranges and value is not None and not contains(declaration.ranges[name], value):
            raise ConfigError(f"loss.{name}={value} is out of range: allowed is {declaration.ranges[name]}.")
    context = {**context, "run_context": {"context": context, "task": task, "learner": learner}}
    needed = [name for name in context_names(factory) if name not in parameters]
    unknown = set(needed) - RUN_CONTEXT - STEP_CONTEXT
    missing = (set(needed) & RUN_CONTEXT) - set(context)
    name = getattr(factory, "__name__", str(factory))
    if unknown:
        raise ConfigError(
            f"loss {name} has parameters without a value: {', '.join(sorted(unknown))}. "
            f"Set them (loss.NAME=VALUE); by themselves come only {', '.join(sorted(RUN_CONTEXT | STEP_CONTEXT))}."
        )
    if missing:
        raise ConfigError(f"loss {name} needs {', '.join(sorted(missing))}, which this task or call does not supply.")
    known = {**parameters, **{name: context[name] for name in needed if name in RUN_CONTEXT}}
    try:
        inspect.signature(factory).bind_partial(**known)
    except TypeError as error:
        raise ConfigError(f"loss {name}: {error}. Its signature is {inspect.signature(factory)}.") from error
    if inspect.isclass(factory):
        module: Any = factory(**known)
        declaration = getattr(module, "declaration", declaration)  # a loss made of others says what its terms say
        step_context = getattr(module, "step_context", context_names(module.forward))
        return BoundLoss(module, declaration, known, tuple(step_context), checks_shapes=declared)
    step_context = tuple(name for name in needed if name in STEP_CONTEXT)
    return BoundLoss(partial(factory, **known), declaration, known, step_context, checks_shapes=declared)


def load_loss(name: str, **parameters: Any) -> BoundLoss:
    """Load a loss of the catalogue by name, with its default parameters, to use it without the rest of lossbench.

    Seven losses learn parameters of their own: adaptive_robust, aucm, balanced_mse, gaussian_nll_global, laplace_nll,
    learned_student_t, negative_binomial_nll (and a weighted_sum of them). They learn only if the optimizer gets
    `.module.parameters()` beside those of the model; a run gives them to it without weight decay. Six have a memory:
    elr, eql_v2, ghm_c, group_dro, ovr_ghm_c, seesaw. Their `.module` moves to a device and is saved as a model is. For
    all others `.module` is None.

    Parameters
    ----------
    name : str
        A file name in `conf/loss`, such as "focal".
    **parameters
        Hyper-parameters that differ from the defaults, and the context that the loss asks for (`class_counts`).

    Returns
    -------
    BoundLoss
        A callable `(outputs, target) -> (N,)`; take `.mean()` of what it returns. What changes from step to step
        (`.step_context`) is given by name, such as `index=`, the number of each sample in the training set, which must
        stay with the sample when a loader shuffles.

    Raises
    ------
    ConfigError
        If there is no such loss, a parameter is unknown or out of range, or context is missing.

    Examples
    --------
    >>> import torch
    >>> focal = load_loss("focal", gamma=1.0)
    >>> focal(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor([1.8734])

    """
    from lossbench.catalogue import default_parameters, locate

    defaults = default_parameters(name)
    factory = locate(defaults.pop("_target_"))
    context = {key: parameters.pop(key) for key in list(parameters) if key in RUN_CONTEXT}
    return replace(bind(factory, {**defaults, **parameters}, context), checks_labels=True)
