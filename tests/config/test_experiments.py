"""The recipes under conf/experiment, whole and small, composed as a command does."""

import functools
import itertools
import json
import re

import pytest
import torch

from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import without
from lossbench.config.checks import check_cell
from lossbench.config.compose import compose_cells
from lossbench.config.seeds import without_other_seeds
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.running.build import build

RECIPES = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
EACH = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RECIPES]
"""Its cells are composed once for all that is asked of them."""

PROTOCOLS = {
    "cao2019_cifar_lt": ("exp", None, 200, 0.1, 2e-4, 128, [160, 180]),
    "cao2019_cifar_step": ("step", None, 200, 0.1, 2e-4, 128, [160, 180]),
    "cui2019_cb": ("exp", None, 200, 0.1, 2e-4, 128, [160, 180]),
    "ren2020_bs": ("exp", None, 520, 0.1, 5e-4, 512, None),
    "menon2021_la": ("exp", None, 1241, 0.1, 2e-4, 128, [604, 926, 1128]),
    "ma2020_apl_mnist": ("none", "exact", 50, 0.01, 1e-3, 128, None),
    "ma2020_apl_cifar10": ("none", "exact", 120, 0.01, 1e-4, 128, None),
    "zhang2018_gce": ("none", "iid", 120, 0.01, 1e-4, 128, [40, 80]),
    "liu2020_elr": ("none", "uniform", 120, 0.02, 1e-3, 128, [40, 80]),
    "mukhoti2020_focal_calibration": ("none", None, 350, 0.1 * 128, 5e-4 / 128, 128, [150, 250]),
    "mueller2019_smoothing": ("none", None, 200, 0.1, 2e-4, 128, None),
}
"""Imbalance, family of the noise, epochs, learning rate, weight decay, batch size, milestones.

They are those of the papers, but for mueller2019_smoothing, whose protocol is not at hand.
"""


@functools.cache
def cells_of(*overrides, multirun=True):
    flags = ["--multirun"] if multirun else []
    return compose_cells(parse_arguments([*flags, "tracking=none", *overrides]))


def schedule(config):
    """Return the learning rate of each epoch."""
    settings = without(config.optimizer, "calibrate")
    optimizer = build(settings)([torch.nn.Parameter(torch.zeros(1))])
    scheduler = build(config.scheduler)(optimizer)
    rates = []
    for _ in range(config.trainer.max_epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_every_recipe_has_a_protocol_here():
    assert sorted(PROTOCOLS) == RECIPES


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_paper(name):
    first = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:4]
    year = re.search(r"\d{4}", name)[0]
    assert first[0] == "# @package _global_"
    assert re.search(rf"^# [A-Z].* {year},", first[1])
    assert "arXiv:" in "".join(first)


@pytest.mark.parametrize("name", EACH)
def test_a_recipe_is_one_whole_comparison(name):
    cells = cells_of(f"+experiment={name}")
    for cell in without_other_seeds(cells):
        check_cell(cell)
    losses, weightings, names = ({getattr(cell, axis) for cell in cells} for axis in ("loss", "weighting", "name"))
    assert len({cell.problem for cell in cells}) == 1
    assert {cell.config.seed for cell in cells} == {0, 1, 2}
    assert len(names) == len(cells) == 3 * len(losses) * len(weightings)
    assert "cross_entropy" in losses
    assert len(losses) > 1


@pytest.mark.parametrize("name", EACH)
def test_a_recipe_has_the_published_protocol(name):
    imbalance, family, epochs, lr, weight_decay, batch_size, milestones = PROTOCOLS[name]
    config = cells_of(f"+experiment={name}")[0].config
    assert (config.data.imbalance.kind, config.data.noise.get("family")) == (imbalance, family)
    assert (config.trainer.max_epochs, config.data.batch_size) == (epochs, batch_size)
    assert (config.optimizer.lr, config.optimizer.weight_decay) == pytest.approx((lr, weight_decay))
    assert config.optimizer.momentum == 0.9
    rates = schedule(config)
    assert max(rates) == pytest.approx(lr)
    if milestones is None:
        assert rates[-1] < 0.001 * lr
    else:
        drops = [epoch for epoch, (before, after) in enumerate(itertools.pairwise(rates), 1) if after < before]
        assert drops == milestones


