"""What of a record must not depend on how its run came to its end, and runs that are stopped on their way."""

import pytest

from lossbench.config.cell import Cell
from lossbench.errors import Killed
from lossbench.records import record
from lossbench.running.callbacks import Cost
from lossbench.running.run import run


def numbers(cell: Cell) -> dict:
    """Return the numbers of the record of a cell."""
    entry = record.read(cell.path)
    return {key: entry[key] for key in ("metrics", "history", "hashes", "epochs")}


class Killing(Cost):
    """Stands in for the measured cost of a run, and kills the run before a batch of an epoch."""

    def __init__(self, epoch: int, batch: int = 0) -> None:
        super().__init__()
        self.place = epoch, batch

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == self.place:
            raise Killed(15)


def killed(cell: Cell, epoch: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a cell until it is killed before a batch of an epoch."""
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.running.run.Cost", lambda: Killing(epoch, batch))
        with pytest.raises(Killed):
            run(cell)
