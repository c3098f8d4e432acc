"""What every loss must keep, for `tests/catalogue/test_contract.py` and `python -m lossbench.losses check=`.

A point is a function that raises `AssertionError` with what was found and how to mend it. The first line of its
docstring is the rule itself. A new rule is a new function in `RULES`.
"""

import copy
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.examine.loss_under_test import CLASS_COUNTS, LossUnderTest
from lossbench.catalogue.facts import step_context
from lossbench.errors import ConfigError
from lossbench.losses.bound_loss import BoundLoss, WrongValues
from lossbench.losses.facts import RUN_CONTEXT
from lossbench.ranges import contains
from lossbench.tasks import task_named

SAMPLES = 12
Rule = Callable[[LossUnderTest], None]


class RuleResult(NamedTuple):
    """What came out at one point: "holds", "fails" or "advice"; for the last two, why and what to do."""

    status: Literal["holds", "fails", "advice"]
    rule: str
    explanation: str = ""


def return_one_number_per_sample(subject: LossUnderTest) -> None:
    """Return one finite number per sample, with a finite gradient."""
    loss = subject.bind()
    outputs, target, context = _batch(loss)
    try:
        value = loss(outputs.requires_grad_(), target, **context)
    except WrongValues as error:
        raise AssertionError(str(error)) from error
    assert value.requires_grad, "the value has no gradient: something cut it, such as detach, item, argmax or no_grad."
    value, gradient = _value_and_gradient(loss, outputs, target, context)
    assert value.isfinite().all() and gradient.isfinite().all(), (
        f"outputs drawn from a standard normal give values {value.tolist()} and gradients {gradient.tolist()}."
    )
    assert gradient.abs().sum() > 0, "the gradient is 0 everywhere: nothing can be learned from this loss."


def stay_finite_in_float32(subject: LossUnderTest) -> None:
    """Stay finite in float32 at outputs of ±10,000, and its gradient."""
    _stay_finite(subject, torch.float32)


def stay_finite_in_bfloat16(subject: LossUnderTest) -> None:
    """Stay finite in bfloat16 at outputs of ±10,000, and its gradient."""
    _stay_finite(subject, torch.bfloat16)


def have_the_gradient_of_the_value(subject: LossUnderTest) -> None:
    """Have the gradient of the value (gradcheck in float64)."""
    loss = _as_type(subject.bind(), torch.float64)
    outputs, target, context = _batch(loss, torch.float64)
    outputs = (outputs + 0.05).requires_grad_()  # off the kinks at a residual of zero
    try:
        many = outputs.numel() > 500  # of images: along a random direction, not one by one
        agrees = torch.autograd.gradcheck(lambda free: loss.copy()(free, target, **context), outputs, fast_mode=many)
    except RuntimeError as error:
        first = str(error).strip().partition("\n")[0]
        raise AssertionError(
            f"{first} Look for detach(), data, no_grad, a cast to another dtype, or a wrong backward of your own. If a "
            "factor is held constant on purpose, declare it: @loss(detached='what it is')."
        ) from error
    assert agrees


def give_a_sample_the_same_alone(subject: LossUnderTest) -> None:
    """Give each sample the same value alone and in a batch."""
    loss = subject.bind()
    outputs, target, context = _batch(loss)
    together = loss.copy()(outputs, target, **context)
    for row in range(SAMPLES):
        part = slice(row, row + 1)
        alone = loss.copy()(outputs[part], target[part], **_rows(context, part))
        assert torch.allclose(alone, together[part], atol=1e-6), (
            f"sample {row} has {together[row].item():.6g} in a batch of {SAMPLES} and {alone[0].item():.6g} alone. The "
            "loss reads other samples: look for mean, sum, max or a normalisation over the first dimension. If it is "
            "defined on the whole batch, declare it: @loss(coupled=True)."
        )


def let_values_follow_their_samples(subject: LossUnderTest) -> None:
    """Let the values follow their samples when these change places."""
    loss = subject.bind()
    outputs, target, context = _batch(loss)
    order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1))
    moved = loss.copy()(outputs[order], target[order], **_rows(context, order))
    assert torch.allclose(moved, loss.copy()(outputs, target, **context)[order], atol=1e-6), (
        "in another order the same samples get other values. The loss reads the position in the batch: use `index` "
        "to know a sample."
    )


def treat_all_classes_alike(subject: LossUnderTest) -> None:
    """Keep the values when the classes change places."""
    whole = {"background": True} if (subject.parameters or {}).get("background") is False else {}
    loss = subject.bind(**whole)  # where class 0 is told apart, with it
    outputs, target, context = _batch(loss)
    order = torch.arange(len(CLASS_COUNTS)).roll(1)  # no class keeps its place
    per_class = {
        key: [value[label] for label in order]
        for key, value in loss.settings.items()
        if isinstance(value, list | tuple) and len(value) == len(CLASS_COUNTS)
    }
    if loss.declaration.takes_classes:
        known = target < len(order)  # 255 is a pixel that is left out
        renumbered = torch.where(known, order.argsort()[target.where(known, 0)], target)
    else:
        renumbered = target[..., order]
    taught = {name: value[..., order] for name, value in context.items() if name == "teacher_logits"}
    moved = subject.bind(**per_class, **whole)(outputs[..., order], renumbered, **{**context, **taught})
    assert torch.allclose(moved, loss(outputs, target, **context), atol=1e-5), (
        "with the classes renumbered the same samples get other values. Look for a class taken by its number, or a "
        "buffer by class that does not come from class_counts."
    )


