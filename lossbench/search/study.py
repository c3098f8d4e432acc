"""The search for one contestant: ask for a batch of candidates, refuse, train, tell, until there are enough.

Only what is finished is kept, in `OUTPUT_DIR/searching.db`, batch by batch: a search that was stopped asks again for
the batch that was at work, and for the same candidates, since each batch is drawn from its own seed.
"""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError
from lossbench.records import claims
from lossbench.running import progress
from lossbench.search.formulas import KEY, next_formula
from lossbench.search.refusing import why_refused
from lossbench.search.relatives import known_of
from lossbench.search.settings import Settings
from lossbench.search.training import scores_of
from lossbench.seeding import derive_seed
from lossbench.tune.space import given_values, search_space, short_name, study_name, with_values
from lossbench.tune.study import distribution, open_study, told

log = logging.getLogger(__name__)

FILE = "searching.db"
MOST_REFUSED = 20
"""So many candidates are refused for each that is wanted, before the search gives up."""


@dataclass(frozen=True)
class Found:
    """What the search for a contestant has come to.

    Parameters
    ----------
    cell : Cell
        Of the comparison, whatever its seed, as given.
    trials : list of FrozenTrial
        The candidates that count, in their order: trained, refused and diverged ones.
    higher : bool
        Whether a higher score is better.

    """

    cell: Cell
    trials: list[FrozenTrial]
    higher: bool

    @property
    def trained(self) -> list[FrozenTrial]:
        """The candidates that were trained."""
        return [trial for trial in self.trials if "refused" not in trial.user_attrs]

    @property
    def refused(self) -> list[FrozenTrial]:
        """The candidates that were not worth training."""
        return [trial for trial in self.trials if "refused" in trial.user_attrs]

    @property
    def best(self) -> FrozenTrial:
        """The best candidate; of equal ones the first."""
        return (max if self.higher else min)(self.trained, key=score)

    @property
    def values(self) -> dict[str, Any]:
        """What was found, by key of the config."""
        return values_of_trial(self.best)

    @property
    def seconds(self) -> float:
        """What training the candidates took."""
        return sum(trial.user_attrs.get("seconds", 0.0) for trial in self.trials)

    @property
    def beside(self) -> float:
        """What the search took beside training: drawing, refusing, keeping."""
        return sum(trial.user_attrs.get("beside", 0.0) for trial in self.trials)


def score(trial: FrozenTrial) -> float:
    """Return the validation score of a trial, infinitely bad if it diverged."""
    assert trial.value is not None
    return trial.value


def values_of_trial(trial: FrozenTrial) -> dict[str, Any]:
    """Return the values of a trial by key; a formula, of which Optuna knows nothing, is said beside."""
    formula = trial.user_attrs.get("formula")
    return {**trial.params, **({} if formula is None else {KEY: formula})}


def search(cell: Cell, settings: Settings) -> Found:
    """Run the trials that a contestant lacks.

    Parameters
    ----------
    cell : Cell
        A checked cell of the comparison, as `lossbench.search.settings.contestant` makes it.
    settings : Settings
        Of the search.

    Raises
    ------
    ConfigError
        If another process is at the same search, its file can't be used, too many candidates are refused, every one
        diverged, or parts don't fit together.

    """
    name = study_name(cell)
    with claims.claimed(Path(cell.config.output_dir) / "searching" / name) as claimed:
        if not claimed:
            raise ConfigError(f"another process searches {name}. Wait for it, then give the same command again.")
        study = open_study(cell, FILE)
        found = _found(cell, study, settings)
        for _ in found.trained:
            progress.run_done()
        while len(found.trained) < settings.trials:
            _run_batch(cell, study, settings, found)
            found = _found(cell, study, settings)
    best = found.best
    if not math.isfinite(score(best)):
        raise ConfigError(f"{name}: every candidate diverged. Give a smaller optimizer.lr or search.lr.low.")
    shown = f"{score(best):.4f} (as given: {score(found.trained[0]):.4f})"
    log.info("%s: chosen %s; val/%s %s", short_name(name), told(best), cell.monitor, shown)
    return found


