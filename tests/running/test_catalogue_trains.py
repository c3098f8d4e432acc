"""Every loss of the catalogue trains: all losses of a task in one stack, to a network that beats a constant predictor.

What is judged is what the stack trained; over its first epochs each loss is held against a run of its own.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from lossbench.catalogue.facts import losses_for
from lossbench.learners.stacked.stack import Stack
from lossbench.losses.facts import declared_losses
from lossbench.running.run import run
from lossbench.running.trainer import quiet
from lossbench.tasks import own_tasks
from tests.support.commands import make_cell
from tests.support.losses import losses_of
from tests.support.stacks import Moment, Watch, assert_same, rounding, trained_alone, trained_together
from tests.support.tasks import DATA

LR = 0.01
COMMON = ["model=mlp", "model.hidden=[64]", f"optimizer.lr={LR}", "data.batch_size=64", "trainer.precision=64-true"]
OWN = {
    "binary": ["trainer.max_epochs=20"],
    "count": ["trainer.max_epochs=8"],
    "distributional": ["trainer.max_epochs=16"],
    "embedding": ["data.views=2", "trainer.max_epochs=4"],
    "multiclass": ["data.imbalance.factor=5", "trainer.max_epochs=12"],
    "multilabel": ["trainer.max_epochs=8"],
    "regression": ["data/contamination=none", "trainer.max_epochs=8"],
}
OF_LOSS = {"balanced_mse": ["loss.sigma=0.3"]}  # its first scale wants a search: 1 is wide for a standardised target
CONSTANT = {"binary": 0.5, "multiclass": 0.1}
"""Balanced accuracy, or AUROC, of a constant prediction."""
RANKS = ("aucm", "auc_squared_hinge")
"""They order the samples, and leave open where the two classes part."""


def stacked(task: str) -> list[str]:
    """Return the losses of a task that train in a stack: all but those with a slow copy of their network."""
    return [name for name in losses_of(task) if "momentum_embeddings" not in declared_losses()[name].needs]


of_each_loss = pytest.mark.parametrize(
    ("task", "loss"),
    [pytest.param(task, loss, marks=pytest.mark.xdist_group(task)) for task in OWN for loss in stacked(task)],
)


class Trained(NamedTuple):
    """The losses of a task, trained together, and what each had come to after some epochs."""

    stack: Stack
    moments: dict[str, Moment]


@pytest.fixture(autouse=True)
def _quiet():
    quiet()
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lines(taught):
    """The overrides of the run of a loss."""

    def get(task: str, loss: str) -> list[str]:
        each = [f"data={DATA[task]}", f"loss={loss}", *COMMON, *OWN[task], *OF_LOSS.get(loss, [])]
        return [*each, *taught(loss, DATA[task]), f"trainer.check_val_every_n_epoch={watched(task)}"]

    return get


def watched(task: str) -> int:
    """How many epochs a loss also trains alone."""
    return max(int(OWN[task][-1].rpartition("=")[2]) // 4, 2)


@pytest.fixture(scope="module")
def trained(lines, tmp_path_factory):
    made: dict[str, Trained] = {}

    def get(task: str) -> Trained:
        if task not in made:
            names, watch = stacked(task), Watch(watched(task))
            cells = [make_cell(*lines(task, name), output_dir=tmp_path_factory.mktemp(task)) for name in names]
            stack = trained_together(cells, watch)
            made[task] = Trained(stack, dict(zip(names, watch.moments, strict=True)))
        return made[task]

    return get


@of_each_loss
def test_every_loss_trains_in_a_stack_as_alone(task, loss, cell, trained, lines):
    """In float64, in the company of all other losses of the task."""
    together = trained(task)
    watch = Watch(watched(task), end=True)
    alone = trained_alone(cell(*lines(task, loss)), watch)
    assert stacked(task).index(loss) in together.stack.alive
    steps = alone.trainer.global_step
    assert len(alone.history) == watched(task) and steps >= 25
    size = max(1.0, *(abs(row["train/loss"]) for row in alone.history))  # that of gradients, whose rounding counts
    assert_same(together.moments[loss], alone, size * rounding(steps, LR))


@of_each_loss
def test_every_loss_beats_a_constant_predictor(task, loss, trained):
    learner = trained(task).stack.learners[stacked(task).index(loss)]
    metrics, test = learner.last["metrics"], learner.last["test"]
    assert np.isfinite([*metrics.values()]).all()
    if task == "regression":
        errors = (test["target"] - test["target"].median()).abs()
        assert metrics["test/mae"] < 0.6 * errors.mean()
    elif task == "multilabel":
        prevalence = test["target"].double().mean().item()  # the average precision of a constant is the label's share
        assert metrics["test/map"] > prevalence + 0.5 * (1 - prevalence)
    elif task == "distributional":
        y = test["target"]
        of_all = (y[:, None] - y).abs().mean() / 2  # the CRPS of the distribution of all targets: E|X - X'| / 2
        assert metrics["test/crps"] < 0.6 * of_all
    elif task == "embedding":
        assert metrics["test/recall_at_1"] > 0.55  # a constant finds nothing
    elif task == "count":
        assert metrics["test/d2"] > 0.2
    else:
        metric = "auroc" if loss in RANKS else "balanced_accuracy"
        assert metrics[f"test/{metric}"] > CONSTANT[task] + 0.5 * (1 - CONSTANT[task])


ALONE = [name for name, facts in declared_losses().items() if facts.task not in OWN or name not in stacked(facts.task)]
ALONE.sort(key=lambda name: DATA[declared_losses()[name].task])  # those on the same data together: it is made once


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ALONE)
def test_every_loss_that_is_not_stacked_trains_two_steps_on_its_task(cell, name):
    task = declared_losses()[name].task
    large = own_tasks()[task].target in ("mask", "map", "boxes", "tokens")
    few = ["data.max_train=40", "data.max_test=12"] if large else ["data.max_train=400", "data.max_test=60"]
    few += ["data.views=2"] if task == "embedding" else []
    lines = [f"data={DATA[task]}", f"loss={name}", "trainer.max_epochs=1", "trainer.limit_train_batches=2", *few]
    entry = run(cell(*lines))
    assert entry["status"] == "finished", entry.get("traceback")
    assert np.isfinite([*entry["metrics"]["last"].values()]).all()


def test_losses_of_two_logits_serve_binary_data(cell, taught):
    names = losses_for("binary")
    common = ["data=breast_cancer", "trainer.max_epochs=1", "trainer.limit_train_batches=2"]
    stack = trained_together([cell(*common, f"loss={name}", *taught(name, "breast_cancer")) for name in names])
    assert len(names) > 80 and [names[number] for number in stack.endings] == []
    for name, learner in zip(names, stack.learners, strict=True):
        test = learner.last["test"]
        assert test["probabilities"].shape == (len(test["target"]), 2), name
        assert np.isfinite([*learner.last["metrics"].values()]).all(), name
