"""The rules: what they name exists, each holds where its problem is and not where it isn't, and the list is short."""

import string
from dataclasses import dataclass
from functools import cache

import pytest

from lossbench.advise.rule import COMPARISONS, MOST
from lossbench.advise.rules import RULES, advise
from lossbench.catalogue import facts
from lossbench.tasks import own_tasks, task_named

NAMES = {
    "task", "samples", "features", "test_samples", "smallest_difference", "samples_per_feature",
    "classes", "imbalance", "rare_classes", "wrong_labels", "wrong_labels_asymmetry", "wrong_labels_at_most",
    "accuracy_probe", "outliers", "outliers_side", "tails", "spread_grows", "skew", "zeros", "counts", "dispersion",
    "rare_targets", "outliers_inputs", "labels_per_sample", "negatives_per_positive",
}  # fmt: skip
"""What may be found."""
PLAIN = {
    "samples": 5000, "features": 20, "test_samples": 5000, "smallest_difference": 0.01, "samples_per_feature": 250.0,
    "classes": 4, "imbalance": 1.1, "rare_classes": 0, "wrong_labels": 0.01, "wrong_labels_asymmetry": 0.1,
    "wrong_labels_at_most": 0,
    "accuracy_probe": 0.97, "outliers": 0.001, "outliers_side": 0.0, "tails": 30.0, "spread_grows": 0.02, "skew": 0.1,
    "zeros": 0.05, "counts": 0, "dispersion": 1.0, "rare_targets": 0.1, "outliers_inputs": 0.0,
    "labels_per_sample": 2.0, "negatives_per_positive": 1.5,
}  # fmt: skip
"""Data with no problem."""
losses_for = cache(facts.losses_for)
OF_PROBLEMS = [rule for rule in RULES if rule.when]


@dataclass(frozen=True)
class Made:
    """A made-up finding."""

    value: float

    @property
    def told(self) -> str:
        return f"it is {self.value}"


def found(**values):
    return {name: Made(value) for name, value in {**PLAIN, **values}.items()}


def made_for(rule):
    """Make findings for which a rule holds, just inside its bounds."""
    values = {}
    for name, comparison, bound in rule.when:
        inside = {"<": bound - abs(bound) / 10, ">": bound + abs(bound) / 10}.get(comparison, bound)
        values[name] = (values[name] + bound) / 2 if name in values else inside  # between two bounds
    return found(**values)


def name_of(rule):
    return rule.problem.replace(" ", "-")


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_what_a_rule_names_exists(rule):
    tasks = {name: task_named(name) for name in rule.tasks}
    for name in rule.tasks:
        assert not rule.losses or set(rule.losses) & set(losses_for(name)), name
        assert not rule.metrics or set(rule.metrics) & tasks[name].named.keys(), name
    served = {loss for name in rule.tasks for loss in losses_for(name)}
    assert set(rule.losses) <= served, set(rule.losses) - served
    known = {metric for task in tasks.values() for metric in task.named}
    named = {*rule.metrics, *dict(rule.misleading)}
    assert named <= known, named - known
    assert len(set(rule.losses)) == len(rule.losses) and len(set(rule.metrics)) == len(rule.metrics)
    others = {loss for _, line in rule.otherwise for loss in line.partition("loss=")[2].split(",")}
    assert others <= set(facts.loss_names())
    assert rule.source and (not rule.losses or (rule.because and rule.may_cost))
    lines = [rule.because, rule.may_cost, *rule.axes]
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize("rule", RULES, ids=name_of)
def test_a_rule_uses_what_may_be_found(rule):
    when = {name for name, _, _ in rule.when}
    assert when <= NAMES
    assert all(comparison in COMPARISONS for _, comparison, _ in rule.when)
    in_braces = {
        field.partition(".")[0]
        for text in (rule.evidence, *rule.axes)
        for _, field, _, _ in string.Formatter().parse(text)
        if field is not None
    }
    assert in_braces <= when, "else it might be absent where the rule holds"
    assert bool(rule.when) == bool(rule.evidence)


@pytest.mark.parametrize("rule", OF_PROBLEMS, ids=name_of)
def test_a_rule_holds_where_its_problem_is_and_nowhere_else(rule):
    values = made_for(rule)
    for task in rule.tasks:
        assert rule.holds(values, task)
        advice = advise(values, task)
        assert rule in advice.rules
        assert rule.told(rule.evidence, values)
        assert not rule.losses or any(each.problem == rule.problem for each in advice.suggestions)
        assert not rule.holds(found(), task), "holds for plain data"
        assert not rule.holds({}, task), "holds where nothing was found"
    assert not any(rule.holds(values, task) for task in own_tasks() if task not in rule.tasks)


@pytest.mark.parametrize("task", own_tasks())
def test_plain_data_get_the_list_of_the_task(task):
    baseline, known = task_named(task).baseline, task_named(task).named
    advice = advise(found(), task)
    assert not any(rule.when for rule in advice.rules) and any(rule.tasks for rule in advice.rules)
    assert advice.losses[0] == baseline and advice == advise({}, task)
    assert set(advice.metrics) <= known.keys()
    assert len(advice.losses) > 1 or len(losses_for(task)) == 1


@pytest.mark.parametrize("task", own_tasks())
def test_the_list_is_short_without_doubles_and_the_same_again(task):
    everything = {name: each for rule in OF_PROBLEMS if task in rule.tasks for name, each in made_for(rule).items()}
    for values in ({}, everything, *(made_for(rule) for rule in OF_PROBLEMS if task in rule.tasks)):
        advice = advise(values, task)
        assert len(advice.losses) == len(set(advice.losses)) <= MOST
        assert task_named(task).baseline in advice.losses
        assert set(advice.losses) <= set(losses_for(task))
        assert not set(advice.metrics) & dict(advice.misleading).keys()
        assert advise(dict(reversed(values.items())), task) == advice
        assert all(each.because and each.may_cost and each.source for each in advice.suggestions)


def test_problems_name_their_losses_in_turns():
    advice = advise(found(imbalance=50, wrong_labels=0.3), "multiclass")
    assert advice.losses == ("nce_agce", "balanced_softmax", "elr", "vs", "truncated_gce", "cross_entropy")
    assert "accuracy" not in advice.metrics  # the one rule judges by it, the other warns of it
    assert any("loss.rate=0.30" in line for line in advice.cautions)


def test_a_weak_rule_fills_what_the_others_leave():
    alone = advise(found(samples=300), "multiclass")
    assert alone.losses[0] == "cross_entropy" and "multiclass_hinge" in alone.losses
    assert "multiclass_hinge" not in advise(found(samples=300, wrong_labels=0.3), "multiclass").losses


def test_the_side_of_outliers_decides():
    sides = {side: advise(found(outliers=0.1, outliers_side=side), "regression") for side in (-1.0, 0.0, 1.0)}
    assert [each.rules[0].problem for each in sides.values()] == [
        "outliers below", "outliers on both sides", "outliers above",
    ]  # fmt: skip
    assert sides[0.0].losses[0] == "huber" and sides[1.0].losses[0] == "tukey"


def test_what_judges_stands_in_the_race():
    plain = advise(found(), "multiclass")
    assert plain.overrides == (f"loss={','.join(plain.losses)}",)
    assert advise(found(rare_targets=0.5), "regression").overrides[1:] == ("compare.metric=mae_balanced",)
