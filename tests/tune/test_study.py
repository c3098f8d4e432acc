"""Tuned comparisons: the same search for each loss, on validation, resumable, and fresh seeds for what is reported."""

import json
import math
import signal
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lossbench.cli.tune import compose_tuning, main
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check
from lossbench.errors import ConfigError, Killed
from lossbench.learners import Supervised
from lossbench.records import claims
from lossbench.running.run import run
from lossbench.tune.space import check_tuning, given_values, search_space, study_name, tuned_cell, with_values
from tests.support.commands import ROOT, WITHOUT_TORCH, Command, ended, wait_for

optuna = pytest.importorskip("optuna")

from lossbench.tune import study as studies  # noqa: E402  # it needs Optuna

FAST = ["tracking=none", "trainer.max_epochs=2", "tune.trials=3", "tune.seeds=100"]


@pytest.fixture
def compose(tmp_path: Path):
    def make(*overrides: str, output_dir: str = "outputs") -> list[Cell]:
        words = [*FAST, f"output_dir={tmp_path / output_dir}", *overrides]
        cells = compose_tuning(parse_arguments(words))
        check(cells)
        check_tuning(cells)
        return cells

    return make


@pytest.fixture
def bowl(monkeypatch):
    """Replace training by a function of the learning rate with its best value 1 at 0.02; count its calls."""
    calls: list[tuple[int, float]] = []

    def score(cell: Cell, report) -> float | None:
        lr = cell.config.optimizer.lr
        calls.append((cell.config.seed, lr))
        return 1 - math.log10(lr / 0.02) ** 2 + cell.config.seed / 1e6

    monkeypatch.setattr(studies, "_validation_score", score)
    return calls


def tried(cell: Cell) -> list[tuple[dict, float | None]]:
    return [(trial.params, trial.value) for trial in studies.finished(studies.open_study(cell))]


def test_each_loss_gets_the_same_search(compose, monkeypatch):
    evaluated = set()
    forget = Supervised.on_validation_epoch_start

    def watched(self):
        evaluated.update(self.problem.evaluated)
        forget(self)

    monkeypatch.setattr(Supervised, "on_validation_epoch_start", watched)
    focal, plain = compose("loss=focal,cross_entropy")
    assert studies.tune(focal) is not None and studies.tune(plain) is not None
    of_focal, of_plain = tried(focal), tried(plain)
    assert len(of_focal) == len(of_plain) == 3
    assert of_focal[0][0] == {"optimizer.lr": 0.001, "loss.gamma": 2.0}
    assert [values["optimizer.lr"] for values, _ in of_focal] == [values["optimizer.lr"] for values, _ in of_plain]
    assert all(1e-5 <= values["optimizer.lr"] <= 0.1 and 0.5 <= values["loss.gamma"] <= 5 for values, _ in of_focal)
    assert evaluated == {"val"}
    assert not list(Path(focal.config.output_dir).rglob("*.json")) + list(Path(focal.config.output_dir).rglob("*.ckpt"))


def test_the_score_is_that_of_the_best_validation_epoch(compose):
    (cell,) = compose("trainer.max_epochs=4", "tune.trials=1", "tune.seeds=100,101")
    studies.tune(cell)
    ((_, value),) = tried(cell)
    best = [run(with_values(cell, seed, {}))["metrics"]["best_val"]["val/balanced_accuracy"] for seed in (100, 101)]
    assert value == pytest.approx(sum(best) / 2)


def test_the_search_finds_the_best_learning_rate(compose, bowl):
    (cell,) = compose("tune.trials=25", "tune.seeds=100,101")
    found = studies.tune(cell)
    assert found["optimizer.lr"] == pytest.approx(0.02, rel=0.5)
    assert len(bowl) == 50 and {seed for seed, _ in bowl} == {100, 101}
    assert max(value for _, value in tried(cell)) > tried(cell)[0][1]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Killed])
def test_a_stopped_search_goes_on_to_the_same_trials(compose, bowl, monkeypatch, stop):
    lines = ["loss=focal", "tune.trials=14", "tune.seeds=100,101"]
    (undisturbed,) = compose(*lines, output_dir="undisturbed")
    expected = studies.tune(undisturbed)
    (cell,) = compose(*lines)
    score = studies._validation_score

    def stopped(chosen, report):
        if len(bowl) in (28 + 3, 28 + 24):  # in the second run of two trials
            bowl.append((0, 0.0))
            raise stop(15)
        return score(chosen, report)

    monkeypatch.setattr(studies, "_validation_score", stopped)
    for _ in range(2):
        with pytest.raises(stop):
            studies.tune(cell)
    assert studies.tune(cell) == expected
    assert tried(cell) == tried(undisturbed)


def test_trials_that_a_dead_process_left_running_are_run_again(compose, bowl):
    (cell,) = compose("loss=focal")
    left = studies.open_study(cell)
    lost = {"optimizer.lr": 0.05, "loss.gamma": 3.0}
    left.enqueue_trial(lost)
    left.ask({"optimizer.lr": optuna.distributions.FloatDistribution(1e-5, 0.1, log=True),
              "loss.gamma": optuna.distributions.FloatDistribution(0.5, 5.0)})  # fmt: skip
    studies.tune(cell)
    assert [values for values, _ in tried(cell)[:2]] == [given_values(cell), lost]
    assert len(tried(cell)) == 3


