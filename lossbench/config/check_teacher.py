"""A finished run as the teacher of another: what it is, and what must hold for it. Nothing here imports torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossbench.catalogue.facts import facts_of
from lossbench.catalogue.terms import targets
from lossbench.config.cell import Cell, asks_for_teacher
from lossbench.errors import ConfigError
from lossbench.locate import locate, strangers, targets_in
from lossbench.records import record
from lossbench.records.schema import Record
from lossbench.tasks import task_named


def check_teachers(cells: Sequence[Cell]) -> None:
    """Raise a `ConfigError` if a teacher is given that no loss of a command learns from."""
    given = next((cell.config.teacher for cell in cells if cell.config.get("teacher")), None)
    if given is not None and not any(asks_for_teacher(cell.config.loss) for cell in cells):
        raise ConfigError(f"teacher={given}: no loss here learns from a teacher. Leave it out, or use distillation.")


def check_teacher(cell: Cell) -> None:
    """Raise a `ConfigError` unless the teacher of a cell, if its loss learns from one, can teach it."""
    folder = cell.config.get("teacher")
    if folder is None and asks_for_teacher(cell.config.loss, unknown=False):
        raise without_teacher(cell.loss, cell.data)
    if folder is None or not asks_for_teacher(cell.config.loss):
        return
    entry = record.read(Path(folder))
    if entry is None:
        raise ConfigError(f"teacher={folder}: there is no run, since it has no record.json. {_how(cell.data)}")
    if entry["status"] != "finished":
        raise ConfigError(f"teacher={folder}: this run is {entry['status']}. A teacher must have finished.")
    if not (Path(folder) / "checkpoints" / "last.ckpt").is_file():
        raise ConfigError(f"teacher={folder}: there is no checkpoints/last.ckpt. rerun=true trains that run again.")
    _require_known(cell, entry)
    theirs, ours = entry["config"]["data"], cell.config.data
    for what in ("source", "task", "_target_"):
        if theirs.get(what) != ours.get(what):
            raise ConfigError(
                f"teacher={folder} was trained on data.{what}={theirs.get(what)}, but data={cell.data} has "
                f"{what}={ours.get(what)}. Teacher and student must see the same inputs and classes. {_how(cell.data)}"
            )
    link = _link(entry["config"]["loss"], entry["task"])
    if link != "softmax":
        raise ConfigError(
            f"teacher={folder} was trained with {entry['loss']}, whose outputs are read by {link}. A teacher must have "
            f"logits, read by softmax. {_how(cell.data)}"
        )


def _require_known(cell: Cell, entry: Record) -> None:
    """Raise a `ConfigError` if the record of a teacher names code that this command does not know."""
    known = set(cell.config.trust) | targets_in(cell.resolved)
    for group in ("model", "loss"):
        if unknown := strangers(entry["config"][group], group, known):
            raise ConfigError(
                f"teacher={cell.config.teacher}: its record names {unknown[0]}, which is neither lossbench's nor "
                f"named in this command, and is not imported. If you know it: 'trust=[{','.join(unknown)}]'."
            )


def without_teacher(loss: str, data: str) -> ConfigError:
    """Return the error of a loss that lacks its teacher."""
    return ConfigError(f"loss={loss} learns from a teacher: teacher=FOLDER, the folder of a finished run. {_how(data)}")


def taught_by(cell: Cell) -> dict[str, str] | None:
    """Return folder, name and key of the run that teaches a cell, for its record; None if there is none."""
    folder = cell.resolved.get("teacher")
    entry = record.read(Path(folder)) if folder else None
    return None if entry is None else {"folder": str(folder), "name": entry["name"], "key": entry["key"]}


def _how(data: str) -> str:
    return f"Make one: python -m lossbench loss=cross_entropy data={data}. It prints the folder of its record."


def _link(loss: Mapping[str, Any], task: str) -> str:
    """Return the name of the link by which the outputs of a loss are read; of a sum, that of its first term."""
    first = targets(loss)[0]
    facts = facts_of(first)
    if facts is not None:
        return facts.link
    declaration = getattr(locate(first), "declaration", None)
    if declaration is None:
        return task_named(task).link
    return str(declaration.link.__name__)
