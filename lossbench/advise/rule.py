"""What a rule is, when it holds, and what becomes of those that hold: an `Advice`."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import eq, ge, gt, le, lt
from typing import Any, Protocol

from lossbench.catalogue.facts import default_parameters, facts_of, loss_names
from lossbench.tasks import own_tasks, task_named

Condition = tuple[str, str, float]
"""The name of a finding, one of `COMPARISONS`, and a bound: ("imbalance", ">=", 3)."""
COMPARISONS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}
MOST = 6
"""Losses in a short list, the baseline among them: more cost more runs than they bring."""


class Found(Protocol):
    """What was found in the data under a name, such as `lossbench.advise.findings.Finding`."""

    @property
    def value(self) -> Any:
        """The value."""


Findings = Mapping[str, Found]


@dataclass(frozen=True)
class Rule:
    """What to try where data have a problem.

    Parameters
    ----------
    problem : str
        Its name, in words.
    tasks : tuple of str
        The tasks in which it may hold. Of losses and metrics those count that the task at hand has.
    source : str
        The section of the survey, or the paper.
    when : tuple of Condition
        All must hold; a finding that is absent holds nowhere. None: the rule holds for the task alone.
    evidence : str
        What was found, with the values of findings as {name} or {name:.0%}; `axes` may have them, too.
    losses : tuple of str
        Names in conf/loss, most promising first.
    because, may_cost : str
        Why these losses, and what they may cost, in a line.
    metrics : tuple of str
        What to judge by, most important first.
    misleading : tuple of pairs of str
        Metrics that would mislead, each with the reason.
    axes : tuple of str
        Cautions on weighting, sampler, post-hoc, learning rate and data.
    otherwise : tuple of pairs of str
        A race on another problem, as when a distribution is predicted in place of a number: what it is for, and its
        overrides.
    weak : bool
        Its losses come after those of all other problems, before those of the task alone.

    """

    problem: str
    tasks: tuple[str, ...]
    source: str
    when: tuple[Condition, ...] = ()
    evidence: str = ""
    losses: tuple[str, ...] = ()
    because: str = ""
    may_cost: str = ""
    metrics: tuple[str, ...] = ()
    misleading: tuple[tuple[str, str], ...] = ()
    axes: tuple[str, ...] = ()
    otherwise: tuple[tuple[str, str], ...] = ()
    weak: bool = False

    def holds(self, findings: Findings, task: str) -> bool:
        """Tell whether the rule holds for what was found."""
        return self._is_for(task) and all(_holds(condition, findings) for condition in self.when)

    def _is_for(self, task: str) -> bool:
        """Tell whether the rule is for a task; one for several tasks of ours is for those of own columns as well."""
        own_columns = task not in own_tasks() and bool(task_named(task).parts)
        return task in self.tasks or (own_columns and all(task_named(name).parts for name in self.tasks))

    def told(self, text: str, findings: Findings) -> str:
        """Return a text of the rule with the values that were found."""
        return text.format_map({name: found.value for name, found in findings.items()})


@dataclass(frozen=True)
class Suggestion:
    """A loss of the short list, with the rule that named it first."""

    loss: str
    problem: str
    because: str
    may_cost: str
    source: str


@dataclass(frozen=True)
class Advice:
    """What the rules say of some data.

    Parameters
    ----------
    task : str
        What is predicted.
    rules : tuple of Rule
        Those that hold, in their order.
    suggestions : tuple of Suggestion
        The short list, most promising first, the baseline of the task among it.
    metrics : tuple of str
        What to judge by; the first is that of the race.
    misleading, otherwise : tuple of pairs of str
        As in `Rule`.
    cautions : tuple of str
        The axes of the rules.

    """

    task: str
    rules: tuple[Rule, ...]
    suggestions: tuple[Suggestion, ...]
    metrics: tuple[str, ...]
    misleading: tuple[tuple[str, str], ...]
    cautions: tuple[str, ...]
    otherwise: tuple[tuple[str, str], ...]

    def without(self, losses: Container[str]) -> "Advice":
        """Return the same advice without some losses."""
        return replace(self, suggestions=tuple(each for each in self.suggestions if each.loss not in losses))

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the short list."""
        return tuple(each.loss for each in self.suggestions)

    @property
    def overrides(self) -> tuple[str, ...]:
        """What a race of the short list is given beside the data."""
        usual = task_named(self.task).columns[0]
        judged = () if not self.metrics or self.metrics[0] == usual else (f"compare.metric={self.metrics[0]}",)
        return (f"loss={','.join(self.losses)}", *judged)


def apply(rules: Sequence[Rule], findings: Findings, task: str) -> Advice:
    """Apply rules to what was found.

    The problems that hold name their losses in turns, in the order of the rules: first the first of each, then the
    second of each. What is left of the list is filled by those of weak rules, then of the task alone. The baseline
    comes first where no problem has a loss, else last.

    Parameters
    ----------
    rules : sequence of Rule
        Most serious problem first.
    findings : mapping of str to Found
        By name; what does not apply is absent.
    task : str
        The name of a task.

    """
    facts = task_named(task)
    held = tuple(rule for rule in rules if rule.holds(findings, task))
    of_problems = [rule for rule in held if rule.when and not rule.weak]
    later = [rule for rule in held if rule.weak] + [rule for rule in held if not rule.when]
    served = {loss for loss, of in _tasks_of_losses().items() if of in facts.served_by} - {facts.baseline}
    named = dict.fromkeys([*_in_turns(of_problems), *(loss for rule in later for loss in rule.losses)])
    others = [loss for loss in named if loss in served][: MOST - 1]
    found_any = any(rule.losses for rule in of_problems)
    chosen = [*others, facts.baseline] if found_any else [facts.baseline, *others]
    misleading = {name: why for rule in held for name, why in rule.misleading if name in facts.named}
    judged = dict.fromkeys(name for rule in held for name in rule.metrics if name in facts.named)
    return Advice(
        task,
        held,
        tuple(_suggestion(loss, facts.baseline, [*of_problems, *later]) for loss in chosen),
        tuple(name for name in judged if name not in misleading),
        tuple(misleading.items()),
        tuple(dict.fromkeys(rule.told(line, findings) for rule in held for line in rule.axes)),
        tuple(dict.fromkeys(each for rule in held for each in rule.otherwise)),
    )


def _holds(condition: Condition, findings: Findings) -> bool:
    name, comparison, bound = condition
    return name in findings and bool(COMPARISONS[comparison](findings[name].value, bound))


@cache
def _tasks_of_losses() -> dict[str, str]:
    """Return the task that each of our losses declares; read once, as there are hundreds of files."""
    found = {name: facts_of(default_parameters(name)["_target_"]) for name in loss_names()}
    return {name: facts.task for name, facts in found.items() if facts is not None}


def _in_turns(rules: Iterable[Rule]) -> list[str]:
    """Return the first loss of each rule, then the second of each, and so on."""
    lists = [rule.losses for rule in rules]
    return [losses[i] for i in range(max(map(len, lists), default=0)) for losses in lists if i < len(losses)]


def _suggestion(loss: str, baseline: str, rules: Sequence[Rule]) -> Suggestion:
    if loss == baseline:
        return Suggestion(loss, "baseline", "what the others have to beat", "nothing", "baseline of the task")
    rule = next(rule for rule in rules if loss in rule.losses)
    return Suggestion(loss, rule.problem, rule.because, rule.may_cost, rule.source)