def link_to_probabilities_or_predictions(subject: LossUnderTest) -> None:
    """Turn outputs by the link into probabilities, one prediction or a distribution."""
    loss = subject.bind()
    task = task_named(loss.declaration.task)
    task.evaluate.check_link(loss.link(_batch(loss)[0]), SAMPLES, len(CLASS_COUNTS[: task.classes]))


def have_the_parameters_of_the_signature(subject: LossUnderTest) -> None:
    """Have the parameters of the signature in the YAML, defaults too."""
    signature = inspect.signature(subject.factory).parameters
    free, given = _hyperparameters(subject), dict(subject.parameters or {})
    assert given.keys() == free, (
        f"the YAML has {sorted(given)}, the keyword-only parameters (after the *) are {sorted(free)}. Write each with "
        "its default in both."
    )
    for key, value in given.items():
        default = signature[key].default
        assert default == value, f"{key} is {value} in the YAML and {default} in the signature. Make them the same."


def search_within_the_ranges(subject: LossUnderTest) -> None:
    """Search hyper-parameters only within their ranges."""
    ranges = {} if subject.declaration is None else subject.declaration.ranges
    for key, search in subject.search.items():
        assert key in (subject.parameters or {}), f"search.{key} names no parameter of the YAML."
        assert key in ranges, f"{key} is searched and has no range. Declare it: @loss(ranges={{'{key}': '[0, inf)'}})."
        ends = list(search.get("choices") or [search["low"], search["high"]])
        assert contains(ranges[key], ends), f"{key} is searched at {ends}, outside its range {ranges[key]}."


def declare_task_link_and_source(subject: LossUnderTest) -> None:
    """Declare task, link and source with @loss: year and title too."""
    declaration = subject.declaration
    assert declaration is not None, (
        f"there is no @loss(task=..., link=..., source=...) from lossbench.losses: it is taken as {subject.task}, with "
        "the usual link of that task, and the catalogue can't say where it comes from."
    )
    assert any(character.isdigit() for character in declaration.source), (
        f"source={declaration.source!r} has no year. Write authors, year, title and identifier."
    )
    assert re.search(r'"[^"]+"', declaration.source), (
        f"source={declaration.source!r} has no title. Write it in double quotes, after the year."
    )


def say_what_it_is(subject: LossUnderTest) -> None:
    """Say in the docstring what it is: formula, parameters, example."""
    facts = subject.facts
    assert facts.summary.endswith("."), "the docstring must start with a one-line summary that ends with a full stop."
    assert facts.formula, "the docstring has no line 'Formula: ...'."
    sections = ["Parameters", "Examples"] if _hyperparameters(subject) else ["Examples"]
    missing = [section for section in sections if f"\n{section}\n---" not in facts.docstring]
    assert not missing, f"the docstring lacks the NumPy-style sections {', '.join(missing)}."


def refuse_what_is_out_of_range(subject: LossUnderTest) -> None:
    """Refuse hyper-parameters outside their ranges."""
    numbers = [key for key, value in (subject.parameters or {}).items() if isinstance(value, float)]
    assert subject.declaration is not None or not numbers, (
        f"any value of {', '.join(numbers)} is taken. Declare what is allowed: @loss(ranges={{...}})."
    )
    for parameter, interval in ({} if subject.declaration is None else subject.declaration.ranges).items():
        if interval.startswith("one of: "):
            _is_refused(subject, parameter, "nothing", interval)
            continue
        low, high = (float(bound) for bound in interval.strip(" []()").split(","))
        for outside in (low - 1.5, high + 1.5):
            if abs(outside) < float("inf"):
                _is_refused(subject, parameter, outside, interval)


BEHAVIOUR: tuple[Rule, ...] = (
    stay_finite_in_float32,
    stay_finite_in_bfloat16,
    have_the_gradient_of_the_value,
    give_a_sample_the_same_alone,
    let_values_follow_their_samples,
    treat_all_classes_alike,
    link_to_probabilities_or_predictions,
)
ADVICE: tuple[Rule, ...] = (
    have_the_parameters_of_the_signature,
    search_within_the_ranges,
    declare_task_link_and_source,
    say_what_it_is,
    refuse_what_is_out_of_range,
)
"""The points that are no more than advice for a loss outside the catalogue."""
RULES: tuple[Rule, ...] = (return_one_number_per_sample, *BEHAVIOUR, *ADVICE)


