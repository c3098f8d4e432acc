"""The figures of a run of several tasks: those of each part, under its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lossbench.tasks import task_named
from lossbench.tasks.several import KNOWN
from lossbench.tasks.several.names import part_of


def of_run(
    folder: Path, entry: Mapping[str, Any], last: Mapping[str, Any] | None, snapshots: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Draw each part at the last epoch as its task does, into `PART_FIGURE.png`."""
    if last is None or "test" not in last:
        return []
    paths = []
    for name, kind in task_named(entry["task"]).parts.items():
        told = (entry["data"].get("parts") or {}).get(name, {})
        of_part = {**entry, "data": {**entry["data"], "class_names": told.get("class_names") or None}}
        of_last = {**last, "test": part_of(name, last["test"])}
        with TemporaryDirectory(dir=folder) as own:
            for path in KNOWN[kind].figures.of_run(Path(own), of_part, of_last, ()):
                paths.append(path.replace(folder / f"{name}_{path.name}"))
    return paths
