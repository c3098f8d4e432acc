"""Weights, groups and numbers of samples in a stack against the same runs alone."""

import numpy as np
import pandas as pd
import pytest

from lossbench.config.cell import Cell
from lossbench.running.plan import plan
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from tests.support.stacks import EXACT, assert_same, rounding, trained_alone, trained_together

ROWS = 120


@pytest.fixture
def lines(tmp_path):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, ROWS)
    table = pd.DataFrame({
        "size": kind + rng.normal(size=ROWS), "age": rng.normal(size=ROWS), "kind": np.array(["a", "b", "c"])[kind],
        "price": 10.5 * kind + rng.normal(size=ROWS), "w": rng.integers(0, 4, ROWS), "number": np.arange(ROWS) * 7,
        "visit": np.arange(ROWS) // 4,
    })  # fmt: skip
    table.to_csv(tmp_path / "t.csv", index=False)
    return ["data=table", f"data.path={tmp_path / 't.csv'}", "model.hidden=[8]", "data.batch_size=16"]


OF_SAMPLES = ["data.weight=w", "data.id=number", "data.group=visit"]


def test_weighted_runs_train_in_a_stack_as_alone(cell, lines):
    own = [["loss=focal"], ["loss=ldam", "weighting=drw"], ["loss=focal", "weighting=inverse", "seed=1"]]
    common = [*lines, *EXACT, "data.target=kind", "data.drop=[price]", "optimizer.lr=0.01", *OF_SAMPLES]
    cells = [cell(*common, *each) for each in own]
    assert [item.stacked for item in plan(cells, "auto").items] == [True]
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), rounding(100))
    plain = cell(*[line for line in common if line != "data.weight=w"], "data.drop=[price,w]", *own[0])
    assert trained_alone(plain).history[-1]["train/loss"] != trained_alone(cells[0]).history[-1]["train/loss"]


def test_a_stack_of_numbers_leaves_the_files_that_runs_leave_alone(cell, lines, tmp_path):
    common = [*lines, "data.target=price", "data.drop=[kind]", "trainer.max_epochs=3", *OF_SAMPLES]
    cells = [cell(*common, f"loss={name}", f"seed={seed}") for seed in (0, 1) for name in ("huber", "mae")]
    run_stack(cells)
    for made in cells:
        config = made.config.copy()
        config.output_dir = str(tmp_path / "alone")
        alone = Cell(config, made.choices)
        assert run(alone)["engine"]["name"] != "stacked"
        with np.load(made.path / "predictions.npz") as one, np.load(alone.path / "predictions.npz") as other:
            assert one.files == other.files and {"group", "id"} <= set(one.files)
            np.testing.assert_array_equal(one["id"] // 28, one["group"])
            for name in one.files:
                np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-5)
