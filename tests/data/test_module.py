"""Streams, sources, loaders and the data module."""

import hashlib

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.datasets import load_diabetes, load_digits
from torchvision.transforms import functional as pil

from lossbench.data import Batch, BatchLoader, DataModule
from lossbench.data.augmentation import CropAndFlip
from lossbench.data.shapes import declared_sources
from lossbench.data.sources.source import load_source
from lossbench.data.sources.synthetic import true_function, true_rate
from lossbench.data.training_set import validation_split
from lossbench.errors import ConfigError
from lossbench.seeding import derive_seed, numpy_stream, torch_stream

NOISE = {"kind": "symmetric", "rate": 0.4, "family": "exact"}
VERTICAL = {"kind": "vertical", "fraction": 0.1, "scale": 5.0, "shift": "one_sided"}


def ready(source="digits", task="multiclass", **settings):
    module = DataModule(source, task, **settings)
    module.setup()
    return module


def read(loader):
    return Batch(*(torch.cat(part) for part in zip(*(batch[:4] for batch in loader), strict=True)))


# ---------------------------------------------------------------------------------------------------------- streams


def test_streams_are_apart_and_repeat_themselves():
    seeds = {derive_seed(seed, *purpose) for seed in range(20) for purpose in [("a",), ("b",), ("a", 1), ("a", "1")]}
    assert len(seeds) == 80
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert numpy_stream(1, "x").random() == numpy_stream(1, "x").random()
    assert torch.equal(torch.rand(3, generator=torch_stream(1, "x")), torch.rand(3, generator=torch_stream(1, "x")))


def test_a_derived_seed_is_the_start_of_a_sha256():
    assert derive_seed(3, "order", 7) == int(hashlib.sha256(b"(3, 'order', 7)").hexdigest()[:16], 16) >> 1


def test_global_generators_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for batch in ready(noise=NOISE, imbalance={"kind": "exp", "factor": 5}).train_dataloader():
        assert len(batch.index)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


# ---------------------------------------------------------------------------------------------------------- sources


EMBEDDED = [
    "breast_cancer",
    "counts",
    "curve",
    "diabetes",
    "digits",
    "digits_multilabel",
    "heteroscedastic",
    "outliers",
]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sources(name, tmp_path):
    source = load_source(name, tmp_path, 0)
    facts = declared_sources()[name]
    assert facts.serves[0] == source.task and facts.shape == tuple(source.train_inputs.shape[1:])
    numbers = source.task in ("count", "regression")
    for inputs, target in ((source.train_inputs, source.train_target), (source.test_inputs, source.test_target)):
        assert len(inputs) == len(target)
        assert inputs.dtype == torch.float32
        assert target.dtype == (torch.float32 if numbers else torch.int64)
    assert (source.num_classes is None) == numbers
    rows = {row.numpy().tobytes() for row in source.train_inputs}
    held_out = {row.numpy().tobytes() for row in source.test_inputs}
    assert not rows & held_out


def test_digits_are_those_of_scikit_learn(tmp_path):
    source = load_source("digits", tmp_path, 0)
    assert torch.bincount(source.test_target).tolist() == [50] * 10
    together = torch.cat([source.train_inputs, source.test_inputs]).flatten(1).mul(16).round()
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, load_digits().data.tolist()))


def test_the_test_part_is_the_same_under_every_seed(tmp_path):
    one, two = (load_source("outliers", tmp_path, seed) for seed in (1, 2))
    assert torch.equal(one.test_target, two.test_target)
    assert not torch.equal(one.train_target, two.train_target)
    first, second = (ready(seed=seed, run_seed=seed, max_test=100) for seed in (1, 2))
    assert torch.equal(read(first.test_dataloader()).index, read(second.test_dataloader()).index)


def test_generated_regression_has_its_function_and_noise(tmp_path):
    source = load_source("outliers", tmp_path, 0)
    np.testing.assert_allclose(
        source.train_target_clean, np.sin(2 * source.train_inputs[:, 0]) + source.train_inputs[:, 0] / 2, atol=1e-6
    )
    noise = source.train_target - true_function(source.train_inputs[:, 0])
    assert 0.09 < float(noise.std()) < 0.11
    assert float(source.train_inputs.abs().max()) <= 3


