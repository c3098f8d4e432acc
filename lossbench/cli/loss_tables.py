"""What `python -m lossbench.losses` prints: the list of losses, a loss whole, and how it keeps the contract."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from lossbench.catalogue.gallery import search_range, yaml_value
from lossbench.cli.loss_entries import Entry
from lossbench.losses.facts import LossFacts, in_one_line

if TYPE_CHECKING:
    from lossbench.catalogue.examine.contract import RuleResult

_CALL = {"Parameters": "arguments", "Returns": "returns", "Raises": "raises"}
COLORS = {"holds": "green", "advice": "yellow", "fails": "bold red"}


def list_table(rows: list[tuple[Entry, LossFacts]]) -> Table:
    """Make the table of some losses, by family; sources without their titles."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for above, below in (("loss", "made for"), ("task", "link")):
        table.add_column(_stacked(above, below), no_wrap=True)
    table.add_column(_stacked("parameters", "needs"), overflow="fold")
    table.add_column(_stacked("formula", "source"), overflow="fold")
    family = ""
    for entry, facts in rows:
        if facts.family != family:
            family = facts.family
            table.add_row()
            table.add_row(Text(family.replace("_", " ").capitalize(), style="bold cyan"))
        table.add_row(
            _stacked(Text(entry.name, style="bold"), facts.problem),
            _stacked(facts.task or "not declared", facts.link),
            _stacked(parameters_in_words(entry, separator="\n"), "\n".join(facts.needs)),
            _stacked(facts.formula or facts.summary or "no docstring", re.sub(r', "[^"]*"', "", facts.source)),
        )
    return table


def parameters_in_words(entry: Entry, separator: str) -> str:
    """Write the parameters of a loss as `gamma=2.0`, those of a group with a dot."""
    told: dict[str, Any] = {}
    for key, value in (entry.parameters or {}).items():
        told |= {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
    return separator.join(f"{key}={yaml_value(value)}" for key, value in told.items())


def details(entry: Entry, facts: LossFacts) -> dict[str, str]:
    """Return what is known of a loss, less what goes without saying."""
    known = {
        "task": facts.task or "not declared",
        "made for": facts.problem,
        "link": facts.link,
        "head": facts.head if facts.head != "linear" else "",
        "reduction": facts.reduction if facts.reduction != "mean" else "",
        "source": facts.source,
        "function": entry.target,
        "use": f"loss={entry.name}" if entry.parameters is not None else f"loss._target_={entry.target}",
        **{_CALL[section]: in_one_line(text) for section, text in facts.shared.items()},
    }
    return {key: value for key, value in known.items() if value}


def parameter_table(entry: Entry, facts: LossFacts) -> Table:
    """Make the table of the parameters of a loss and of what it asks of the run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("parameter", "default", "range", "search"):
        table.add_column(column)
    for key, value in (entry.parameters or {}).items():
        cells = (key, yaml_value(value), facts.ranges.get(key, ""), search_range(entry.search.get(key, {})))
        table.add_row(*(Text(cell) for cell in cells))
    for name in facts.needs:
        table.add_row(Text(name), Text("from the run", style="dim"), "", "")
    return table


def findings_table(findings: "Iterable[RuleResult]") -> Table:
    """Make the table of what a loss keeps of the contract."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for status, rule, explanation in findings:
        told = Text.assemble(rule.rstrip("."), (f": {explanation}" if explanation else "", COLORS[status]))
        table.add_row(Text(status.upper() if status == "fails" else status, style=COLORS[status]), told)
    return table


def _stacked(above: str | Text, below: str) -> Text:
    lines = [part for part in (above, Text(below, style="dim")) if len(part)]
    return Text("\n").join(Text(line) if isinstance(line, str) else line for line in lines)
