"""Named variants and warm starts, run: the same numbers in every engine, names in records, what is paired is said."""

import json

import pytest
import torch
from omegaconf import OmegaConf

from lossbench.compare.numbers.comparisons import comparisons, labels, read_cells, read_outputs
from lossbench.compare.report.fairness import cautions
from lossbench.config.cell import Cell
from lossbench.config.checks import check_cell
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.plan import why_alone
from lossbench.running.run import run
from lossbench.tune.space import check_tuning
from tests.support.stacks import EXACT, SMALL, assert_same, trained_alone, trained_together

pytestmark = pytest.mark.xdist_group("variants")

SHORT = ["data=outliers", "trainer.max_epochs=2", "tracking=none"]
WARM = [*SHORT, "loss=tukey", "warm_start=huber"]


def entries_of(folder):
    return {entry["name"]: entry for _, entry in record.read_all(folder / "outputs")}


@pytest.mark.parametrize("engine", ["stacked", "packed", "single"])
def test_variants_train_in_each_engine_and_their_starts_come_first(tmp_path, lossbench, engine):
    words = ["variants.warm=loss=tukey warm_start=huber", "variants.wide=loss=tukey loss.c=9"]
    result = lossbench("-m", *words, "variants.start=loss=huber", *SHORT, f"engine={engine}")
    assert result.returncode == 0, result.stderr + result.stdout
    assert "3 runs (1 problem, 3 losses, 1 seed)" in result.stderr
    found = entries_of(tmp_path)
    assert {name: entry["variant"] for name, entry in found.items()} == {
        "huber-s0": "start" if engine != "single" else None,  # there it is made before Hydra begins
        "tukey-after-huber-s0": "warm",
        "tukey-s0": "wide",
    }
    start = found["tukey-after-huber-s0"]["warm_start"]
    assert (start["name"], start["epochs"]) == ("huber-s0", 2) and start["key"] == found["huber-s0"]["key"]
    table = next(tmp_path.glob("outputs/comparisons/*/table.md")).read_text(encoding="utf-8")
    assert "warm is tukey(c=4.685) after huber, wide is tukey(c=9) and start is huber." in table
    assert "2 epochs" in table and "initial weights that the others share" in result.stdout.replace("\n", " ")
    assert "not paired" not in result.stdout
    if engine == "packed":
        again = lossbench("-m", *words, "variants.start=loss=huber", *SHORT, "engine=single")
        assert again.returncode == 0 and "all 3 runs were made before" in again.stderr


def test_a_single_run_makes_its_start_and_another_command_finds_it(tmp_path, lossbench):
    assert lossbench(*WARM).returncode == 0
    assert set(entries_of(tmp_path)) == {"huber-s0", "tukey-after-huber-s0"}
    overrides = next(tmp_path.glob("outputs/*/huber-s0-*/.hydra/overrides.yaml")).read_text()
    assert overrides.splitlines() == ["- data=outliers", "- trainer.max_epochs=2", "- tracking=none", "- loss=huber"]
    again = lossbench(*SHORT, "loss=huber")
    assert again.returncode == 0 and "the run was made before: reused" in again.stderr


def test_the_source_is_the_run_of_a_plain_command(cell):
    warm, plain = cell(*WARM, "seed=2"), cell(*SHORT, "loss=huber", "seed=2")
    assert (warm.source.key, warm.source.path, warm.problem) == (plain.key, plain.path, plain.problem)
    cold = cell(*SHORT, "loss=tukey", "seed=2")
    other = cell(*SHORT, "loss=tukey", "warm_start=charbonnier", "seed=2")
    assert len({warm.key, cold.key, other.key}) == 3
    assert (warm.method, warm.name) == ("tukey after huber", "tukey-after-huber-s2")


