"""A Python that has imported what commands need, and forks for each: a command costs what it does, not its imports.

Each command is a process of its own, with its own folder, environment, signals and exit code. Only what it finds
imported and read of `conf/` tells it from `python -m MODULE`; what a command imports is tested with commands that are
started plainly.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from importlib import import_module
from typing import ClassVar, NoReturn


def serve() -> None:
    """Import the modules named as arguments, then do what the lines of standard input ask for.

    A line is `{"wait": PID}`, answered `{"code": null}` while it runs, or what `become` takes, answered `{"pid": PID}`.
    """
    sys.meta_path.insert(0, _Refuse())
    for name in sys.argv[1:]:
        if name[0] not in _Refuse.AS:
            import_module(name)
    assert threading.active_count() == 1, "a process with threads must not fork"
    gc.collect()
    gc.freeze()  # what is never looked at again is never copied
    print("ready", flush=True)
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "wait" in request:
            ended, status = os.waitpid(request["wait"], os.WNOHANG)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status) if ended else None}), flush=True)
        elif (pid := os.fork()) == 0:
            become(**request)
        else:
            print(json.dumps({"pid": pid}), flush=True)


def become(
    module: str, arguments: list[str], cwd: str, environment: dict[str, str], stdout: str, stderr: str
) -> NoReturn:
    """Become the process of `python -m MODULE ARGUMENTS`, whose output goes to files."""
    for number, path in enumerate((os.devnull, stdout, stderr)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if "PYTHONUNBUFFERED" in environment:
        sys.stdout.reconfigure(line_buffering=True)
    sys.path[0] = cwd
    sys.argv = [module, *arguments]
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    _end(code if isinstance(code, int) else 1)


def _end(code: int) -> NoReturn:
    """Exit as Python does, but let all memory go at once: to take it apart costs seconds of copies."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Refuse:
    """Lets an import end the command that tries it, "-torch", or fail as where there is no such module, "~torch"."""

    AS: ClassVar = {"-": AssertionError, "~": ImportError}

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        for kind, error in self.AS.items():
            if f"{kind}{name}" in ARGUMENTS:
                raise error(f"{name} was imported")


ARGUMENTS = tuple(sys.argv[1:])


if __name__ == "__main__":
    serve()
