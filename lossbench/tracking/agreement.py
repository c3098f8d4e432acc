"""What MLflow must have of a run, from its record; and making it so, however the run or its command was stopped.

A run is sent while it trains (`RunTracker`); the same functions send what is missing later. `tracked` in its record
says for which store and ending that was done, so that a call with nothing to do does not even import MLflow.
"""

import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.compat.mlflow import insert_rows
from lossbench.config.axes import axes_of
from lossbench.records import record
from lossbench.records.claims import this_process
from lossbench.records.schema import Record
from lossbench.tracking.store import STATUS, create_run, database_of
from lossbench.tracking.views import color_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENTS = "LOSSBENCH_PARENT_RUNS"
"""The environment variable through which the cells of a sweep, in whatever process, find their parent runs."""
TOLD_LATER = "LOSSBENCH_TOLD_LATER"
"""The environment variable that says, on a node of a cluster, that the command will tell MLflow."""
TRACKED = "tracked.json"
"""Where that stood in runs of earlier versions."""
FINAL = {"last": "final", "best_val": "best_val"}
"""How the metrics of both selections are named in MLflow: single values, apart from the curves."""
BATCH_METRICS, _BATCH_PARAMS, _LONGEST_PARAM, _LONGEST_TAG = 1000, 100, 6000, 8000
DIGITS = 6
"""Of a value in MLflow: as many as single precision keeps of every decimal."""
_INFINITE = (math.inf, -math.inf)
_ENDINGS = (".json", ".npz", ".png", ".yaml")

Values = dict[tuple[str, int], float]
"""Metrics by name and step."""


@dataclass
class Known:
    """What MLflow has of a run: values by name and step, names of parameters, and whether its data are named."""

    values: Values = field(default_factory=dict)
    params: set[str] = field(default_factory=set)
    data: bool = False


def experiment_of(entry: Record) -> str:
    """Return the name of the experiment of a run: the problem's, without slashes, which MLflow's pages cut."""
    return str(entry["config"]["tracking"]["experiment"] or entry["choices"]["data"]).replace("/", "-")


def store_of(uri: str) -> str:
    """Name a store, so that another one, or a file that was made anew, is not taken for it."""
    path = database_of(uri)
    file = [path.stat().st_ino] if path is not None and path.exists() else []
    return sha256(json.dumps([uri, *file]).encode()).hexdigest()[:16]


def is_confirmed(folder: Path, entry: Record, uri: str) -> bool:
    """Tell whether the store has all of a run that has ended, as far as it was told."""
    found = entry.get("tracked")
    if found is None:
        try:
            found = json.loads((folder / TRACKED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
    return bool(found == _stamp(entry, uri))


def confirm(folder: Path, entry: Record, uri: str) -> None:
    """Note that the store has all of a run as it has ended."""
    stamp = _stamp(entry, uri)
    if entry.get("tracked") != stamp:
        entry["tracked"] = stamp
        record.write(folder, entry)
    (folder / TRACKED).unlink(missing_ok=True)


def _stamp(entry: Record, uri: str) -> dict[str, Any]:
    return {"store": store_of(uri), "key": entry["key"], "status": entry["status"], "ended": entry.get("ended")}


def run_of(client: "MlflowClient", entry: Record) -> "Run | None":
    """Find the newest run of a record, deleted ones left out."""
    experiment = client.get_experiment_by_name(experiment_of(entry))
    if experiment is None:
        return None
    query = f"tags.`lossbench.key` = '{entry['key']}' and tags.`lossbench.kind` = 'run'"
    found = client.search_runs([experiment.experiment_id], query, max_results=1)
    return found[0] if found else None


def new_run(client: "MlflowClient", entry: Record) -> str:
    """Start the MLflow run of a record; return its id."""
    return str(create_run(client, experiment_of(entry), entry["name"], tags_of(entry), entry["started"]).info.run_id)


def tags_of(entry: Record) -> dict[str, str]:
    """Return the tags by which MLflow's pages, and we, find a run."""
    tags = {
        "lossbench.kind": "run",
        "lossbench.key": entry["key"],
        "lossbench.problem": entry["problem"],
        "lossbench.status": entry["status"],
        "lossbench.process": json.dumps(this_process()),
        "data": entry["choices"]["data"],
        "learner": entry["learner"],
        "loss": entry["loss"],
        "model": entry["choices"]["model"],
        "seed": str(entry["seed"]),
        **axes_of(entry),
        **({"variant": str(entry["variant"])} if entry.get("variant") else {}),
        **({"warm_start": str(start["name"])} if (start := entry.get("warm_start")) else {}),
        "mlflow.runColor": color_of(entry["loss"]),
    }
    parent = json.loads(os.environ.get(PARENTS, "{}")).get(experiment_of(entry))
    return tags if parent is None else {**tags, "mlflow.parentRunId": parent}


def parameters_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, str]:
    """Flatten a config to MLflow parameters: the choices by group, and every value by its key with dots."""
    return {key: str(value) for key, value in flat_of(config, choices).items()}


def flat_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """Return the choices of a config by group, and every value by its key with dots; what can't matter is left out."""
    flat: dict[str, Any] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else str(key))
        elif not path.endswith("._partial_"):
            flat[path] = node

    skipped = ("compare", "rerun", "tracking")
    walk({key: value for key, value in config.items() if key not in skipped}, "")
    return {**flat, **{group.replace("/", "."): choice for group, choice in choices.items()}}