@pytest.mark.parametrize("name", EACH)
def test_a_small_recipe_is_small_in_either_order(name):
    cells = cells_of(f"+experiment={name}", "+scale=small")
    reverse = cells_of("+scale=small", f"+experiment={name}")
    assert [cell.key for cell in cells] == [cell.key for cell in reverse]
    assert {cell.config.seed for cell in cells} == {0, 1, 2}
    assert len(cells) == len(cells_of(f"+experiment={name}"))
    for cell in without_other_seeds(cells):
        check_cell(cell)
    config = cells[0].config
    assert config.trainer.max_epochs <= 10
    assert config.data.max_train <= 2000 and config.data.max_test <= 1000 and config.data.batch_size <= 128
    assert config.model._target_ == "lossbench.models.LeNet"
    rates = schedule(config)
    assert rates[0] == max(rates) == config.scale.lr
    assert min(rates) < 0.5 * max(rates)
    # The trainer is built from a part of its node, which must still see the rest of the config.
    assert without(config.trainer, "callbacks").max_epochs == config.scale.max_epochs


def test_what_is_typed_wins_over_recipe_and_scale():
    typed = ("model=mlp", "trainer.max_epochs=3", "optimizer.lr=0.5", "loss=focal", "seed=7")
    cells = cells_of("+experiment=cao2019_cifar_lt", "+scale=small", *typed)
    assert [cell.name for cell in cells] == ["focal-s7", "focal+effective_number-s7", "focal+drw-s7"]
    config = cells[0].config
    assert (config.trainer.max_epochs, config.optimizer.lr) == (3, 0.5)
    assert config.model._target_ == "lossbench.models.MLP"


def test_a_number_of_the_scale_can_be_typed():
    config = cells_of("+scale=small", "+experiment=zhang2018_gce", "scale.max_epochs=20", "scale.milestones=[9]")[
        0
    ].config
    assert config.trainer.max_epochs == 20
    assert config.scheduler.milestones == [9]


def test_a_recipe_is_one_run_without_multirun():
    (cell,) = cells_of("+experiment=liu2020_elr", "loss=elr", multirun=False)
    assert cell.name == "elr-s0"


@pytest.mark.parametrize(
    ("override", "hint"),
    [("+experiment=cao2019_cifar", "Nearest: cao2019_cifar_lt"), ("+scale=smal", "Nearest: small")],
)
def test_a_wrong_name_is_told(override, hint):
    with pytest.raises(ConfigError, match="there is no such choice") as caught:
        cells_of(override)
    assert hint in str(caught.value)


def test_a_summed_clipped_loss_is_a_mean_with_other_numbers():
    config = cells_of("+experiment=mukhoti2020_focal_calibration")[0].config
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(128, 5, generator=generator, dtype=torch.float64)
    target = torch.randint(3, (128,), generator=generator)

    def train(reduction, lr, weight_decay, clip):
        weights = torch.zeros(3, 5, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([weights], lr=lr, momentum=0.9, weight_decay=weight_decay)
        for _ in range(20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(inputs @ weights.T, target, reduction=reduction).backward()
            torch.nn.utils.clip_grad_norm_([weights], clip)
            optimizer.step()
        return weights.detach()

    ours = train("mean", config.optimizer.lr, config.optimizer.weight_decay, config.trainer.gradient_clip_val)
    torch.testing.assert_close(ours, train("sum", 0.1, 5e-4, 2.0), rtol=1e-3, atol=1e-6)


def test_a_small_recipe_runs_on_embedded_data(lossbench, tmp_path):
    done = lossbench(
        "-m",
        "+scale=small",
        "+experiment=ma2020_apl_mnist",
        "data=digits_noisy",
        "data.max_train=300",
        "data.max_test=100",
        "model=mlp",
        "scale.max_epochs=2",
        "loss=cross_entropy,nce_rce",
        "seed=0",
        "tracking=none",
        "engine=single",
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/digits_noisy/*/record.json")]
    assert [record["epochs"]["done"] for record in records] == [2, 2]
