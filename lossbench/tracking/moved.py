"""MLflow finds its files again after the output folder was moved: a database keeps where they were, as whole paths."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock

log = logging.getLogger(__name__)
ARTIFACTS = "mlartifacts"
"""In the output folder: the files of the runs of a store that is a database, by experiment."""
LOCK = ".tracking.lock"
"""In the output folder: held while runs are looked for and made."""


def find_moved_files(path: Path | None, output_dir: Path) -> int:
    """Let an SQLite store look for the files of its runs where they are now; say so in a line, if they were moved.

    That is what the folder of an experiment says that is gone, where `output_dir` has one of that name. MLflow is not
    imported.

    Parameters
    ----------
    path : Path or None
        The file of an SQLite store; nothing is done for another one.
    output_dir : Path
        The folder that may have been moved.

    Returns
    -------
    int
        How many runs have their files again.

    """
    if path is None or not path.is_file() or not (output_dir / ARTIFACTS).is_dir():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=20)) as database:
            if not any(_moved(database, output_dir)):
                return 0
            with FileLock(output_dir / LOCK), database:
                moved = list(_moved(database, output_dir))
                found = sum(_point_to(database, *each) for each in moved)
    except sqlite3.Error as error:
        log.warning("%s can't be read: %s", path, error)
        return 0
    log.warning(
        "MLflow looked for files in %s, which is gone: those of %d runs are found in %s/ now.",
        ", ".join(sorted({str(_path(old).parent) for _, old, _ in moved})), found, output_dir / ARTIFACTS,
    )  # fmt: skip
    return found


def _moved(database: sqlite3.Connection, output_dir: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the experiments whose folder is gone and is in the output folder: number, old and new address."""
    rows = database.execute("select experiment_id, artifact_location from experiments").fetchall()
    for number, old in rows:
        if old is None or urlsplit(old).scheme not in ("", "file") or _path(old).parent.name != ARTIFACTS:
            continue
        new = output_dir.absolute() / ARTIFACTS / _path(old).name
        if not _path(old).exists() and new.is_dir():
            yield number, old, new.as_uri()


def _point_to(database: sqlite3.Connection, number: int, old: str, new: str) -> int:
    """Write a new address into an experiment and those of its runs whose files lie below it."""
    database.execute("update experiments set artifact_location = ? where experiment_id = ?", (new, number))
    return database.execute(
        "update runs set artifact_uri = ? || substr(artifact_uri, ?) where experiment_id = ? and "
        "substr(artifact_uri, 1, ?) = ?",
        (new, len(old) + 1, number, len(old) + 1, f"{old}/"),
    ).rowcount


def _path(address: str) -> Path:
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(address)
