"""Bring MLflow and Lightning's loggers into agreement with the records.

Those are the records of the cells of a command, or of all runs under an output folder.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from lossbench.config.cell import Cell
from lossbench.errors import first_line
from lossbench.records import claims, record
from lossbench.records.schema import Record, task_of
from lossbench.tracking.agreement import agree, confirm, experiment_of, is_confirmed
from lossbench.tracking.loggers import NAMES, is_told, tell
from lossbench.tracking.moved import find_moved_files
from lossbench.tracking.store import connect, database_of, ensure_experiment, make_database
from lossbench.tracking.sweep import Note, close_parents, is_open, note_sweeps, notes_for, notes_of, reopen

log = logging.getLogger(__name__)


def mend_cells(cells: Sequence[Cell], entries: Sequence[Record | None], folders: Mapping[str, list[Path]]) -> None:
    """Send what MLflow lacks of the cells of a command that have ended, and of their sweep; mostly that is nothing.

    Lightning's logger, if there is one, is told of the runs that it lacks.

    Parameters
    ----------
    cells : sequence of Cell
        The cells of a command.
    entries : sequence of dict or None
        Their records.
    folders : mapping
        Folders of the comparisons by the name of the data.

    """
    config = cells[0].config
    output_dir, uri = Path(config.output_dir), config.tracking.uri
    tell_all([cell.path for cell in cells], config.tracking)
    if uri is None:
        return
    find_moved_files(database_of(uri), output_dir)
    lacking = [
        cell.path
        for cell, entry in zip(cells, entries, strict=True)
        if entry is not None and _has_ended(entry) and not is_confirmed(cell.path, entry, uri)
    ]
    whole = len(cells) > 1 and all(map(record.is_done, entries))
    if whole and lacking:
        note_sweeps(list(cells))  # one that was made with another `tracking` has none
    own = {note["identity"] for note in notes_for(list(cells))} if whole else set()
    notes = [note for note in notes_of(output_dir) if note["identity"] in own and is_open(note, output_dir, uri)]
    if not lacking and not notes:
        return
    try:
        mended = [told for _, told in mend(output_dir, lacking, config.tracking) if told]
        if mended:
            log.info("MLflow now agrees with the records of %d runs, which it had not whole.", len(mended))
        mend_sweeps(output_dir, notes, config.tracking, folders)
    except Exception as error:
        log.warning(
            "MLflow could not be made to agree with the records: %s. They are whole, and a later call tries again.",
            first_line(error),
        )


def _has_ended(entry: Record) -> bool:
    """Whether MLflow must know of the end of a run: one that was killed goes on some day, and is known if it began."""
    return record.is_done(entry) or (entry["status"] == "killed" and entry.get("mlflow_run_id") is not None)


def tell_all(folders: Iterable[Path], tracking: DictConfig) -> int:
    """Write the runs that are done to the logger of a config, those that it lacks; return how many that were."""
    told = 0
    for folder in folders if tracking.get("logger") is not None else ():
        entry = record.read(folder)
        if entry is None or not record.is_done(entry) or is_told(entry, folder, tracking):
            continue
        with claims.claimed(folder) as free:
            told += free and tell(entry, folder, tracking)
    if told:
        log.info("%s was told of %d runs that it had not.", NAMES[tracking.logger], told)
    return told


def mend(output_dir: Path, folders: Iterable[Path], tracking: DictConfig) -> Iterable[tuple[Record, str]]:
    """Make MLflow agree with the record of each run that has ended; yield record and what was mended."""
    output_dir.mkdir(parents=True, exist_ok=True)
    make_database(tracking, output_dir)
    client, seen = connect(tracking), set[str]()
    for folder in folders:
        with claims.claimed(folder) as free:
            entry = record.read(folder)
            if not free or entry is None or entry["status"] == "running":
                continue  # whoever runs it sends it
            experiment = experiment_of(entry)
            if experiment not in seen:
                ensure_experiment(client, experiment, task_of(entry), tracking.uri, output_dir)
                seen.add(experiment)
            told = agree(client, entry, folder)
            confirm(folder, entry, tracking.uri)
            yield entry, told


def mend_sweeps(
    output_dir: Path, notes: Iterable[Note], tracking: DictConfig, folders: Mapping[str, list[Path]]
) -> None:
    """End the sweeps that were not ended in the store: parent, sums over seeds, comparison."""
    for note in notes:
        parent = reopen(note, output_dir, tracking, is_over=True)
        close_parents({note["experiment"]: parent}, "finished", folders, tracking.uri)
