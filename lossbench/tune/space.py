"""What tuning searches and on which cells, and what must hold for it: read from configs, without torch or Optuna."""

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf

from lossbench.catalogue.facts import facts_of, hyperparameters
from lossbench.config.cell import Cell, without
from lossbench.config.engines import LOCAL
from lossbench.errors import ConfigError, nearest
from lossbench.ranges import contains, takes
from lossbench.records.provenance import digest

Search = dict[str, Any]
"""A range {"low", "high"} with an optional "log", or {"choices"}."""

WRITTEN = "Write {low: 0.5, high: 5.0}, with log: true for a log scale, or {choices: [1, 2]}."


@takes(low="number (0, 1)", high="number (1, inf)")
def search_space(cell: Cell) -> dict[str, Search]:
    """Return what is searched for a cell: the learning rate, and the `search` of its loss, by their keys.

    The learning rate comes first, so that the random trials of all losses try the same ones.
    """
    lr, factors = cell.config.optimizer.lr, cell.config.tune.lr
    declared: Mapping[str, Search] = cell.resolved["loss"].get("search") or {}
    own = {f"loss.{name}": search for name, search in declared.items()}
    return {"optimizer.lr": {"low": lr * factors.low, "high": lr * factors.high, "log": True}, **own}


def given_values(cell: Cell) -> dict[str, Any]:
    """Return the values that what is searched has in the cell's own config."""
    return {key: OmegaConf.select(cell.config, key) for key in search_space(cell)}


def with_values(cell: Cell, seed: int, values: Mapping[str, Any]) -> Cell:
    """Return the cell of a seed and of searched values; it has no node `tune` or `race`."""
    config = without(cell.config, "tune", "race")
    for key, value in {"seed": seed, **values}.items():
        OmegaConf.update(config, key, value)
    return Cell(config, cell.choices)


def tuned_cell(cell: Cell, values: Mapping[str, Any]) -> Cell:
    """Return a cell of the comparison with the values found for it, and with the protocol that found them."""
    chosen = with_values(cell, cell.config.seed, values)
    tune = {key: value for key, value in cell.resolved["tune"].items() if key != "race"}
    searched = {"searched": list(values), "study": study_name(cell)}
    OmegaConf.update(chosen.config, "protocol", {"name": "tuned", **tune, **searched}, force_add=True)
    return chosen


def study_name(cell: Cell) -> str:
    """Name the study of a cell: the same for all seeds, whatever the number of trials and whether there is a race."""
    tune = OmegaConf.to_container(without(cell.config.tune, "trials", "race"))
    keys = [with_values(cell, seed, {}).key for seed in cell.config.tune.seeds]
    return f"{cell.data}-{cell.method}-{digest({'keys': keys, 'tune': tune, 'space': search_space(cell)})[:8]}"


def short_name(study: str) -> str:
    """Name a study without its hash."""
    return study.rpartition("-")[0]


def check_tuning(cells: list[Cell]) -> None:
    """Check what tuning asks of the cells of its comparison.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    if "tune" not in cells[0].config:
        raise ConfigError("the config has no node tune. Its defaults list needs `tuning` in place of `config`.")
    if len({digest(cell.resolved["tune"]) for cell in cells}) > 1:
        raise ConfigError(
            "tune.KEY=A,B: a comparison has one search budget. Give each key of tune one value, seeds as [100,101]."
        )
    for cell in cells:
        if cell.config.get("warm_start") is not None:
            raise ConfigError(
                f"warm_start={cell.config.warm_start}: tuning gives each loss the same search from fresh weights. "
                "Leave it out; runs with the values found can start warm with -m."
            )
        _check_budget(cell)
        _check_search(cell)
        if cell.config.data.get("val_fraction") == 0:
            raise ConfigError(
                "data.val_fraction=0 leaves no validation part, but tuning chooses by it. Allowed: (0, 1)."
            )
        if cell.choices.get("cluster", LOCAL) != LOCAL:
            raise ConfigError(f"cluster={cell.choices['cluster']}: tuning runs in one process. Leave it out.")
        if cell.choices.get("hydra/launcher", "basic") != "basic":
            raise ConfigError(
                f"hydra/launcher={cell.choices['hydra/launcher']}: tuning runs in one process. Use basic."
            )
    _check_seeds(cells)
    _check_not_swept(cells)


def _check_budget(cell: Cell) -> None:
    tune = cell.config.tune
    if len(set(tune.seeds)) < len(tune.seeds):
        raise ConfigError(f"tune.seeds={list(tune.seeds)}: give different seeds, such as 100,101.")
    if cell.config.optimizer.get("lr") is None:
        raise ConfigError(
            f"optimizer={cell.choices['optimizer']} has no lr, but tuning always searches the learning rate. "
            "Set it: +optimizer.lr=VALUE."
        )


def _check_seeds(cells: Iterable[Cell]) -> None:
    compared: set[int] = set()
    for cell in cells:
        compared.add(cell.config.seed)
        if shared := sorted(compared & set(cell.config.tune.seeds)):
            told = ", ".join(map(str, shared))
            raise ConfigError(
                f"seed={told} is also in tune.seeds={list(cell.config.tune.seeds)}. Values that were chosen "
                "on a seed look better on it than they are: use other seeds in one of the two."
            )


def _check_not_swept(cells: Iterable[Cell]) -> None:
    """See to it that no two cells of one seed differ only in what is searched."""
    seen: dict[str, dict[str, Any]] = {}
    for cell in cells:
        values = given_values(cell)
        raw: Any = OmegaConf.to_container(cell.config)
        left_out = ("config.variant", *(f"config.{key}" for key in values))
        rest = digest({"config": raw, "seed": cell.config.seed}, left_out)
        before = seen.setdefault(rest, values)
        for key, value in values.items():
            if before[key] != value:
                raise ConfigError(f"{key}={before[key]},{value}: tuning searches {key} itself. Give it one value.")


def _check_search(cell: Cell) -> None:
    facts = facts_of(cell.config.loss["_target_"])
    ranges = {} if facts is None else facts.ranges
    declared = cell.resolved["loss"].get("search") or {}
    parameters = hyperparameters(cell.resolved["loss"])
    for name, search in declared.items():
        key = f"loss.search.{name}"
        if name not in parameters:
            raise ConfigError(f"{key}: loss={cell.loss} has no parameter {name!r}. {nearest(name, parameters)}")
        if not isinstance(search, dict) or set(search) - {"log"} not in ({"low", "high"}, {"choices"}):
            raise ConfigError(f"{key}={search} is no search range. {WRITTEN}")
        if "choices" not in search and not _is_range(search):
            raise ConfigError(f"{key}={search}: low must be below high, and above 0 on a log scale. {WRITTEN}")
        ends = search.get("choices") or [search["low"], search["high"]]
        if name in ranges and not contains(ranges[name], ends):
            raise ConfigError(f"{key}={search} goes out of the range of {name}: allowed is {ranges[name]}.")
        given = parameters[name]
        inside = given in ends if "choices" in search else contains(f"[{ends[0]}, {ends[1]}]", given)
        if not inside:
            raise ConfigError(
                f"loss.{name}={given} lies outside of what is searched, {search}, but is the first trial. "
                f"Change it, or {key}."
            )


def _is_range(search: Search) -> bool:
    low, high = search["low"], search["high"]
    return contains("(0, inf)" if search.get("log") else "(-inf, inf)", [low, high]) and low < high
