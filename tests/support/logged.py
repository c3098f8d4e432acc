"""What Lightning's loggers have left, read back by other means than they were written with."""

import csv
import json
import struct
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lossbench.records.schema import Record
from lossbench.tracking.loggers import place_of

SMALL = ["data=digits", "model.hidden=[8]", "data.max_train=200", "data.max_test=50", "trainer.max_epochs=3"]
BLOCK, HEADER = 32768, 7


def csv_rows(folder: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv, without empty fields."""
    with (folder / "metrics.csv").open(newline="") as lines:
        return [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(lines)]


def event_values(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every scalar in TensorBoard's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def wandb_records(folder: Path) -> list[Any]:
    """The messages in the file of a run that W&B kept offline; its service may still write when the run has ended."""
    (path,) = folder.glob("*.wandb")
    for _ in range(300):
        found = _messages(path)
        if found and found[-1].WhichOneof("record_type") == "exit":
            break
        time.sleep(0.1)
    return found


def _messages(path: Path) -> list[Any]:
    """Read blocks of a LevelDB log after seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, found, part = path.read_bytes(), HEADER, [], b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        place += HEADER + length
        part += data[place - length : place]
        if kind in (1, 4):  # whole, or the last part
            message = Record()
            message.ParseFromString(part)
            found.append(message)
            part = b""
    return found


def wandb_rows(messages: list[Any]) -> list[dict[str, float]]:
    """The rows of the history of such a run."""
    rows = [message.history.item for message in messages if message.WhichOneof("record_type") == "history"]
    return [{(item.key or item.nested_key[0]): json.loads(item.value_json) for item in row} for row in rows]


def needs(package: str):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed: pip install {package}")


def expected(entry: Record) -> list[dict[str, float]]:
    """What a logger must have of a record, by epoch: written here from what a record is, not by `epochs_of`."""
    rows = [dict(row) for row in entry["history"]]
    rows[-1] |= {f"final/{name[5:]}": value for name, value in entry["metrics"]["last"].items() if name[:5] == "test/"}
    best = entry["metrics"]["best_val"] or {}
    rows[-1] |= {f"best_val/{name[5:]}": value for name, value in best.items() if name[:5] == "test/"}
    return rows


def logged_csv(made) -> list[dict[str, float]]:
    rows = csv_rows(place_of("csv", made.path))
    assert [row.pop("step") for row in rows] == [row["epoch"] for row in rows]
    return rows
