"""`python -m lossbench.advise` from the command line to its files and its race."""

import json
import shlex
import sys

import pytest

from lossbench.advise import findings
from lossbench.advise.findings import Finding
from lossbench.cli import advise
from lossbench.cli.race import compose_racing
from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.errors import ConfigError
from lossbench.race import rounds
from lossbench.race.contestants import check_race, contests, rules_of
from tests.support.commands import WITHOUT_TORCH

TINY = ("data=digits_noisy", "data.max_train=400", "tracking=none")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command in this process, in a folder of its own; return exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "130")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["lossbench.advise", *words])
        code = advise.main()
        return code, capsys.readouterr().out

    return command


@pytest.fixture
def made_up(monkeypatch):
    """Let the look find what is given."""

    def replace(**values):
        found = {name: Finding(name, value, f"{name} is {value}.") for name, value in values.items()}
        monkeypatch.setattr(findings, "look", lambda data: found)

    return replace


def written(tmp_path):
    (folder,) = (tmp_path / "outputs" / "advice").iterdir()
    return json.loads((folder / "advice.json").read_text()), (folder / "advice.md").read_text()


def test_it_tells_of_noisy_digits_what_they_are(run, tmp_path):
    code, out = run(*TINY)
    told, page = written(tmp_path)
    assert code == 0 and told["task"] == "multiclass" and told["data"] == "digits_noisy"
    assert 0.2 < told["findings"]["wrong_labels"]["value"] < 0.6
    assert told["problems"][0]["problem"].startswith("wrong labels")
    assert told["losses"][-1]["loss"] == "cross_entropy" and 1 < len(told["losses"]) <= 6
    assert told["command"] in out and told["command"] in page
    for text in (out, page):
        for title in ("The problem", "Found in the data", "Losses worth trying", "Judge by", "Don't judge by", "Mind"):
            assert title in text
    assert all(each["loss"] in page and each["source"] in page for each in told["losses"])
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"advice"}


@pytest.mark.parametrize(
    ("words", "found", "losses"),
    [
        (("data=outliers", "trainer.max_epochs=2"), {"outliers": 0.2, "outliers_side": 1.0}, "tukey"),
        (("data=curve_imb",), {"rare_targets": 0.5, "spread_grows": 0.5}, "log_cosh"),
        (("data=counts",), {"dispersion": 3.0}, "negative_binomial_nll"),
        (("data=breast_cancer",), {"imbalance": 4.0, "smallest_difference": 0.04}, "balanced_softmax"),
        (("data=gaussians8",), {}, "non_saturating"),
        (("data=digits", "task=embedding"), {}, "embedding_softmax"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_the_command_that_it_ends_with_is_a_race(run, made_up, tmp_path, words, found, losses):
    made_up(**found)
    run(*words, "tracking=none", "output_dir=my outputs")
    (folder,) = (tmp_path / "my outputs" / "advice").iterdir()
    told = json.loads((folder / "advice.json").read_text())
    assert told["losses"][0]["loss"] == losses and not told["left_out"]
    for command in (
        told["command"],
        *(each["command"] for each in told["otherwise"] if "data.task" not in each["command"]),
    ):
        python, m, module, *overrides = shlex.split(command)
        assert (python, m, module) == ("python", "-m", "lossbench.race")
        cells = compose_racing(parse_arguments(overrides))
        check(cells)
        check_race(cells)
        (contest,) = contests(cells, rules_of(cells[0]))
        assert len(contest.contestants) > 1
        assert set(words) <= set(overrides)


def test_it_runs_the_race_itself(run, made_up, tmp_path, monkeypatch):
    made_up(outliers=0.2, outliers_side=1.0)
    raced = {}
    monkeypatch.setattr(rounds, "run_races", lambda cells, engine, rules: raced.update(cells=cells, rules=rules) or 0)
    code, out = run(
        "data=outliers", "data.max_train=60", "tracking=none", "race.max_seeds=7", "advise.run=true", "advise.name=mine"
    )
    assert code == 0 and (tmp_path / "outputs" / "advice" / "mine" / "advice.md").is_file()
    assert [cell.loss for cell in raced["cells"]] == ["tukey", "welsch", "geman_mcclure", "cauchy", "mae", "mse"]
    assert raced["rules"].max_seeds == 7 and "advise" not in raced["cells"][0].config
    assert "race.max_seeds=7" in out and "advise.run" not in out


def test_a_loss_that_does_not_fit_is_left_out(run, made_up, tmp_path):
    made_up(wrong_labels=0.3, classes=10)
    run("data=digits", "mixup=mixup", "tracking=none")
    told, page = written(tmp_path)
    assert (
        told["left_out"].keys() == {"elr"} and "remembers" in told["left_out"]["elr"]
    )  # each step mixes other samples
    assert "elr" not in told["command"] and "elr" not in [each["loss"] for each in told["losses"]]
    assert "Left out" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("data=digitz",), r"data=digitz.*digits"),
        (("data=digits", "loss=focal"), r"loss=focal: the advice says which losses to try.*race loss=focal"),
        (("data=digits", "advise.ran=true"), r"advise\.ran"),
        (("data=digits", "advise.run=maybe"), r"advise\.run=maybe.*true or false"),
        (("data=digits", "advise.name=../x"), r"advise\.name=\.\./x.*a folder"),
        (("data=digits", "race.max_seeds=0"), r"race\.max_seeds=0"),
        (("-m", "data=digits,mnist"), r"-m.*one problem"),
        (("data=digits,mnist",), r"data=digits,mnist"),
        (("data=digits", "variants.a='loss=focal'"), r"variants\.a"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_mistakes_are_told_before_anything_is_written(run, tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        run(*words)
    assert list(tmp_path.iterdir()) == []


def test_there_is_nothing_to_race_of_one_loss(run, tmp_path):
    with pytest.raises(ConfigError, match="nothing to race"):
        run("data=gaussians8", "task=flow", "learner=flow", "advise.run=true", "tracking=none")


def test_help_is_short_and_needs_no_torch(lossbench):
    done = lossbench("--help", module="lossbench.advise", loaded=WITHOUT_TORCH)
    assert done.returncode == 0 and "advise.run=true" in done.stdout
