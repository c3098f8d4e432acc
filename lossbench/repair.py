"""`python -m lossbench.repair`: make MLflow agree with the records of the runs under `output_dir`."""

import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from lossbench import CONF, record
from lossbench.cells import compose_one, only_looks
from lossbench.errors import ConfigError
from lossbench.record import Record
from lossbench.tracking.repair import mend, mend_sweeps
from lossbench.tracking.store import check_uri, hide_credentials
from lossbench.tracking.sweep import is_open, notes_of


def main() -> None:
    """Run the command; exit with 2 and one message if it can't work."""
    sys.argv[1:] = hide_credentials(sys.argv[1:])
    arguments = get_args_parser().parse_args()
    arguments.config_name = arguments.config_name or "repair"
    try:
        if not only_looks(arguments):
            compose_one(arguments)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="repair")
def run(config: DictConfig) -> None:
    """Repair what the config names; Hydra calls this, and would show a traceback for an error of the user."""
    try:
        repair(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def repair(config: DictConfig) -> None:
    """Send what MLflow lacks, and say what that was."""
    output_dir, uri = Path(config.output_dir), config.tracking.uri
    if uri is None:
        raise ConfigError("tracking=none: there is no store to repair. Use tracking.uri=sqlite:///FILE or an address.")
    check_uri(uri)
    folders = [folder for folder, _ in record.read_all(output_dir)]
    if not folders:
        raise ConfigError(f"output_dir={output_dir}: there are no runs.")
    console = Console()
    shown = track(folders, "comparing records with MLflow", console=Console(stderr=True), transient=True)
    found = list(mend(output_dir, shown, config.tracking))
    notes = [note for note in notes_of(output_dir) if _is_done(note, output_dir) and is_open(note, output_dir, uri)]
    mend_sweeps(output_dir, notes, config.tracking, _comparisons(output_dir, found))
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


def _is_done(note: Record, output_dir: Path) -> bool:
    return all(record.is_done(record.read(output_dir / folder)) for folder in note["folders"])


def _comparisons(output_dir: Path, found: list[tuple[Record, str]]) -> dict[str, list[Path]]:
    """Return the folders of comparisons that are there, by the name of the data."""
    folders: dict[str, list[Path]] = {}
    for data in {entry["choices"]["data"] for entry, _ in found}:
        problems = {entry["problem"][:8] for entry, _ in found if entry["choices"]["data"] == data}
        places = [output_dir / "comparisons" / f"{data}-{problem}" for problem in sorted(problems)]
        folders[data] = [place for place in places if place.is_dir()]
    return folders


if __name__ == "__main__":
    main()