def _found(cell: Cell, study: optuna.Study, settings: Settings) -> Found:
    """Return the trials up to the last that counts."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    counted: list[FrozenTrial] = []
    left = settings.trials
    for trial in done:
        if not left:
            break
        counted.append(trial)
        left -= "refused" not in trial.user_attrs
    return Found(cell, counted, cell.task.higher_is_better(cell.monitor))


def _run_batch(cell: Cell, study: optuna.Study, settings: Settings, found: Found) -> None:
    """Ask for a batch, train what is not refused of it, and keep how it went."""
    began = time.perf_counter()
    wanted = min(settings.batch, settings.trials - len(found.trained))
    kept, refused = _candidates(cell, study, settings, wanted)
    seeds = settings.seeds
    cells = [with_values(cell, seed, values) for values in kept for seed in seeds]
    progress.run_started(f"{len(kept)} candidates of {short_name(study.study_name)}", cell.config.trainer.max_epochs)
    training = time.perf_counter()
    scores = scores_of(cells)
    trained = time.perf_counter()
    each = [scores[start : start + len(seeds)] for start in range(0, len(scores), len(seeds))]
    seconds = (trained - training) / len(kept)
    worst = -math.inf if found.higher else math.inf
    told_of = {"seconds": seconds, "beside": (training - began) / len(kept)}
    space = _space(cell)
    trials = [_trial(values, space, worst, {"refused": why}) for values, why in refused]
    for values, of_seeds in zip(kept, each, strict=True):
        finite = [one for one in of_seeds if one is not None]
        diverged = len(finite) < len(of_seeds)
        trials.append(_trial(values, space, worst if diverged else fmean(finite), {**told_of, "scores": of_seeds}))
    study.add_trials(trials)
    for _ in kept:
        progress.run_done()
    log.info(
        "%s: %d of %d trials, %d refused; the best of this batch val/%s %.4f",
        short_name(study.study_name), len(found.trained) + len(kept), settings.trials, len(refused), cell.monitor,
        (max if found.higher else min)(score(trial) for trial in trials),
    )  # fmt: skip


def _candidates(
    cell: Cell, study: optuna.Study, settings: Settings, wanted: int
) -> tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]]:
    """Ask for candidates until enough are not refused; return these, and the others with the reason."""
    space, is_family = _space(cell), cell.loss == settings.family
    drawn = optuna.create_study(direction=study.direction, storage=optuna.storages.InMemoryStorage())
    done = study.get_trials(deepcopy=False)
    drawn.add_trials(done)
    drawn.sampler = TPESampler(seed=derive_seed(settings.seed, "batch", len(done)) % 2**32, constant_liar=True)
    known = _known(cell, settings, space)
    for values in known[len(done) :]:
        drawn.enqueue_trial({key: value for key, value in values.items() if key != KEY})
    formulas = _Formulas(done, known, settings, _is_higher(study)) if settings.formulas and is_family else None
    kept: list[dict[str, Any]] = []
    refused: list[tuple[dict[str, Any], str]] = []
    while len(kept) < wanted:
        trial = drawn.ask(space)
        values = {**trial.params, **(formulas.next() if formulas else {})}
        why = why_refused(_node(cell, values), settings.proper) if is_family else ""
        if not why:
            kept.append(values)
            continue
        refused.append((values, why))
        drawn.tell(trial, -math.inf if _is_higher(study) else math.inf)
        if len(refused) > MOST_REFUSED * wanted:
            raise ConfigError(
                f"search.family={cell.loss}: {len(refused)} candidates were refused for {len(kept)} that are worth "
                f"training, the last: {why}. Narrow loss.search, or give search.proper=false."
            )
    return kept, refused


class _Formulas:
    """The formulas of the candidates, one after the other: the known ones, then made of the best so far."""

    def __init__(self, done: list[FrozenTrial], known: list[dict[str, Any]], settings: Settings, higher: bool) -> None:
        self._known, self._settings = known, settings
        self._tried = [str(trial.user_attrs["formula"]) for trial in done]
        trained = [trial for trial in done if math.isfinite(score(trial))]
        ranked = sorted(trained, key=score, reverse=higher)
        self._best = [str(trial.user_attrs["formula"]) for trial in ranked]

    def next(self) -> dict[str, str]:
        number = len(self._tried)
        if number < len(self._known):
            found = str(self._known[number][KEY])
        else:
            found = next_formula(str(self._settings.family), self._tried, self._best, self._settings.seed, number)
        self._tried.append(found)
        return {KEY: found}


def _known(cell: Cell, settings: Settings, space: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Return what is tried first: the values as given, then those of the losses that are inside the family."""
    given = given_values(cell)
    if settings.formulas and cell.loss == settings.family:
        given[KEY] = cell.resolved["loss"]["expression"]
    first = [given]
    if settings.members and cell.loss == settings.family:
        for member in known_of(cell.resolved["loss"]).values():
            own = {f"loss.{name}": value for name, value in member.items()}
            fixed = {key: value for key, value in own.items() if key not in given}
            values = {**given, **{key: value for key, value in own.items() if key in given}}
            inside = all(
                space[key]._contains(space[key].to_internal_repr(value)) for key, value in values.items() if key != KEY
            )
            same = all(cell.resolved["loss"].get(key.partition(".")[2]) == value for key, value in fixed.items())
            if inside and same and values not in first:
                first.append(values)
    return first


def _is_higher(study: optuna.Study) -> bool:
    return study.direction == optuna.study.StudyDirection.MAXIMIZE


def _space(cell: Cell) -> dict[str, BaseDistribution]:
    given = given_values(cell)
    return {key: distribution(each, given[key]) for key, each in search_space(cell).items()}


def _node(cell: Cell, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config node of a candidate's loss."""
    own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith("loss.")}
    return {**cell.resolved["loss"], **own}


def _trial(
    values: Mapping[str, Any], space: Mapping[str, BaseDistribution], value: float, said: Mapping[str, Any]
) -> FrozenTrial:
    params = {key: one for key, one in values.items() if key != KEY}
    formula = {"formula": values[KEY]} if KEY in values else {}
    return create_trial(params=params, distributions=dict(space), value=value, user_attrs={**said, **formula})


def node_of(found: Found) -> dict[str, Any]:
    """Return the config node of the loss that was found, without what is searched."""
    node = _node(found.cell, found.values)
    return {name: value for name, value in node.items() if name != "search"}
