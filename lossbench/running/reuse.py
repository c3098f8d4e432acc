"""Whether a cell need run at all."""

import shutil
from typing import TYPE_CHECKING

from lossbench.running import progress

if TYPE_CHECKING:
    from lossbench.config.cell import Cell
from lossbench.records.provenance import changes
from lossbench.records.record import (
    Record,
    is_done,
    log,
    read,
    summary,
)


def reusable(cell: "Cell") -> Record | None:
    """Return the record of a claimed cell that need not run; of any other, forget what can't be gone on from."""
    earlier = read(cell.path)
    changed = [] if earlier is None else changes(earlier)
    if not cell.config.rerun and earlier is not None and is_done(earlier):
        log.info("%s: %s; reused (rerun=true trains it again)", cell.name, summary(earlier))
        if changed:
            log.warning("%s was made with another version: %s", cell.name, "; ".join(changed))
        if told := not_kept(cell, earlier):
            log.warning("%s has kept no %s; rerun=true trains it again", cell.name, told)
        progress.run_done()
        return earlier
    if changed and not cell.config.rerun:
        log.warning("%s starts again, since versions have changed: %s", cell.name, "; ".join(changed))
    if changed or cell.config.rerun:
        shutil.rmtree(cell.path / "checkpoints", ignore_errors=True)
    return None


def not_kept(cell: "Cell", entry: Record) -> str:
    """Name what a cell shall keep and its run, made with another `keep`, has not kept; "" if nothing."""
    kept = entry["config"].get("keep")
    return "" if kept is None else ", ".join(name for name in cell.config.keep if name not in kept)
