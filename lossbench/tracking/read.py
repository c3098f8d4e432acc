"""The records of runs from an MLflow store, for where the folders are not: each run keeps its record as an artifact."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.config.axes import AXES, axes_of
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.records.schema import Record, new_record
from lossbench.tasks import task_named
from lossbench.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FILES = (record.FILE, "predictions.npz", "predictions_best.npz", "validation.npz")
_PAGE = 1000


def read_mlflow(tracking: DictConfig, data: str | None, folder: Path) -> Iterator[Record]:
    """Read the record of every run of a store, the newest one of each key, and download what a report is made of.

    A run that left no record, as one that was killed hard, has what its tags and parameters say.

    Parameters
    ----------
    tracking : DictConfig
        The node `tracking` of a config, with `uri`.
    data : str or None
        Only the runs of this problem.
    folder : Path
        Where the files are downloaded to.

    Raises
    ------
    ConfigError
        If the store can't be read.

    """
    if tracking.uri is None:
        raise ConfigError(
            "compare.source=mlflow needs a store: tracking.uri=sqlite:///FILE or the address of a server."
        )
    if tracking.uri.startswith("sqlite:///") and not Path(tracking.uri.removeprefix("sqlite:///")).is_file():
        raise ConfigError(f"tracking.uri={tracking.uri}: there is no such file.")  # MLflow would make an empty one
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    try:
        client = connect(tracking)
        runs = list(_runs(client, data))
    except Exception as error:
        raise ConfigError(f"tracking.uri={tracking.uri}: MLflow can't read it: {error}.") from error
    newest = {run.data.tags.get("lossbench.key", run.info.run_id): run for run in runs}
    for run in newest.values():
        yield _record(client, run, folder / as_file_name(run.info.run_id))


def _runs(client: "MlflowClient", data: str | None) -> Iterator["Run"]:
    """Find the runs, oldest first."""
    wanted = "tags.`lossbench.kind` = 'run'" + (f" and tags.data = '{data}'" if data else "")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    token: str | None = None
    while experiments:
        found = client.search_runs(experiments, wanted, 1, _PAGE, ["attributes.start_time ASC"], token)
        yield from found
        token = found.token
        if not token:
            return


def _record(client: "MlflowClient", run: "Run", folder: Path) -> Record:
    folder.mkdir(parents=True)
    for name in FILES:
        with suppress(Exception):  # a run that diverged early has no predictions
            client.download_artifacts(run.info.run_id, name, str(folder))
    found = record.read(folder) or _from_tags(run)
    return {**found, "folder": str(folder), "mlflow_run_id": run.info.run_id}


def _from_tags(run: "Run") -> Record:
    tags, parameters = run.data.tags, run.data.params
    status = tags.get("lossbench.status", "missing")

    def node(name: str) -> dict[str, Any]:
        prefix = f"{name}."
        lines = [f"{key.removeprefix(prefix)}={text}" for key, text in parameters.items() if key.startswith(prefix)]
        return {str(key): value for key, value in OmegaConf.from_dotlist(lines).items()}

    task = task_named(parameters.get("data.task", "multiclass"))
    made = new_record(
        task,
        key=tags["lossbench.key"],
        problem=tags["lossbench.problem"],
        name=run.info.run_name,
        status="missing" if status == "finished" else status,
        loss=tags["loss"],
        axes=axes_of(tags),
        learner=tags.get("learner", "supervised"),
        seed=int(tags["seed"]),
        choices={"data": tags["data"], "model": tags.get("model", "?")},
        config={**{group: node(group) for group in ("loss", *AXES)}, "data": {}},
        monitor=task.monitor,
    )
    return {**made, "started": run.info.start_time / 1000}
