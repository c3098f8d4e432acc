"""Several tasks of one network: their names, metrics and predictions are those of their parts."""

import numpy as np
import pytest
import torch

from lossbench.errors import ConfigError
from lossbench.records.schema import new_record, task_of
from lossbench.tasks import is_known, own_tasks, task_named
from lossbench.tasks.by_sample import by_sample
from lossbench.tasks.several import KNOWN, name_of, of_name, part_names, several
from lossbench.tasks.several.evaluate import parts_of
from lossbench.tasks.several.names import part_of

TABLE = "several(price=regression,paid=binary,size=regression)"
COMPOSED = ("digit_pair", "scene_parts", TABLE, "several(a=count,b=count)")


@pytest.mark.parametrize("name", COMPOSED)
def test_the_metrics_of_a_part_are_those_of_its_task(name):
    task = task_named(name)
    for part, kind in task.parts.items():
        for metric in KNOWN[kind].metrics:
            ours = task.named.get(f"{part}_{metric.name}" + "/" * bool(metric.per))
            if ours is not None:
                assert (ours.better, ours.when, ours.per, ours.bounds) == (
                    metric.better, metric.when, metric.per, metric.bounds
                )  # fmt: skip
        assert f"{part}_{KNOWN[kind].monitor}" in task.names("epoch")
        assert {f"{part}_{column}" for column in KNOWN[kind].columns[:2]} <= set(task.columns)
    assert task.monitor in task.names("epoch") and set(task.columns) <= set(task.named)


@pytest.mark.parametrize("name", COMPOSED)
@pytest.mark.parametrize("good", [True, False])
def test_each_part_is_measured_as_alone(name, good):
    task = task_named(name)
    predictions, problem = task.sample(task, good)
    for when in ("measure", "measure_final"):
        found = getattr(task.evaluate, when)("test", predictions, problem)
        expected = {}
        for part, of_part, known in parts_of(problem):
            measure = getattr(of_part.evaluate, when, None)
            each = {} if measure is None else measure("test", part_of(part, predictions), known)
            expected |= {f"{part}_{key}": value for key, value in each.items()}
        means = {key: value for key, value in found.items() if key.startswith("mean_") and key in task.named}
        assert {key: value for key, value in found.items() if key not in means} == expected
        assert all(task.metric(key).when == ("epoch" if when == "measure" else "end") for key in found)
        for key, value in means.items():
            parts = [expected[f"{part}_{key.removeprefix('mean_')}"] for part in task.parts]
            assert value == pytest.approx(np.mean(parts))
        assert len(means) == (when == "measure" and name in ("digit_pair", "several(a=count,b=count)"))


def test_the_direction_of_better_is_that_of_the_part():
    task = task_named(TABLE)
    assert task.direction("test/price_rmse") == "lower" and task.direction("val/paid_recall") == "higher"
    assert task.monitor == "price_mae_observed"
    assert task_named("several(a=regression,b=regression)").monitor == "mean_r2"


def test_metrics_in_terms_of_samples_have_the_value_of_the_metric():
    task = own_tasks()["digit_pair"]
    predictions, problem = task.sample(task, False)
    measured = task.evaluate.measure("test", predictions, problem)
    arrays = {name: tensor.numpy() for name, tensor in predictions.items()}
    found = by_sample(task, arrays)
    weights = np.ones((1, 70))
    shared = measured.keys() & found.keys()
    assert {"mean_balanced_accuracy", "left_nll", "right_accuracy", "left_recall/3"} <= shared
    for name in shared:
        assert found[name].of(weights)[0] == pytest.approx(measured[name], abs=1e-6), name


def test_a_name_says_all_of_a_task():
    task = task_named(TABLE)
    assert task.parts == {"price": "regression", "paid": "binary", "size": "regression"}
    assert name_of(task.parts) == TABLE and is_known(TABLE) and not is_known("several")
    assert of_name("multiclass") is None and task.stacked is False and task.served_by == ("digit_pair",)
    assert part_names(["a b", "c"]) == {"a b": "a_b", "c": "c"}


def test_who_reads_a_record_makes_its_task_again():
    task = task_named(TABLE)
    record = new_record(
        task, key="k", problem="p", name="n", status="finished", loss="several_tasks", axes={}, learner="several",
        seed=0, choices={}, config={}, monitor=task.monitor,
    )  # fmt: skip
    assert task_of(record) == task and task_of(record).package == "lossbench.tasks.several"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: several("x", "x", {"a": "multiclass"}), "several tasks are two at least, not a"),
        (lambda: several("x", "x", {"a": "multiclass", "b": "gan"}), "part b=gan: a task of this name can be no part"),
        (lambda: several("x", "x", {"a b": "multiclass", "b": "binary"}), "letters, digits and _ alone"),
        (lambda: of_name("several(a=binary,a=binary)"), "two parts have the same name"),
        (lambda: task_named("several(a=binary,b=regresion)"), "part b=regresion: .* Nearest: regression"),
        (lambda: part_names(["a b", "a-b"]), "'a b' and 'a-b' would both be the part a_b"),
    ],
)
def test_what_is_no_task_of_several_is_told(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


@pytest.mark.parametrize("name", COMPOSED)
def test_the_example_is_taken_by_the_loss(name):
    from lossbench.catalogue.binding import bind
    from lossbench.losses import several_tasks

    task = task_named(name)
    parts = task.sample(task, True)[1].parts
    loss = bind(several_tasks, {}, {"parts": parts, "num_samples": 9, "max_epochs": 2}, name)
    outputs, target, context = task.evaluate.example(loss, None, 5, torch.Generator().manual_seed(0))
    assert set(context) <= set(task.context)
    assert loss(outputs, target, **context).shape == (5,)
    assert all(value.shape == (5,) for value in loss.terms(outputs, target, **context).values())
