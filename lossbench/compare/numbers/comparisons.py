"""From the records of runs to comparisons: the runs of one problem, by loss and seed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lossbench.compare.numbers.histories import Compact
from lossbench.compare.numbers.labels import is_as_usual, labels
from lossbench.config.cell import NOT_IN_KEY, NOT_IN_PROBLEM, Cell
from lossbench.errors import ConfigError, nearest
from lossbench.records import record
from lossbench.records.predictions import EARLIER, FILE, opened
from lossbench.records.schema import Record, task_of
from lossbench.tasks import tasks
from lossbench.tasks.task import Task

Entries = dict[int, Record]
Arrays = dict[str, NDArray[Any]]
PARTS = {FILE: "last"} | {file: part for part, file in EARLIER.items()}
"""What a run has predicted, by the files in which earlier versions kept it."""
SETTINGS_SHOWN = 3
"""Of what tells a problem from others of the same data so much is shown."""


@dataclass(frozen=True)
class Comparison:
    """The runs of one problem.

    Parameters
    ----------
    data : str
        Name of the problem.
    problem : str
        Hash of all that its runs share.
    task : Task
        What is predicted.
    entries : dict
        Records by label (the loss, with what tells it from its neighbours) and seed. Each has the key `folder`: where
        the files of the run are.
    superseded : list of str
        Runs that were left out because a newer one has the same label and seed, in words.
    dropped : dict
        By label and seed, why a race did not run it, in words (`lossbench.compare.races`).
    settings : str
        What tells its problem from others of the same data, e.g. "optimizer.lr=0.1"; "" where it is the only one.

    """

    data: str
    problem: str
    task: Task
    entries: dict[str, Entries]
    superseded: list[str] = field(default_factory=list)
    settings: str = ""
    dropped: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is called: the data, and what tells it from other problems of the same data."""
        return f"{self.data}, {self.settings}" if self.settings else self.data

    @property
    def heading(self) -> str:
        """What stands above it: its title, and where that says more than its files are called, their name."""
        return f"{self.title} ({self.name})" if self.settings else self.name

    @property
    def name(self) -> str:
        """A name for files: the data and the start of the problem's hash; what a record says is no path."""
        return as_file_name(f"{self.data}-{self.problem[:8]}")

    @property
    def seeds(self) -> list[int]:
        """All seeds of the comparison."""
        return sorted({seed for entries in self.entries.values() for seed in entries})

    @property
    def all_entries(self) -> list[Record]:
        """The records of all runs."""
        return [entry for entries in self.entries.values() for entry in entries.values()]

    @property
    def any_entry(self) -> Record:
        """A record of this problem; one of a finished run where there is one."""
        found = self.all_entries
        return next((entry for entry in found if entry["status"] == "finished"), found[0])

    def finished(self, label: str) -> list[Record]:
        """Return the records of the finished runs of a loss, by seed."""
        return [entry for _, entry in sorted(self.entries[label].items()) if entry["status"] == "finished"]


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
    settings = _settings({problem: entries[0] for problem, entries in problems.items()})
    return [_comparison(problem, entries, settings[problem]) for problem, entries in problems.items()]


def _settings(problems: dict[str, Record]) -> dict[str, str]:
    """Say of each problem, given by one of its records, in what it differs from the others of the same data."""
    shared: dict[str, dict[str, str]] = {}
    for problem, entry in problems.items():
        searched = tuple((entry["config"].get("protocol") or {}).get("searched", ()))
        shared[problem] = dict(_flat(entry["config"], (*NOT_IN_KEY, *NOT_IN_PROBLEM, "protocol", "scale", *searched)))
    told = {}
    for problem, entry in problems.items():
        beside = [
            shared[other] for other, each in problems.items() if each["choices"]["data"] == entry["choices"]["data"]
        ]
        differing = [
            f"{key}={value}" for key, value in shared[problem].items() if any(o.get(key) != value for o in beside)
        ]
        more = [f"{len(differing) - SETTINGS_SHOWN} more"] if len(differing) > SETTINGS_SHOWN else []
        told[problem] = ", ".join([*differing[:SETTINGS_SHOWN], *more])
    return told


