"""Runs that train as a stack against the same runs alone."""

import copy
import json
import os

import pytest
import torch
from torch import nn

from lossbench.data.sources.source import Source
from lossbench.errors import Killed
from lossbench.learners.stacked.stack import Stack
from lossbench.models import MLP, LeNet, ResNet32
from lossbench.models.network import CosineHead
from lossbench.models.stacked import FORWARD
from lossbench.models.stacked_module import SLOTS, StackedModule
from lossbench.records import record
from lossbench.running import stacks as running_stacks
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.running.trainer import quiet
from tests.support.stacks import EXACT, SMALL, assert_same, rounding, trained_alone, trained_together

THREADS = int(os.environ.get("LOSSBENCH_TEST_THREADS", "1"))


@pytest.fixture(autouse=True)
def _threads():
    quiet()
    torch.set_num_threads(THREADS)


def test_each_run_keeps_its_own_settings(cell):
    common = [*SMALL, *EXACT, "data=digits_imb", "optimizer=sgd", "trainer.gradient_clip_val=0.5"]
    own = [
        ["loss=cross_entropy", "optimizer.lr=0.02"],
        ["loss=ldam", "optimizer.lr=0.02", "weighting=drw"],
        ["loss=ldam", "loss.max_m=0.3", "optimizer.lr=0.02", "seed=1"],
        ["loss=focal", "optimizer.lr=0.01", "scheduler=cosine", "optimizer.weight_decay=0.01"],
        ["loss=cross_entropy", "optimizer.lr=0.01", "scheduler=cosine", "optimizer.weight_decay=0.01", "seed=2"],
        ["loss=cross_entropy", "model.head=cosine", "weighting=inverse", "scheduler=step", "scheduler.milestones=[6]"],
    ]
    cells = [cell(*common, *lines) for lines in own]
    together = trained_together(cells)
    assert len(together.segments) == 3
    for learner, each in zip(together.learners, cells, strict=True):
        assert_same(learner, trained_alone(each), rounding(100))


@pytest.fixture
def images(monkeypatch):
    """Made-up images in place of the real ones."""

    def fake(name: str, root: object, seed: int) -> Source:
        generator = torch.Generator().manual_seed(0)
        shape = (1, 28, 28) if name == "mnist" else (3, 32, 32)
        target = torch.arange(120) % 10
        pictures = torch.randint(0, 256, (120, *shape), dtype=torch.uint8, generator=generator)
        pictures[:, :, :3, :20] = (target * 25).to(torch.uint8).view(-1, 1, 1, 1)  # something to learn
        mean = torch.full((shape[0],), 0.5)
        names = tuple("abcdefghij")
        return Source("multiclass", pictures, target, pictures[:40], target[:40], mean, mean, class_names=names)

    monkeypatch.setattr("lossbench.data.module.load_source", fake)


IMAGE_LOSSES = ("cross_entropy", "focal", "ldam", "balanced_softmax", "gce", "label_smoothing")


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(("model", "epochs"), [("lenet", 2), ("resnet32", 1)])
def test_convolutions_and_batch_norm_train_in_a_stack_as_alone(model, epochs, cell):
    data, names = ("mnist", IMAGE_LOSSES) if model == "lenet" else ("cifar_imb", IMAGE_LOSSES[1:3])
    lines = [
        f"data={data}",
        "data/imbalance=none",
        f"model={model}",
        f"data.batch_size={8 if model == 'resnet32' else 20}",
        f"trainer.max_epochs={epochs}",
        *(["data.max_train=100", "data.max_test=10", "trainer.limit_train_batches=2"] if model == "resnet32" else []),
    ]
    cells = [cell(*lines, f"loss={name}", f"seed={seed}", EXACT[0]) for seed in (0, 1)[:epochs] for name in names]
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), rounding(25))


@pytest.mark.parametrize(("data", "loss"), [("digits", "focal"), ("digits", "ldam"), ("mnist", "focal")])
def test_a_run_does_not_depend_on_its_company(data, loss, cell, request):
    """In float32, bit for bit: the size of the stack, the place in it, neighbours and their heads change nothing."""
    if data == "mnist":
        request.getfixturevalue("images")
    lines = [f"data={data}", "data.batch_size=32", "trainer.max_epochs=2", "data.max_train=100"]

    def of(names, seeds):
        return [cell(*lines, f"loss={name}", f"seed={seed}") for seed in seeds for name in names]

    first = of([loss], [0])
    companies = [
        first,
        first + of([loss], [1, 2]),
        first + of(["gce", "ldam"], [1, 2]),
        of(["gce", "cross_entropy", "balanced_softmax"], [3, 4, 5]) + first,
        of(["ldam"], [1, 2]) + first + of(["focal", "gce", "class_balanced", "logit_adjustment"], [1, 2, 3, 4]),
    ]
    states = []
    for company in companies:
        together = trained_together(company)
        states.append(together.learners[company.index(first[0])].state_dict())
    for state in states[1:]:
        for name, value in state.items():
            assert torch.equal(value, states[0][name]), name


