"""Records of made-up runs of two tasks, and of losses with several terms."""

from typing import Any

import pytest

from lossbench.tasks import _BROUGHT
from lossbench.tasks.task import Metric, Task
from tests.support.compared import made_up

TASK = Task(
    name="two_goals",
    title="left class and right number",
    package="",
    target="class",
    metrics=(
        Metric("left_accuracy", "higher", group="Left", bounds=(0.0, 1.0)),
        Metric("left_balanced_accuracy", "higher", group="Left", bounds=(0.0, 1.0)),
        Metric("right_mae", "lower", group="Right"),
        Metric("right_mae_observed", "lower", group="Right", truth="right_mae"),
        Metric("right_bias", "neither", group="Right"),
    ),
    columns=("left_accuracy", "right_mae"),
    monitor="left_accuracy",
    baseline="several_tasks",
    parts={"left": "multiclass", "right": "regression"},
)
"""Of the parts the monitors are accuracy and the error against the truth."""


@pytest.fixture
def two_goals(monkeypatch) -> Task:
    """Make the task of two parts known."""
    monkeypatch.setitem(_BROUGHT, TASK.name, TASK)
    return TASK


def of_parts(combine: str, seed: int, left: float, right: float, **changes: Any) -> dict[str, Any]:
    """Return the record of a run with an accuracy of the left and an error of the right part."""
    metrics = {"test/left_accuracy": left, "test/left_balanced_accuracy": left, "test/right_mae": right}
    metrics |= {"test/right_mae_observed": right + 1, "test/right_bias": 0.1}
    row = {"epoch": 0, "val/left_accuracy": left, **metrics}
    finished = changes.get("status", "finished") == "finished"
    made = made_up(
        "several_tasks", seed, left, task=TASK.name, monitor="left_accuracy", combine=combine, history=[row],
        metrics={"last": row, "best_val": row} if finished else {"last": None, "best_val": None},
        variant=combine, key=f"{combine}-{seed}-{changes.get('config')}",
        name=f"{combine}-s{seed}", folder="nowhere",
    )  # fmt: skip
    made["config"] = {**made["config"], "loss": {"_target_": "lossbench.losses.several_tasks"}}
    made["choices"] = {**made["choices"], "combine": combine}
    return {**made, **changes}


def with_history(entry: dict[str, Any], rows: list[dict[str, float]]) -> dict[str, Any]:
    """Return a record with more keys in each row of its history, which gets as many rows."""
    last = (entry["history"] or [{}])[-1]
    return {**entry, "history": [{**last, "epoch": epoch, **row} for epoch, row in enumerate(rows)]}
