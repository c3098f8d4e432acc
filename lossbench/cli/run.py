"""`python -m lossbench`: run what the command line asks for. Torch is imported when the first run starts."""

from lossbench.cli.arguments import look, read_arguments
from lossbench.config.checks import check, leave_out_impossible
from lossbench.config.compose import compose_cells, only_looks, put_user_code_on_path
from lossbench.config.repeats import once_each
from lossbench.records import files
from lossbench.running.launch import launch
from lossbench.running.stopping import stop_signals


def main() -> int:
    """Compose, check and launch the runs; return the exit code."""
    arguments = read_arguments("config")
    put_user_code_on_path(arguments)
    if only_looks(arguments):
        return look(arguments)
    cells = leave_out_impossible(compose_cells(arguments))
    check(cells)
    cells = once_each(cells)
    with stop_signals(), files.telling_a_full_disk(cells[0].config.output_dir):
        return launch(cells)
