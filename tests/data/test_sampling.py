"""The sampler as an axis: what an epoch draws, alone, in stacks and after a kill."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from lossbench.data import Batch, BatchLoader, DataModule
from lossbench.data.sampling import by_class, uniform
from lossbench.data.stacked import StackedLoader
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.running.trainer import quiet
from lossbench.seeding import torch_stream
from tests.support.records import numbers

COUNTS = [400, 90, 9, 1]
TARGET = torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))
QUICK = ["data.max_train=200", "data.batch_size=32", "model.hidden=[16]", "trainer.max_epochs=4"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quiet()
    torch.set_num_threads(1)
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


def test_uniform_is_the_permutation_it_was():
    order = uniform(target=TARGET, generator=torch_stream(3, "order", 5))
    assert torch.equal(order, torch.randperm(500, generator=torch_stream(3, "order", 5)))


@pytest.mark.parametrize(
    ("power", "shares"),
    [(0.0, [0.25] * 4), (0.5, np.sqrt(COUNTS) / np.sqrt(COUNTS).sum())],
)
def test_classes_come_with_their_probability_and_their_samples_alike(power, shares):
    streams = [torch_stream(0, "order", epoch) for epoch in range(100)]
    drawn = torch.cat([by_class(classes=TARGET, generator=stream, power=power) for stream in streams])
    assert len(drawn) == 100 * 500
    found = np.bincount(TARGET[drawn], minlength=4)
    assert stats.chisquare(found, np.asarray(shares) * found.sum()).pvalue > 1e-3
    of_samples = np.bincount(drawn, minlength=500)
    for label in (0, 1, 2):
        assert stats.chisquare(of_samples[TARGET.numpy() == label]).pvalue > 1e-3


def test_an_absent_class_is_never_drawn():
    target = torch.tensor([0, 0, 0, 2])
    drawn = by_class(classes=target, generator=torch_stream(0, "order", 0))
    assert set(target[drawn].tolist()) <= {0, 2}


def module(**settings):
    made = DataModule("digits", "multiclass", imbalance={"kind": "exp", "factor": 20}, **settings)
    made.setup()
    return made


def test_an_epoch_has_as_many_batches_and_depends_on_seed_and_epoch_alone():
    plain, balanced, same = (module(sampler=each) for each in (uniform, by_class, by_class))
    sizes = [[len(batch.index) for batch in each.train_dataloader()] for each in (plain, balanced)]
    assert sizes[0] == sizes[1]
    assert balanced.hashes["order"] == same.hashes["order"] != plain.hashes["order"]
    assert plain.hashes["order"] == module().hashes["order"]
    assert {key: balanced.hashes[key] for key in ("targets", "split")} == {
        key: plain.hashes[key] for key in ("targets", "split")
    }
    loader = balanced.train_dataloader()
    orders = []
    for epoch in (0, 1, 0):
        loader.set_epoch(epoch)
        orders.append(loader.order())
    assert torch.equal(orders[0], orders[2]) and not torch.equal(orders[0], orders[1])


def test_a_sample_that_comes_again_is_augmented_otherwise():
    inputs = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch_stream(0, "test"))
    rows = torch.arange(2)
    samples = Batch(inputs, rows, rows, rows).select(torch.tensor([0] * 39 + [1]))
    zero, one = torch.zeros(3), torch.ones(3)
    loader = BatchLoader(samples, 40, zero, one, seed=0, augment=True, sampling=by_class)
    (batch,) = loader
    of_the_rare = batch.inputs[batch.target == 1]
    assert len(of_the_rare) > 10
    assert len({image.numpy().tobytes() for image in of_the_rare}) > len(of_the_rare) / 2


def test_loaders_of_different_samplers_go_side_by_side():
    loaders = [module(sampler=each).train_dataloader() for each in (uniform, by_class, partial(by_class, power=0.5))]
    for together, *alone in zip(StackedLoader(loaders), *loaders, strict=True):
        for place, batch in enumerate(alone):
            assert all(torch.equal(stacked[place], own) for stacked, own in zip(together[:4], batch[:4], strict=True))


def test_runs_of_different_samplers_train_in_one_stack_as_alone(cell, tmp_path):
    def cells(folder):
        names = ("uniform", "class_balanced", "square_root")
        lines = ["data=digits_imb", "trainer.precision=64-true", *QUICK]
        return [cell(*lines, f"sampler={name}", output_dir=tmp_path / folder) for name in names]

    run_stack(cells("together"))
    assert {record.read(each.path)["engine"]["runs"] for each in cells("together")} == {3}
    for together, alone in zip(cells("together"), cells("alone"), strict=True):
        run(alone)
        assert numbers(together)["hashes"] == numbers(alone)["hashes"]
        assert numbers(together)["metrics"]["last"] == pytest.approx(numbers(alone)["metrics"]["last"], rel=1e-9)


def test_a_loss_and_its_sampler_leave_data_and_problem_as_they_are(cell):
    plain, balanced = (cell("data=digits_imb", f"sampler={name}") for name in ("uniform", "class_balanced"))
    assert plain.problem == balanced.problem and plain.key != balanced.key
    orders = [build_data(each.config.data).hashes["order"] for each in (plain, balanced)]
    assert orders[0] != orders[1]


def reversed_order(*, target):
    """Return the samples from the last to the first: a sampler of the user, for targets of every kind."""
    return torch.arange(len(target)).flip(0)


def test_a_sampler_of_the_user_names_the_run_and_draws_for_any_task(cell):
    each = cell("data=outliers", "loss=mse", f"sampler._target_={__name__}.reversed_order")
    assert each.name == "mse+reversed_order-s0" and each.axes["sampler"] == "reversed_order"
    loader = build_data(each.config.data).train_dataloader()
    assert loader.order().tolist() == list(reversed(range(len(loader.samples.index))))


def too_few(*, target):
    return torch.arange(len(target) - 1)


def test_a_sampler_returns_a_row_for_each_sample(cell):
    with pytest.raises(ConfigError, match="it must return the rows of an epoch"):
        build_data(cell("data=digits_imb", f"sampler._target_={__name__}.too_few").config.data)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["data=outliers", "sampler=class_balanced"],
            "sampler=class_balanced needs classes, but data=outliers is",
        ),
        (["data.sampler=class_balanced"], r"data\.sampler=class_balanced is not that of sampler=uniform"),
        (["+sampler.kind=square_root"], r"sampler\.kind=square_root: nothing reads the key 'kind'"),
        (["sampler=square_root", "sampler.power=2"], r"sampler\.power=2 is out of range"),
        (
            ["sampler=square_root", "data._target_=tests.support.own_data.Own"],
            "sampler=square_root: data=Own brings its own batches",
        ),
    ],
)
def test_what_can_not_be_sampled_is_told(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)
