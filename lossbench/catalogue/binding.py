"""Give a loss what it asks for by name, as pytest does for fixtures.

A keyword-only parameter without a default is context. What holds for the whole run (`RUN_CONTEXT`) is bound once;
what changes from step to step (`Task.context`) is passed at each call.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lossbench.catalogue.facts import default_parameters, hyperparameters
from lossbench.catalogue.formulas import require_formula
from lossbench.catalogue.loaded import LoadedLoss
from lossbench.catalogue.parts import part_nodes, weights_of
from lossbench.catalogue.terms import require_agreement, require_weights, term_nodes, title
from lossbench.errors import ConfigError
from lossbench.locate import locate
from lossbench.losses import links
from lossbench.losses.bound_loss import BoundLoss, context_names
from lossbench.losses.declaration import Declaration
from lossbench.losses.facts import RUN_CONTEXT
from lossbench.losses.multitask import BoundPart
from lossbench.ranges import within
from lossbench.tasks import task_named
from lossbench.tasks.problem import Part


def bind(
    factory: Callable[..., Any],
    parameters: Mapping[str, Any],
    context: Mapping[str, Any],
    task: str = "multiclass",
) -> BoundLoss:
    """Bind a loss to its hyper-parameters and to the run's context.

    Parameters
    ----------
    factory : callable
        A loss function, or an `nn.Module` class whose constructor takes the hyper-parameters and the run's context.
    parameters : mapping
        Hyper-parameters by name.
    context : mapping
        What the run can supply: of `losses.facts.RUN_CONTEXT`. `bind_terms` and `bind_parts`, by which a sum binds its
        terms and a loss of several tasks those of its parts, are supplied here.
    task : str
        The task that a loss without a declaration is taken to serve.

    Raises
    ------
    ConfigError
        If the loss asks for something that nobody supplies, or a parameter is outside its range or no formula.

    """
    said: Declaration | None = getattr(factory, "declaration", None)
    declared = said is not None
    served = task_named(task if said is None else said.task)
    link = getattr(links, served.link, links.identity)
    declaration = said or Declaration(task, link, source="")
    if not served.link and declaration.link is links.identity:
        told = served.advice["link"]
        raise ConfigError(f"loss {getattr(factory, '__name__', factory)} must say how {told}")
    for name, value in parameters.items():
        if name in declaration.ranges and value is not None and not within(declaration.ranges[name], value):
            raise ConfigError(f"loss.{name}={value} is out of range: allowed is {declaration.ranges[name]}.")
    if declared:
        require_formula(f"lossbench.losses.{getattr(factory, '__name__', '')}", parameters)
    binders: dict[str, Any] = {"bind_terms": partial(_bind_terms, context=context, task=task)}
    binders["bind_parts"] = partial(_bind_parts, context=context)
    context = {"parts": task_named(task).parts or served.parts, **context, **binders}
    needed = [name for name in context_names(factory) if name not in parameters]
    unknown = set(needed) - RUN_CONTEXT - set(served.context)
    missing = (set(needed) & RUN_CONTEXT) - set(context)
    name = getattr(factory, "__name__", str(factory))
    if unknown:
        raise ConfigError(
            f"loss {name} has parameters without a value: {', '.join(sorted(unknown))}. "
            f"Set them (loss.NAME=VALUE); by themselves come only {', '.join(sorted({*RUN_CONTEXT, *served.context}))}."
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
    step_context = tuple(name for name in needed if name in served.context)
    return BoundLoss(partial(factory, **known), declaration, known, step_context, checks_shapes=declared)


def _bind_terms(terms: Any, weights: Any, context: Mapping[str, Any], task: str) -> dict[str, BoundLoss]:
    """Bind the terms of a sum, in the notation of `terms.term_nodes`, and check that they can be added."""
    nodes = term_nodes(terms)
    require_weights(nodes, weights)
    bound = {key: bind(locate(node["_target_"]), hyperparameters(node), context, task) for key, node in nodes.items()}
    titles = {key: title(key, node) for key, node in nodes.items()}
    require_agreement({titles[key]: each.declaration for key, each in bound.items()})
    widths = {titles[key]: each.num_outputs(context.get("num_classes")) for key, each in bound.items()}
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{name}: {width}" for name, width in widths.items())
        raise ConfigError(f"the terms of a sum must take the same number of outputs, but these differ: {told}.")
    return {f"term_{key}": each for key, each in bound.items()}


def _bind_parts(
    parts: Mapping[str, Any], terms: Any, weights: Any, context: Mapping[str, Any]
) -> tuple[dict[str, BoundPart], dict[str, float]]:
    """Bind the loss of each of several tasks, and return their weights; a part is a `Part`, or the name of its task."""
    known = {name: part if isinstance(part, Part) else Part(part) for name, part in parts.items()}
    tasks = {name: part.task for name, part in known.items()}
    nodes, bound = part_nodes(tasks, terms), {}
    for name, part in known.items():
        loss, classes = _bind_part(nodes[name], part, context)
        width = loss.num_outputs(classes)
        each = (width,) if width > 1 or loss.declaration.per_class else ()
        bound[name] = BoundPart(loss, (*part.shape, *each), part.shape)
    return bound, weights_of(tasks, weights)


def _bind_part(node: Mapping[str, Any], part: Part, context: Mapping[str, Any]) -> tuple[BoundLoss, int | None]:
    """Bind the loss of a part to what is known of its classes; return how many it has as well."""
    task, own = task_named(part.task), dict(context)
    own |= {"num_classes": part.num_classes, "class_counts": list(part.class_counts)} if part.class_names else {}
    if task.target not in ("class", "mask", "labels"):
        own = {name: value for name, value in own.items() if name not in ("num_classes", "class_counts")}
    loss = bind(locate(node["_target_"]), hyperparameters(node), own, task.name)
    return loss, task.classes or own.get("num_classes")


def load_loss(name: str, *, reduction: str = "none", **parameters: Any) -> LoadedLoss:
    """Load a loss of the catalogue by name, with its default parameters, to use it without the rest of lossbench.

    Twenty-one losses learn parameters of their own: adacos, adaptive_robust, aucm, balanced_mse, byol, center_loss,
    embedding_arcface, embedding_cosface, embedding_norm_softmax, embedding_softmax, gaussian_nll_global, laplace_nll,
    learned_student_t, negative_binomial_nll, noise_contrastive, proxy_anchor, proxy_nca, sim_siam, soft_triple,
    sphereface, subcenter_arcface (and a weighted_sum of them). They learn as any module does: assigned to an attribute
    of a model, or where the optimizer gets `.parameters()` beside those of the model; a run gives them to it without
    weight decay. Nine have a memory: adacos, center_loss, dense_ghm_c, elr, eql_v2, ghm_c, group_dro, ovr_ghm_c,
    seesaw. It moves to a device and is saved as that of a model is, and a call after `.eval()` leaves no trace in it.

    Parameters
    ----------
    name : str
        A file name in `conf/loss`, such as "focal".
    reduction : {"none", "mean", "sum"}
        What a call returns: the value of each sample (N,), or as one number their mean or sum. Each sample counts once,
        whatever its label. What a run trains on is the mean, but of a loss with `.declaration.reduction` "sum" the sum.
    **parameters
        Hyper-parameters that differ from the defaults, and the context that the loss asks for (`class_counts`).

    Returns
    -------
    LoadedLoss
        An `nn.Module`, called as `(outputs, target) -> (N,)`. Its hyper-parameters are `.settings`. What changes from
        step to step (`.step_context`) is given by name, such as `index=`, the number of each sample in the training
        set, which must stay with the sample when a loader shuffles.

    Raises
    ------
    ConfigError
        If there is no such loss or reduction, a parameter is unknown or out of range, or context is missing.

    Examples
    --------
    >>> import torch
    >>> focal = load_loss("focal", gamma=1.0)
    >>> focal(torch.tensor([[2.0, 0.0]]), torch.tensor([1]))
    tensor([1.8734])
    >>> list(load_loss("gaussian_nll_global", reduction="mean").state_dict())
    ['function.latent']

    """
    defaults = default_parameters(name)
    factory = locate(defaults.pop("_target_"))
    context = {key: parameters.pop(key) for key in list(parameters) if key in RUN_CONTEXT}
    rebind = partial(bind, factory, {**defaults, **parameters})
    return LoadedLoss(rebind(context).but(checks_labels=True), reduction, rebind)
