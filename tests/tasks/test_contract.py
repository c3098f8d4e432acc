"""What every task must keep, over every folder of `lossbench/tasks`; and a mutant for each rule, which is caught."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.catalogue.facts import losses_for
from lossbench.data.shapes import data_for
from lossbench.errors import ConfigError
from lossbench.locate import own_choices
from lossbench.tasks import own_tasks
from lossbench.tasks.task import Metric, Task, task_from

TASKS = list(own_tasks().values())
CLASSES = {"class": 4, "labels": 4, "sequence": 4, "mask": 4, "boxes": 4}


def measured(task: Task, good: bool, part: str = "test") -> dict[str, float]:
    """Measure made-up predictions at an epoch and at the end of a run."""
    predictions, problem = task.sample(task, good, part)
    evaluate = task.evaluate
    found = evaluate.measure(part, predictions, problem)
    if part == "train":
        return found
    return {**found, **at_the_end(task)(part, predictions, problem)}


def at_the_end(task: Task) -> Callable[..., dict[str, float]]:
    """Return what measures at the end of a run; nothing, where a task has none."""
    return getattr(task.evaluate, "measure_final", lambda *_: {})


def sampled(task: Task) -> dict[str, tuple[float, float]]:
    """Return the good and the bad value of each key that can be sampled, whatever part it is measured on."""
    parts = {metric.part for metric in task.metrics if metric.part == "train"} | {"test", "val"}
    found = {}
    for part in sorted(parts):
        good, bad = measured(task, True, part), measured(task, False, part)
        found |= {name: (good[name], bad[name]) for name in good if name in bad}
    return found


def measures_what_it_declares(task: Task) -> None:
    """Every measured key has a metric, and every metric is measured, but what another part of the run adds."""
    found = sampled(task)
    keys = {f"{name.partition('/')[0]}/" if "/" in name else name for name in found}
    assert keys <= set(task.named), f"measured, but no metric of the task: {sorted(keys - set(task.named))}"
    added = {"frechet", "inception_score", "kernel_distance", "temperature"}  # of images, and by posthoc
    assert set(task.named) - keys <= added, f"never measured: {sorted(set(task.named) - keys - added)}"


def scores_better_predictions_better(task: Task) -> None:
    """Better predictions have better values, by the direction that is stated."""
    for name, (good, bad) in sampled(task).items():
        way = task.direction(name)
        better = {"higher": good > bad, "lower": good < bad, "neither": True}[way]
        assert better, f"{name} is {good} of good and {bad} of bad predictions, but is said to be better {way}"


def computes_at_every_epoch_what_it_says(task: Task) -> None:
    """What is measured at every epoch, and what at the end, is what the metrics say."""
    predictions, problem = task.sample(task, True, "test")
    for when, measure in (("epoch", task.evaluate.measure), ("end", at_the_end(task))):
        wrong = [name for name in measure("test", predictions, problem) if task.metric(name).when != when]
        assert not wrong, f"measured at {when}, but declared otherwise: {wrong}"


def sorts_by_metrics_that_sort(task: Task) -> None:
    """The monitor is there at every epoch and sorts; the shown metrics are metrics, the first one sorts."""
    assert task.monitor in task.names("epoch")
    assert set(task.columns) | set(task.viewed) <= set(task.named) and task.columns[0] in task.names("epoch")
    assert len({metric.name + metric.per for metric in task.metrics}) == len(task.metrics)


def has_losses_and_data(task: Task) -> None:
    """The baseline is a loss that serves it; there are data, a choice of the config, and a learner."""
    assert task.baseline in losses_for(task.name)
    assert data_for(task) and task.name in own_choices("task") and task.learner in own_choices("learner")


def lies_within_its_bounds(task: Task) -> None:
    """What is measured of good and of bad predictions lies within the bounds of the metric."""
    for name, values in sampled(task).items():
        low, high = task.bounds(name)
        room = 1e-6 * max(map(abs, values))  # single precision
        assert low - room <= min(values) and max(values) <= high + room, f"{name} is {values}, beyond {(low, high)}"


def takes_its_own_example(task: Task) -> None:
    """The example goes through the baseline, and its link gives what the task measures."""
    classes = task.classes or CLASSES.get(task.target)
    context = {"class_counts": [9] * (classes or 0), "num_classes": classes, "num_samples": 99, "max_epochs": 2}
    context |= {"num_features": 4, "parts": task.sample(task, True)[1].parts or None}
    loss = load_loss(task.baseline, **{key: value for key, value in context.items() if value is not None})
    outputs, target, step = task.evaluate.example(loss, classes, 6, torch.Generator().manual_seed(0))
    assert set(step) <= set(task.context) | {"teacher_logits"}, f"not in Task.context: {set(step) - set(task.context)}"
    assert set(task.context) - set(step) <= {"teacher_logits"}
    assert loss(outputs, target, **step).shape == (6,)
    task.evaluate.check_link(loss.link(outputs), 6, classes or 0)


def draws_figures(task: Task) -> None:
    """A run and a comparison have a figure, and the gallery has a page."""
    assert callable(task.figures.of_run) and task.pictures and task.pages


RULES: tuple[Callable[[Task], None], ...] = (
    measures_what_it_declares,
    scores_better_predictions_better,
    computes_at_every_epoch_what_it_says,
    sorts_by_metrics_that_sort,
    lies_within_its_bounds,
    has_losses_and_data,
    takes_its_own_example,
    draws_figures,
)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_task_keeps_the_contract(task, rule):
    rule(task)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_run_is_drawn(task, tmp_path):
    predictions, _ = task.sample(task, True, "test")
    last = {"epoch": 1, "test": predictions}
    snapshot = {"epoch": torch.tensor(1), **{name: predictions[name] for name in ("samples",) if name in predictions}}
    entry = {"history": [{"epoch": 0, "train/loss": 1.0}], "name": "focal-s0", "task": task.name}
    entry["data"] = {"class_names": None}
    paths = task.figures.of_run(tmp_path, entry, last, [snapshot] if len(snapshot) > 1 else [])
    assert paths and all(path.stat().st_size > 1000 for path in paths)
    plt.close("all")


def changed(task: Task, name: str, **fields: object) -> Task:
    metrics = [dataclasses.replace(each, **fields) if each.name == name else each for each in task.metrics]
    return dataclasses.replace(task, metrics=tuple(metrics))


def mutants() -> dict[str, tuple[Callable[[Task], None], Task]]:
    """Return for each rule tasks that break it."""
    classes, numbers = own_tasks()["multiclass"], own_tasks()["regression"]
    fewer = dataclasses.replace(numbers, metrics=tuple(each for each in numbers.metrics if each.name != "smape"))
    more = dataclasses.replace(numbers, metrics=(*numbers.metrics, Metric("made_up", "lower")))
    replaced = dataclasses.replace
    return {
        "a metric is forgotten": (measures_what_it_declares, fewer),
        "a metric is never measured": (measures_what_it_declares, more),
        "a direction is wrong": (scores_better_predictions_better, changed(classes, "ece", better="higher")),
        "another direction is wrong": (scores_better_predictions_better, changed(numbers, "r2", better="lower")),
        "an end is an epoch": (computes_at_every_epoch_what_it_says, changed(classes, "mcc", when="epoch")),
        "the monitor is no metric": (sorts_by_metrics_that_sort, replaced(classes, monitor="accurracy")),
        "the monitor comes at the end": (sorts_by_metrics_that_sort, replaced(classes, monitor="mcc")),
        "a column is no metric": (sorts_by_metrics_that_sort, replaced(classes, columns=("accuracy", "nothing"))),
        "a bound is too low": (lies_within_its_bounds, changed(numbers, "r2", bounds=(0.0, 0.5))),
        "a bound is too high": (lies_within_its_bounds, changed(classes, "nll", bounds=(5.0, 9.0))),
        "the baseline is no loss of it": (has_losses_and_data, replaced(classes, baseline="mse")),
        "there are no data": (has_losses_and_data, replaced(classes, data=("clouds",))),
        "context is not declared": (takes_its_own_example, replaced(numbers, context=("epoch",))),
        "the link is of another task": (takes_its_own_example, replaced(numbers, package=classes.package)),
        "no page": (draws_figures, replaced(numbers, pages=())),
    }


@pytest.mark.parametrize("name", list(mutants()))
def test_a_mutant_of_each_rule_is_caught(name):
    rule, mutant = mutants()[name]
    with pytest.raises((AssertionError, KeyError, ConfigError)):
        rule(mutant)


def test_every_rule_has_a_mutant():
    assert {rule for rule, _ in mutants().values()} == set(RULES)


def test_facts_need_no_torch_and_survive_as_plain_values():
    import json
    import subprocess
    import sys

    code = "import lossbench.tasks as t, sys; t.own_tasks(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    for task in TASKS:
        read = task_from(json.loads(json.dumps(task.facts())))
        assert read.named == task.named and read.columns == task.columns and read.served_by == task.served_by


def test_every_metric_has_a_bound_but_those_that_can_be_any_number():
    """Bounds are facts: those that have none are named here, so that none is forgotten."""
    free = {"bits_per_dimension", "kernel_distance", "log_likelihood", "psnr"}
    for task in TASKS:
        without = {metric.name for metric in task.metrics if metric.bounds == (-math.inf, math.inf)}
        assert without <= free | ({"nll"} if task.name == "distributional" else set()), task.name


def test_records_of_earlier_versions_have_no_bounds():
    facts = own_tasks()["regression"].facts()
    facts["metrics"] = [{name: value for name, value in each.items() if name != "bounds"} for each in facts["metrics"]]
    assert task_from(facts).bounds("r2") == (-math.inf, math.inf)
    assert own_tasks()["regression"].bounds("test/r2") == (-math.inf, 1.0)
    assert own_tasks()["multiclass"].bounds("train/loss") == (-math.inf, math.inf)