def breaks_down(logits, target, *, epoch):
    value = nn.functional.cross_entropy(logits, target, reduction="none")
    return value * (float("nan") if epoch >= 1 else 1.0)


def raises(logits, target, *, epoch):
    if epoch >= 1:
        raise ValueError("the loss is broken")
    return nn.functional.cross_entropy(logits, target, reduction="none")


@pytest.mark.parametrize(("fault", "status"), [(breaks_down, "diverged"), (raises, "failed")])
def test_a_run_that_leaves_does_not_touch_the_others(fault, status, cell):
    lines = ["data=digits_imb", "trainer.max_epochs=3", "data.max_train=100"]
    good = [cell(*lines, f"loss={name}") for name in ("focal", "ldam")]
    bad = cell(*lines, f"loss._target_={__name__}.{fault.__name__}")
    undisturbed = trained_together(good).learners
    disturbed = trained_together([good[0], bad, good[1]])
    assert disturbed.endings[1]["status"] == status and len(disturbed.learners[1].history) == 1
    for one, other in zip((disturbed.learners[0], disturbed.learners[2]), undisturbed, strict=True):
        assert all(
            torch.equal(*pair) for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )
        assert one.history == other.history


def entries(cells):
    """What the records of cells say that must not depend on how they came to be."""
    found = [record.read(each.path) for each in cells]
    return [{key: entry[key] for key in ("status", "metrics", "history", "hashes", "epochs")} for entry in found]


@pytest.fixture
def quick(monkeypatch):
    """No pictures, and a checkpoint after each epoch."""
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])
    monkeypatch.setattr(running_stacks, "CHECKPOINT_SECONDS", 0.0)


@pytest.mark.usefixtures("quick")
def test_early_stopping_stops_each_run_where_it_would_stop_alone(cell, tmp_path):
    stopper = (
        "trainer.callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/accuracy, mode: max,"
        " patience: 2}]"
    )
    lines = ["data=digits_imb", *SMALL, "trainer.precision=64-true", "trainer.max_epochs=30", stopper]

    def cells(folder):
        names, seeds = ("cross_entropy", "focal", "ldam", "gce"), range(2)
        return [
            cell(*lines, f"loss={name}", f"seed={seed}", output_dir=tmp_path / folder)
            for name in names
            for seed in seeds
        ]

    run_stack(cells("together"))
    for each in cells("alone"):
        run(each)
    together, alone = entries(cells("together")), entries(cells("alone"))
    assert len({entry["epochs"]["done"] for entry in alone}) > 3  # the stack has shrunk on its way
    for one, other in zip(together, alone, strict=True):
        assert one["epochs"] == other["epochs"] and one["status"] == other["status"] == "finished"
        assert one["metrics"]["last"] == pytest.approx(other["metrics"]["last"], rel=10 * rounding(500))


def killed_in(epoch: int, monkeypatch, cells) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(running_stacks, "Cost", lambda: _KillingCost(epoch))
        with pytest.raises(Killed):
            run_stack(cells)


class _KillingCost(running_stacks.Cost):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        if trainer.current_epoch == self.epoch:
            raise Killed(15)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("runs", "epochs", "kills"), [(12, 4, (1, 3)), (64, 2, (1,))])
