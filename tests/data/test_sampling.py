"""The sampler as an axis: what an epoch draws, alone, in stacks and after a kill."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from lossbench.data import Batch, BatchLoader, DataModule
from lossbench.data.sampling import by_class, pk, uniform
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


def draw(classes, batch_size, samples, epoch=0):
    rows = pk(classes=classes, batch_size=batch_size, samples=samples, generator=torch_stream(0, "order", epoch))
    assert rows.shape == classes.shape and rows.dtype == torch.int64
    return rows


@pytest.mark.parametrize(("batch_size", "samples"), [(16, 4), (18, 4), (16, 16), (10, 3), (64, 2)])
@pytest.mark.parametrize("size", [320, 321, 333])
def test_batches_of_groups_have_each_class_once_and_each_sample_of_a_group_once(batch_size, samples, size):
    classes = torch.randint(40, (size,), generator=torch_stream(0, "classes")) * 3  # numbers with gaps
    counts = torch.bincount(classes, minlength=120)
    loader = BatchLoader(Batch(classes, classes, classes, torch.arange(size)), batch_size, *torch.ones(2), seed=0)
    for rows in draw(classes, batch_size, samples).split([len(rows) for rows in loader.batches()]):
        found = torch.bincount(classes[rows], minlength=120)
        groups = classes[rows].unique_consecutive()
        assert len(groups.unique()) == len(groups) == -(-len(rows) // samples)  # no class twice
        assert (found[groups[:-1]] == samples).all() and found[groups[-1]] <= samples
        for group in groups.tolist():
            drawn = rows[classes[rows] == group]
            assert len(drawn.unique()) == min(len(drawn), int(counts[group]))


def test_with_few_classes_they_come_again_with_other_samples():
    classes = torch.arange(3).repeat_interleave(40)
    for rows in draw(classes, 40, 4).split(40):
        assert sorted(torch.bincount(classes[rows]).tolist()) == [12, 12, 16]
    first = draw(classes, 24, 4)[:24]
    assert len(first.unique()) >= 16  # two groups of a class: the same sample only where a shuffled copy ends


def test_classes_come_alike_often_and_their_samples_too():
    drawn = torch.cat([draw(TARGET, 8, 4, epoch) for epoch in range(100)])
    found = torch.bincount(TARGET[drawn], minlength=4).numpy()
    np.testing.assert_allclose(found / found.sum(), 0.25, atol=0.01)
    once = torch.bincount(draw(TARGET, 8, 4), minlength=500)  # about 125 of each class, in turn
    assert once[TARGET == 0].max() == 1 and once[TARGET == 1].max() == 2 and (once[TARGET == 1] > 0).sum() >= 88
    assert once[TARGET == 2].min() > 5 and once[TARGET == 3] > 100


@pytest.mark.parametrize(
    ("samples", "said"), [(1, "pairs nothing"), (9, "don't fit into a batch of data.batch_size=8")]
)
def test_groups_that_pair_nothing_or_have_no_room_are_refused(samples, said):
    with pytest.raises(ConfigError, match=said):
        draw(TARGET, 8, samples)


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
    samplers = (uniform, by_class, partial(by_class, power=0.5), pk)
    loaders = [module(sampler=each).train_dataloader() for each in samplers]
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
        (["sampler=pk", "sampler.samples=1"], r"sampler\.samples=1 is out of range"),
        (
            ["sampler=pk", "data.batch_size=3"],
            r"sampler\.samples=4 of a class don't fit into a batch of data\.batch_size",
        ),
        (
            ["sampler=square_root", "data._target_=tests.support.own_data.Own"],
            "sampler=square_root: data=Own brings its own batches",
        ),
    ],
)
def test_what_can_not_be_sampled_is_told(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)
