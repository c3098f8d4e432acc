"""A user's own LightningDataModule in place of lossbench's data."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from lossbench.compare.numbers.by_sample import by_sample
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.config import own_code
from lossbench.data.center import center_and_scale
from lossbench.errors import ConfigError
from lossbench.losses.facts import declared_losses
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from tests.support.own_data import Own, OwnRegression

SHORT = ["trainer.max_epochs=3"]
LOSSES_OF_COUNTS = [
    name for name, facts in declared_losses().items() if facts.task == "multiclass" and "class_counts" in facts.needs
]


class WithoutTest(pl.LightningDataModule):
    train_dataloader = Own.train_dataloader
    loader, target, batch_size = Own.loader, Own.target, 8


def test_it_trains_is_counted_and_named(cell):
    made = cell("data._target_=tests.support.own_data.Own", "loss=balanced_softmax", "data.batch_size=20", *SHORT)
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    assert made.data == "Own" and entry["choices"]["data"] == "Own"
    assert sum(entry["data"]["class_counts"]) == 200 and len(entry["data"]["class_counts"]) == 2
    assert entry["metrics"]["best_val"] is not None and entry["metrics"]["last"]["test/accuracy"] > 0.5


def test_regression_keeps_its_units(cell):
    lines = ["data=diabetes", "data._target_=tests.support.own_data.OwnRegression", "loss=huber", *SHORT]
    entry = run(cell(*lines))
    assert entry["status"] == "finished", entry.get("traceback")
    assert 1 < entry["metrics"]["last"]["test/mae"] < 60
    target = OwnRegression().target(torch.randn(200, 5, generator=torch.Generator().manual_seed(0)))
    center, scale = center_and_scale(target)  # what converts delta into the units of the target
    assert (entry["data"]["target_center"], entry["data"]["target_scale"]) == (center, scale) and scale > 1


def test_regression_can_be_trained_in_its_units(cell):
    lines = ["data=diabetes", "data._target_=tests.support.own_data.OwnRegression", "loss=huber", *SHORT]
    entry = run(cell(*lines, "data.standardize=none"))
    assert entry["status"] == "finished", entry.get("traceback")
    assert (entry["data"]["target_center"], entry["data"]["target_scale"]) == (0, 1)


class OfThreeClasses(Own):
    num_classes = 3  # the third is in no sample


@pytest.mark.parametrize(
    "lines",
    [
        *([f"loss={name}"] for name in LOSSES_OF_COUNTS),
        ["loss=cross_entropy", "weighting=inverse"],
        ["loss=cross_entropy", "posthoc=logit_adjustment"],
    ],
    ids="-".join,
)
def test_a_class_without_a_training_sample_counts_as_one_with_a_single_sample(cell, caplog, lines):
    made = cell("data._target_=tests.data.test_foreign.OfThreeClasses", *SHORT, *lines)
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    assert "no training sample of class 2; in weights, priors and margins" in caplog.text
    context = learner.loss.settings
    assert data.train_class_counts[2] == 0 and context.get("class_counts", [1])[-1] == 1
    weights = learner.class_weights(0)
    assert weights is None or (weights.isfinite().all() and weights[2] == weights.max())


def test_losses_need_a_test_set(cell):
    with pytest.raises(ConfigError, match="test_dataloader"):
        run(cell("data._target_=tests.data.test_foreign.WithoutTest"))


@pytest.mark.parametrize(
    ("data", "loss", "needed"),
    [("digit_lines", "ctc", "alignment of each line"), ("digit_boxes", "box_giou", "boxes of each image")],
)
def test_what_pairs_lack_is_told(cell, data, loss, needed):
    with pytest.raises(ConfigError, match=f"{needed}, which data=Own can't give"):
        run(cell(f"data={data}", "data._target_=tests.support.own_data.Own", f"loss={loss}"))


def test_other_classes_are_refused(cell):
    with pytest.raises(ConfigError, match="not a LightningDataModule"):
        run(cell("data._target_=torch.nn.Linear"))


@pytest.mark.parametrize(
    "line",
    ["data.imbalance.factor=5", "data/noise=symmetric", "data.max_train=10", "data.seed=3", "data.val_fraction=0.5"],
)
def test_an_option_that_own_data_do_not_take_is_refused(line, cell):
    with pytest.raises(ConfigError, match=r"would change nothing\. It takes: batch_size"):
        cell("data._target_=tests.support.own_data.Own", line)


def test_what_came_along_from_other_data_is_in_no_record(cell):
    made = cell("data=digits_imb", "data._target_=tests.support.own_data.Own", "data.batch_size=20")
    assert made.resolved["data"].keys() == {"_target_", "task", "standardize", "batch_size"}
    assert made.key == cell("data=digits", "data._target_=tests.support.own_data.Own", "data.batch_size=20").key


class Shaped(Own):
    """Targets and inputs as a function of the test gives them."""

    make = staticmethod(lambda inputs: (inputs, (inputs.sum(1) > 0).long()))

    def loader(self, samples, seed):
        inputs = torch.randn(samples, 5, generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(*self.make(inputs)), batch_size=16)


def _spoilt(inputs):
    inputs = inputs.clone()
    inputs[7, 3] = float("nan")
    return inputs, (inputs.sum(1) > 0).long()


def classes(inputs):
    return (inputs.sum(1) > 0).long()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: (x.double(), classes(x)), None),
        (lambda x: ((x * 20 + 100).clamp(0, 255).to(torch.uint8), classes(x)), None),
        (lambda x: (x, classes(x)[:, None]), None),
        (lambda x: (x, classes(x).float()), None),
        (lambda x: (x, classes(x) * 3), None),  # a gap is a class without a sample
        (lambda x: (x, classes(x) + 1), r"classes 1, 2, but .* 0, 1, \.\.\. K - 1"),
        (lambda x: (x, classes(x) * 2 - 1), "classes -1, 1, but"),
        (lambda x: (x, classes(x) + 0.5), "classes 0.5, 1.5, but"),
        (lambda x: (x, torch.nn.functional.one_hot(classes(x), 2)), r"argmax\(1\)"),
        (_spoilt, r"sample 7, feature \[3\] is nan"),
        (lambda x: (x, classes(x).float() / 0), "nan: no number|inf: no number"),
        (lambda x: (x, classes(x), torch.ones(len(x))), None),
        (lambda x: (x, classes(x), -torch.ones(len(x))), "weights of the training set go from -1 to -1: they must"),
        (lambda x: (x, classes(x), torch.ones(len(x)), x), "not a list of 4"),
    ],
)
def test_labels_and_inputs_work_or_are_told_before_training(make, told, cell, monkeypatch):
    monkeypatch.setattr(Shaped, "make", staticmethod(make))
    made = cell("data=digits", "data._target_=tests.data.test_foreign.Shaped", "loss=cross_entropy", *SHORT)
    if told is None:
        batch = next(iter(build_data(made.config.data).train_dataloader()))
        assert batch.inputs.dtype == torch.float32 and batch.target.dtype == torch.int64 and batch.target.ndim == 1
    else:
        with pytest.raises(ConfigError, match=told):
            build_data(made.config.data)


class Weighted(Own):
    """Batches that are dicts; half of the samples have the wrong class and the weight 0."""

    wrong = 1

    def loader(self, samples, seed):
        inputs = torch.randn(samples, 5, generator=torch.Generator().manual_seed(seed))
        off = torch.arange(samples) % 2 * self.wrong
        rows = [
            {"inputs": x, "target": (y + bad) % 2, "weight": 1.0 - float(bad)}
            for x, y, bad in zip(inputs, classes(inputs), off, strict=True)
        ]
        return DataLoader(rows, batch_size=16)


class Unweighted(Weighted):
    def loader(self, samples, seed):
        loader = super().loader(samples, seed)
        return DataLoader([{**row, "weight": 1.0} for row in loader.dataset], batch_size=16)


class Grouped(Weighted):
    """Four samples to a group, in the order of the loader."""

    def loader(self, samples, seed):
        rows = enumerate(super().loader(samples, seed).dataset)
        return DataLoader([{**row, "group": torch.tensor(k // 4)} for k, row in rows], batch_size=16)


def test_samples_of_a_group_are_drawn_together(cell, tmp_path):
    for loss in ("cross_entropy", "focal"):
        for seed in (0, 1):
            run(cell(*SHORT, f"loss={loss}", "data._target_=tests.data.test_foreign.Grouped", f"seed={seed}"))
    (comparison,) = comparisons(read_outputs(tmp_path))
    with np.load(Path(comparison.any_entry["folder"]) / "predictions.npz") as arrays:
        assert arrays["group"].tolist() == [k // 4 for k in range(len(arrays["target"]))]
        groups = len(set(arrays["group"].tolist()))
    sources = by_sample(comparison, "last", ["accuracy"]).sources("focal", "cross_entropy", "accuracy", [0, 1])
    assert sources.n_samples == groups


def test_weights_of_samples_count_in_training(cell):
    lines = ["data=digits", "loss=cross_entropy", "trainer.max_epochs=30", "trainer.check_val_every_n_epoch=30"]
    weighted, plain = (run(cell(*lines, f"data._target_=tests.data.test_foreign.{name}")) for name in
                       ("Weighted", "Unweighted"))  # fmt: skip
    assert plain["metrics"]["last"]["test/accuracy"] < 0.75  # half of the test's classes are wrong as well
    history = [entry["history"][0]["train/loss"] for entry in (weighted, plain)]
    assert 0.3 < history[0] / history[1] < 0.7  # the plain mean over samples: half of them count 0


def test_a_sample_of_weight_zero_teaches_nothing(cell):
    made = cell("data=digits", "loss=cross_entropy", "data._target_=tests.data.test_foreign.Weighted", *SHORT)
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    batch = next(iter(data.train_dataloader()))
    learner.on_train_epoch_start = lambda: None
    value = learner.per_sample_loss(batch)
    assert torch.equal(value == 0, batch.extras["weight"] == 0) and (batch.extras["weight"] == 0).sum() == 8
    assert (value[batch.extras["weight"] == 1] > 0).all()


class WithMoreInTheTest(Shaped):
    def test_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(4, 5), torch.tensor([0, 1, 2, 3])), batch_size=2)


def test_a_class_of_the_test_set_that_training_lacks_is_told(cell):
    made = cell("data=digits", "data._target_=tests.data.test_foreign.WithMoreInTheTest", "loss=cross_entropy")
    with pytest.raises(ConfigError, match=r"the test set has the classes 0, 1, 2, 3, but .* with K = 2"):
        build_data(made.config.data)


class Shuffled(Own):
    def train_dataloader(self):
        dataset = super().train_dataloader().dataset
        weights = torch.where(dataset.tensors[1] == 0, 0.01, 1.0)
        sampler = torch.utils.data.WeightedRandomSampler(weights.tolist(), len(dataset))
        return DataLoader(dataset, batch_size=16, sampler=sampler)


def test_samples_keep_their_numbers_and_facts_are_of_the_data_behind_a_sampler(cell):
    data = build_data(cell("data=digits", "data._target_=tests.data.test_foreign.Shuffled").config.data)
    dataset = Shuffled().train_dataloader().dataset
    assert data.train_class_counts == torch.bincount(dataset.tensors[1]).tolist()
    seen = [batch for _ in range(2) for batch in data.train_dataloader()]
    for batch in seen:
        torch.testing.assert_close(batch.inputs, dataset.tensors[0][batch.index])
    assert not torch.equal(seen[0].index, seen[len(seen) // 2].index)


def test_a_run_is_made_again_when_own_code_has_changed(cell, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_beside.py").write_text("FACTOR = 1.0\n")
    (tmp_path / "mine.py").write_text("from mine_beside import FACTOR\ndef loss(logits, target): return FACTOR * 0\n")
    keys = []

    def key():
        own_code._with_imports.cache_clear()
        monkeypatch.setattr("lossbench.config.checks._check_loss", lambda _: None)  # the key does not import it
        monkeypatch.setattr("lossbench.config.checks.check_method", lambda _: None)
        keys.append(cell("data=digits", "loss._target_=mine.loss").key)
        return keys[-1]

    assert key() == key()
    (tmp_path / "mine_beside.py").write_text("FACTOR = 2.0\n")
    assert key() != keys[0]
    (tmp_path / "mine_beside.py").write_text("FACTOR = 1.0\n")
    (tmp_path / "unrelated.py").write_text("")
    assert key() == keys[0]


class FromFile(Own):
    """Targets by a number that stands in a file."""

    def __init__(self, labels: str, notes: str = "", batch_size: int = 16) -> None:
        super().__init__(batch_size)
        self.labels = Path(labels)

    def target(self, inputs):
        return (inputs.sum(1) > float(self.labels.read_text())).long()


def test_what_a_file_that_an_option_of_own_data_names_holds_is_part_of_the_key(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("0.0")
    own = ["data=digits", "data._target_=tests.data.test_foreign.FromFile"]

    def made(*more):
        own_code.content_of.cache_clear()
        return cell(*own, "+data.labels=labels.txt", *more)

    first = made()
    assert made().key == first.key
    (tmp_path / "unrelated.txt").write_text("0.0")
    assert made().key == first.key
    (tmp_path / "labels.txt").write_text("1.0")
    changed = made()
    assert changed.key != first.key and changed.problem != first.problem
    sent = pickle.loads(pickle.dumps(changed))
    (tmp_path / "labels.txt").write_text("2.0")
    own_code.content_of.cache_clear()
    assert sent.key == changed.key  # a worker has the key of the command, whatever is written meanwhile


def test_folders_of_own_data_count_except_those_that_the_command_writes_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "deep").mkdir(parents=True)
    (tmp_path / "set" / "deep" / "a.txt").write_text("a")
    data = {"_target_": "mine.Data", "folder": "set", "more": {"files": ["set/deep/a.txt", "not there"]}, "here": "."}
    data |= {"root": "set", "task": "set", "long": "x" * 5000}
    config = {"output_dir": "outputs", "data": data, "loss": {"_target_": "lossbench.losses.focal", "name": "set"}}
    assert set(own_code.files_named(config)) == {"data.folder", "data.more.files.0"}
    assert set(own_code.files_named(config | {"output_dir": "set/runs"})) == {"data.more.files.0"}


class Drawn(Own):
    """An order that comes from a generator of its own."""

    def __init__(self, order: int = 0, batch_size: int = 16) -> None:
        super().__init__(batch_size)
        self.order = order

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(self.order)
        return DataLoader(super().train_dataloader().dataset, batch_size=16, shuffle=True, generator=generator)


class Streamed(Own):
    def train_dataloader(self):
        return [(inputs, target) for inputs, target in super().train_dataloader()]


def test_the_record_tells_whether_runs_on_own_data_had_the_same_targets_and_order(cell):
    def hashes(name, *lines):
        lines = ["data=digits", f"data._target_=tests.data.test_foreign.{name}", "trainer.max_epochs=2", *lines]
        found = run(cell(*lines))["hashes"]
        return found["targets"], found["order"]

    first = hashes("Drawn", "loss=cross_entropy")
    assert hashes("Drawn", "loss=focal") == first
    assert hashes("Drawn", "loss=focal", "optimizer.calibrate=gradient")[0] == first[0]
    targets, order = hashes("Drawn", "loss=cross_entropy", "+data.order=1")
    assert targets == first[0] and order != first[1]
    assert len(set(hashes("Streamed", "loss=cross_entropy"))) == 2


def test_looking_at_the_batches_before_training_is_not_the_order(cell):
    data = build_data(cell("data=digits", "data._target_=tests.data.test_foreign.Drawn").config.data)
    assert len(list(data.train_dataloader())) == 13 and "order" not in data.hashes


def test_a_mistake_in_the_data_of_one_cell_is_told_after_the_others_have_run(cell, monkeypatch):
    from lossbench.running import job
    from lossbench.running.launch import launch

    monkeypatch.setattr("lossbench.running.launch.conclude", lambda *_, **__: {})
    good, bad = (
        cell("data=digits", f"data._target_=tests.data.test_foreign.{name}", *SHORT) for name in ("Own", "WithoutTest")
    )

    def start():
        for each in (bad, good):
            try:
                run(each)
            except ConfigError as error:
                job.mistakes.append(str(error))

    with pytest.raises(ConfigError, match="test_dataloader"):
        launch([bad, good], start=start)
    job.mistakes.clear()
    assert record.read(good.path)["status"] == "finished" and record.read(bad.path) is None
