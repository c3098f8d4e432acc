"""Lightning's logger of a run while it trains: what each epoch has left is sent every few seconds.

A run that is over before that is written from its record, and so is one whose logger has failed or has other values
than the record, as of epochs that a stopped attempt had trained in another engine. So has the logger in the end what
the record has, once. A run that was stopped and goes on sends its epochs anew, in place of what was there.
"""

import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lossbench.errors import first_line
from lossbench.records import record
from lossbench.records.schema import Record
from lossbench.tracking.agreement import TOLD_LATER, as_told, is_same
from lossbench.tracking.loggers import NAMES, close, end, epochs_of, forget_open, log_rows, note, opened, place_of, tell

log = logging.getLogger(__name__)
SECONDS = 5.0
"""Between two times that a logger is told of a run; the shorter ones never open it before their end."""


class LiveLogger:
    """The logger of one run that trains; without one (`tracking.logger=null`) the methods do nothing.

    Parameters
    ----------
    entry : dict
        The record of the run, as it begins.
    folder : Path
        The folder of the run.
    tracking : DictConfig
        The node `tracking` of the config.
    goes_on : bool
        Whether the run goes on from an earlier attempt.

    """

    def __init__(self, entry: Record, folder: Path, tracking: DictConfig, goes_on: bool = False) -> None:
        self._kind: str | None = tracking.get("logger")
        self._entry, self._folder, self._tracking = entry, folder, tracking
        self._logger: Any = None
        self._over = self._kind is None or TOLD_LATER in os.environ
        self._buffer: dict[int, dict[str, float]] = {}
        self._told: dict[int, dict[str, float]] = {}
        self._there = 0
        self._flushed = time.monotonic()
        if self._kind == "wandb" and not goes_on:
            forget_open(folder)

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Take the values of one epoch; a logger that fails costs a warning."""
        if self._over:
            return
        self._buffer[epoch] = {"epoch": epoch, **{name: as_told(value) for name, value in metrics.items()}}
        if time.monotonic() - self._flushed < SECONDS:
            return
        try:
            self._flush()
        except Exception as error:
            log.warning("%s could not be told of an epoch: %s.", NAMES[str(self._kind)], first_line(error))
            self._over = True

    def finish(self, entry: Record) -> None:
        """Send what is missing of a run that is done, and close the logger."""
        if self._logger is None or self._over or not self._is_ended(entry):
            self._close()
            tell(entry, self._folder, self._tracking)
        self._over = True

    def _flush(self) -> None:
        kind = str(self._kind)
        if self._logger is None:
            place = place_of(kind, self._folder)
            if kind != "wandb":  # an earlier attempt; a run in W&B is continued
                shutil.rmtree(place, ignore_errors=True)
            self._logger = opened(kind, place, self._entry, self._folder, self._tracking)
            self._there = int(self._logger.experiment.step) if kind == "wandb" else 0
        log_rows(self._logger, dict(list(self._buffer.items())[max(0, self._there - len(self._told)) :]))
        self._logger.save()
        if kind == "tensorboard":
            self._logger.experiment.flush()
        self._told |= self._buffer
        self._buffer = {}
        self._flushed = time.monotonic()

    def _is_ended(self, entry: Record) -> bool:
        """Send the rest of a run and, if it is done, its end; False if it has to be written from its record."""
        rows = epochs_of(entry)
        if not all(_is_row(row, rows.get(epoch, {})) for epoch, row in self._told.items()):
            return False
        self._buffer = {epoch: row for epoch, row in rows.items() if epoch not in self._told}
        try:
            self._flush()
            if not record.is_done(entry) or self._kind == "csv":  # its final values stand in the row of the last epoch
                return False
            end(str(self._kind), self._logger, entry)
            note(entry, self._folder, self._tracking)
        except Exception as error:
            log.debug("written from the record: %s", first_line(error))
            return False
        return True

    def _close(self) -> None:
        if self._logger is not None:
            try:
                close(str(self._kind), self._logger)
            except Exception as error:
                log.debug("could not be closed: %s", first_line(error))


def _is_row(row: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return row.keys() == other.keys() and all(is_same(value, other[name]) for name, value in row.items())
