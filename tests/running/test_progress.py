"""Plain lines where there is no terminal."""

from itertools import pairwise

import pytest

from lossbench.running import progress
from lossbench.running.progress import Lines


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def run_each(lines, clock, cells, seconds, epochs=4, worker=0):
    """Tell of runs, one after the other."""
    for cell in range(cells):
        lines.receive(("started", f"run {cell}", epochs, 1), worker=worker)
        for epoch in range(epochs):
            clock.seconds += seconds / epochs
            lines.receive(("epoch", epoch + 1, "val/accuracy 0.9"), worker=worker)
        lines.receive(("done",), worker=worker)


def test_a_sweep_shorter_than_a_minute_says_nothing(capsys, clock):
    run_each(Lines(20, clock), clock, 20, seconds=2.9)
    assert capsys.readouterr() == ("", "")


def test_a_long_sweep_has_a_line_at_each_tenth_with_the_time_left(capsys, clock):
    run_each(Lines(20, clock), clock, 20, seconds=600)
    out, told = capsys.readouterr()
    lines = told.splitlines()
    assert not out and len(lines) == 9
    assert lines[0] == "lossbench: 1 of 20 done, about 3 h left", "the second is at its last epoch"
    assert lines[-1] == "lossbench: 17 of 20 done, about 20 min left"


@pytest.mark.parametrize("seconds", [3.1, 6, 20, 45])
def test_two_lines_are_a_minute_apart_at_least(capsys, clock, seconds):
    lines, cells = Lines(40, clock), 40
    times = []
    for _ in range(cells):
        run_each(lines, clock, 1, seconds, epochs=1)
        times += [clock.seconds] * len(capsys.readouterr().err.splitlines())
    assert times and times[0] >= 60 and all(later - sooner >= 60 for sooner, later in pairwise(times))
    assert len(times) <= 10


def test_epochs_of_a_stack_count_before_its_runs_end(capsys, clock):
    lines = Lines(40, clock)
    lines.receive(("started", "40 runs of digits", 100, 40))
    for epoch in range(50):
        clock.seconds += 2.0
        lines.receive(("epoch", epoch + 1, ""))
    assert capsys.readouterr().err == "lossbench: 0 of 40 done, about 2 min left\n"


def test_what_was_made_before_took_no_time(capsys, clock):
    lines = Lines(100, clock)
    for _ in range(80):
        lines.receive(("done",))
    run_each(lines, clock, 10, seconds=60)
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "lossbench: 89 of 100 done, about 10 min left"


def test_without_a_terminal_lines_are_written_and_later_no_more(capsys, clock, monkeypatch):
    monkeypatch.setattr(progress, "MOST_OFTEN", 0.0)
    with progress.showing(4):
        progress.run_started("first", 2)
        progress.run_done()
    progress.run_done()
    out, told = capsys.readouterr()
    assert not out and told.startswith("lossbench: 1 of 4 done, less than a minute left\n") and told.count("\n") == 1
