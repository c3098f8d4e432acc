"""Parts whose classes are others: which they are, how they are numbered, and what is refused."""

import json

import pytest
import torch
from hydra import compose, initialize_config_dir

from lossbench.data import DataModule
from lossbench.data.disjoint import apart
from lossbench.data.sources.source import Source, load_source
from lossbench.errors import ConfigError
from lossbench.locate import CONF


def ready(source="digits", task="embedding", **settings):
    module = DataModule(source, task, **{"disjoint": True, **settings})
    module.setup()
    return module


def samples_of(module):
    return {"train": module.train_dataloader().samples} | {
        name: loader.samples for name, loader in module.evaluation_loaders.items()
    }


def test_digits_below_five_are_trained_and_the_others_tested(tmp_path):
    module, source = ready(run_seed=2), load_source("digits", tmp_path, 0)
    parts = {name: part.target.unique().tolist() for name, part in samples_of(module).items()}
    assert parts == {"train": [0, 1, 2], "val": [3, 4], "test": [5, 6, 7, 8, 9]}
    names = module.facts()["class_names"]
    assert sorted(names[:5]) == [*"01234"] and names[5:] == [*"56789"]
    assert (names[:3], names[3:5]) == (sorted(names[:3]), sorted(names[3:5]))
    targets = torch.cat([source.train_target, source.test_target])
    inputs = torch.cat([source.train_inputs, source.test_inputs])
    known = {row.numpy().tobytes(): int(digit) for row, digit in zip(inputs, targets, strict=True)}
    for part in samples_of(module).values():  # each image under its own name
        assert all(
            known[row.numpy().tobytes()] == int(names[number])
            for row, number in zip(part.inputs, part.target.tolist(), strict=True)
        )
        assert torch.equal(part.target, part.target_clean)
    assert len(samples_of(module)["test"].index) == int((targets >= 5).sum())  # whole classes


def test_counts_are_of_what_is_trained_on():
    module = ready(run_seed=1)
    train = samples_of(module)["train"]
    assert module.num_classes == 3
    assert module.class_counts == module.train_class_counts == torch.bincount(train.target).tolist()
    assert module.val_class_counts is None and module.train_size == len(train.index)
    facts = json.loads(json.dumps(module.facts()))
    assert facts["classes"] == {"train": 3, "val": 2, "test": 5}
    assert int(torch.cat([batch.index for batch in module.train_dataloader()]).max()) < module.num_train


def test_the_seed_of_the_run_draws_the_classes_of_validation_and_nothing_else():
    held = [ready(run_seed=seed) for seed in range(8)]
    assert len({module.class_names[3:5] for module in held}) > 2
    first, again = held[0], ready(run_seed=0)
    assert first.hashes == again.hashes and first.class_names == again.class_names
    assert len({module.hashes["targets"] for module in held}) == 1
    for module in held:
        test = samples_of(module)["test"]
        assert torch.equal(test.inputs, samples_of(first)["test"].inputs)
        assert torch.equal(test.target, samples_of(first)["test"].target)


def test_without_validation_all_are_trained():
    module = ready(val_fraction=0.0)
    assert module.facts()["classes"] == {"train": 5, "val": 0, "test": 5} and [*module.evaluation_loaders] == ["test"]
    assert module.class_names == tuple("0123456789")


def test_subsets_keep_their_classes():
    module = ready(max_train=50, max_test=40, imbalance={"kind": "none", "max_count": 20})
    assert {name: len(part.index) for name, part in samples_of(module).items()} == {"train": 30, "val": 20, "test": 40}
    assert module.train_class_counts == [10] * 3


def made_up(train, test, names="abcdefgh"):
    train, test = torch.tensor(train), torch.tensor(test)
    inputs = [torch.arange(len(each)).float()[:, None] for each in (train, test)]
    rest = {"train_extras": {"place": torch.arange(len(train))}, "test_extras": {"place": -torch.arange(len(test))}}
    return Source("multiclass", inputs[0], train, inputs[1], test, *torch.zeros(2, 1), class_names=tuple(names), **rest)


def test_classes_that_are_apart_stay_where_they_are():
    source = apart(made_up([0, 6, 2, 2], [5, 1, 3]))
    assert source.train_target.tolist() == [0, 2, 1, 1] and source.test_target.tolist() == [5, 3, 4]
    assert source.class_names == tuple("acgbdf") and source.train_extras["place"].tolist() == [0, 1, 2, 3]


def test_of_an_odd_number_the_larger_half_is_trained():
    source = apart(made_up([0, 1, 2, 3, 4, 3], [3, 4, 0]))
    assert source.train_target.tolist() == [0, 1, 2] and source.test_target.tolist() == [3, 4, 3, 4, 3]
    assert source.test_extras["place"].tolist() == [0, -1, 3, 4, 5] and source.class_names == tuple("abcde")


def test_a_part_of_one_class_is_refused():
    with pytest.raises(ConfigError, match="2 classes to train and 1 to test are left"):
        apart(made_up([0, 1, 2], [2]))
    with pytest.raises(ConfigError, match=r"data\.val_fraction=0\.9 holds 4 of 5 classes out.*1 is left to train"):
        ready(val_fraction=0.9)


@pytest.mark.parametrize(
    ("source", "task", "settings", "said"),
    [
        (
            "digits",
            "multiclass",
            {},
            r"data\.disjoint=true is for embedding, but .*digits is multiclass here",
        ),
        ("diabetes", "regression", {}, r"data\.disjoint=true is for embedding, but .*diabetes is regression"),
        ("breast_cancer", "embedding", {}, r"two classes at least in each part, but .*breast_cancer has two in all"),
        ("glyphs", "embedding", {"disjoint": False}, r"glyphs tests classes that are not in its .*data\.disjoint=true"),
        ("digits", "multiclass", {"disjoint": False, "views": 2}, r"data\.views=2 is for embedding"),
        ("breast_cancer", "embedding", {"disjoint": False, "views": 2}, r"data\.views=2 turns and shifts images"),
        ("digits", "embedding", {"views": 2, "augment": True}, r"data\.views=2 augments each view by itself"),
    ],
)
def test_what_does_not_fit_is_refused(source, task, settings, said):
    with pytest.raises(ConfigError, match=said):
        ready(source, task, **settings)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["data=digits", "data.disjoint=true"],
            r"data\.disjoint=true is for embedding, but data\.source=digits is multi",
        ),
        (
            ["data=diabetes", "loss=mse", "data.disjoint=true"],
            r"data\.disjoint=true is for embedding, but .*regression",
        ),
        (["data=digits", "data.views=2"], r"data\.views=2 is for embedding"),
        (["data=digits", "data.views=3"], r"data\.views=3 is out of range"),
        (["data=digits", "data.disjoint=1"], r"data\.disjoint=1 is out of range"),
        (["data=glyphs"], r"loss=cross_entropy is for multiclass, but data=glyphs is embedding"),
    ],
)
def test_it_is_told_before_anything_is_written(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)


@pytest.mark.parametrize("name", ["glyphs", "digits_disjoint", "mnist_disjoint"])
def test_presets_draw_groups_unless_the_command_says_otherwise(name):
    def composed(*overrides):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [f"data={name}", *overrides])

    assert composed().sampler._target_ == "lossbench.data.sampling.pk" and composed().data.disjoint
    assert composed("sampler=uniform").sampler._target_ == "lossbench.data.sampling.uniform"
