"""The runs of a comparison as files beside its report: `runs.csv` and `runs.parquet`, a row for each run."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.runs import frame_of, rows_of
from lossbench.compare.report.writers import no_formula
from lossbench.records import files

if TYPE_CHECKING:
    from pandas import DataFrame

CSV, PARQUET = "runs.csv", "runs.parquet"


def runs_frame(analysis: Analysis) -> "DataFrame":
    """Return the runs of a comparison as `load_results` has them, with the label of each in front."""
    entries = analysis.comparison.entries
    found = [(label, entry) for label, by_seed in entries.items() for _, entry in sorted(by_seed.items())]
    frame = frame_of(rows_of([entry for _, entry in found], analysis.options.select, analysis.metric))
    frame.insert(0, "label", [label for label, _ in found])
    return frame


def write_runs(frame: "DataFrame", folder: Path) -> None:
    """Write the runs of a comparison into its folder, `OUTPUT_DIR/comparisons/NAME`.

    The folder of a run is told from `OUTPUT_DIR`, so that it stays true when that moves; it is left empty where a run
    lies elsewhere. In the CSV no text is one that a spreadsheet would compute.
    """
    output_dir = folder.parents[1]
    told = frame.assign(folder=[_inside(str(each), output_dir) for each in frame["folder"]])
    files.replace(folder / PARQUET, lambda half: told.to_parquet(half, index=False))
    safe = told.rename(columns=no_formula)
    for name in safe.columns.difference(safe.select_dtypes("number").columns):
        safe[name] = [no_formula(each) if isinstance(each, str) else each for each in safe[name]]
    files.write_text(folder / CSV, safe.to_csv(index=False, lineterminator="\n"))


def _inside(run: str, output_dir: Path) -> str:
    with suppress(ValueError):
        return Path(run).absolute().relative_to(output_dir.absolute()).as_posix()
    return ""