def test_more_trials_add_to_a_study_and_fewer_look_at_its_start(compose, bowl):
    (three,), (five,) = compose("tune.trials=3"), compose("tune.trials=5")
    assert study_name(three) == study_name(five)
    first = studies.tune(three)
    studies.tune(five)
    assert len(bowl) == 5
    assert studies.tune(three) == first and len(bowl) == 5


def test_what_the_study_depends_on_is_in_its_name(compose):
    (base,) = compose("loss=focal")
    for same in ("seed=7", "tune.trials=9", "tracking=mlflow", "compare.select=last"):
        assert study_name(compose("loss=focal", same)[0]) == study_name(base), same
    for other in (
        "tune.seeds=102",
        "tune.seed=1",
        "tune.lr.high=10",
        "tune.pruner=none",
        "loss.search.gamma.high=3",
        "loss.gamma=3",
        "optimizer.lr=0.1",
        "optimizer.calibrate=gradient",
        "monitor=accuracy",
        "data=digits",
    ):
        assert study_name(compose("loss=focal", other)[0]) != study_name(base), other


def test_a_diverged_trial_counts_with_the_worst_value(compose):
    (cell,) = compose("data=outliers", "loss=mse", "optimizer=sgd", "optimizer.lr=10", "tune.lr.low=0.00001")
    found = studies.tune(cell)
    assert tried(cell)[0] == ({"optimizer.lr": 10.0}, math.inf)
    assert found["optimizer.lr"] < 10


