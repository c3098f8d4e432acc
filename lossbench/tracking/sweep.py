"""The MLflow side of a sweep: a parent run in each experiment, and one run that sums up each loss."""

import csv
import json
import logging
import math
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from filelock import FileLock
from omegaconf import DictConfig

from lossbench.config.cell import Cell
from lossbench.errors import first_line
from lossbench.records import record
from lossbench.records.claims import this_process
from lossbench.records.files import write_text
from lossbench.records.provenance import digest
from lossbench.records.schema import Record
from lossbench.tracking.agreement import BATCH_METRICS, PARENTS, rounded, set_tags, store_of
from lossbench.tracking.store import LOCK, STATUS, connect, create_run, experiment_name, find_or_create
from lossbench.tracking.views import COUNT, LOWER, MEAN, UPPER, color_of, view_links

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lossbench.compare.numbers.comparisons import Comparison

log = logging.getLogger(__name__)
NOTES = ".sweeps"
"""The folder inside `output_dir` where it is noted which sweeps were begun, and which of them MLflow has whole."""
SERVED = "http://127.0.0.1:5000"
"""Where `mlflow ui` serves its pages by default."""
OUTCOME = "lossbench.outcome"


class Note(TypedDict, total=False):
    """What is noted of a sweep, in each experiment that it is in."""

    experiment: str
    identity: str
    """Made of the keys of its cells."""
    name: str
    folders: list[str]
    """Of its runs, inside the output folder."""
    variants: list[str | None]
    """What the runs are called in it."""
    store: str | None
    """The store in which it was ended last; None if in none."""
    made_from: str | None
    """A hash of how its runs had ended then."""
    place: list[str]
    """MLflow's own numbers of experiment and parent run."""