def step_of_curves(config: Mapping[str, Any]) -> int:
    """Return every how many epochs MLflow has of a run, so that a curve has about `tracking.points`; 1 for all."""
    points = config["tracking"].get("points")
    return 1 if points is None else -(-int(config["trainer"]["max_epochs"]) // int(points))


def wanted_of(entry: Record) -> Values:
    """Return what MLflow shall have of `values_of`: of the curves every so many epochs, and the last."""
    step, history = step_of_curves(entry["config"]), entry.get("history", [])
    last = int(history[-1]["epoch"]) if history else 0
    return {key: value for key, value in values_of(entry).items() if key[1] % step == 0 or key[1] == last}


def values_of(entry: Record) -> Values:
    """Return every value of a record as MLflow has it: curves by their epoch, the final values at step 0, all rounded.

    What is no finite number is nan, as in MLflow.
    """
    found = curves_of(entry) | {(name, 0): value for name, value in finals_of(entry).items()}
    return {key: rounded(value) for key, value in found.items()}


def curves_of(entry: Record) -> Values:
    """Return the metrics of the epochs of a record, by name and epoch; what is no finite number is nan."""
    return {
        (name, int(row["epoch"])): as_told(value)
        for row in entry.get("history", [])
        for name, value in row.items()
        if name != "epoch"
    }


def finals_of(entry: Record) -> dict[str, float]:
    """Return the test metrics of a record, as "final/..." at its last and "best_val/..." at its best epoch."""
    return {
        f"{prefix}/{name.removeprefix('test/')}": as_told(value)
        for selection, prefix in FINAL.items()
        for name, value in (entry["metrics"][selection] or {}).items()
        if name.startswith("test/")
    }


def as_told(value: float | None) -> float:
    """Return a value as trackers have it: what is no finite number is nan."""
    return math.nan if value is None or math.isinf(value) else float(value)


def rounded(value: float) -> float:
    """Round to the digits that MLflow's pages show well: a 0.926 in single precision is 0.9259999990463257 there.

    Whole numbers stay what they are. The record has all digits.

    Examples
    --------
    >>> rounded(0.9259999990463257), rounded(1 / 3), rounded(123456789.0)
    (0.926, 0.333333, 123456789.0)

    """
    return value if value.is_integer() or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def infinite_in(entry: Record) -> list[str]:
    """Return the names of the values that were infinite, which MLflow's databases can't hold."""
    return sorted({name for row in entry.get("history", []) for name, value in row.items() if value in _INFINITE})


def as_metrics(values: Values) -> list[Any]:
    """Return MLflow's entities."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for (name, step), value in values.items()]


def is_same(one: float | None, other: float | None) -> bool:
    """Tell whether two values are the same number, or both none."""
    return one == other or (one is not None and other is not None and math.isnan(one) and math.isnan(other))


def known_of(client: "MlflowClient", run: "Run") -> Known:
    """Read what MLflow has of a run."""
    run_id = run.info.run_id
    values = {
        (name, metric.step): rounded(metric.value)  # older versions sent all digits
        for name in run.data.metrics
        for metric in client.get_metric_history(run_id, name)
    }
    return Known(values, set(run.data.params), bool(run.inputs and run.inputs.dataset_inputs))


def log_params(client: "MlflowClient", run_id: str, entry: Record, known: Known) -> None:
    """Send the parameters that a run lacks."""
    from mlflow.entities import Param

    wanted = parameters_of(entry["config"], entry["choices"])
    lacking = {key: value[:_LONGEST_PARAM] for key, value in wanted.items() if key not in known.params}
    if lacking and not insert_rows(client, run_id, params=lacking):
        entities = [Param(key, value) for key, value in lacking.items()]
        for start in range(0, len(entities), _BATCH_PARAMS):
            client.log_batch(run_id, params=entities[start : start + _BATCH_PARAMS])
    known.params |= set(wanted)


def log_metrics(client: "MlflowClient", run_id: str, metrics: Sequence[Any]) -> None:
    """Send MLflow's entities of values that a run lacks."""
    if metrics and not insert_rows(client, run_id, metrics):
        for start in range(0, len(metrics), BATCH_METRICS):
            client.log_batch(run_id, metrics=metrics[start : start + BATCH_METRICS])


def log_data(client: "MlflowClient", run_id: str, entry: Record, known: Known) -> None:
    """Name the data of a run, so that MLflow shows which runs share it: its page has a column for it."""
    if known.data:
        return
    from mlflow.entities import Dataset, DatasetInput, InputTag

    facts, digest = entry["data"], str(entry["hashes"].get("targets", "unknown"))[:16]
    counts = {key: facts[key] for key in ("sizes", "class_counts", "imbalance", "contamination") if key in facts}
    source = json.dumps({"source": facts["source"]})
    dataset = Dataset(entry["choices"]["data"], digest, "lossbench", source, profile=json.dumps(counts))
    inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
    try:
        client.log_inputs(run_id, datasets=inputs)
    except Exception as error:
        if not any(word in str(error).lower() for word in ("unique", "duplicate")):
            raise
        client.log_inputs(run_id, datasets=inputs)  # a run beside this one had named the same data in between
    known.data = True


def set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags, cut to the length that MLflow takes."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value[:_LONGEST_TAG]) for key, value in tags.items()])


def complete(
    client: "MlflowClient", run_id: str, entry: Record, folder: Path, known: Known, buffered: Sequence[Any] = ()
) -> str:
    """Send what MLflow lacks of a run that has ended, what is `buffered` among it, and its status.

    Where it has other values than the record, as of epochs that a stopped attempt had trained in another engine, a new
    run takes its place, since MLflow can't take a value back.

    Returns
    -------
    str
        The id of the run that has it all; it is in the record too.

    """
    values = values_of(entry)
    if any(not is_same(value, values.get(key)) for key, value in known.values.items()):
        client.delete_run(run_id)
        run_id, known, buffered = new_run(client, entry), Known(), ()
    if entry.get("mlflow_run_id") != run_id:
        entry["mlflow_run_id"] = run_id
        record.write(folder, entry)
    log_params(client, run_id, entry, known)
    log_data(client, run_id, entry, known)
    missing = as_metrics({key: value for key, value in wanted_of(entry).items() if key not in known.values})
    log_metrics(client, run_id, [*buffered, *missing])
    for path in files_of(folder):
        client.log_artifact(run_id, str(path))
    tags, infinite = {"lossbench.status": entry["status"]}, infinite_in(entry)
    set_tags(client, run_id, {**tags, "lossbench.infinite": ", ".join(infinite)} if infinite else tags)
    client.set_terminated(run_id, STATUS[entry["status"]], int(entry.get("ended", time.time()) * 1000))
    return run_id


def files_of(folder: Path) -> Iterable[Path]:
    """Return the files of a run that are kept in MLflow too."""
    config = folder / ".hydra" / "config.yaml"
    return sorted(
        path
        for path in [*folder.iterdir(), *([config] if config.is_file() else [])]
        if path.suffix in _ENDINGS and path.name != TRACKED and not path.name.startswith(".")
    )


def agree(client: "MlflowClient", entry: Record, folder: Path) -> str:
    """Make MLflow agree with the record of a run that has ended; say what was mended, "" if nothing.

    A run that was deleted in MLflow stays deleted.
    """
    run = run_of(client, entry)
    if run is None:
        if _is_deleted(client, entry):
            return "it was deleted in MLflow, and is left so"
        run_id, known, told = new_run(client, entry), Known(), "sent whole"
    else:
        run_id, known, told = run.info.run_id, known_of(client, run), ""
        status = run.info.status if run.info.status != STATUS[entry["status"]] else ""
        values = wanted_of(entry)
        lacking = sum(not is_same(known.values.get(key), value) for key, value in values.items())
        if not status and not lacking and not _lacks_files(client, run_id, folder):
            return ""
        told = f"{f'was {status}, ' if status else ''}{lacking} values were missing"
    complete(client, run_id, entry, folder, known)
    return told


def _lacks_files(client: "MlflowClient", run_id: str, folder: Path) -> bool:
    there = {file.path for file in client.list_artifacts(run_id)}
    return any(path.name not in there for path in files_of(folder))


def _is_deleted(client: "MlflowClient", entry: Record) -> bool:
    from mlflow.exceptions import MlflowException

    run_id = entry.get("mlflow_run_id")
    if not run_id:
        return False
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "deleted")
    except MlflowException:  # a run of another store
        return False
