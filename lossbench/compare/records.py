"""From the records of runs to comparisons: the runs of one problem, by loss and seed."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lossbench.record import Record

Entries = dict[int, Record]


@dataclass(frozen=True)
class Comparison:
    """The runs of one problem.

    Parameters
    ----------
    data : str
        Name of the problem.
    problem : str
        Hash of all that its runs share.
    task : str
        "regression", "binary" or "multiclass".
    entries : dict
        Records by label (the loss, with what tells it from its neighbours) and seed.

    """

    data: str
    problem: str
    task: str
    entries: dict[str, Entries]

    @property
    def name(self) -> str:
        """A name for files: the data and the start of the problem's hash."""
        return f"{self.data}-{self.problem[:8]}"

    @property
    def seeds(self) -> list[int]:
        """All seeds of the comparison."""
        return sorted({seed for entries in self.entries.values() for seed in entries})

    def values(self, metric: str, select: str) -> dict[str, dict[int, float]]:
        """Return a test metric of the finished runs by label and seed, at the last or the best validation epoch."""
        values: dict[str, dict[int, float]] = {}
        for label, entries in self.entries.items():
            found = {
                seed: (entry["metrics"][select] or {}).get(f"test/{metric}")
                for seed, entry in entries.items()
                if entry["status"] == "finished"
            }
            values[label] = {seed: value for seed, value in found.items() if value is not None}
        return values

    def metrics(self, select: str) -> list[str]:
        """Return the names of the test metrics that any finished run has."""
        names: dict[str, None] = {}
        for entries in self.entries.values():
            for entry in entries.values():
                if entry["status"] == "finished":
                    names |= dict.fromkeys(entry["metrics"][select] or {})
        return [name.removeprefix("test/") for name in names if name.startswith("test/")]


def comparisons(records: Iterable[Record], data: str | None = None) -> list[Comparison]:
    """Group records into comparisons.

    Parameters
    ----------
    records : iterable of dict
        Records of runs.
    data : str, optional
        Only the problems of this name.

    """
    problems: dict[str, list[Record]] = defaultdict(list)
    for entry in records:
        if data is None or entry["choices"]["data"] == data:
            problems[entry["problem"]].append(entry)
    return [_comparison(problem, entries) for problem, entries in problems.items()]


def _comparison(problem: str, records: list[Record]) -> Comparison:
    entries: dict[str, Entries] = defaultdict(dict)
    for entry, label in zip(records, labels(records), strict=True):
        entries[label][entry["seed"]] = entry
    return Comparison(records[0]["choices"]["data"], problem, records[0]["task"], dict(entries))


def labels(records: list[Record]) -> list[str]:
    """Name each run by its loss, and by weighting, head and parameters where these tell runs of that loss apart.

    Examples
    --------
    >>> focal = {"loss": "focal", "weighting": "none", "head": "linear", "config": {"loss": {"gamma": 1.0}}}
    >>> labels([focal, {**focal, "config": {"loss": {"gamma": 2.0}}}])
    ['focal(gamma=1)', 'focal(gamma=2)']

    """
    settings: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for entry in records:
        for name, value in _parameters(entry).items():
            settings[entry["loss"]][name].add(_shown(value))
    names = []
    for entry in records:
        differing = [name for name, values in settings[entry["loss"]].items() if len(values) > 1]
        shown = ", ".join(f"{name}={_shown(_parameters(entry).get(name))}" for name in differing)
        weighting = "" if entry["weighting"] == "none" else f"+{entry['weighting']}"
        head = "" if entry["head"] == "linear" else f" [{entry['head']} head]"
        names.append(entry["loss"] + weighting + (f"({shown})" if shown else "") + head)
    return names


def _parameters(entry: Record) -> dict[str, Any]:
    loss = {name: value for name, value in entry["config"]["loss"].items() if name[0] != "_" and name != "search"}
    weighting = {f"weighting.{name}": value for name, value in entry["config"].get("weighting", {}).items()}
    return {**loss, **{name: value for name, value in weighting.items() if "._" not in name}}


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