def test_noise_that_grows_has_its_deviation(tmp_path):
    source = load_source("heteroscedastic", tmp_path, 0)
    x = source.test_inputs[:, 0]
    noise = (source.test_target - source.test_target_clean) / (0.35 + 0.1 * x)
    torch.testing.assert_close(source.test_target_clean, true_function(x))
    for part in (x < -1, x.abs() <= 1, x > 1):
        assert 0.9 < float(noise[part].std()) < 1.1 and abs(float(noise[part].mean())) < 0.15


def test_counts_have_their_rate_and_are_over_dispersed(tmp_path):
    source = load_source("counts", tmp_path, 0)
    y, rate = source.train_target.double(), source.train_target_clean.double()
    assert torch.equal(y, y.round()) and y.min() == 0 and 0.2 < (y == 0).double().mean() < 0.45
    torch.testing.assert_close(source.train_target_clean, true_rate(source.train_inputs))
    standard_error = (rate + 0.5 * rate.square()).mean().sqrt() / len(y) ** 0.5
    assert abs((y - rate).mean()) < 3 * standard_error
    ratio = (y - rate).square().mean() / (rate + 0.5 * rate.square()).mean()
    assert 0.7 < ratio < 1.4 and (y - rate).square().mean() > 1.3 * rate.mean()


def test_counts_are_trained_as_they_are():
    module = ready("counts", "count")
    assert (module.target_center, module.target_scale) == (0, 1)
    assert torch.equal(read(module.train_dataloader()).target % 1, torch.zeros(900))


def test_unknown_source():
    with pytest.raises(ConfigError, match=r"data\.source=digts: .*Nearest: digits\. Allowed: arrays, box_regression"):
        ready("digts")


# ---------------------------------------------------------------------------------------------------------- loaders


def images(n=20):
    inputs = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch_stream(0, "test"))
    rows = torch.arange(n)
    return Batch(inputs, rows % 4, rows % 4, rows)


def image_loader(**settings):
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    return BatchLoader(images(), settings.pop("batch_size", 8), mean, std, **settings)


def test_augmentation_is_pad_crop_flip_and_normalisation_of_each_image():
    loader = image_loader(seed=5, augment=True)
    loader.set_epoch(3)
    draws = CropAndFlip(images().inputs).draw(20, torch_stream(5, "augment", 3))
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    batch = read(loader)
    for place, row in enumerate(batch.index.tolist()):
        top, left, flip = draws[row].tolist()
        image = pil.pad(pil.to_pil_image(images().inputs[row]), 4)
        image = pil.crop(image, top, left, 32, 32)
        image = pil.hflip(image) if flip else image
        assert torch.equal(batch.inputs[place], pil.normalize(pil.to_tensor(image), mean, std))


def test_augmentation_draws_cover_all_crops_and_both_flips():
    draws = CropAndFlip(images().inputs).draw(5000, torch_stream(0, "augment", 0))
    assert [sorted(set(column.tolist())) for column in draws.T] == [list(range(9)), list(range(9)), [0, 1]]