def rules_for(subject: LossUnderTest) -> list[Rule]:
    """Return the points that apply to a loss."""
    left_out: set[Rule] = set()
    if not subject.takes_classes_or_labels or inspect.isclass(subject.factory):
        left_out.add(treat_all_classes_alike)  # one output has no classes; a module may hold parameters for each
    if subject.declaration is not None and subject.declaration.coupled:
        left_out.add(give_a_sample_the_same_alone)
    if subject.declaration is not None and subject.declaration.detached:
        left_out.add(have_the_gradient_of_the_value)
    if subject.parameters is None:
        left_out |= {have_the_parameters_of_the_signature, search_within_the_ranges}
    return [point for point in RULES if point not in left_out]


def examine(subject: LossUnderTest) -> list[RuleResult]:
    """Examine a loss at every point that applies; where the first fails, the rest of its behaviour is left out."""
    if not __debug__:
        raise ConfigError("python -O leaves out the assertions that examine a loss. Run it without -O.")
    findings: list[RuleResult] = []
    for point in rules_for(subject):
        if point in BEHAVIOUR and findings[0].status == "fails":
            continue
        findings.append(_finding(point, subject))
    for player in other_players(subject):
        findings += [
            finding._replace(rule=f"{finding.rule.rstrip('.')}, as the generator's.")
            for finding in (_finding(point, player) for point in rules_for(player) if point not in ADVICE)
        ]
    return findings


def other_players(subject: LossUnderTest) -> list[LossUnderTest]:
    """Return a loss of two players as that of the generator; the points examine it as the discriminator's."""
    if "player" not in subject.facts.needs:
        return []
    return [replace(subject, parameters={**(subject.parameters or {}), "player": "generator"})]


def _hyperparameters(subject: LossUnderTest) -> set[str]:
    """Return the keyword-only parameters that the run does not give."""
    signature = inspect.signature(subject.factory).parameters
    keyword_only = {key for key, parameter in signature.items() if parameter.kind is parameter.KEYWORD_ONLY}
    return keyword_only - RUN_CONTEXT - step_context()


def _finding(point: Rule, subject: LossUnderTest) -> RuleResult:
    rule = (point.__doc__ or "").partition("\n")[0]
    try:
        point(subject)
    except Exception as error:
        told = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return RuleResult("advice" if point in ADVICE and not subject.in_catalogue else "fails", rule, told)
    return RuleResult("holds", rule)


def _stay_finite(subject: LossUnderTest, dtype: torch.dtype) -> None:
    loss = _as_type(subject.bind(), dtype)
    outputs, target, context = _batch(loss, dtype)
    for magnitude in (1e4, 1e2, 30.0, 0.0):
        for extreme in (outputs.sign() * magnitude, -outputs.sign() * magnitude):
            value, gradient = _value_and_gradient(loss, extreme, target, context)
            for what, tensor in (("value", value), ("gradient", gradient)):
                assert tensor.isfinite().all(), (
                    f"the {what} at outputs of ±{magnitude:g} is {tensor[~tensor.isfinite()][0].item()}. Compute from "
                    "the outputs: log_softmax, logsigmoid, softplus or logaddexp instead of log, exp or a division of "
                    "what they give; clamp before a root or power, not after it."
                )


def _is_refused(subject: LossUnderTest, parameter: str, value: float | str, interval: str) -> None:
    expected = f"loss.{parameter}={value} is out of range: allowed is {interval}."
    try:
        subject.bind(**{parameter: value})
    except ConfigError as error:
        assert str(error) == expected, f"{parameter}={value} is refused with {str(error)!r}, not with {expected!r}."
        return
    raise AssertionError(f"{parameter}={value} is taken, although its range is {interval}.")


def _batch(loss: BoundLoss, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, dict[str, Any]]:
    outputs, target, context = example_batch(
        loss, len(CLASS_COUNTS[: task_named(loss.declaration.task).classes]), SAMPLES
    )
    return (
        outputs.to(dtype),
        target.to(dtype) if target.is_floating_point() else target,
        {key: value.to(dtype) if _is_floating(value) else value for key, value in context.items()},
    )


def _value_and_gradient(
    loss: BoundLoss, outputs: Tensor, target: Tensor, context: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    outputs = outputs.detach().clone().requires_grad_()
    value = loss.copy()(outputs, target, **context)
    (gradient,) = torch.autograd.grad(value.sum(), outputs)
    return value.detach(), gradient


def _as_type(loss: BoundLoss, dtype: torch.dtype) -> BoundLoss:
    return loss if loss.module is None else loss.but(function=copy.deepcopy(loss.module).to(dtype))


def _rows(context: dict[str, Any], rows: slice | Tensor) -> dict[str, Any]:
    return {key: value[rows] if torch.is_tensor(value) else value for key, value in context.items()}


def _is_floating(value: Any) -> bool:
    return torch.is_tensor(value) and value.is_floating_point()
