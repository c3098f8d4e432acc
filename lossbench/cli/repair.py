"""`python -m lossbench.repair`: make MLflow agree with the records of the runs under `output_dir`."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from lossbench.cli.arguments import compose_and_log, look, read_arguments
from lossbench.config.check_tracking import check_tracking
from lossbench.config.compose import only_looks
from lossbench.config.values import REPAIRING, check_node
from lossbench.errors import ConfigError, nearest
from lossbench.records import files, record
from lossbench.records.dead import end_runs_of, machines_at_work
from lossbench.records.schema import Record
from lossbench.running.stopping import stop_signals
from lossbench.tracking.loggers import NAMES, where_to_look
from lossbench.tracking.repair import mend, mend_sweeps, tell_all
from lossbench.tracking.store import check_uri, close_runs_of, make_database
from lossbench.tracking.sweep import Note, is_open, notes_of


def main() -> int:
    """Repair what the command line names."""
    arguments = read_arguments("repair")
    if only_looks(arguments):
        return look(arguments)
    config = compose_and_log(arguments)
    with stop_signals(), files.telling_a_full_disk(config.output_dir):
        repair(config)
    return 0


def repair(config: DictConfig) -> None:
    """End what a dead machine was at, send what MLflow lacks, and say what that was."""
    check_node("", {name: config[name] for name in REPAIRING}, REPAIRING)
    output_dir, uri, logger = Path(config.output_dir), config.tracking.uri, config.tracking.get("logger")
    check_tracking(config.tracking)
    if uri is None and logger is None and config.dead is None:
        raise ConfigError("tracking=none: there is no store to repair. Use tracking.uri=sqlite:///FILE or an address.")
    if uri is not None:
        check_uri(uri)
    if config.dead is not None:
        _end_runs_of(str(config.dead), output_dir, config.tracking)
    if logger is not None:
        told = tell_all((folder for folder, _ in record.read_all(output_dir)), config.tracking)
        print(f"{NAMES[logger]} was told of {told} runs that it had not. {where_to_look(config.tracking, output_dir)}")
    if uri is not None:
        _mend(output_dir, config.tracking)


def _end_runs_of(host: str, output_dir: Path, tracking: DictConfig) -> None:
    """End in the records and in MLflow what the processes of a machine were at."""
    ended, closed = end_runs_of(host, output_dir), 0
    if tracking.uri is not None:
        make_database(tracking, output_dir)
        closed = close_runs_of(host, tracking)
    if not ended and not closed:
        others = machines_at_work(output_dir)
        known = nearest(host, others) if others else "None of another machine goes on."
        raise ConfigError(f"dead={host}: no run of that machine goes on. {known}")
    print(f"{ended} runs of {host} are recorded as killed: the command that made them trains them again.")


def _mend(output_dir: Path, tracking: DictConfig) -> None:
    """Send what MLflow lacks of the runs of a folder."""
    uri = tracking.uri
    folders = [folder for folder, _ in record.read_all(output_dir)]
    if not folders:
        raise ConfigError(f"output_dir={output_dir}: there are no runs.")
    console = Console()
    shown = track(folders, "comparing records with MLflow", console=Console(stderr=True), transient=True)
    found = list(mend(output_dir, shown, tracking))
    notes = [note for note in notes_of(output_dir) if _is_done(note, output_dir) and is_open(note, output_dir, uri)]
    mend_sweeps(output_dir, notes, tracking, _comparisons(output_dir, found))
    mended = [(entry["choices"]["data"], entry["name"], told) for entry, told in found if told]
    mended += [(note["experiment"], note["name"], "the sweep was not ended") for note in notes]
    if mended:
        table = Table("data", "run", "what MLflow lacked")
        for row in mended:
            table.add_row(*map(Text, row))
        console.print(table)
    left = len(folders) - len(found)
    more = f" {left} have not ended: the command that made them goes on with them." if left else ""
    console.print(f"{len(found)} runs compared with {uri}, {len(mended)} mended.{more}", highlight=False, markup=False)


def _is_done(note: Note, output_dir: Path) -> bool:
    return all(record.is_done(record.read(output_dir / folder)) for folder in note["folders"])


def _comparisons(output_dir: Path, found: list[tuple[Record, str]]) -> dict[str, list[Path]]:
    """Return the folders of comparisons that are there, by the name of the data."""
    folders: dict[str, list[Path]] = {}
    for data in {entry["choices"]["data"] for entry, _ in found}:
        problems = {entry["problem"][:8] for entry, _ in found if entry["choices"]["data"] == data}
        places = [output_dir / "comparisons" / f"{data}-{problem}" for problem in sorted(problems)]
        folders[data] = [place for place in places if place.is_dir()]
    return folders
