"""The presets under conf/data, composed as a user would, and the real data where a machine has them."""

import json

import pytest
import torch
from hydra import compose, initialize_config_dir

from lossbench.data.shapes import declared_sources
from lossbench.locate import CONF
from lossbench.running.build import build_data

PRESETS = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
PREFIXES = ("breast", "counts", "curve", "diabetes", "digits", "glyphs", "hetero", "outliers")
EMBEDDED = [name for name in PRESETS if name.startswith(PREFIXES)]


def data_node(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_presets_load(name):
    module = build_data(data_node(f"data={name}").data)
    json.dumps(module.facts())
    batch = next(iter(module.train_dataloader()))
    assert list(batch.inputs.shape[1:]) == module.input_shape
    assert (module.noise_kind != "none") == name.endswith("_noisy")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_compose_with_any_optimizer_and_scheduler(name):
    plain, mixed = data_node(f"data={name}"), data_node(f"data={name}", "optimizer=adam", "scheduler=step")
    assert name == "own" or plain.data.source in declared_sources()
    assert mixed.optimizer == data_node("data=digits", "optimizer=adam").optimizer
    assert mixed.scheduler == data_node("data=digits", "scheduler=step").scheduler


def test_groups_and_keys_override_a_preset():
    node = data_node(
        "data=digits_imb",
        "data/imbalance=step",
        "data.imbalance.factor=3",
        "model=mlp",
        "trainer.max_epochs=3",
        "seed=7",
    )
    assert node.trainer.max_epochs == 3
    module = build_data(node.data)
    assert module.class_counts == [124] * 5 + [41] * 5
    assert (module.seed, module.run_seed) == (7, 7)


def test_every_choice_of_every_corruption_loads():
    presets = {"imbalance": "digits", "noise": "digits", "contamination": "diabetes", "label_density": "curve"}
    presets |= dict.fromkeys(("boundary", "less_foreground", "missing", "rare"), "lesions")
    for group in ("imbalance", "noise", "contamination"):
        for path in sorted((CONF / "data" / group).glob("*.yaml")):
            overrides = [f"data={presets.get(path.stem, presets[group])}", f"data/{group}={path.stem}"]
            if group == "imbalance" and path.stem != "none":
                overrides.append("data.imbalance.factor=2")
            module = build_data(data_node(*overrides).data)
            assert module.facts()[group]["kind"] == path.stem


def test_a_published_protocol_is_composed():
    node = data_node("data=cifar_imb")
    assert (node.data.source, node.data.imbalance.kind, node.data.imbalance.factor) == ("cifar10", "exp", 100)
    assert (node.optimizer.lr, node.optimizer.momentum, node.optimizer.weight_decay) == (0.1, 0.9, 0.0002)
    scheduler = node.scheduler
    assert (scheduler.warmup_epochs, list(scheduler.milestones), scheduler.gamma) == (5, [160, 180], 0.01)
    assert (node.trainer.max_epochs, node.data.batch_size, node.data.augment) == (200, 128, True)


@pytest.mark.real_data
def test_long_tailed_cifar(real_data_root):
    module = build_data(data_node("data=cifar_imb", f"data.root={real_data_root}").data)
    assert module.class_counts == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert sum(module.class_counts) == 12406
    assert module.facts()["sizes"] == {"train": 11170, "val": 1236, "test": 10000}
    batch = next(iter(module.train_dataloader()))
    assert batch.inputs.shape == (128, 3, 32, 32)


@pytest.mark.real_data
def test_long_tailed_mnist(real_data_root):
    module = build_data(data_node("data=mnist_imb", f"data.root={real_data_root}").data)
    assert module.class_counts == [1000, 599, 359, 215, 129, 77, 46, 27, 16, 10]
    assert sum(module.class_counts) == 2478
    loader = build_data(data_node("data=mnist", f"data.root={real_data_root}").data).train_dataloader()
    inputs = torch.cat([batch.inputs for batch in loader])
    assert float(inputs.mean()) == pytest.approx(0, abs=0.01)
    assert float(inputs.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.real_data
def test_mnist_of_disjoint_digits(real_data_root):
    facts = build_data(data_node("data=mnist_disjoint", f"data.root={real_data_root}").data).facts()
    assert facts["classes"] == {"train": 3, "val": 2, "test": 5} and facts["class_names"][5][0] == "5"
    assert facts["sizes"]["train"] + facts["sizes"]["val"] == 4000 and facts["sizes"]["test"] == 2000


@pytest.mark.real_data
def test_noisy_cifar_has_exactly_its_rate(real_data_root):
    node = data_node("data=cifar_noisy", "data/noise=asymmetric", f"data.root={real_data_root}")
    facts = build_data(node.data).facts()["noise"]
    assert facts["confusion"][3][5] == facts["confusion"][5][3] == 2000
    assert facts["realised_rate"] == 0.2
