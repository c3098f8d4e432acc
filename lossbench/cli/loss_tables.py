"""What `python -m lossbench.losses` prints: the list of losses, a loss whole, and how it keeps the contract."""

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from lossbench.catalogue.gallery import page_of, search_range, yaml_value
from lossbench.cli.loss_entries import YOURS, Entry
from lossbench.data.shapes import data_for
from lossbench.losses.facts import LossFacts, in_one_line
from lossbench.tasks import is_known, task_named
from lossbench.tasks.task import Task

if TYPE_CHECKING:
    from lossbench.catalogue.examine.contract import RuleResult

NO_TASK = "not declared"
_CALL = {"Parameters": "arguments", "Returns": "returns", "Raises": "raises"}
COLORS = {"holds": "green", "advice": "yellow", "fails": "bold red"}


def list_lines(rows: list[tuple[Entry, LossFacts]], width: int) -> list[Text]:
    """Write some losses by the problem that they were made for: name, task and what each is, in one line.

    Parameters
    ----------
    rows : list of (Entry, LossFacts)
        The losses.
    width : int
        So many characters a line has at most; what is longer ends in "…".

    Returns
    -------
    list of Text
        The problems in the order of their names, and what is the user's last; the losses in the order of theirs.

    """
    shelves: dict[str, list[tuple[Entry, LossFacts]]] = {}
    for entry, facts in sorted(rows, key=lambda row: (row[1].family == YOURS, *_shelf(row[1]), row[0].name)):
        shelves.setdefault(" ".join(_shelf(facts)).strip(), []).append((entry, facts))
    lines: list[Text] = []
    for shelf, found in shelves.items():
        lines += [*([Text()] if lines else []), Text(_cut(shelf, width), style="bold cyan")]
        names = max(len(entry.name) for entry, _ in found)
        tasks = max(len(facts.task or NO_TASK) for _, facts in found)
        for entry, facts in found:
            name, task = f"  {entry.name:<{names}}", f"  {facts.task or NO_TASK:<{tasks}}  "
            what = _cut(facts.summary.rstrip(".") or "no docstring", width - len(name) - len(task))
            lines.append(Text.assemble((name, "bold"), (task, "dim"), what))
    return lines


def _shelf(facts: LossFacts) -> tuple[str, str]:
    """Return the heading of a loss and what it says."""
    if facts.family == YOURS:
        return "Yours", ""
    page = page_of(facts)
    return f"{page.title}:", page.use


def _cut(text: str, width: int) -> str:
    """Leave out the last words of a text that is too long."""
    if len(text) <= width:
        return text
    whole = textwrap.wrap(text, max(width - 1, 1), break_on_hyphens=False)[0]
    return whole.rstrip(",;:(") + "…"


def parameters_in_words(entry: Entry, separator: str) -> str:
    """Write the parameters of a loss as `gamma=2.0`, those of a group with a dot."""
    told: dict[str, Any] = {}
    for key, value in (entry.parameters or {}).items():
        told |= {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
    return separator.join(f"{key}={yaml_value(value)}" for key, value in told.items())


def details(entry: Entry, facts: LossFacts) -> dict[str, str]:
    """Return what is known of a loss, less what goes without saying."""
    known = {
        "task": facts.task or NO_TASK,
        "made for": facts.problem,
        "link": facts.link,
        "head": facts.head if facts.head != "linear" else "",
        "reduction": facts.reduction if facts.reduction != "mean" else "",
        "source": facts.source,
        "function": entry.target,
        "example": example_command(entry, facts),
        **{_CALL[section]: in_one_line(text) for section, text in facts.shared.items()},
    }
    return {key: value for key, value in known.items() if value}


def example_command(entry: Entry, facts: LossFacts) -> str:
    """Write a command that compares a loss with the plain one of its task, or trains one that is not comparable so.

    Examples
    --------
    >>> from lossbench.catalogue.facts import facts_of
    >>> from lossbench.cli.loss_entries import ours
    >>> example_command(ours("focal"), facts_of("lossbench.losses.focal"))
    'python -m lossbench -m data=digits loss=cross_entropy,focal seed=0,1,2'

    """
    use = f"loss={entry.name}" if entry.parameters is not None else f"loss._target_={entry.target}"
    if not is_known(facts.task):
        return f"python -m lossbench {use}"
    task = task_named(facts.task)
    data = f"data={_small_data(task, facts)}"
    if "teacher_logits" in facts.needs:
        return f"python -m lossbench {data} {use} teacher=FOLDER"
    if "views" in task.axes and "index" in facts.needs:
        return f"python -m lossbench {data} data.views=2 {use}"
    if use == f"loss={task.baseline}" or entry.parameters is None:
        return f"python -m lossbench {data} {use}"
    return f"python -m lossbench -m {data} loss={task.baseline},{entry.name} seed=0,1,2"


def _small_data(task: Task, facts: LossFacts) -> str:
    """Choose data of a task that a computer without a GPU trains on at once."""
    fitting = data_for(task)
    if "digits" in fitting:
        return "digits"
    return next((name for name in fitting if name.endswith("_pairs") and "views" in facts.needs), fitting[0])


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