def test_a_stack_that_is_killed_goes_on_to_the_same_numbers(runs, epochs, kills, cell, tmp_path, monkeypatch):
    lines = ["data=outliers", *SMALL, "optimizer=sgd", "optimizer.lr=0.01", "scheduler=cosine"]
    lines += [f"trainer.max_epochs={epochs}"]
    template = {name: cell(*lines, f"loss={name}") for name in ("mse", "huber", "mae", "cauchy")}

    def cells(folder):
        made = []
        for seed in range(runs // 4):
            for each in template.values():
                config = copy.deepcopy(each.config)
                config.seed, config.output_dir = seed, str(tmp_path / folder)
                made.append(type(each)(config, each.choices))
        return made

    run_stack(cells("undisturbed"))
    for epoch in kills:
        killed_in(epoch, monkeypatch, cells("killed"))
        assert {entry["status"] for entry in entries(cells("killed"))} == {"killed"}
    run_stack(cells("killed"))
    assert entries(cells("killed")) == entries(cells("undisturbed"))


@pytest.mark.usefixtures("quick")
def test_a_run_goes_on_alone_from_where_its_stack_was_killed_and_the_other_way_round(cell, tmp_path, monkeypatch):
    lines = ["data=digits_imb", *SMALL, "trainer.precision=64-true", "trainer.max_epochs=5", "scheduler=cosine"]

    def cells(folder):
        return [cell(*lines, f"loss={name}", output_dir=tmp_path / folder) for name in ("cross_entropy", "ldam")]

    for each in cells("alone"):
        run(each)
    killed_in(3, monkeypatch, cells("out"))
    for each in cells("out"):
        assert run(each)["epochs"]["done"] == 5
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.running.run.Cost", lambda: _KillingCost(3))
        for each in cells("in"):
            with pytest.raises(Killed):
                run(each)
    run_stack(cells("in"))
    for folder in ("out", "in"):
        for one, other in zip(entries(cells(folder)), entries(cells("alone")), strict=True):
            assert one["epochs"] == other["epochs"]
            assert one["metrics"]["last"] == pytest.approx(other["metrics"]["last"], rel=10 * rounding(500))


@pytest.mark.usefixtures("quick", "whole_checkpoints")
def test_a_stacked_run_leaves_what_it_would_leave_alone(cell, tmp_path):
    lines = [
        "data=digits_imb",
        *SMALL,
        "trainer.precision=64-true",
        "trainer.max_epochs=3",
        "loss=ldam",
        "weighting=drw",
    ]
    together, alone = cell(*lines, output_dir=tmp_path / "together"), cell(*lines, output_dir=tmp_path / "alone")
    run_stack([together])
    run(alone)
    assert together.key == alone.key

    def files(each):
        return {str(path.relative_to(each.path)) for path in each.path.rglob("*") if path.is_file()}

    assert files(together) == files(alone)
    one, other = (json.loads((each.path / "record.json").read_text()) for each in (together, alone))
    assert one.keys() == other.keys() and one["cost"].keys() == other["cost"].keys()
    assert one["engine"] == {"name": "stacked", "runs": 1} and other["engine"] == {"name": "single"}
    for name in ("last", "best"):
        kept, expected = (
            torch.load(each.path / "checkpoints" / f"{name}.ckpt", weights_only=True) for each in (together, alone)
        )
        assert kept["epoch"] == expected["epoch"] and kept["global_step"] == expected["global_step"]
        assert kept["loops"]["fit_loop"]["epoch_progress"] == expected["loops"]["fit_loop"]["epoch_progress"]
        assert kept["lr_schedulers"] == expected["lr_schedulers"]
        torch.testing.assert_close(kept["state_dict"], expected["state_dict"])
        (state,), (wanted,) = kept["optimizer_states"], expected["optimizer_states"]
        assert state["param_groups"] == wanted["param_groups"]
        torch.testing.assert_close(state["state"], wanted["state"])


@pytest.mark.usefixtures("quick")
def test_the_runs_of_a_stack_that_fails_as_a_whole_train_alone(cell, monkeypatch):
    cells = [cell("data=digits_imb", *SMALL, "trainer.max_epochs=2", f"loss={name}") for name in ("focal", "ldam")]
    monkeypatch.setattr(Stack, "training_step", lambda *_: torch.zeros(2) + torch.zeros(3))
    run_stack(cells)
    found = [record.read(each.path) for each in cells]
    assert [(entry["status"], entry["engine"]["name"]) for entry in found] == [("finished", "packed")] * 2


def test_a_loss_that_draws_random_numbers_trains_alone(cell):
    each = cell("data=digits_imb", *SMALL, "trainer.max_epochs=1", f"loss._target_={__name__}.noisy")
    run_stack([each])
    assert record.read(each.path)["engine"] == {"name": "packed"}


def noisy(logits, target):
    return nn.functional.cross_entropy(logits + torch.randn_like(logits), target, reduction="none")


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda: MLP((5,), hidden=(7, 6)), (5,)),
        (lambda: LeNet((1, 28, 28)), (1, 28, 28)),
        (lambda: ResNet32((3, 32, 32)), (3, 32, 32)),
        (lambda: nn.Linear(4, 3), (4,)),
        (lambda: CosineHead(4, 3, scale=30.0), (4,)),
    ],
)
def test_stacked_modules_map_like_their_members(model, shape):
    members = [model().double() for _ in range(3)]
    assert type(members[0]) in FORWARD
    stacked = StackedModule(members, runs=range(3))
    expected = copy.deepcopy(members)
    inputs = torch.randn(SLOTS, 4, *shape, dtype=torch.float64)
    outputs = stacked(inputs)
    for row, member in enumerate(expected):
        torch.testing.assert_close(outputs[row], member(inputs[row]), rtol=1e-12, atol=1e-12)
    stacked.look_into()
    stacked.eval()
    for row, (member, other) in enumerate(zip(members, expected, strict=True)):
        torch.testing.assert_close(dict(member.named_buffers()), dict(other.named_buffers()))
        torch.testing.assert_close(stacked(inputs)[row], member(inputs[row]), rtol=1e-12, atol=1e-12)
