"""Lightning's loggers while a run trains: what they have by then, and that in the end nothing is there twice."""

import logging

import pytest

from lossbench.records import record
from lossbench.running.callbacks import EpochReporter
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.tracking import live, loggers
from lossbench.tracking.loggers import place_of, tell
from tests.support.logged import SMALL, csv_rows, event_values, expected, logged_csv, needs, wandb_records, wandb_rows
from tests.support.records import killed

pytestmark = [pytest.mark.xdist_group("loggers"), pytest.mark.usefixtures("undrawn", "at_once")]


@pytest.fixture
def at_once(monkeypatch):
    """Loggers are told of every epoch, however fast it is."""
    monkeypatch.setattr(live, "SECONDS", 0.0)


def seen_while_it_trains(monkeypatch, look) -> list:
    """What `look` returns whenever the trackers have been told of an epoch."""
    seen, usual = [], EpochReporter._tell

    def telling(self):
        usual(self)
        seen.append(look())

    monkeypatch.setattr(EpochReporter, "_tell", telling)
    return seen


def steps_of(values: dict[str, list[tuple[int, float]]], name: str = "train/loss") -> list[int]:
    return [step for step, _ in values.get(name, [])]


def test_csv_grows_by_a_row_an_epoch(cell, monkeypatch):
    made = cell(*SMALL, "tracking=csv")
    place = place_of("csv", made.path)
    seen = seen_while_it_trains(monkeypatch, lambda: len(csv_rows(place)) if place.exists() else 0)
    entry = run(made)
    assert seen == [0, 1, 2, 3] and logged_csv(made) == expected(entry)
    assert not tell(entry, made.path, made.config.tracking)


@needs("tensorboard")
def test_tensorboard_grows_by_a_point_an_epoch_and_ends_as_the_record(cell, monkeypatch):
    made = cell(*SMALL, "tracking=tensorboard")
    place = place_of("tensorboard", made.path)
    seen = seen_while_it_trains(monkeypatch, lambda: steps_of(event_values(place)) if place.exists() else [])
    entry = run(made)
    assert seen == [[], [0], [0, 1], [0, 1, 2]]
    values = event_values(place)
    assert_is(values, expected(entry))
    assert not tell(entry, made.path, made.config.tracking)
    assert "loss: cross_entropy" in (place / "hparams.yaml").read_text()
    tell(entry | {"ended": 0.0}, made.path, made.config.tracking)  # written from the record it is the same
    assert event_values(place) == values


def assert_is(values: dict[str, list[tuple[int, float]]], rows: list[dict[str, float]]) -> None:
    assert values.keys() == {name for row in rows for name in row}
    for name, points in values.items():
        assert [step for step, _ in points] == [row["epoch"] for row in rows if name in row]
        assert [value for _, value in points] == pytest.approx([row[name] for row in rows if name in row], rel=1e-6)


@needs("tensorboard")
@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_a_run_that_was_killed_shows_its_epochs_and_ends_with_none_twice(cell, monkeypatch, kind):
    made = cell(*SMALL, f"tracking={kind}")
    place = place_of(kind, made.path)
    killed(made, 2, 0, monkeypatch)
    there = csv_rows(place) if kind == "csv" else event_values(place)["train/loss"]
    assert len(there) == 2 and not loggers.is_told(record.read(made.path), made.path, made.config.tracking)
    entry = run(made)
    if kind == "csv":
        assert logged_csv(made) == expected(entry)
    else:
        assert_is(event_values(place), expected(entry))
        assert len(list(place.glob("events*"))) == 1


@needs("tensorboard")
def test_each_run_of_a_stack_is_told_as_it_trains(cell, monkeypatch):
    cells = [cell(*SMALL, "tracking=tensorboard", f"loss={loss}") for loss in ("cross_entropy", "focal", "gce")]
    places = [place_of("tensorboard", made.path) for made in cells]
    seen = seen_while_it_trains(
        monkeypatch, lambda: [len(steps_of(event_values(place))) for place in places if place.exists()]
    )
    run_stack(cells)
    entries = [record.read(made.path) for made in cells]
    assert {entry["engine"]["name"] for entry in entries} == {"stacked"}
    assert [1, 1, 1] in seen and [2, 2, 2] in seen
    for made, entry in zip(cells, entries, strict=True):
        assert_is(event_values(place_of("tensorboard", made.path)), expected(entry))


@needs("tensorboard")
def test_other_values_than_the_record_has_are_replaced(cell, monkeypatch):
    made = cell(*SMALL, "tracking=tensorboard")
    usual = live.LiveLogger.log
    monkeypatch.setattr(
        live.LiveLogger, "log", lambda self, row, epoch: usual(self, {**row, "train/loss": 7.0, "old": 1.0}, epoch)
    )
    entry = run(made)
    assert_is(event_values(place_of("tensorboard", made.path)), expected(entry))


@needs("tensorboard")
def test_a_logger_that_fails_on_the_way_costs_one_warning_and_has_all_in_the_end(cell, monkeypatch, caplog):
    made = cell(*SMALL, "tracking=tensorboard")
    usual = loggers.log_rows

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(live, "log_rows", full)
    with caplog.at_level(logging.WARNING):
        entry = run(made)
    assert caplog.text.count("TensorBoard could not be told of an epoch: no space left") == 1
    assert loggers.log_rows is usual
    assert_is(event_values(place_of("tensorboard", made.path)), expected(entry))


def test_a_short_run_opens_no_logger_before_its_end(cell, monkeypatch):
    monkeypatch.setattr(live, "SECONDS", 60.0)
    monkeypatch.setattr(live, "opened", lambda *_: pytest.fail("opened"))
    made = cell(*SMALL, "tracking=csv")
    entry = run(made)
    assert logged_csv(made) == expected(entry)


@needs("wandb")
def test_wandb_goes_on_under_the_id_of_the_attempt_that_was_killed(cell, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    made = cell(*SMALL, "tracking=wandb")
    killed(made, 2, 0, monkeypatch)
    (first,) = place_of("wandb", made.path).glob("offline-run-*")
    assert len(wandb_rows(wandb_records(first))) == 2
    entry = run(made)
    (folder,) = place_of("wandb", made.path).glob("offline-run-*")
    assert folder.name.rpartition("-")[2] == first.name.rpartition("-")[2]
    messages = wandb_records(folder)
    rows = wandb_rows(messages)
    assert [row.pop("trainer/global_step") for row in rows] == [0, 1, 2, 2]
    *before, last, finals = [{name: row[name] for name in row if name[0] != "_"} for row in rows]
    assert [*before, last | finals] == expected(entry)
    tags = [list(message.run.tags) for message in messages if message.WhichOneof("record_type") == "run"]
    assert "running" in tags[0] and "finished" in tags[-1] and "running" not in tags[-1]
