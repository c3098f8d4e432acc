"""How every command ends: its exit code, and one line for a mistake, a full disk or a signal at any moment."""

import io
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn

from lossbench import __version__
from lossbench.errors import ConfigError, DiskFull, Killed
from lossbench.running.stopping import exit_on_signals


def command(main: Callable[[], int]) -> Callable[[], NoReturn]:
    """Make a command of a function: it ends the process with what the function returns, or raises.

    0: all went well. 1: a run failed or diverged, or the disk is full. 2: the command can't work; nothing was started.
    130, 143: stopped by Ctrl-C or SIGTERM. What a command needs is imported inside the function, so that this holds
    while it is imported, too.

    `--version` is answered here, for every command alike, before anything else is read or imported.
    """

    @wraps(main)
    def ending() -> NoReturn:
        exit_on_signals("before anything was begun")
        _print_what_it_can()
        if "--version" in sys.argv[1:]:
            print(f"lossbench {__version__}")
            sys.exit(0)
        try:
            code = main()
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        except DiskFull as error:
            print(f"error: {error}", file=sys.stderr)
            code = 1
        except Killed as killed:
            name = signal.Signals(killed.exit_code - 128).name
            print(f"stopped by {name}. {killed.then}".rstrip(), file=sys.stderr)
            code = killed.exit_code
        exit_on_signals("when all was done")
        sys.exit(code)

    return ending


def _print_what_it_can() -> None:
    """Let a stream that lacks a sign, as one of Windows lacks ≤, print it as ?, and not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")
