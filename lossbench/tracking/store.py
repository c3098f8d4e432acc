"""The store of MLflow: opened, checked and prepared before any worker needs it."""

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from filelock import FileLock
from omegaconf import DictConfig

from lossbench.cells import Cell
from lossbench.checks import check_writable
from lossbench.errors import ConfigError, first_line
from lossbench.metric_names import measured_as
from lossbench.record import git_state, is_alive
from lossbench.tracking.views import view_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

STATUS = {"finished": "FINISHED", "diverged": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
"""MLflow's word for how a run ended; a diverged one is told by its tag `lossbench.status`."""


_CLIENT = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""Settings of MLflow's client unless the user has others: a server that is gone must not hold up a run for minutes."""


def connect(tracking: DictConfig) -> "MlflowClient":
    """Return a client of the configured store, with MLflow's own usage statistics off unless asked for."""
    set_environment(tracking)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow"):  # after the import, which sets up loggers of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=tracking.uri)


def set_environment(tracking: DictConfig) -> None:
    """Set what MLflow reads from the environment when it is imported."""
    if not tracking.telemetry:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in _CLIENT.items():
        os.environ.setdefault(name, value)


def prepare(cells: Iterable[Cell]) -> None:
    """Make the store and the experiments before any worker needs them, and close runs whose process has died.

    Raises
    ------
    ConfigError
        If the store can't be used.

    """
    wanted = {(cell.config.tracking.uri, experiment_name(cell)): cell for cell in cells}
    for (uri, name), cell in wanted.items():
        config, measured = cell.config, measured_as(cell.config.data.task, cell.choices["learner"])
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
                    _create_experiment(client, name, uri, output_dir, view_tags(measured))
                else:
                    _close_dead_runs(client, experiment.experiment_id)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"tracking.uri={uri}: MLflow can't use it: {first_line(error)}. "
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


def _create_experiment(client: "MlflowClient", name: str, uri: str, output_dir: Path, views: dict[str, str]) -> None:
    on_server = urlsplit(uri).scheme in ("http", "https")
    artifacts = None if on_server else (output_dir / "mlartifacts" / name).absolute().as_uri()
    tags = {"mlflow.experimentKind": "custom_model_development", **views}
    client.create_experiment(name, artifact_location=artifacts, tags=tags)


def _close_dead_runs(client: "MlflowClient", experiment_id: str) -> None:
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        process = json.loads(run.data.tags.get("lossbench.process", "null"))
        if process is not None and not is_alive(process):
            client.set_tag(run.info.run_id, "lossbench.status", "killed")
            client.set_terminated(run.info.run_id, "KILLED")
            log.info("MLflow run %s was left by a process that died: closed as KILLED.", run.info.run_name)


def create_run(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str]) -> "Run":
    """Start a run with our name, and with tags that say who started it from which commit."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise RuntimeError(f"the MLflow experiment {experiment!r} has been deleted")
    base = {"mlflow.source.name": "lossbench", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    git = git_state()
    if git is not None:
        base["mlflow.source.git.commit"] = git["commit"]
    return client.create_run(found.experiment_id, run_name=name, tags={**base, **tags})


def _user() -> str:
    import getpass

    with suppress(Exception):
        return getpass.getuser()
    return "unknown"
