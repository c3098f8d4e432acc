"""Ctrl-C and SIGTERM, which end a command in order from its first moment on."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lossbench.errors import Killed


def exit_on_signals() -> None:
    """End the process on Ctrl-C and SIGTERM with one line: for the time before anything is begun that must be ended."""

    def leave(number: int, _frame: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name}, before anything was begun.", file=sys.stderr, flush=True)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


@contextmanager
def stop_signals() -> Iterator[None]:
    """Raise `Killed` on Ctrl-C and SIGTERM."""

    def kill(number: int, _frame: FrameType | None) -> None:
        raise Killed(number)

    before = {number: signal.signal(number, kill) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