def test_order_and_augmentation_depend_on_seed_and_epoch_alone():
    def epoch(seed, number, batch_size=8):
        loader = image_loader(seed=seed, augment=True, batch_size=batch_size)
        loader.set_epoch(number)
        return read(loader)

    walked = image_loader(seed=1, augment=True)
    for number in range(3):
        walked.set_epoch(number)
        batch = read(walked)
    same, other_batch_size = epoch(1, 2), epoch(1, 2, batch_size=5)
    for tensor, equal, other in zip(batch[:4], same[:4], other_batch_size[:4], strict=True):
        assert torch.equal(tensor, equal)
        assert torch.equal(tensor, other)
    assert not torch.equal(epoch(1, 3).index, batch.index)
    assert not torch.equal(epoch(2, 2).index, batch.index)
    assert sorted(batch.index.tolist()) == list(range(20))


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(20, [20]), (19, [20]), (8, [8, 8, 4]), (1, [1] * 20), (3, [3] * 6 + [2]), (100, [20])],
)
def test_a_last_training_batch_of_one_joins_the_batch_before(batch_size, sizes):
    loader = image_loader(batch_size=batch_size, seed=0)
    assert [len(batch.index) for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_evaluation_is_in_order_and_complete():
    batch = read(image_loader(batch_size=19))
    assert batch.index.tolist() == list(range(20))
    expected = (images().inputs.double() / 255 - 0.5) / 0.2
    np.testing.assert_allclose(batch.inputs[:, 0], expected[:, 0], atol=1e-5)


def test_augmentation_of_other_images_is_an_error():
    with pytest.raises(ConfigError, match=r"data\.augment=true .* shape \(1, 8, 8\)"):
        ready(augment=True)


def test_loading_leaves_the_samples_as_they_were():
    module = ready()
    before = module.train_dataloader().samples.inputs.clone()
    read(module.train_dataloader())
    assert torch.equal(module.train_dataloader().samples.inputs, before)


# ------------------------------------------------------------------------------------------------------- data module


def test_paired_runs_share_everything_and_seeds_nothing():
    same, again = ready(noise=NOISE, seed=1, run_seed=1), ready(noise=NOISE, seed=1, run_seed=1)
    assert same.hashes == again.hashes
    run_only = ready(noise=NOISE, seed=1, run_seed=2)
    assert run_only.hashes["targets"] == same.hashes["targets"]
    assert all(run_only.hashes[name] != same.hashes[name] for name in ("split", "order"))
    assert ready(noise=NOISE, seed=2, run_seed=1).hashes["targets"] != same.hashes["targets"]


def test_the_validation_split_is_stratified_and_disjoint():
    module = ready(imbalance={"kind": "exp", "factor": 20}, val_fraction=0.25)
    counts, train, val = module.class_counts, module.train_class_counts, module.val_class_counts
    assert counts[0] == 124
    assert counts[-1] == 6
    assert val == [count // 4 for count in counts]
    assert [a + b for a, b in zip(train, val, strict=True)] == counts
    parts = read(module.train_dataloader()), read(module.evaluation_loaders["val"])
    assert not set(parts[0].index.tolist()) & set(parts[1].index.tolist())
    assert torch.bincount(parts[1].target, minlength=10).tolist() == val


def test_index_points_into_the_source(tmp_path):
    module = ready(imbalance={"kind": "exp", "factor": 20}, noise=NOISE)
    source = load_source("digits", tmp_path, 0)
    for loader in (module.train_dataloader(), module.evaluation_loaders["val"], module.evaluation_loaders["train"]):
        batch = read(loader)
        assert torch.equal(source.train_target[batch.index], batch.target_clean)
        assert int(batch.index.max()) < module.num_train == len(source.train_target)
    test = read(module.test_dataloader())
    assert torch.equal(source.test_target[test.index], test.target)


def test_a_class_keeps_its_last_training_sample():
    target = torch.tensor([0, 0, 0, 2, 3, 3])
    train, val = validation_split(target, "class", 1 - 1e-12, numpy_stream(0, "split"))
    assert sorted(target[train].tolist()) == [0, 2, 3]
    assert sorted(target[val].tolist()) == [0, 0, 3]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_without_validation(task):
    module = ready({"multiclass": "digits", "regression": "diabetes"}[task], task, val_fraction=0)
    assert list(module.evaluation_loaders) == ["test"]
    assert module.facts()["sizes"]["val"] == 0


def test_a_fraction_that_gives_no_validation_sample_is_an_error():
    with pytest.raises(ConfigError, match=r"data\.val_fraction=0\.1 leaves no validation sample: .* has 4"):
        ready(max_train=40)


def test_max_train_is_stratified_and_exact():
    module = ready(max_train=200, max_test=101, imbalance={"kind": "step", "factor": 4})
    assert sum(module.class_counts) == 200
    assert max(abs(count - share) for count, share in zip(module.class_counts, [32] * 5 + [8] * 5, strict=True)) <= 1
    assert module.facts()["sizes"]["test"] == 101


def test_noise_is_in_training_and_validation_but_not_in_the_test_part():
    module = ready(noise=NOISE, val_fraction=0.3)
    assert list(module.evaluation_loaders) == ["val", "test", "train"]
    test = read(module.test_dataloader())
    assert torch.equal(test.target, test.target_clean)
    flipped = {}
    for name in ("val", "train"):
        batch = read(module.evaluation_loaders[name])
        flipped[name] = int((batch.target != batch.target_clean).sum())
    facts = module.facts()["noise"]
    assert min(flipped.values()) > 0
    assert sum(flipped.values()) == facts["flipped"]
    assert facts["realised_rate"] == pytest.approx(0.4, abs=0.005)
    assert np.array(facts["confusion"]).sum(0).tolist() == module.class_counts


def test_contamination_is_in_training_and_validation_but_not_in_the_test_part():
    module = ready("diabetes", "regression", contamination=VERTICAL, val_fraction=0.3)
    test = read(module.test_dataloader())
    assert torch.equal(test.target, test.target_clean)
    parts = read(module.train_dataloader()), read(module.evaluation_loaders["val"])
    differ = [int((part.target != part.target_clean).sum()) for part in parts]
    assert min(differ) > 0
    assert sum(differ) == module.facts()["contamination"]["contaminated"] == 31


def test_regression_targets_are_standardised_by_median_and_mad():
    module = ready("diabetes", "regression", contamination=VERTICAL)
    batch = read(module.train_dataloader())
    assert float(batch.target.quantile(0.5)) == pytest.approx(0, abs=1e-6)
    assert float(batch.target.abs().quantile(0.5)) == pytest.approx(1 / 1.4826, abs=1e-5)
    clean = batch.target_clean.double() * module.target_scale + module.target_center
    assert set(clean.round(decimals=2).tolist()) <= set(load_diabetes().target.tolist())


def test_inputs_of_tables_are_standardised():
    batch = read(ready("breast_cancer", "binary", val_fraction=0).train_dataloader())
    np.testing.assert_allclose(batch.inputs.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(batch.inputs.std(0), 1, atol=1e-2)


@pytest.mark.parametrize(
    ("source", "task", "settings", "message"),
    [
        ("digits", "binary", {}, "data.task=binary, but data.source=digits is multiclass"),
        ("digits", "multiclass", {"contamination": VERTICAL}, "data.contamination.kind=vertical does not apply"),
        ("counts", "count", {"contamination": VERTICAL}, "data.contamination.kind=vertical does not apply"),
        ("counts", "distributional", {}, "data.task=distributional, but data.source=counts is count"),
        ("diabetes", "regression", {"noise": NOISE}, "data.noise.kind=symmetric does not apply"),
        (
            "digits",
            "multiclass",
            {"imbalance": {"kind": "exp", "factor": 2, "max_count": 200}},
            "200 samples of class 0",
        ),
    ],
)
def test_settings_that_do_not_fit(source, task, settings, message):
    with pytest.raises(ConfigError, match=message):
        ready(source, task, **settings)


def test_set_up_happens_once():
    module = ready()
    loader = module.train_dataloader()
    module.setup("fit")
    assert module.train_dataloader() is loader


def test_lightning_sets_the_epoch():
    class Listener(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(64, 10), {}

        def training_step(self, batch, batch_idx):
            self.seen.setdefault(self.current_epoch, []).append(batch.index)
            return torch.nn.functional.cross_entropy(self.layer(batch.inputs.flatten(1)), batch.target)

        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("n", float(len(batch.index)), batch_size=len(batch.index))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    module, listener = ready(run_seed=4), Listener()
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(listener, datamodule=module)
    loader = module.train_dataloader()
    for epoch, seen in listener.seen.items():
        loader.set_epoch(epoch)
        assert torch.equal(torch.cat(seen), loader.samples.index[loader.order()])
    assert sorted(listener.seen) == [0, 1, 2]


def test_a_target_is_trained_in_robust_standard_deviations_or_as_it_is():
    robust, plain = ready("diabetes", "regression"), ready("diabetes", "regression", standardize="none")
    assert robust.target_scale > 50 and (plain.target_center, plain.target_scale) == (0, 1)
    assert plain.facts()["target_scale"] == 1
    for ours, theirs in zip(robust.test_dataloader(), plain.test_dataloader(), strict=True):
        torch.testing.assert_close(ours.target * robust.target_scale + robust.target_center, theirs.target)
