"""One Optuna study for each loss: ask for values, train with them on the tuning seeds, tell the validation metric.

The study is all that is kept of the trials: they leave no records, and the test set is not even evaluated.
"""

import logging
import math
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pytorch_lightning as pl
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pytorch_lightning.callbacks import ModelCheckpoint

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, Diverged, first_line
from lossbench.learners import Learner
from lossbench.ranges import takes
from lossbench.records import claims
from lossbench.running import progress
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer
from lossbench.running.feature_network import features_of
from lossbench.running.loss_scale import calibrate
from lossbench.running.stopping import stopped
from lossbench.running.trainer import TORCH_THREADS, quiet, threads_of, train
from lossbench.seeding import derive_seed
from lossbench.tune.space import Search, given_values, search_space, short_name, study_name, with_values

log = logging.getLogger(__name__)

STARTUP_TRIALS = 5
"""So many trials of a study are never pruned: a median of fewer says little."""
REPORTS = 10
"""How often a run asks at most whether it is pruned: each time costs 50 ms, more than an epoch on small data."""


@takes(
    trials="int [1, inf)",
    seeds="list of 1+ int [0, inf)",
    lr="dict",
    pruner="one of: median, none",
    seed="int [0, inf)",
    race="bool",
)
def tune(cell: Cell) -> dict[str, Any] | None:
    """Run the trials that the study of a cell lacks.

    Parameters
    ----------
    cell : Cell
        A checked cell of the comparison, whatever its seed; with its node `tune`.

    Returns
    -------
    dict or None
        The values of the best trial, by their keys in the config; None if a trial failed.

    Raises
    ------
    ConfigError
        If another process is at the same study, its file can't be used, or the parts don't fit together.

    """
    quiet()
    torch.set_num_threads(threads_of(cell, TORCH_THREADS))
    name = study_name(cell)
    with claims.claimed(Path(cell.config.output_dir) / "tuning" / name) as claimed:
        if not claimed:
            raise ConfigError(f"another process is at the study {name}. Wait for it, then give the same command again.")
        study = open_study(cell)
        trials = cell.config.tune.trials
        for _ in finished(study)[:trials]:
            progress.run_done()
        _run_trials(study, cell)
        done = finished(study)[:trials]
    if len(done) < trials:
        return None
    best = best_of(study, done)
    shown = f"{_value(best):.4f} (as given: {_value(done[0]):.4f})"
    log.info("%s: chosen %s; val/%s %s", short_name(name), told(best), cell.monitor, shown)
    if not math.isfinite(_value(best)):
        log.warning("%s: every trial diverged. Give a smaller optimizer.lr or tune.lr.low.", name)
    return dict(best.params)