def test_it_begins_where_the_other_ended_and_is_told(cell, undrawn):
    warm = cell(*WARM)
    with pytest.raises(ConfigError, match=r"is missing, and a start must have finished\. Run it: python -m lossbench"):
        run(warm)
    run(warm.source)
    saved = torch.load(warm.source.path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    begun = build_learner(warm, build_data(warm.config.data)).network.state_dict()
    torch.testing.assert_close({f"network.{name}": value for name, value in begun.items()}, saved, rtol=0, atol=0)
    entry, cold = run(warm), cell(*SHORT, "loss=tukey")
    assert entry["warm_start"]["epochs"] == 2 and entry["warm_start"]["key"] == warm.source.key
    run(cold)
    records = list(read_cells([warm, cold, warm.source]))
    assert labels(records) == ["tukey after huber", "tukey", "huber"]
    (comparison,) = comparisons(records)
    (told,) = (caution for caution in cautions(comparison) if "began" in caution)
    assert told.startswith("tukey after huber began from the last weights of the run of huber") and "2 epochs (" in told
    by_folder = cell(*SHORT, "loss=welsch", f"warm_start={warm.source.path}")
    assert run(by_folder)["warm_start"]["name"] == "huber-s0" and by_folder.method == "welsch after huber"
    chained = cell(*SHORT, "loss=welsch", f"warm_start={warm.path}")
    assert chained.warm_start["epochs"] == 4


def test_warm_runs_share_a_stack_with_others(cell, undrawn):
    lines = ["data=digits", *SMALL, *EXACT, "trainer.max_epochs=3", "trainer.check_val_every_n_epoch=3"]
    cells = [
        cell(*lines, "loss=focal", "warm_start=cross_entropy"),
        cell(*lines, "loss=gce", "warm_start=cross_entropy", "seed=1"),
        cell(*lines, "loss=cross_entropy"),
    ]
    for each in cells[:2]:
        assert why_alone(each, forced=True) is None
        run(each.source)
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 1e-10)


def test_a_start_that_does_not_fit_is_refused(cell, tmp_path, undrawn):
    mistakes = {
        ("loss=tukey", "warm_start=hubr"): "Nearest: huber",
        ("loss=tukey", f"warm_start={tmp_path}"): "no record.json",
        ("loss=tukey", "warm_start=gaussian_nll"): "loss=tukey is learned as regression, which gaussian_nll is not",
        ("loss=gaussian_nll", "warm_start=mse"): "loss=gaussian_nll is learned as distributional",
        (
            "data=breast_cancer",
            "loss=cross_entropy",
            "warm_start=bce",
        ): "takes: one output for each sample",
        ("data=digits_imb", "loss=ldam", "warm_start=cross_entropy"): "cross_entropy has a linear head",
        ("loss=tukey", "warm_start=3"): "text or null",
    }
    for lines, said in mistakes.items():
        with pytest.raises(ConfigError) as error:
            made = cell(*SHORT, *lines)
            check_cell(made)
        assert said in str(error.value)
    source = cell(*SHORT, "loss=huber")
    run(source)
    entry = record.read(source.path)
    folders = {
        "seed": ["seed=1", "is a run of seed 0, but this is seed 1"],
        "data": ["data=diabetes", "trained on other data"],
        "model": ["model.hidden=[8]", "has another network: its model differs"],
    }
    for line, said in folders.values():
        with pytest.raises(ConfigError) as error:
            cell(*SHORT, line, "loss=tukey", f"warm_start={source.path}")
        assert said in str(error.value)
    (source.path / "record.json").write_text(json.dumps({**entry, "status": "killed"}))
    with pytest.raises(ConfigError, match="this run is killed"):
        cell(*SHORT, "loss=tukey", f"warm_start={source.path}")


def test_outputs_of_another_size_are_refused_when_weights_are_loaded(cell, undrawn):
    made = cell("data=heteroscedastic", "loss=quantile_set", "loss.levels=9", "warm_start=quantile_set", *SHORT[1:])
    run(made.source)
    with pytest.raises(ConfigError, match=r"does not fit loss=quantile_set: head\.weight, here of shape"):
        run(made)
    assert not (made.path / "record.json").exists()


def test_tuning_refuses_warm_starts(cell):
    config = cell(*WARM).config
    OmegaConf.update(config, "tune", {"trials": 1, "seeds": [100]}, force_add=True)
    with pytest.raises(ConfigError, match="warm_start=huber: tuning"):
        check_tuning([Cell(config, cell(*WARM).choices)])


def test_compare_reads_names_from_the_records(tmp_path, lossbench):
    words = ["trainer.max_epochs=1", "tracking=none", "data=digits_imb"]
    assert lossbench("loss=focal", "loss.gamma=1", *words).returncode == 0
    made = lossbench(
        "-m", "variants.mild=loss=focal loss.gamma=1", "variants.ce=loss=cross_entropy", "seed=0,1", *words
    )
    assert made.returncode == 0 and "mild is focal(gamma=1)" in made.stdout
    (comparison,) = comparisons(read_outputs(tmp_path / "outputs"))
    assert set(comparison.entries) == {"mild", "ce"} and comparison.seeds == [0, 1]
    assert [entry["variant"] for entry in comparison.entries["mild"].values()] == [None, "mild"]
