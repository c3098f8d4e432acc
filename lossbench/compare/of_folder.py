"""The comparisons of an output folder, for programs and notebooks: as the report has them, and nothing is written."""

import html
import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.races import with_races
from lossbench.compare.report.run_files import runs_frame
from lossbench.compare.report.verdict import verdict
from lossbench.compare.report.writers import to_csv
from lossbench.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison: the runs of one problem.

    Parameters
    ----------
    title : str
        The data, and what tells the problem from others of the same data.
    verdict : str
        Which loss is best and how sure that is, in words.
    table : DataFrame
        One row for each loss and metric, as `table.csv` beside a report: mean, interval, difference to the baseline,
        adjusted p, letters.
    runs : DataFrame
        The runs that were compared, as `load_results` has them, with their `label` in front.
    analysis : Analysis
        The numbers themselves.

    """

    title: str
    verdict: str
    table: "DataFrame"
    runs: "DataFrame"
    analysis: Analysis

    def __repr__(self) -> str:
        return f"{self.title}: {self.verdict}"

    def _repr_html_(self) -> str:
        """Show a notebook the verdict, and the table of the metric that the losses are judged by."""
        main = self.table[self.table["metric"] == self.analysis.metric].dropna(axis="columns", how="all")
        said = f"<p><b>{html.escape(self.title)}</b>: {html.escape(self.verdict)}</p>"
        return said + main.to_html(index=False, float_format="%.4g")


def compare(output_dir: str | Path = "outputs", data: str | None = None, **options: Any) -> list[Compared]:
    """Compare the runs of an output folder, as `python -m lossbench.compare` does; nothing is printed or written.

    Parameters
    ----------
    output_dir : str or Path
        Where runs were written.
    data : str, optional
        Only the problems on these data; None: all.
    **options
        How to compare, see `Options`: `metric="nll"`, `select="best_val"`, `baseline="focal"` ...

    Returns
    -------
    list of Compared
        One for each problem: runs of other data, or on other terms, are never held against each other.

    Raises
    ------
    ConfigError
        If there is no such folder, no run or option, or the runs of a problem can't be compared.

    """
    folder, known = Path(output_dir), {each.name for each in fields(Options)}
    for name in options:
        if name not in known:
            raise ConfigError(f"compare has no option {name}. {nearest(name, known)}")
    how = Options(**options)
    if not folder.is_dir():
        raise ConfigError(f"output_dir={output_dir}: no such folder.")
    records = list(read_outputs(folder))
    there = {entry["choices"]["data"] for entry in records}
    if data is not None and records and data not in there:
        raise ConfigError(f"no runs of data={data} under {folder}/. {nearest(data, there)}")
    if not records:
        raise ConfigError(f"no runs under {folder}/.")
    return [_compared(analyse(with_races(each, folder), how)) for each in comparisons(records, data)]


def _compared(analysis: Analysis) -> Compared:
    import pandas as pd

    table = pd.read_csv(io.StringIO(to_csv(analysis)))
    return Compared(analysis.comparison.title, verdict(analysis), table, runs_frame(analysis), analysis)