class Place(NamedTuple):
    """Where MLflow has the parent run of a sweep."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True)
class Parent:
    """The parent run of the cells of one experiment.

    Parameters
    ----------
    note : dict
        What is noted of the sweep.
    output_dir : Path
        The output folder.
    client : MlflowClient
        The store.
    experiment_id, run_id : str
        MLflow's own.
    opened : float
        When it began, in seconds since the epoch.

    """

    note: Note
    output_dir: Path
    client: "MlflowClient"
    experiment_id: str
    run_id: str
    opened: float = 0.0


def open_parents(cells: list[Cell]) -> dict[str, Parent]:
    """Start a parent run in each experiment of a sweep, for the cells to find; the same sweep has the same parent.

    Without MLflow the sweep is only noted, for `lossbench.repair` to find.

    Returns
    -------
    dict of str to Parent
        By name of the experiment.

    """
    parents = {}
    output_dir, tracking = Path(cells[0].config.output_dir), cells[0].config.tracking
    if tracking.uri is None:
        note_sweeps(cells)
    for note in notes_for(cells) if tracking.uri is not None else ():
        _write_note(output_dir, note)  # a command that is killed from here on is ended by a later one
        parents[note["experiment"]] = reopen(note, output_dir, tracking)
    os.environ[PARENTS] = json.dumps({experiment: parent.run_id for experiment, parent in parents.items()})
    return parents


def note_sweeps(cells: list[Cell]) -> None:
    """Note the sweep of some cells, in each experiment of it, where that was not noted yet."""
    output_dir = Path(cells[0].config.output_dir)
    for note in notes_for(cells):
        if not _note_file(output_dir, note).is_file():
            _write_note(output_dir, note)


def notes_for(cells: list[Cell]) -> Iterator[Note]:
    """Return what is noted of the sweep of some cells, for each experiment of it."""
    for experiment in {experiment_name(cell) for cell in cells}:
        own = [cell for cell in cells if experiment_name(cell) == experiment]
        yield {
            "experiment": experiment,
            "identity": digest({"cells": sorted(cell.key for cell in own), **_variants(own)}),
            "name": _name(own),
            "folders": [str(cell.folder) for cell in own],
            "variants": [cell.variant for cell in own],
        }


def _variants(cells: list[Cell]) -> dict[str, list[str]]:
    """Return the names of the variants, with which the same runs are another sweep."""
    names = sorted({cell.variant for cell in cells if cell.variant is not None})
    return {"variants": names} if names else {}


def _name(cells: list[Cell]) -> str:
    losses = list(dict.fromkeys(cell.label for cell in cells))
    shown = ", ".join(losses) if len(losses) <= 4 else f"{len(losses)} losses"
    return f"{shown} x {len({cell.config.seed for cell in cells})} seeds"


def reopen(note: Note, output_dir: Path, tracking: DictConfig, is_over: bool = False) -> Parent:
    """Find the parent run of a sweep, or start it; of one that is over it began with its first run."""
    begun = [entry["started"] for entry in _records_of(note, output_dir) if "started" in entry] if is_over else []
    opened = min(begun, default=time.time())
    client, experiment = connect(tracking), note["experiment"]
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    tags = {
        "lossbench.kind": "sweep",
        "lossbench.sweep": note["identity"],
        "lossbench.status": "running",
        "lossbench.process": json.dumps(this_process()),
    }
    with FileLock(output_dir / LOCK):
        run_id, is_new = find_or_create(
            client,
            experiment,
            "lossbench.sweep",
            note["identity"],
            partial(create_run, client, experiment, note["name"], tags, opened),
        )
    if not is_new:
        client.update_run(run_id, status="RUNNING")
        set_tags(client, run_id, tags)
    return Parent(note, output_dir, client, experiment_id, run_id, opened)


def notes_of(output_dir: Path) -> Iterator[Note]:
    """Read what is noted of the sweeps whose runs are in a folder."""
    for path in sorted((output_dir / NOTES).glob("*.json")):
        with suppress(OSError, ValueError):
            yield json.loads(path.read_text(encoding="utf-8"))


def is_open(note: Note, output_dir: Path, uri: str) -> bool:
    """Tell whether a sweep was not ended in a store, or its runs have ended in another way since."""
    return bool(note.get("store") != store_of(uri) or note.get("made_from") != _made_from(note, output_dir))


def _write_note(output_dir: Path, note: Note, store: str | None = None) -> None:
    made_from = None if store is None else _made_from(note, output_dir)
    text = json.dumps({**note, "store": store, "made_from": made_from})
    write_text(_note_file(output_dir, note), text)


def _note_file(output_dir: Path, note: Note) -> Path:
    return output_dir / NOTES / f"{note['identity'][:16]}-{digest({'of': note['experiment']})[:8]}.json"


def _made_from(note: Note, output_dir: Path) -> str:
    entries = _records_of(note, output_dir)
    return digest({"runs": [[entry.get("key"), entry.get("status"), entry.get("ended")] for entry in entries]})


def _records_of(note: Note, output_dir: Path) -> list[Record]:
    """Read the record of each run of a sweep, {} where there is none."""
    return [record.read(output_dir / folder) or {} for folder in note["folders"]]


def close_parents(parents: Mapping[str, Parent], status: str, folders: Mapping[str, list[Path]], uri: str) -> None:
    """End the parent runs, each with its cells, the sums over seeds and the folder of its comparison.

    Parameters
    ----------
    parents : mapping
        What `open_parents` returned.
    status : str
        How the sweep ended: "finished", "failed" or "killed".
    folders : mapping
        Folders of comparisons by the name of the data.
    uri : str
        Of the store.

    """
    for parent in parents.values():
        try:
            _close(parent, status, folders)
            if status == "finished":
                note: Note = {**parent.note, "place": [parent.experiment_id, parent.run_id]}
                _write_note(parent.output_dir, note, store_of(uri))
        except Exception as error:
            log.warning("MLflow could not end the sweep: %s. Its records and report are whole.", first_line(error))


def _close(parent: Parent, status: str, folders: Mapping[str, list[Path]]) -> None:
    from lossbench.compare.numbers.comparisons import comparisons

    folders_of_runs = [parent.output_dir / folder for folder in parent.note["folders"]]
    names = parent.note.get("variants") or [None] * len(folders_of_runs)
    records: list[Record] = [
        {**entry, "variant": name}
        for folder, name in zip(folders_of_runs, names, strict=True)
        if (entry := record.read(folder)) is not None
    ]
    if status == "failed" and not records:  # all was refused before a run began
        parent.client.delete_run(parent.run_id)
        _note_file(parent.output_dir, parent.note).unlink(missing_ok=True)
        return
    for entry in records:
        if entry.get("mlflow_run_id"):
            parent.client.set_tag(entry["mlflow_run_id"], "mlflow.parentRunId", parent.run_id)
    with FileLock(parent.output_dir / LOCK):
        for comparison in comparisons(records):
            _sum_up(parent, comparison, _outcomes(comparison, folders))
    for data in {entry["choices"]["data"] for entry in records} & set(folders):
        for folder in folders[data]:
            place = "comparison" if len(folders[data]) == 1 else f"comparison/{folder.name}"
            parent.client.log_artifacts(parent.run_id, str(folder), place)
    parent.client.set_tag(parent.run_id, "lossbench.status", status)
    ended = max([parent.opened, *(entry.get("ended", 0.0) for entry in records)])
    parent.client.set_terminated(parent.run_id, STATUS[status], int(ended * 1000))


def _outcomes(comparison: "Comparison", folders: Mapping[str, list[Path]]) -> dict[str, str]:
    """Read what the report says of each loss against the baseline; nothing where it was made without a margin."""
    for folder in folders.get(comparison.data, ()):
        table = folder / "table.csv"
        if folder.name == comparison.name and table.is_file():
            with table.open(encoding="utf-8", newline="") as lines:
                return {row["loss"]: row["outcome"] for row in csv.DictReader(lines) if row.get("outcome")}
    return {}


def _sum_up(parent: Parent, comparison: "Comparison", outcomes: Mapping[str, str]) -> None:
    """Write a run for each loss that holds mean and 95 % interval of each test metric over the finished seeds.

    Where the report was made with a margin, the tag `lossbench.outcome` says what the loss is against the baseline.
    """
    from mlflow.entities import Metric, Param

    from lossbench.compare.numbers.labels import meanings

    meant = meanings(comparison.entries)
    for label, metrics in _intervals(comparison).items():
        entries = list(comparison.entries[label].values())
        loss, started = entries[0]["loss"], min(entry["started"] for entry in entries)
        identity = f"{parent.run_id}/{comparison.problem[:8]}/{label}"
        tags = {
            "lossbench.kind": "aggregate",
            "lossbench.aggregate": identity,
            "lossbench.status": "finished",
            "mlflow.parentRunId": parent.run_id,
            "mlflow.runColor": color_of(loss),
        }
        run_id, _ = find_or_create(
            parent.client,
            parent.note["experiment"],
            "lossbench.aggregate",
            identity,
            partial(create_run, parent.client, parent.note["experiment"], f"{label}, all seeds", tags, started),
        )
        found = parent.client.get_run(run_id).data
        if label in outcomes:
            parent.client.set_tag(run_id, OUTCOME, outcomes[label])
        elif OUTCOME in found.tags:
            parent.client.delete_tag(run_id, OUTCOME)
        if not found.params:
            named = {"loss": loss, "label": label, **({"stands_for": meant[label]} if label in meant else {})}
            parent.client.log_batch(run_id, params=[Param(key, value) for key, value in named.items()])
        now = int(time.time() * 1000)  # the newest value is shown
        values = [Metric(name, value, now, 0) for name, value in metrics.items() if found.metrics.get(name) != value]
        for start in range(0, len(values), BATCH_METRICS):
            parent.client.log_batch(run_id, metrics=values[start : start + BATCH_METRICS])
        ended = max(entry.get("ended", started) for entry in entries)
        parent.client.set_terminated(run_id, "FINISHED", int(ended * 1000))  # its duration is that of its runs


def _intervals(comparison: "Comparison") -> dict[str, dict[str, float]]:
    from lossbench.compare.numbers.statistics import mean_interval

    sums: dict[str, dict[str, float]] = {}
    for label, entries in comparison.entries.items():
        finished = [entry["metrics"]["last"] or {} for entry in entries.values() if entry["status"] == "finished"]
        for name in finished[0] if finished else ():
            if name.startswith("test/") and all(metrics.get(name) is not None for metrics in finished):
                short = name.removeprefix("test/")
                possible = comparison.task.bounds(short)
                interval = mean_interval([metrics[name] for metrics in finished], bounds=possible)
                ends = {LOWER: interval.low, MEAN: interval.mean, UPPER: interval.high}
                shown = {f"{end}/{short}": rounded(value) for end, value in ends.items() if math.isfinite(value)}
                sums.setdefault(label, {COUNT: float(interval.n)}).update(shown)
    return sums


def places_of(cells: list[Cell]) -> dict[str, Place]:
    """Return where MLflow has the sweep of some cells, by experiment, as was noted when it was ended there."""
    output_dir, uri = Path(cells[0].config.output_dir), cells[0].config.tracking.uri
    found = {}
    for note in notes_for(cells) if uri is not None and len(cells) > 1 else ():
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(_note_file(output_dir, note).read_text(encoding="utf-8"))
            if kept["store"] == store_of(uri):
                found[note["experiment"]] = Place(*kept["place"])
    return found


def links(parents: Mapping[str, Parent | Place], uri: str) -> Iterator[str]:
    """Say how to open the runs of a sweep in MLflow: the command, then an address for each view."""
    on_server = uri.startswith("http")
    yield f"Look at the runs: {uri if on_server else f'mlflow ui --backend-store-uri {shlex.quote(uri)}'}"
    for experiment, parent in parents.items():
        yield f"  {experiment}:"
        for shown, link in view_links(uri if on_server else SERVED, parent.experiment_id, parent.run_id).items():
            yield f"    {shown}: {link}"
