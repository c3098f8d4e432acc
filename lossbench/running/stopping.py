"""Ctrl-C and SIGTERM, which end a command in order from its first moment on."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lossbench.errors import GOES_ON, Killed


def exit_on_signals(when: str) -> None:
    """End the process on Ctrl-C and SIGTERM with one line: for the time when nothing is at work that must be ended.

    `when` says in the line when that was: "before anything was begun".
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        print(f"stopped by {signal.Signals(number).name}, {when}.", file=sys.stderr, flush=True)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


_raised: list[Killed] = []
"""What signals have raised while `stop_signals` holds."""


def stopped() -> Killed | None:
    """Return what a signal has raised, if one has: a library may put an error of its own in its place.

    Who takes an error for that of a run asks here first.
    """
    return _raised[-1] if _raised else None


@contextmanager
def stop_signals(then: str = GOES_ON) -> Iterator[None]:
    """Raise `Killed` on Ctrl-C and SIGTERM; `then` says what the same command does when it is given again.

    An error that comes of it, of a library that can't clean up where it was interrupted, does not take its place.
    """

    def kill(number: int, _frame: FrameType | None) -> None:
        _raised.append(Killed(number, then))
        raise _raised[-1]

    earlier = len(_raised)
    before = {number: signal.signal(number, kill) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception:
        if len(_raised) > earlier:
            raise _raised[-1] from None
        raise
    finally:
        del _raised[earlier:]
        for number, handler in before.items():
            signal.signal(number, handler)