def test_a_pruned_trial_stops_early_and_is_never_chosen(compose, monkeypatch):
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda trial: trial.number == 1)
    (cell,) = compose("trainer.max_epochs=6", "tune.seeds=100,101")
    steps = []
    end = Supervised.on_train_epoch_end
    monkeypatch.setattr(Supervised, "on_train_epoch_end", lambda self: (end(self), steps.append(self.current_epoch)))
    found = studies.tune(cell)
    trials = studies.finished(studies.open_study(cell))
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert found != trials[1].params
    assert len(steps) == 12 + 4 + 12  # not before half of the first run
    assert list(trials[0].intermediate_values) == [4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert trials[0].value == pytest.approx(trials[0].intermediate_values[12])


def test_a_failed_trial_ends_the_search_and_begins_the_next_one(compose, bowl, monkeypatch):
    (cell,) = compose()
    score = studies._validation_score

    def broken(chosen, report):
        if len(bowl) == 1:
            raise RuntimeError("the roof is on fire")
        return score(chosen, report)

    monkeypatch.setattr(studies, "_validation_score", broken)
    assert studies.tune(cell) is None and len(tried(cell)) == 1
    monkeypatch.setattr(studies, "_validation_score", score)
    assert studies.tune(cell) is not None
    failed = studies.open_study(cell).get_trials(states=(optuna.trial.TrialState.FAIL,))
    assert tried(cell)[1][0] == failed[0].params


def test_two_processes_do_not_share_a_study(compose, bowl):
    (cell,) = compose()
    with (
        claims.claimed(Path(cell.config.output_dir) / "tuning" / study_name(cell)),
        pytest.raises(ConfigError, match="another"),
    ):
        studies.tune(cell)


def test_a_file_that_is_no_study_is_told(compose, bowl):
    (cell,) = compose()
    Path(cell.config.output_dir).mkdir()
    (Path(cell.config.output_dir) / "tuning.db").write_text("not a database" * 100)
    with pytest.raises(ConfigError, match=r"tuning\.db"):
        studies.tune(cell)


def test_choices_and_whole_numbers_stay_what_they_are(compose, bowl):
    (cell,) = compose("loss=class_balanced", "tune.trials=12")
    studies.tune(cell)
    assert {values["loss.beta"] for values, _ in tried(cell)} <= {0.9, 0.99, 0.999, 0.9999}
    whole = studies.distribution({"low": 1, "high": 9, "log": True}, 3)
    assert whole == optuna.distributions.IntDistribution(1, 9, log=True)
    assert isinstance(studies.distribution({"low": 1, "high": 9}, 3.0), optuna.distributions.FloatDistribution)


def test_tuned_runs_are_one_problem_of_their_own(compose):
    focal, plain = compose("loss=focal,cross_entropy", "weighting=none")
    given = with_values(plain, 0, {})
    tuned = tuned_cell(focal, {"optimizer.lr": 0.01, "loss.gamma": 1.0})
    other = tuned_cell(plain, {"optimizer.lr": 0.03})
    assert tuned.problem == other.problem != given.problem
    assert tuned.name == "focal-s0" and other.name == "cross_entropy-s0"
    assert tuned_cell(plain, {"optimizer.lr": 0.001}).key != given.key  # else its record would be taken for this one
    longer = tuned_cell(compose("tune.trials=4")[0], {"optimizer.lr": 0.03})
    assert longer.problem != other.problem
    entry = run(tuned)
    assert entry["protocol"] == {
        "name": "tuned", "trials": 3, "seeds": [100], "lr": {"low": 0.01, "high": 100}, "pruner": "median", "seed": 0,
        "searched": ["optimizer.lr", "loss.gamma"], "study": study_name(focal),
    }  # fmt: skip
    assert (entry["config"]["optimizer"]["lr"], entry["config"]["loss"]["gamma"]) == (0.01, 1.0)
    assert run(given)["protocol"] == {"name": "default"}


def test_the_space_is_what_the_yaml_declares(compose):
    (cell,) = compose("loss=ldam", "optimizer=sgd", "loss.search.s.low=10")
    declared = OmegaConf.load(ROOT / "conf" / "loss" / "ldam.yaml").search
    searched = search_space(cell)
    assert list(searched) == ["optimizer.lr", "loss.max_m", "loss.s"]
    assert searched["optimizer.lr"] == {"low": pytest.approx(0.001), "high": pytest.approx(10), "log": True}
    assert searched["loss.max_m"] == declared.max_m and searched["loss.s"] == {**declared.s, "low": 10}


MISTAKES = {
    "tune.trails=3": "Nearest: trials",
    "tune.trials=0": "[1, inf)",
    "tune.trials=2.5": "tune.trials=2.5 is out of range: allowed is a whole number",
    "tune.trials=2,3": "one search budget",
    "tune.seeds=range(3)": "a list of 1 or more, each a whole number",
    "tune.seeds=abc": 'tune.seeds=["abc"]',
    "tune.seeds=[]": "a list of 1 or more",
    "tune.seeds=5,5": "different seeds",
    "tune.pruner=medan": "Nearest: median",
    "tune.lr.low=2": "(0, 1)",
    "seed=1,100": "seed=100 is also in tune.seeds=[100]",
    "loss=focl": "Nearest: focal",
    "loss=focal loss.gamma=7": "loss.gamma=7 lies outside",
    "loss=focal loss.gamma=1,2": "tuning searches loss.gamma itself",
    "optimizer.lr=0.1,0.2": "tuning searches optimizer.lr itself",
    "loss=focal loss.search.gamma.low=-1": "allowed is [0, inf)",
    "loss=focal loss.search.gamma.low=9": "low must be below high",
    "loss=focal loss.search.gamma=3": "loss.search.gamma=3 is out of range",
    "loss=focal +loss.search.gama={low:1,high:2}": "Nearest: gamma",
    "data.val_fraction=0": "no validation part",
    "~optimizer.lr": "optimizer.lr is needed",
    "hydra/launcher=joblib": "one process",
    "cluster=slurm": "one process",
    "--config-name config": "no node tune",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_told(compose, command):
    words = ["tracking=none"] if command.startswith("--config-name") else FAST
    with pytest.raises(ConfigError) as error:
        cells = compose_tuning(parse_arguments([*words, *command.split()]))
        check(cells)
        check_tuning(cells)
    assert MISTAKES[command] in str(error.value)


def test_without_optuna_the_command_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tune", "tracking=none"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[tune\]'"):
        main()
    assert not list(tmp_path.iterdir())


def test_mistakes_are_told_without_torch_and_with_exit_code_2(tmp_path):
    result = ended("loss=focal,ldam", "tune.seeds=0", module="lossbench.tune", cwd=tmp_path, loaded=WITHOUT_TORCH)
    assert result.returncode == 2 and result.stderr.startswith("error: seed=0 is also in tune.seeds=[0]")
    assert not list(tmp_path.iterdir())


def test_a_stopped_command_goes_on_to_the_comparison(lossbench, tmp_path):
    words = [
        "loss=focal,cross_entropy",
        "seed=0,1",
        *FAST,
        "tune.trials=4",
        "tune.seeds=100,101",
        "trainer.max_epochs=3",
    ]
    process = Command(*words, module="lossbench.tune", cwd=tmp_path, PYTHONUNBUFFERED="1")
    wait_for(lambda: "trial 1 of 4" in process.stdout.read_text())
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "only the trials that are missing" in err
    assert "chosen" not in out and not (tmp_path / "outputs" / "digits_imb").exists()

    result = lossbench(*words, module="lossbench.tune")
    assert result.returncode == 0, result.stderr
    assert "digits_imb-focal trial 1 of 4" not in result.stdout
    assert result.stdout.count("chosen optimizer.lr=") == 2
    entries = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/digits_imb/*/record.json")]
    assert sorted(entry["name"] for entry in entries) == [
        "cross_entropy-s0",
        "cross_entropy-s1",
        "focal-s0",
        "focal-s1",
    ]
    assert {entry["protocol"]["name"] for entry in entries} == {"tuned"}
    assert len({entry["problem"] for entry in entries}) == 1
    (table,) = tmp_path.glob("outputs/comparisons/*/table.md")
    assert "| focal " in table.read_text()
