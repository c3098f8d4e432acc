"""The MLflow run of one cell."""

import json
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.cells import Cell
from lossbench.errors import first_line
from lossbench.record import Record, this_process
from lossbench.tracking.store import STATUS, connect, create_run, experiment_name
from lossbench.tracking.views import color_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PARENTS = "LOSSBENCH_PARENT_RUNS"
"""The environment variable through which the cells of a sweep, in whatever process, find their parent runs."""
_BATCH_METRICS, _BATCH_PARAMS, _LONGEST_PARAM, _LONGEST_TAG = 1000, 100, 6000, 8000
_FLUSH_SECONDS = 10.0


class RunTracker:
    """The MLflow run of one cell: parameters and tags at the start, buffered metrics, files and status at the end.

    Without a store (`tracking=none`), and after the store has failed, its methods do nothing.
    """

    def __init__(self, cell: Cell) -> None:
        self.run_id: str | None = None
        self._client: MlflowClient | None = None
        self._buffer: list[Any] = []
        self._flushed = time.monotonic()
        self._infinite: set[str] = set()
        self._work = "start the run"
        if cell.config.tracking.uri is not None:
            self._guard(self._start, cell)

    def _start(self, cell: Cell) -> None:
        self._client = connect(cell.config.tracking)
        parent = json.loads(os.environ.get(PARENTS, "{}")).get(experiment_name(cell))
        tags = {
            "lossbench.kind": "run",
            "lossbench.key": cell.key,
            "lossbench.problem": cell.problem,
            "lossbench.status": "running",
            "lossbench.process": json.dumps(this_process()),
            "data": cell.data,
            "learner": cell.choices["learner"],
            "loss": cell.loss,
            "model": cell.choices["model"],
            "seed": str(cell.config.seed),
            **cell.axes,
            "mlflow.runColor": color_of(cell.loss),
        }
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        run = create_run(self._client, experiment_name(cell), cell.name, tags)
        self.run_id = run.info.run_id
        self._log_params(parameters_of(cell))

    def _log_params(self, parameters: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, value[:_LONGEST_PARAM]) for key, value in parameters.items()]
        for start in range(0, len(entries), _BATCH_PARAMS):
            self._client.log_batch(self.run_id, params=entries[start : start + _BATCH_PARAMS])  # type: ignore[union-attr]

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take the metrics of one epoch; they are sent together every few seconds."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._infinite |= {name for name, value in metrics.items() if math.isinf(value)}
        finite = {name: math.nan if math.isinf(value) else float(value) for name, value in metrics.items()}
        self._buffer += [Metric(name, value, now, step) for name, value in finite.items()]
        if len(self._buffer) >= _BATCH_METRICS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._guard(self._flush)

    def _flush(self) -> None:
        self._work = "send metrics"
        while self._buffer:
            self._client.log_batch(self.run_id, metrics=self._buffer[:_BATCH_METRICS])  # type: ignore[union-attr]
            del self._buffer[:_BATCH_METRICS]
        self._flushed = time.monotonic()

    def describe_data(self, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        """Name the data of the run, so that MLflow shows which runs share it: its page has a column for it."""
        self._guard(self._describe_data, name, digest, facts)

    def _describe_data(self, name: str, digest: str, facts: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self._work = "describe the data"
        counts = {key: facts[key] for key in ("sizes", "class_counts", "imbalance", "contamination") if key in facts}
        dataset = Dataset(
            name, digest, "lossbench", json.dumps({"source": facts["source"]}), profile=json.dumps(counts)
        )
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        self._client.log_inputs(self.run_id, datasets=inputs)  # type: ignore[union-attr]

    def _tag(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._work = "set tags"
        entries = [RunTag(key, value[:_LONGEST_TAG]) for key, value in tags.items()]
        self._client.log_batch(self.run_id, tags=entries)  # type: ignore[union-attr]

    def finish(self, record: Record, files: Iterable[Path]) -> None:
        """Send what is buffered, the files and the status with which the run ended."""
        self._guard(self._finish, record, list(files))

    def _finish(self, record: Record, files: list[Path]) -> None:
        self._flush()
        self._work = "send files"
        tags = {"lossbench.status": record["status"]}
        if self._infinite:
            tags["lossbench.infinite"] = ", ".join(sorted(self._infinite))
        self._tag(tags)
        for path in files:
            self._client.log_artifact(self.run_id, str(path))  # type: ignore[union-attr]
        self._client.set_terminated(self.run_id, STATUS[record["status"]])  # type: ignore[union-attr]

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


def parameters_of(cell: Cell) -> dict[str, str]:
    """Flatten a config to MLflow parameters: the choices by group, and every value by its key with dots."""
    flat: dict[str, str] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else str(key))
        elif not path.endswith("._partial_"):
            flat[path] = str(node)

    skipped = ("compare", "rerun", "tracking")
    walk({key: value for key, value in cell.resolved.items() if key not in skipped}, "")
    return {**flat, **{group.replace("/", "."): choice for group, choice in cell.named_choices.items()}}
