"""`python -m lossbench.search` as users type it."""

import json

import pytest
from omegaconf import OmegaConf

from lossbench.cli.search import compose_searching, main
from lossbench.compat.hydra import parse_arguments
from lossbench.errors import ConfigError
from tests.support.commands import WITHOUT_TORCH, ended

pytest.importorskip("optuna")

FAST = ["tracking=none", "search.family=taylor", "search.against=cross_entropy,gce"]

MISTAKES = {
    "search.family=tailor": "Nearest: taylor",
    "search.family=null": "search.family=NAME is missing",
    "search.family=cross_entropy": "is no family",
    "search.family=robust_family": "data of task multiclass. It serves regression. Nearest: margin_family",
    "data=outliers": "search.family=taylor does not serve data of task regression",
    "search.seeds=0": "seed=0 is also in search.seeds=[0]",
    "search.seeds=5,5": "different seeds",
    "search.trials=0": "[1, inf)",
    "search.trails=3": "Nearest: trials",
    "search.lr.low=2": "(0, 1)",
    "search.against=taylor": "that is the family itself",
    "search.against=gce,focl": "Nearest: focal",
    "search.against=mse": "loss=mse",
    "search.formulas=true": "taylor has no formula. Families that have one: expression, expression_residual",
    "search.name=a/b": "allowed is the name of a folder",
    "data.val_fraction=0": "no validation part",
    "loss=focal": "what is searched is search.family=NAME",
    "tune.trials=3": "here it is search.KEY",
    "loss.search.a1.low=9": "low must be below high",
    "loss.a1=9": "loss.a1=9 lies outside",
    "optimizer.lr=0.1,0.2": "the search searches optimizer.lr itself",
    "model.hidden=[8],[16]": "a search is on one problem",
    "--config-name tuning": "no node search",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_told(command, tmp_path):
    words = [] if command.startswith("--config-name") else FAST
    with pytest.raises(ConfigError) as error:
        compose_searching(parse_arguments([*words, f"output_dir={tmp_path}", *command.split()]))
    assert MISTAKES[command] in str(error.value)


def test_mistakes_are_told_without_torch_and_with_exit_code_2(tmp_path):
    result = ended(*FAST, "search.seeds=0", module="lossbench.search", cwd=tmp_path, loaded=WITHOUT_TORCH)
    assert result.returncode == 2 and result.stderr.startswith("error: seed=0 is also in search.seeds=[0]")
    assert not list(tmp_path.iterdir())


def test_without_optuna_the_command_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["search", *FAST])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[tune\]'"):
        main()


def test_the_family_alone_gets_what_is_given_for_the_loss(tmp_path):
    lines = [*FAST, "loss.search.a1.high=3", "loss.a5=0.1", "seed=0,1", f"output_dir={tmp_path}"]
    asked = compose_searching(parse_arguments(lines))
    assert [cell.loss for cell in asked.family] == ["taylor"] * 2
    assert [cell.loss for cell in asked.rivals] == ["cross_entropy", "gce"] * 2
    assert asked.family[0].config.loss.a5 == 0.1 and asked.family[0].config.loss.search.a1.high == 3
    assert asked.rivals[0].config.tune == asked.family[0].config.tune


def test_a_search_ends_in_a_loss_a_page_and_a_verdict(lossbench, tmp_path):
    words = [
        "data=outliers", "search.family=robust_family", "search.against=mse", "search.trials=4", "search.batch=4",
        "trainer.max_epochs=2", "data.batch_size=200", "seed=0,1", "tracking=none", "search.name=first",
        "engine=single",
    ]  # fmt: skip
    result = lossbench(*words, module="lossbench.search")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "outputs" / "searched" / "first"
    page = (folder / "search.md").read_text()
    assert "\n| mse | " in page and "## Its nearest relatives" in page and page.count("\n| ") >= 4
    assert (folder / "curves.png").is_file()
    text = (folder / "loss" / "searched.yaml").read_text()
    assert "# Formula: " in text and "seeds 100" in text and "4 trials" in text
    node = OmegaConf.create(text)
    assert node._target_ == "lossbench.losses.robust_family" and "search" not in node
    records = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/outliers/*/record.json")]
    assert sorted(entry["name"] for entry in records) == ["mse-s0", "mse-s1", "searched-s0", "searched-s1"]
    assert len({entry["problem"] for entry in records}) == 1
    (searched,) = [entry for entry in records if entry["name"] == "searched-s1"]
    assert searched["config"]["loss"]["alpha"] == node.alpha
    again = lossbench(*words, module="lossbench.search")
    assert again.returncode == 0 and "chosen" in again.stdout and "4 of 4 trials" not in again.stdout
    used = lossbench(
        "--config-dir", str(folder), "loss=searched", "data=outliers", "trainer.max_epochs=1", "tracking=none"
    )
    assert used.returncode == 0, used.stderr
    assert list(tmp_path.glob("outputs/outliers/searched-s0-*"))
