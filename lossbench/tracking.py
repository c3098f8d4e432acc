"""All that knows MLflow: one experiment for each problem, a parent run for each sweep, a child for each cell.

The folders under `output_dir` are the record; MLflow shows it. So a tracking server that goes away in the middle of a
run costs a warning and not the run.
"""

import json
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from filelock import FileLock
from omegaconf import DictConfig

from lossbench.cells import Cell
from lossbench.checks import check_writable
from lossbench.errors import ConfigError
from lossbench.record import Record, git_state, is_alive, this_process

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

STATUS = {"finished": "FINISHED", "diverged": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
"""MLflow's word for how a run ended; a diverged one is told by its tag `lossbench.status`."""
PARENTS = "LOSSBENCH_PARENT_RUNS"
"""The environment variable through which the cells of a sweep, in whatever process, find their parent runs."""
_BATCH_METRICS, _BATCH_PARAMS, _LONGEST_PARAM, _LONGEST_TAG = 1000, 100, 6000, 8000
_FLUSH_SECONDS = 5.0


def connect(tracking: DictConfig) -> "MlflowClient":
    """Return a client of the configured store, with MLflow's own usage statistics off unless asked for."""
    if not tracking.telemetry:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow"):  # after the import, which sets up loggers of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=tracking.uri)


def prepare(cells: Iterable[Cell]) -> None:
    """Make the store and the experiments before any worker needs them, and close runs whose process has died.

    Raises
    ------
    ConfigError
        If the store can't be used.

    """
    wanted = {(cell.config.tracking.uri, experiment_name(cell)): cell.config for cell in cells}
    for (uri, name), config in wanted.items():
        if uri is None:
            continue
        _check_uri(uri)
        output_dir = Path(config.output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(output_dir / ".tracking.lock"):
                client = connect(config.tracking)
                experiment = client.get_experiment_by_name(name)
                if experiment is None:
                    _create_experiment(client, name, uri, output_dir)
                else:
                    _close_dead_runs(client, experiment.experiment_id)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"tracking.uri={uri}: MLflow can't use it: {_first_line(error)}. "
                "Use tracking.uri=sqlite:///FILE, the http address of a server, or tracking=none."
            ) from error


def experiment_name(cell: Cell) -> str:
    """Return the name of the experiment of a cell: the problem's, without slashes, which MLflow's pages cut."""
    return str(cell.config.tracking.experiment or cell.data).replace("/", "-")


def _check_uri(uri: str) -> None:
    scheme = urlsplit(uri).scheme
    if scheme == "sqlite":
        check_writable(Path(uri.removeprefix("sqlite:///")).parent)
    elif scheme in ("http", "https"):
        try:
            urlopen(f"{uri.rstrip('/')}/health", timeout=5).close()
        except HTTPError:
            pass  # a server that wants a login, or hides this page, is still a server
        except OSError as error:
            raise ConfigError(
                f"tracking.uri={uri}: no server answers there ({error}). Start it, or use sqlite:///FILE."
            ) from error
    elif scheme.partition("+")[0] not in ("postgresql", "mysql", "mssql", "databricks"):
        raise ConfigError(
            f"tracking.uri={uri}: MLflow keeps runs in a database or on a server. "
            "Use tracking.uri=sqlite:///FILE, the http address of a server, or tracking=none."
        )


def _create_experiment(client: "MlflowClient", name: str, uri: str, output_dir: Path) -> None:
    on_server = urlsplit(uri).scheme in ("http", "https")
    artifacts = None if on_server else (output_dir / "mlartifacts" / name).absolute().as_uri()
    client.create_experiment(
        name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )


def _close_dead_runs(client: "MlflowClient", experiment_id: str) -> None:
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        process = json.loads(run.data.tags.get("lossbench.process", "null"))
        if process is not None and not is_alive(process):
            client.set_tag(run.info.run_id, "lossbench.status", "killed")
            client.set_terminated(run.info.run_id, "KILLED")
            log.info("MLflow run %s was left by a process that died: closed as KILLED.", run.info.run_name)


def open_parents(cells: list[Cell]) -> dict[str, str]:
    """Start a parent run in each experiment of a sweep, for the cells to find; return their ids by experiment."""
    parents = {}
    for experiment in {experiment_name(cell) for cell in cells if cell.config.tracking.uri is not None}:
        members = [cell for cell in cells if experiment_name(cell) == experiment]
        client = connect(members[0].config.tracking)
        losses = list(dict.fromkeys(cell.name.rpartition("-s")[0] for cell in members))
        seeds = {cell.config.seed for cell in members}
        shown = ", ".join(losses) if len(losses) <= 4 else f"{len(losses)} losses"
        tags = {
            "lossbench.kind": "sweep",
            "lossbench.cells": str(len(members)),
            "lossbench.process": json.dumps(this_process()),
        }
        parents[experiment] = _create_run(client, experiment, f"{shown} x {len(seeds)} seeds", tags).info.run_id
    os.environ[PARENTS] = json.dumps(parents)
    return parents


def close_parents(cells: list[Cell], parents: Mapping[str, str], status: str, files: Mapping[str, Path]) -> None:
    """End the parent runs, each with the comparison's folder as artifact where there is one for its experiment."""
    for experiment, run_id in parents.items():
        cell = next(cell for cell in cells if experiment_name(cell) == experiment)
        client = connect(cell.config.tracking)
        if experiment in files:
            client.log_artifacts(run_id, str(files[experiment]), "comparison")
        client.set_tag(run_id, "lossbench.status", status)
        client.set_terminated(run_id, STATUS[status])


def _create_run(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str]) -> "Run":
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise RuntimeError(f"the MLflow experiment {experiment!r} has been deleted")
    base = {"mlflow.source.name": "lossbench", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    git = git_state()
    if git is not None:
        base["mlflow.source.git.commit"] = git["commit"]
    return client.create_run(found.experiment_id, run_name=name, tags={**base, **tags})


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
            "loss": cell.loss,
            "model": cell.choices["model"],
            "seed": str(cell.config.seed),
            "weighting": cell.weighting,
        }
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        run = _create_run(self._client, experiment_name(cell), cell.name, tags)
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

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        self._guard(self._tag, tags)

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
                "MLflow could not %s: %s. The run goes on; its record is in its folder.", self._work, _first_line(error)
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


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _user() -> str:
    import getpass

    with suppress(Exception):
        return getpass.getuser()
    return "unknown"
