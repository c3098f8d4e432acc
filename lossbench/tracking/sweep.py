"""The MLflow side of a sweep: a parent run in each experiment, and one run that sums up each loss."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench import record
from lossbench.cells import Cell, digest
from lossbench.errors import first_line
from lossbench.record import this_process
from lossbench.tracking.run import PARENTS
from lossbench.tracking.store import STATUS, connect, create_run, experiment_name
from lossbench.tracking.views import color_of, view_links

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lossbench.compare.records import Comparison

log = logging.getLogger(__name__)
SERVED = "http://127.0.0.1:5000"
"""Where `mlflow ui` serves its pages by default."""


@dataclass(frozen=True)
class Parent:
    """The parent run of the cells of one experiment."""

    cells: list[Cell]
    client: "MlflowClient"
    experiment_id: str
    run_id: str


def open_parents(cells: list[Cell]) -> dict[str, Parent]:
    """Start a parent run in each experiment of a sweep, for the cells to find; the same sweep has the same parent.

    Returns
    -------
    dict of str to Parent
        By name of the experiment.

    """
    parents = {}
    for experiment in {experiment_name(cell) for cell in cells if cell.config.tracking.uri is not None}:
        parents[experiment] = _open(experiment, [cell for cell in cells if experiment_name(cell) == experiment])
    os.environ[PARENTS] = json.dumps({experiment: parent.run_id for experiment, parent in parents.items()})
    return parents


def _open(experiment: str, cells: list[Cell]) -> Parent:
    client = connect(cells[0].config.tracking)
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    identity = digest({"cells": sorted(cell.key for cell in cells)})
    tags = {
        "lossbench.kind": "sweep",
        "lossbench.sweep": identity,
        "lossbench.status": "running",
        "lossbench.process": json.dumps(this_process()),
    }
    earlier = client.search_runs([experiment_id], f"tags.`lossbench.sweep` = '{identity}'", max_results=1)
    if earlier:
        run_id = earlier[0].info.run_id
        client.update_run(run_id, status="RUNNING")
        for key, value in tags.items():
            client.set_tag(run_id, key, value)
    else:
        losses = list(dict.fromkeys(cell.name.rpartition("-s")[0] for cell in cells))
        shown = ", ".join(losses) if len(losses) <= 4 else f"{len(losses)} losses"
        name = f"{shown} x {len({cell.config.seed for cell in cells})} seeds"
        run_id = create_run(client, experiment, name, tags).info.run_id
    return Parent(cells, client, experiment_id, run_id)


def close_parents(parents: Mapping[str, Parent], status: str, folders: Mapping[str, list[Path]]) -> None:
    """End the parent runs, each with its cells, the sums over seeds and the folder of its comparison.

    Parameters
    ----------
    parents : mapping
        What `open_parents` returned.
    status : str
        How the sweep ended: "finished", "failed" or "killed".
    folders : mapping
        Folders of comparisons by the name of the data.

    """
    for parent in parents.values():
        try:
            _close(parent, status, folders)
        except Exception as error:
            log.warning("MLflow could not end the sweep: %s. Its records and report are whole.", first_line(error))


def _close(parent: Parent, status: str, folders: Mapping[str, list[Path]]) -> None:
    from lossbench.compare.records import comparisons

    records = [entry for cell in parent.cells if (entry := record.read(cell.path)) is not None]
    if status == "failed" and not records:  # all was refused before a run began
        parent.client.delete_run(parent.run_id)
        return
    for entry in records:
        if entry.get("mlflow_run_id"):
            parent.client.set_tag(entry["mlflow_run_id"], "mlflow.parentRunId", parent.run_id)
    for comparison in comparisons(records):
        _sum_up(parent, comparison)
    for data in {cell.data for cell in parent.cells} & set(folders):
        for folder in folders[data]:
            place = "comparison" if len(folders[data]) == 1 else f"comparison/{folder.name}"
            parent.client.log_artifacts(parent.run_id, str(folder), place)
    parent.client.set_tag(parent.run_id, "lossbench.status", status)
    parent.client.set_terminated(parent.run_id, STATUS[status])


def _sum_up(parent: Parent, comparison: "Comparison") -> None:
    """Write a run for each loss that holds mean and 95 % interval of each test metric over the finished seeds."""
    from mlflow.entities import Metric, Param

    for label, metrics in _intervals(comparison).items():
        identity = f"{parent.run_id}/{comparison.problem[:8]}/{label}"
        found = parent.client.search_runs(
            [parent.experiment_id], f"tags.`lossbench.aggregate` = '{identity}'", max_results=1
        )
        if found:
            run_id = found[0].info.run_id
        else:
            loss = next(iter(comparison.entries[label].values()))["loss"]
            tags = {
                "lossbench.kind": "aggregate",
                "lossbench.aggregate": identity,
                "lossbench.status": "finished",
                "mlflow.parentRunId": parent.run_id,
                "mlflow.runColor": color_of(loss),
            }
            run_id = create_run(
                parent.client, experiment_name(parent.cells[0]), f"{label}, all seeds", tags
            ).info.run_id
            parent.client.log_batch(run_id, params=[Param("loss", loss), Param("label", label)])
        values = [Metric(name, value, 0, 0) for name, value in metrics.items()]
        for start in range(0, len(values), 1000):
            parent.client.log_batch(run_id, metrics=values[start : start + 1000])
        parent.client.set_terminated(run_id, "FINISHED")


def _intervals(comparison: "Comparison") -> dict[str, dict[str, float]]:
    from lossbench.compare.statistics import mean_interval

    sums: dict[str, dict[str, float]] = {}
    for label, entries in comparison.entries.items():
        finished = [entry["metrics"]["last"] for entry in entries.values() if entry["status"] == "finished"]
        for name in finished[0] if finished else ():
            if name.startswith("test/") and all(metrics.get(name) is not None for metrics in finished):
                interval = mean_interval([metrics[name] for metrics in finished])
                short = name.removeprefix("test/")
                bounds = {
                    f"mean/{short}": interval.mean,
                    f"low95/{short}": interval.low,
                    f"high95/{short}": interval.high,
                }
                sums.setdefault(label, {"seeds": float(interval.n)}).update(bounds)
    return sums


def links(parents: Mapping[str, Parent], uri: str) -> Iterator[str]:
    """Say how to open the runs of a sweep in MLflow: the command, then an address for each view."""
    on_server = uri.startswith("http")
    yield f"Look at the runs: {uri if on_server else f'mlflow ui --backend-store-uri {uri}'}"
    for experiment, parent in parents.items():
        yield f"  {experiment}:"
        for shown, link in view_links(uri if on_server else SERVED, parent.experiment_id, parent.run_id).items():
            yield f"    {shown}: {link}"
