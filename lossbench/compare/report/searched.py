"""What a search for a loss left: how far the lead of what was found survived on fresh seeds, beside each rival.

`lossbench.search` writes `searched/NAME/search.json` into the output folder. A comparison with the loss that was found
tells of it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.statistics import PairedDifference, paired_difference
from lossbench.compare.report.tables import Table
from lossbench.records.schema import Record
from lossbench.words import counted

NAME = "searched"
"""What the loss that was found is called, and the folder of searches."""
FILE = "search.json"
RELATIVES = (
    "Half the mean difference of the slopes over the margin of two classes from -6 to 6, or the residual from -5 to 5, "
    "each slope divided by its mean size: 0 is the same loss but for factor and constant, 1 has nothing in common. "
    "Known losses are at their defaults."
)
"""What the distance of a loss to another is, in words."""


@dataclass(frozen=True)
class Worth:
    """What the loss that was found is worth beside a rival: its value less the rival's, in the metric of the search.

    Parameters
    ----------
    rival : str
        The known loss.
    lead : float
        Of the best candidate over the rival's best trial, on the seeds of the search.
    val, test : PairedDifference or None
        On fresh seeds; None if there are no such runs.
    said : str
        How the test part comes out: "better", "worse", "not told apart", "not known".

    """

    rival: str
    lead: float
    val: PairedDifference | None
    test: PairedDifference | None
    said: str


def worths_of(entries: Sequence[Record], leads: Mapping[str, float], metric: str, higher: bool) -> list[Worth]:
    """Return what a found loss is worth beside each rival.

    Parameters
    ----------
    entries : sequence of Record
        The runs on fresh seeds, those of the found loss as `searched`.
    leads : mapping of str to float
        By rival its lead on the seeds of the search.
    metric : str
        Of the search, taken at the best validation epoch.
    higher : bool
        Whether more of it is better.

    """
    values: dict[str, dict[int, dict[str, float]]] = {}
    for entry in entries:
        metrics = (entry.get("metrics") or {}).get("best_val") or {}
        own = {part: metrics[f"{part}/{metric}"] for part in ("val", "test") if f"{part}/{metric}" in metrics}
        if own:
            values.setdefault(entry["loss"], {})[int(entry["seed"])] = own
    found = []
    for rival, lead in leads.items():
        pair = values.get(NAME, {}), values.get(rival, {})
        val, test = (_difference(*pair, part, higher) for part in ("val", "test"))
        found.append(Worth(rival, lead, val, test, said_of(test, higher)))
    return found


def _difference(
    mine: Mapping[int, Mapping[str, float]], other: Mapping[int, Mapping[str, float]], part: str, higher: bool
) -> PairedDifference | None:
    seeds = [seed for seed in mine if seed in other and part in mine[seed] and part in other[seed]]
    if not seeds:
        return None
    pairs = [[each[seed][part] for seed in seeds] for each in (mine, other)]
    return paired_difference(*pairs, higher_is_better=higher)


def said_of(found: PairedDifference | None, higher: bool) -> str:
    """Say in a word how a paired difference has come out: "better", "worse", "not told apart" or "not known"."""
    if found is None or (math.isnan(found.low) and found.n < 2):
        return "not known"
    if math.isnan(found.low) or found.low <= 0 <= found.high:
        return "not told apart"
    return "better" if (found.low > 0) == higher else "worse"


def conclusion(worths: Sequence[Worth]) -> str:
    """Say in a sentence what has come of a search."""
    worse = [each.rival for each in worths if each.said == "worse"]
    if worse:
        return f"The loss that was found is worse than {', '.join(worse)}: the search has fooled itself."
    first = worths[0]
    if first.said == "better":
        return f"The search found a loss that is better than {first.rival} on this problem."
    return f"Nothing better than {first.rival} was found, as far as these seeds can tell."


def worths_table(worths: Sequence[Worth], metric: str, higher: bool) -> Table:
    """Make the table of leads: on the seeds of the search, and what is left of them on fresh ones."""
    heading = ["rival", "validation, search seeds", "validation, fresh seeds", "test, fresh seeds", "on the test part"]
    rows = [[each.rival, f"{each.lead:+.4f}", _told(each.val), _told(each.test), each.said] for each in worths]
    caption = (
        f"{NAME} less each rival in {metric} ({'higher' if higher else 'lower'} is better). The lead of the search is "
        "that of the best candidate over the rival's best trial, on the seeds that both were chosen by; on fresh seeds "
        "it is what is left of it, with a 95 % interval over the seeds. First the rival with the best validation score."
    )
    return Table(caption, heading, rows, set())


def _told(found: PairedDifference | None) -> str:
    if found is None:
        return "–"
    bounds = "" if math.isnan(found.low) else f" [{found.low:+.4f}, {found.high:+.4f}]"
    return f"{found.mean:+.4f}{bounds}"


@dataclass(frozen=True)
class Told:
    """What a report tells of a search.

    Parameters
    ----------
    text : str
        What came of it, what it cost, and where it lies: all of it is in the report, which may be moved.
    yaml : str
        The loss that was found, with its formula; "" if the file is gone.
    worths, relatives, candidates : Table
        The leads, the known losses that are like it, and all candidates, the best first.

    """

    text: str
    yaml: str
    worths: Table
    relatives: Table
    candidates: Table


def told_of_search(analysis: Analysis, output_dir: Path) -> Told | None:
    """Return what a report tells of the search for the loss `searched` in it; None if that was not on these data."""
    entries = [entry for runs in analysis.comparison.entries.values() for entry in runs.values()]
    nodes = [entry["config"]["loss"] for entry in entries if entry["loss"] == NAME]
    for place in sorted((output_dir / NAME).glob(f"*/{FILE}")) if nodes else ():
        search = _read(place)
        if search is not None and search["loss"] in nodes and search["data"] == analysis.comparison.data:
            return _told_of(search, entries, place.parent)
    return None


def _read(place: Path) -> dict[str, Any] | None:
    """Return a search; None of a file that is none, or of an earlier version."""
    try:
        search = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    asked = ("data", "loss", "metric", "higher_is_better", "leads", "family", "cost", "candidates")
    return search if isinstance(search, dict) and all(name in search for name in asked) else None


def _told_of(search: Mapping[str, Any], entries: Sequence[Record], folder: Path) -> Told:
    metric, higher, family = search["metric"], search["higher_is_better"], search["family"]
    worths = worths_of(entries, search["leads"], metric, higher)
    came = f"{conclusion(worths)} " if worths else ""
    text = (
        f"{came}It was searched in the family {family}. {search['cost']} The same as files, in the output folder of "
        f"the runs: {NAME}/{folder.name}."
    )
    candidates = search["candidates"]
    caption = f"{counted(len(candidates['rows']), 'candidate')} of {family} by val/{metric} on the seeds of the search."
    all_of_them = Table(caption, candidates["heading"], candidates["rows"], set())
    yaml = folder / "loss" / f"{NAME}.yaml"
    return Told(
        text=text,
        yaml=yaml.read_text(encoding="utf-8").strip() if yaml.is_file() else "",
        worths=worths_table(worths, metric, higher),
        relatives=relatives_table(search.get("distances") or {}),
        candidates=all_of_them,
    )


def relatives_table(distances: Mapping[str, float]) -> Table:
    """Make the table of the known losses that are most like the one that was found."""
    return Table(
        RELATIVES, ["known loss", "distance"], [[name, f"{far:.3f}"] for name, far in distances.items()], set()
    )