def _flat(node: dict[str, Any], leaving_out: tuple[str, ...], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of a config with dots, and their values as text."""
    for name, value in node.items():
        key = f"{path}{name}"
        if key in leaving_out:
            continue
        if isinstance(value, dict):
            yield from _flat(value, leaving_out, f"{key}.")
        else:
            yield key, _shown(value)


def _comparison(problem: str, records: list[Record], settings: str = "") -> Comparison:
    entries: dict[str, Entries] = defaultdict(dict)
    superseded = []
    by_age = sorted(records, key=lambda entry: entry.get("started") or 0.0)
    named = {id(entry): label for entry, label in zip(by_age, labels(by_age), strict=True)}
    for entry in records:
        entries[named[id(entry)]] = {}  # losses in the order of the records, which is that of the command
    for entry in by_age:
        label, seed = named[id(entry)], entry["seed"]
        older = entries[label].get(seed)
        if older is not None and older["key"] != entry["key"]:
            superseded.append(f"{label} seed {seed}: {older.get('folder')}, a newer run has the same loss and seed")
        entries[label][seed] = entry
    data, task = records[0]["choices"]["data"], task_of(records[0])
    return Comparison(data, problem, task, dict(entries), superseded, settings)


def baseline_of(comparison: Comparison, wanted: str | None, counted: set[str]) -> str:
    """Return the label that is asked for; without one the plain loss of the task, else the first that has numbers.

    Of several settings of that loss it is the one of its YAML, if that is among them.

    Raises
    ------
    ConfigError
        If there is no such label or loss.

    """
    labels = list(comparison.entries)
    losses = {label: next(iter(entries.values()))["loss"] for label, entries in comparison.entries.items()}
    if wanted is not None:
        names = {label: next(iter(entries.values())).get("variant") for label, entries in comparison.entries.items()}
        fitting = [wanted] if wanted in labels else [each for each in labels if wanted in (losses[each], names[each])]
        if not fitting:
            raise ConfigError(
                f"compare.baseline={wanted} is not among the losses of {comparison.title}. {nearest(wanted, labels)}"
            )
        return (_as_usual(comparison, fitting) or [min(fitting, key=len)])[0]
    with_numbers = [label for label in labels if label in counted] or labels
    known = tasks()
    plain_losses = [known[name].baseline for name in comparison.task.served_by if name in known]
    usual = [label for name in plain_losses for label in with_numbers if losses[label] == name]
    plain = [label for label in usual if label in plain_losses]
    if plain:
        return plain[0]
    first = (usual or with_numbers)[0]
    alike = [label for label in with_numbers if losses[label] == losses[first]]
    return (_as_usual(comparison, alike) or [first])[0]


def _as_usual(comparison: Comparison, labels: list[str]) -> list[str]:
    """Return the labels whose runs have all parameters of their loss as its YAML has them."""
    return [label for label in labels if is_as_usual(next(iter(comparison.entries[label].values())))]


def read_outputs(output_dir: Path) -> Iterator[Record]:
    """Read the record of every run of an output folder."""
    small = Compact()
    for folder, entry in record.read_all(output_dir):
        yield {**small(entry), "folder": str(folder)}


def as_file_name(text: str) -> str:
    """Make a name of a file in a folder, and of nothing outside it, from what a record says.

    Examples
    --------
    >>> as_file_name("digits_imb-0a1b2c3d"), as_file_name("../../.ssh/x")
    ('digits_imb-0a1b2c3d', '-..-.ssh-x')

    """
    return re.sub(r"[^\w.,+=()-]", "-", text).lstrip(".")[:150]


def read_cells(cells: Iterable[Cell]) -> Iterator[Record]:
    """Read the records of the cells of a sweep, named as they are in it; a cell that left none is "missing"."""
    small = Compact()
    for cell in cells:
        entry = record.read(cell.path) or cell.record("missing")
        yield {**small(entry), "variant": cell.variant, "folder": str(cell.path)}


def load_arrays(entry: Record, name: str, keys: Iterable[str]) -> Arrays | None:
    """Load arrays of a part of what a run has predicted, or of another file of it; None where they are not there.

    A part is named as its file was in earlier versions: "predictions.npz" of the last epoch, "predictions_best.npz",
    "validation.npz".
    """
    folder = Path(entry["folder"])
    try:
        with opened(folder, PARTS[name]) if name in PARTS else np.load(folder / name) as arrays:
            return {key: arrays[key] for key in keys}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def load_classes(entry: Record, name: str) -> Arrays | None:
    """Load `probabilities`, `log_odds` (N, K) and `target` (N,) of a file of a run; None where they are not there.

    Runs of earlier versions kept no log-odds: theirs are those of the probabilities, as far as single precision goes.
    """
    arrays = load_arrays(entry, name, ["probabilities", "target"])
    if arrays is None:
        return None
    kept = load_arrays(entry, name, ["log_odds"])
    if kept is None:
        p = arrays["probabilities"].astype(np.float64)
        smallest = np.finfo(np.float32).tiny
        kept = {"log_odds": np.log(np.maximum(p, smallest)) - np.log(np.maximum(1 - p, smallest))}
    return arrays | kept


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
