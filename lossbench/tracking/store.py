"""The store of MLflow: opened, checked and prepared before any worker needs it."""

import importlib
import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from filelock import FileLock
from omegaconf import DictConfig

from lossbench.config.cell import Cell, escaped
from lossbench.errors import ConfigError, first_line
from lossbench.locate import without_collecting
from lossbench.ranges import takes
from lossbench.records.claims import is_alive
from lossbench.records.files import check_writable, replace
from lossbench.records.provenance import git_state
from lossbench.tasks.task import Task
from lossbench.tracking.moved import ARTIFACTS, LOCK, find_moved_files
from lossbench.tracking.views import view_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

HIDDEN = "***"
"""What stands in a URI for its credentials."""
CREDENTIALS = "LOSSBENCH_DATABASE_CREDENTIALS"
STATUS = {"finished": "FINISHED", "diverged": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
"""MLflow's word for how a run ended; a diverged one is told by its tag `lossbench.status`."""
_CLIENT = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""Settings of MLflow's client unless the user has others: a server that is gone must not hold up a run for minutes."""


@takes(uri="text or null", experiment="text or null", points="int [1, inf) or null", telemetry="bool")
def connect(tracking: DictConfig) -> "MlflowClient":
    """Return a client of the configured store, with MLflow's own usage statistics off unless asked for."""
    _import_mlflow(tracking)
    from mlflow import MlflowClient

    credentials = os.environ.get(CREDENTIALS)
    client = MlflowClient(tracking_uri=tracking.uri.replace(f"{HIDDEN}@", f"{credentials}@" if credentials else ""))
    _remove_stray(tracking.uri)
    return client


def _remove_stray(uri: str) -> None:
    """Remove the empty folder that MLflow 3.17 makes of an escaped path, which it reads as it stands."""
    if "%" in uri and uri.startswith("sqlite:///"):
        with suppress(OSError):
            Path(uri.removeprefix("sqlite:///")).parent.rmdir()


def _import_mlflow(tracking: DictConfig) -> None:
    set_environment(tracking)
    with without_collecting():
        importlib.import_module("mlflow")
    for name in ("alembic", "mlflow"):  # after the import, which sets up loggers of its own
        logging.getLogger(name).setLevel(logging.WARNING)


def hide_credentials(words: Iterable[str]) -> list[str]:
    """Take the credentials out of `tracking.uri=` in the words of a command line, into variables of the environment.

    Nothing that is printed or recorded afterwards has them.

    Examples
    --------
    >>> hide_credentials(["seed=1", "tracking.uri=http://user@host:5000"])
    ['seed=1', 'tracking.uri=http://***@host:5000']

    """
    return [_without_credentials(word) if "tracking.uri=" in word else word for word in words]


def _without_credentials(uri: str) -> str:
    found = re.search(r"(?<=://)([^/@]+)@", uri)
    if found is None or found[1] == HIDDEN:
        return uri
    if "http" in uri[: found.start()]:
        user, _, password = map(unquote, found[1].partition(":"))
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = user, password
    else:  # MLflow knows no other place for those of a database
        os.environ[CREDENTIALS] = found[1]
    return uri[: found.start()] + HIDDEN + uri[found.end() - 1 :]


def database_of(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for another store.

    Examples
    --------
    >>> str(database_of("sqlite:///out%3F/mlflow.db")), database_of("http://host:5000")
    ('out?/mlflow.db', None)

    """
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0])) if uri.startswith("sqlite:///") else None


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
        config = cell.config
        if uri is None:
            continue
        check_uri(uri)
        output_dir = Path(config.output_dir)
        output_dir.mkdir(parents=True, exist_ok=True)
        try:
            make_database(config.tracking, output_dir)
            ensure_experiment(connect(config.tracking), name, cell.task, uri, output_dir)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"tracking.uri={uri}: MLflow can't use it: {first_line(error)}.{_half_made(uri)} "
                "Use tracking.uri=sqlite:///FILE, the http address of a server, or tracking=none."
            ) from error


def make_database(tracking: DictConfig, output_dir: Path) -> None:
    """Make the file of a store beside its place and move it there when it is whole: a kill leaves all or none.

    One that is there looks for its files where they are now.
    """
    path = database_of(tracking.uri)
    if path is None:
        return
    with FileLock(output_dir / LOCK):
        if not path.exists() or path.stat().st_size == 0:
            _make_database(path, tracking)
    find_moved_files(path, output_dir)


def _make_database(path: Path, tracking: DictConfig) -> None:
    _import_mlflow(tracking)
    with without_collecting():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        replace(path, lambda half: SqlAlchemyStore(sqlite_uri(half), "mlruns").engine.dispose())
    _remove_stray(sqlite_uri(path))


def _half_made(uri: str) -> str:
    """Say what to do with a database that was left half made."""
    path = database_of(uri)
    if path is None or not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path)) as database:
            runs = database.execute("select count(*) from runs").fetchone()[0]
    except sqlite3.Error:
        runs = 0
    if runs:
        return ""
    return f" {path} holds no run, and was left half made when a command was killed: delete it, and it is made again."


def sqlite_uri(path: Path) -> str:
    """Return the URI of a database file; what means something in a URI is escaped.

    Examples
    --------
    >>> sqlite_uri(Path("50%?/mlflow.db"))
    'sqlite:///50%25%3F/mlflow.db'

    """
    return "sqlite:///" + escaped(str(path))


def ensure_experiment(client: "MlflowClient", name: str, task: Task, uri: str, output_dir: Path) -> None:
    """Make an experiment with its views, or close those of its runs whose process has died.

    Raises
    ------
    ConfigError
        If it has been deleted in MLflow, which keeps its name.

    """
    with FileLock(output_dir / LOCK):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            _create_experiment(client, name, uri, output_dir, view_tags(task))
            return
    if experiment.lifecycle_stage == "deleted":
        raise ConfigError(
            f"tracking.experiment={name}: this experiment has been deleted in MLflow, which keeps its name. Restore it "
            f"(mlflow experiments restore -x {experiment.experiment_id}), or record under another name: "
            f"tracking.experiment={name}-2."
        )
    views = view_tags(task)
    if not experiment.tags.keys() >= views.keys():  # made by an older version
        for key, value in views.items():
            client.set_experiment_tag(experiment.experiment_id, key, value)
    _close_dead_runs(client, experiment.experiment_id, output_dir)


def experiment_name(cell: Cell) -> str:
    """Return the name of the experiment of a cell: the problem's, without slashes, which MLflow's pages cut."""
    return str(cell.config.tracking.experiment or cell.data).replace("/", "-")


def check_uri(uri: str) -> None:
    """Raise a `ConfigError` unless MLflow can keep runs there, as far as that can be told at once."""
    scheme = urlsplit(uri).scheme
    if _without_credentials(uri) != uri:
        raise ConfigError(
            "tracking.uri: credentials in a file would be recorded with each run. Give them on the command line, or in "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    if (path := database_of(uri)) is not None:
        check_writable(path.parent)
    elif scheme in ("http", "https"):
        try:
            urlopen(f"{uri.rstrip('/').replace(f'{HIDDEN}@', '')}/health", timeout=5).close()
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
    artifacts = None if on_server else (output_dir / ARTIFACTS / name).absolute().as_uri()
    tags = {"mlflow.experimentKind": "custom_model_development", **views}
    client.create_experiment(name, artifact_location=artifacts, tags=tags)


def _close_dead_runs(client: "MlflowClient", experiment_id: str, output_dir: Path) -> None:
    for run, process in _open_runs(client, experiment_id):
        tags = run.data.tags
        folder = output_dir / tags.get("data", "") / f"{run.info.run_name}-{tags.get('lossbench.key', '')[:8]}"
        if not is_alive(process, folder):
            _close(client, run, _last_sign(folder))


def close_runs_of(host: str, tracking: DictConfig) -> int:
    """Close the runs that the processes of a machine left open, in all experiments; return how many."""
    client, closed = connect(tracking), 0
    for experiment in client.search_experiments():
        for run, process in _open_runs(client, experiment.experiment_id):
            if process["host"] == host:
                _close(client, run)
                closed += 1
    return closed


def _open_runs(client: "MlflowClient", experiment_id: str) -> Iterator[tuple["Run", dict[str, Any]]]:
    """Yield the runs of ours that have not been ended, and the process that each says it is of."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        process = json.loads(run.data.tags.get("lossbench.process", "null"))
        if process is not None:
            yield run, process


def _last_sign(folder: Path) -> int | None:
    """Return when something was last written into the folder of a run, in milliseconds; None where nothing was."""
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return int(max(times) * 1000) if times else None


def _close(client: "MlflowClient", run: "Run", ended: int | None = None) -> None:
    client.set_tag(run.info.run_id, "lossbench.status", "killed")
    client.set_terminated(run.info.run_id, "KILLED", ended)
    log.info("MLflow run %s was left by a process that died: closed as KILLED.", run.info.run_name)


def find_or_create(
    client: "MlflowClient", experiment: str, tag: str, identity: str, create: Callable[[], "Run"]
) -> tuple[str, bool]:
    """Return the id of the run of an experiment whose tag is an identity, and whether it was made just now.

    Two processes that look at the same moment both make one; then both keep the older one.
    """
    found = client.get_experiment_by_name(experiment)
    assert found is not None

    def runs() -> list["Run"]:
        query = f"tags.`{tag}` = '{identity}'"
        return list(client.search_runs([found.experiment_id], query, order_by=["attributes.start_time ASC"]))

    if earlier := runs():
        return min(earlier, key=_age).info.run_id, False
    own = create().info.run_id
    first = min(runs(), key=_age).info.run_id
    if first != own:
        client.delete_run(own)
    return first, first == own


def _age(run: "Run") -> tuple[int, str]:
    return run.info.start_time, run.info.run_id


def create_run(
    client: "MlflowClient", experiment: str, name: str, tags: dict[str, str], started: float | None = None
) -> "Run":
    """Start a run with our name, and with tags that say who started it from which commit."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise RuntimeError(f"the MLflow experiment {experiment!r} has been deleted")
    base = {"mlflow.source.name": "lossbench", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
    git = git_state()
    if git is not None:
        base["mlflow.source.git.commit"] = git["commit"]
    start_time = None if started is None else int(started * 1000)
    return client.create_run(found.experiment_id, start_time=start_time, run_name=name, tags={**base, **tags})


def _user() -> str:
    import getpass

    with suppress(Exception):
        return getpass.getuser()
    return "unknown"