def open_study(cell: Cell, file: str = "tuning.db") -> optuna.Study:
    """Open the study of a cell in a file of `OUTPUT_DIR`, or make it."""
    for logger in ("optuna", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    path = Path(cell.config.output_dir) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    higher = cell.task.higher_is_better(cell.monitor)
    try:
        storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
        return optuna.create_study(
            study_name=study_name(cell),
            storage=storage,
            direction=StudyDirection.MAXIMIZE if higher else StudyDirection.MINIMIZE,
            pruner=_pruner(cell),
            load_if_exists=True,
        )
    except Exception as error:
        raise ConfigError(f"{path}: Optuna can't use it: {first_line(error)}. Move it away to search anew.") from error


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count, in their order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def best_of(study: optuna.Study, trials: list[FrozenTrial]) -> FrozenTrial:
    """Return the best trial that was not pruned; of equal ones the first."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = max if study.direction == StudyDirection.MAXIMIZE else min
    return best(complete, key=_value)


def told(trial: FrozenTrial | optuna.Trial) -> str:
    """Write the values of a trial."""
    shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in trial.params.items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items())


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _pruner(cell: Cell) -> BasePruner:
    if cell.config.tune.pruner == "none":
        return NopPruner()
    return MedianPruner(STARTUP_TRIALS)


def _run_trials(study: optuna.Study, cell: Cell) -> None:
    """Run what is missing, up to the first failure; what an earlier command left unfinished comes first."""
    settings, given = cell.config.tune, given_values(cell)
    space = {key: distribution(search, given[key]) for key, search in search_space(cell).items()}
    owed = _owed(study, given)
    while (number := len(finished(study))) < settings.trials:
        if owed:
            study.enqueue_trial(owed.pop(0))
        # A sampler for each trial: a study that was stopped goes on with the draws that it would have had.
        study.sampler = TPESampler(seed=derive_seed(settings.seed, "trial", number) % 2**32)
        trial = study.ask(space)
        outcome = _run_trial(study, trial, cell)
        log.info(
            "%s trial %d of %d: %s; %s", short_name(study.study_name), number + 1, settings.trials, outcome, told(trial)
        )
        if outcome == "failed":
            return
        progress.run_done()


def _owed(study: optuna.Study, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the values that must be tried next: the given ones, then those of trials that failed or were stopped."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    tried = [trial.params for trial in finished(study)]
    owed: list[dict[str, Any]] = []
    for values in [given, *(trial.params for trial in study.get_trials(states=(TrialState.FAIL,)))]:
        if values and values not in tried and values not in owed:
            owed.append(values)
    return owed


def distribution(search: Search, given: Any) -> BaseDistribution:
    """Return what Optuna draws a searched value from; whole numbers stay what they are."""
    if "choices" in search:
        return CategoricalDistribution(search["choices"])
    low, high, is_log = search["low"], search["high"], bool(search.get("log"))
    if all(isinstance(value, int) for value in (low, high, given)):
        return IntDistribution(low, high, log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _run_trial(study: optuna.Study, trial: optuna.Trial, cell: Cell) -> str:
    """Run one trial, tell the study, and say how it ended."""
    try:
        score = _mean_score(trial, cell)
    except optuna.TrialPruned as pruned:
        study.tell(trial, state=TrialState.PRUNED)
        return str(pruned)
    except Exception as error:
        study.tell(trial, state=TrialState.FAIL)
        if (killed := stopped()) is not None:
            raise killed from None
        if isinstance(error, ConfigError):
            raise
        log.exception("%s: a trial failed", study.study_name)
        return "failed"
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    worst = -math.inf if cell.task.higher_is_better(cell.monitor) else math.inf
    study.tell(trial, worst if score is None else score)
    return "diverged" if score is None else f"val/{cell.monitor} {score:.4f}"


def _mean_score(trial: optuna.Trial, cell: Cell) -> float | None:
    """Return the mean of the validation metric over the tuning seeds; None if a run diverged."""
    scores: list[float] = []
    for seed in cell.config.tune.seeds:
        chosen = with_values(cell, seed, trial.params)
        report = _Report(trial, scores, cell.monitor)
        progress.run_started(f"trial {chosen.name}", chosen.config.trainer.max_epochs)
        score = _validation_score(chosen, report)
        if report.pruned_after is not None:
            raise optuna.TrialPruned(f"pruned after epoch {report.pruned_after} of seed {seed}")
        if score is None:
            return None
        scores.append(score)
    trial.set_user_attr("scores", scores)
    return fmean(scores)


def _validation_score(cell: Cell, report: "_Report") -> float | None:
    """Train a cell; return the validation metric of its best epoch, None if it diverged or has no such epoch."""
    data = build_data(cell.config.data)
    if "val" not in data.evaluation_loaders:
        raise ConfigError(f"data={cell.data} has no validation part, but tuning chooses by it.")
    data.evaluation_loaders = {"val": data.evaluation_loaders["val"]}
    learner = build_learner(cell, data, **features_of(cell, data))
    if cell.config.optimizer.get("calibrate") == "gradient":
        calibrate(learner, data)
    callbacks = [report, ModelCheckpoint(save_top_k=0)]
    trainer = build_trainer(cell.config.trainer, callbacks, Path(cell.config.output_dir) / "tuning")
    try:
        train(trainer, learner, data)
    except Diverged:
        return None
    return None if learner.best is None else float(learner.best["metrics"][f"val/{learner.problem.monitor}"])


class _Report(pl.Callback):
    """Tell the study after each epoch what the trial has reached so far, and stop the run when it is pruned."""

    def __init__(self, trial: optuna.Trial, scores: list[float], monitor: str) -> None:
        self.trial, self.scores, self.monitor = trial, list(scores), monitor
        self.pruned_after: int | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the mean over the seeds so far, of the best epoch so far; not before half of the first run."""
        assert isinstance(pl_module, Learner)
        if pl_module.best is None:
            return
        reached, epochs = pl_module.best["metrics"][f"val/{self.monitor}"], pl_module.current_epoch + 1
        progress.epoch_done(epochs, f"val/{self.monitor} {reached:.4f}")
        early = not self.scores and epochs <= pl_module.max_epochs // 2
        if early or epochs % max(1, pl_module.max_epochs // REPORTS) or isinstance(self.trial.study.pruner, NopPruner):
            return
        self.trial.report(fmean([*self.scores, reached]), len(self.scores) * pl_module.max_epochs + epochs)
        if self.trial.should_prune():
            self.pruned_after = epochs
            trainer.should_stop = True
