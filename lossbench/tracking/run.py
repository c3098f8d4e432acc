"""The MLflow run of one cell."""

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from lossbench.errors import first_line
from lossbench.records.schema import Record
from lossbench.tracking.agreement import (
    BATCH_METRICS,
    TOLD_LATER,
    Known,
    as_metrics,
    complete,
    confirm,
    known_of,
    log_data,
    log_metrics,
    log_params,
    new_run,
    rounded,
    run_of,
    set_tags,
    step_of_curves,
    tags_of,
)
from lossbench.tracking.live import LiveLogger
from lossbench.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_FLUSH_SECONDS = 10.0


class RunTracker:
    """The MLflow run of one cell: parameters and tags at the start, buffered metrics, files and status at the end.

    A run that was stopped and goes on is the same run in MLflow, and no value of it is sent twice. Without a store
    (`tracking=none`), and after the store has failed, the methods do nothing; a later call sends what is missing.

    Parameters
    ----------
    entry : dict
        The record of the run, as it begins.
    folder : Path
        The folder of the run.
    tracking : DictConfig
        The node `tracking` of the config.
    goes_on : bool
        Whether an earlier attempt may have left a run in the store.

    """

    def __init__(self, entry: Record, folder: Path, tracking: DictConfig, goes_on: bool = False) -> None:
        self.run_id: str | None = None
        self._folder, self._tracking = folder, tracking
        self._client: MlflowClient | None = None
        self._buffer: list[Any] = []
        self._step = step_of_curves(entry["config"])
        self._flushed = time.monotonic()
        self._known = Known()
        self._work = "start the run"
        self._live = LiveLogger(entry, folder, tracking, goes_on)
        if tracking.uri is not None and TOLD_LATER not in os.environ:
            self._guard(self._start, entry, goes_on)

    def _start(self, entry: Record, goes_on: bool) -> None:
        self._client = connect(self._tracking)
        earlier = run_of(self._client, entry) if goes_on else None
        if earlier is None or earlier.info.status == "FINISHED":
            self.run_id = new_run(self._client, entry)
        else:
            self.run_id, self._known = earlier.info.run_id, known_of(self._client, earlier)
            self._client.update_run(self.run_id, status="RUNNING")
            set_tags(self._client, self.run_id, tags_of(entry))
        log_params(self._client, self.run_id, entry, self._known)
        log_data(self._client, self.run_id, entry, self._known)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take the metrics of one epoch; those of the epochs that MLflow has are sent together every few seconds."""
        self._live.log(metrics, step)
        if self._client is None or step % self._step:
            return
        values = {
            (name, step): rounded(float(value)) if math.isfinite(value) else math.nan for name, value in metrics.items()
        }
        new = {key: value for key, value in values.items() if key not in self._known.values}
        self._known.values |= new
        self._buffer += as_metrics(new)
        if len(self._buffer) >= BATCH_METRICS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._guard(self._flush)

    def _flush(self) -> None:
        self._work = "send metrics"
        assert self._client is not None and self.run_id is not None
        log_metrics(self._client, self.run_id, self._buffer)
        self._buffer, self._flushed = [], time.monotonic()

    def finish(self, entry: Record) -> None:
        """Send what is still missing: buffered metrics, files, and the status with which the run ended.

        So is Lightning's logger, if there is one.
        """
        self._guard(self._finish, entry)
        self._live.finish(entry)

    def _finish(self, entry: Record) -> None:
        self._work = "end the run"
        assert self._client is not None and self.run_id is not None
        self.run_id = complete(self._client, self.run_id, entry, self._folder, self._known, self._buffer)
        confirm(self._folder, entry, self._tracking.uri)

    def _guard(self, call: Any, *arguments: Any) -> None:
        if self._client is None and call != self._start:
            return
        try:
            call(*arguments)
        except Exception as error:
            log.warning(
                "MLflow could not %s: %s. The run goes on; its record is in its folder.", self._work, first_line(error)
            )
            self._client = None
