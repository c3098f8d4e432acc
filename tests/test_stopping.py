"""Ctrl-C and SIGTERM at the first moments of a command."""

import signal
import subprocess
import sys

import pytest

from lossbench.errors import Killed
from lossbench.stopping import stop_signals

BEFORE = "from lossbench.stopping import exit_on_signals; exit_on_signals()\nimport os; os.kill(os.getpid(), {})"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_was_begun_is_one_line_and_an_exit_code(number, code):
    ended = subprocess.run(
        [sys.executable, "-c", BEFORE.format(int(number))], capture_output=True, text=True, check=False
    )
    assert ended.returncode == code
    assert ended.stderr == f"stopped by {number.name}, before anything was begun.\n"


def test_a_signal_while_runs_go_on_is_killed_and_the_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Killed), stop_signals():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
