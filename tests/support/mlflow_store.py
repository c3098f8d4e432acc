"""What an MLflow store says of runs, held against their records value by value."""

from collections.abc import Sequence
from pathlib import Path

from lossbench.records import record
from lossbench.tracking.agreement import files_of, is_same, parameters_of, wanted_of
from lossbench.tracking.store import STATUS, connect, experiment_name


def runs_of(cells: Sequence, query: str = "tags.`lossbench.kind` = 'run'"):
    """The runs of the experiment of some cells."""
    client = connect(cells[0].config.tracking)
    experiment = client.get_experiment_by_name(experiment_name(cells[0]))
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id], query, max_results=1000))


def differences(cells: Sequence, sweeps: bool = True) -> list[str]:
    """Say where the store does not agree with the records of some cells; `sweeps` asks for parent and sums as well."""
    client, found = connect(cells[0].config.tracking), []
    runs = {run.info.run_id: run for run in runs_of(cells)}
    if len(runs) != len(cells):
        found.append(f"{len(runs)} runs of {len(cells)} cells")
    for cell in cells:
        entry = record.read(cell.path)
        run = runs.get(entry["mlflow_run_id"])
        if run is None:
            found.append(f"{cell.name}: no run")
            continue
        if (run.info.status, run.data.tags["lossbench.status"]) != (STATUS[entry["status"]], entry["status"]):
            found.append(f"{cell.name}: {run.info.status}")
        if run.data.params != parameters_of(entry["config"], entry["choices"]):
            found.append(f"{cell.name}: parameters")
        values = wanted_of(entry)
        history = [
            ((name, metric.step), metric.value)
            for name in run.data.metrics
            for metric in client.get_metric_history(run.info.run_id, name)
        ]
        if len(history) != len(values) or any(not is_same(values.get(key), value) for key, value in history):
            found.append(f"{cell.name}: {len(history)} values of {len(values)}")
        there = {Path(file.path).name for file in client.list_artifacts(run.info.run_id)}
        if there != {path.name for path in files_of(cell.path)}:
            found.append(f"{cell.name}: files")
    if sweeps:
        parents = runs_of(cells, "tags.`lossbench.kind` = 'sweep'")
        if [parent.info.status for parent in parents] != ["FINISHED"]:
            found.append(f"parents: {[parent.info.status for parent in parents]}")
        elif {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} != {parents[0].info.run_id}:
            found.append("children")
        sums = runs_of(cells, "tags.`lossbench.kind` = 'aggregate'")
        methods = {cell.method for cell in cells}
        if len(sums) != len(methods) or any(run.info.status != "FINISHED" or not run.data.metrics for run in sums):
            found.append(f"{len(sums)} sums of {len(methods)} losses")
    return found
