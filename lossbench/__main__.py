"""The command line: Hydra in, exit code out.

0: every run finished. 1: a run failed or diverged. 2: the command can't work; nothing was started. 130, 143: stopped by
Ctrl-C or SIGTERM. Torch is imported when the first run starts, not before.
"""

import signal
import sys

from lossbench.errors import ConfigError, DiskFull, Killed
from lossbench.stopping import exit_on_signals, stop_signals


def main() -> None:
    """Run what the command line asks for, and exit."""
    exit_on_signals()
    try:
        sys.exit(_run())
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except DiskFull as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Killed as killed:
        name = signal.Signals(killed.exit_code - 128).name
        print(f"stopped by {name}. The same command again goes on from where it was.", file=sys.stderr)
        sys.exit(killed.exit_code)


def _run() -> int:
    """Compose, check and launch what the command line asks for; what is imported here takes the first half second."""
    from hydra._internal.utils import get_args_parser

    from lossbench import record
    from lossbench.cells import compose_cells, only_looks, put_user_code_on_path
    from lossbench.checks import check, leave_out_impossible
    from lossbench.job import run_job
    from lossbench.launch import launch
    from lossbench.tracking.store import hide_credentials

    sys.argv[1:] = hide_credentials(sys.argv[1:])
    arguments = get_args_parser().parse_args()
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        run_job()
        return 0
    cells = leave_out_impossible(compose_cells(arguments))
    check(cells)
    with stop_signals(), record.telling_a_full_disk(cells[0].config.output_dir):
        return launch(cells)


if __name__ == "__main__":
    main()
