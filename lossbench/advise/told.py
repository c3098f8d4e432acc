"""What is told of an advice: a screen, `advice.md` and `advice.json`."""

import html
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lossbench import __version__
from lossbench.advise.rule import Advice, Rule
from lossbench.catalogue.facts import default_parameters, facts_of
from lossbench.tasks import task_named
from lossbench.tasks.task import Metric


class Told(Protocol):
    """A finding with its evidence in a sentence, such as `lossbench.advise.findings.Finding`."""

    @property
    def value(self) -> Any:
        """The value."""

    @property
    def told(self) -> str:
        """The evidence."""


@dataclass(frozen=True)
class Report:
    """An advice with what it is about.

    Parameters
    ----------
    data : str
        The name of the data.
    findings : mapping of str to Told
        What was found.
    advice : Advice
        What the rules say of it.
    given : sequence of str, optional
        The overrides of the command, which those of a race come after; None where no command names the data.
    left_out : mapping of str to str
        Losses that don't fit what was given, and why.
    parts : mapping of str to Report
        Of several tasks what is advised on each, by its name.

    """

    data: str
    findings: Mapping[str, Told]
    advice: Advice
    given: Sequence[str] | None = ()
    left_out: Mapping[str, str] | None = None
    parts: Mapping[str, "Report"] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The race of the short list; "" where there is nothing to race, or no command for it."""
        return self.race_of(self.advice.overrides) if len(self.advice.losses) > 1 else ""

    def race_of(self, overrides: Sequence[str]) -> str:
        """Return the command of a race with these overrides.

        Examples
        --------
        >>> Report("mine", {}, None, ["data=table", "data.path=my file.csv"]).race_of(["loss=mse,mae"])
        "python -m lossbench.race loss=mse,mae data=table 'data.path=my file.csv'"

        """
        if self.given is None:
            return ""
        own = {line.partition("=")[0] for line in overrides}
        given = [line for line in self.given if line.partition("=")[0] not in own]
        return f"python -m lossbench.race {' '.join(map(shlex.quote, [*overrides, *given]))}"

    def sweep_of(self, part: str) -> str:
        """Return the command that compares the losses advised for a part by its metric; "" where there is one alone."""
        losses, metrics = self.parts[part].advice.losses, self.parts[part].advice.metrics
        if len(losses) < 2 or self.given is None:
            return ""
        lines = ["loss=several_tasks", f"loss.terms.{part}={','.join(losses)}", "seed=0,1,2,3,4", *self.given]
        lines += [f"compare.metric={part}_{metric}" for metric in [*metrics][:1]]  # else it is that of the first part
        return f"python -m lossbench -m {' '.join(map(shlex.quote, lines))}"

    @property
    def problems(self) -> list[tuple[Rule, str]]:
        """The rules whose problem was found, with the evidence."""
        return [(rule, rule.told(rule.evidence, self.findings)) for rule in self.advice.rules if rule.when]


def screen(report: Report, console: Console) -> None:
    """Print the advice."""
    for title, lines in _parts(report):
        console.print(Text(title, style="bold"))
        if isinstance(lines, Advice):
            console.print(_table(lines))
            continue
        hanging = Table.grid(padding=(0, 1))
        for line in lines:
            if _is_command(line):
                console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
            else:
                hanging.add_row("-", Text(line))
        console.print(hanging)


def as_markdown(report: Report) -> str:
    """Return the advice as `advice.md`."""
    parts = [f"# Which losses to try on {report.data}"]
    for title, lines in _parts(report):
        if isinstance(lines, Advice):
            head = ["| loss | what it is | why | what it may cost | source |", "|---|---|---|---|---|"]
            shown = head + [f"| `{row[0]}` | {' | '.join(row[1:])} |" for row in _rows(lines)]
        else:
            shown = [f"    {line}" if _is_command(line) else f"- {line}" for line in lines]
        parts.append("\n".join([f"## {title}", "", *shown]))
    return "\n\n".join(parts) + "\n"


def as_html(report: Report) -> str:
    """Return the advice as a notebook shows it."""
    parts = [f"<h3>Which losses to try on {html.escape(report.data)}</h3>"]
    for title, lines in _parts(report):
        if isinstance(lines, Advice):
            shown = _html_table(lines)
        else:
            texts = [f"<code>{html.escape(line)}</code>" if _is_command(line) else html.escape(line) for line in lines]
            shown = f"<ul>{''.join(f'<li>{text}</li>' for text in texts)}</ul>"
        parts.append(f"<b>{html.escape(title)}</b>{shown}")
    return "".join(parts)


def as_data(report: Report) -> dict[str, Any]:
    """Return the advice as `advice.json` has it."""
    advice = report.advice
    parts = {name: {**_as_data_of(each), "command": report.sweep_of(name)} for name, each in report.parts.items()}
    return {
        "lossbench": __version__,
        "data": report.data,
        **_as_data_of(report),
        "left_out": dict(report.left_out or {}),
        "command": report.command,
        "otherwise": [{"for": what, "command": report.race_of(shlex.split(line))} for what, line in advice.otherwise],
        **({"parts": parts} if parts else {}),
    }


def _as_data_of(report: Report) -> dict[str, Any]:
    advice = report.advice
    return {
        "task": advice.task,
        "findings": {name: {"value": each.value, "told": each.told} for name, each in report.findings.items()},
        "problems": [{"problem": rule.problem, "evidence": told, "source": rule.source}
                     for rule, told in report.problems],
        "losses": [vars(each) for each in advice.suggestions],
        "metrics": list(advice.metrics),
        "misleading": dict(advice.misleading),
        "cautions": list(advice.cautions),
    }  # fmt: skip


LOSSES = "Losses worth trying, most promising first"
LEFT_OUT = "Left out, as they don't fit what was given"
MISLEAD = "Don't judge by"
SIZES = ("task", "samples", "features", "test_samples", "samples_per_feature")
"""Findings that are the same of each part of several tasks."""


def _parts(report: Report) -> Iterator[tuple[str, list[str] | Advice]]:
    """Yield the parts of the advice that are not empty, each with its lines, or the advice whose losses it lists."""
    task = task_named(report.advice.task)
    yield "The problem", [f"{report.data}: {task.title} (task {task.name})"]
    yield from _of_one(report, "")
    yield from _if_any("The race of this list", [report.command] if report.command else [])
    for what, line in report.advice.otherwise if report.given is not None else ():
        yield f"Another race, for {what}", [report.race_of(shlex.split(line))]
    for name, part in report.parts.items():
        yield from _of_one(part, f"{name} ({part.advice.task}): ")
        command = report.sweep_of(name)
        yield from _if_any(f"{name}: these losses compared", [command] if command else [])


def _of_one(report: Report, name: str) -> Iterator[tuple[str, list[str] | Advice]]:
    """Yield what was found and what it calls for; the titles begin with a name."""
    advice, task = report.advice, task_named(report.advice.task)
    better = {"higher": "higher is better", "lower": "lower is better", "neither": "neither way is better"}
    found = [each.told for finding, each in report.findings.items() if finding not in (SIZES if name else ("task",))]
    yield from _if_any(f"{name}{_begun('Found in the data', name)}", found)
    speaks = [f"{rule.problem}: {told}." for rule, told in report.problems]
    plain = "nothing out of the ordinary: the losses are those of the task."
    yield f"{name}{_begun('What that speaks for', name)}", speaks or [plain]
    yield f"{name}{_begun(LOSSES, name)}", advice
    left_out = [f"{loss}: {why}" for loss, why in (report.left_out or {}).items()]
    yield from _if_any(f"{name}{_begun(LEFT_OUT, name)}", left_out)
    judge = {metric: task.metric(metric) for metric in advice.metrics[:5]}
    judged = [f"{metric}: {_meaning(each)}{better[each.better]}." for metric, each in judge.items()]
    yield from _if_any(f"{name}{_begun('Judge by', name)}", judged)
    mislead = [f"{metric}: {why}." for metric, why in advice.misleading]
    yield from _if_any(f"{name}{_begun(MISLEAD, name)}", mislead)
    yield from _if_any(f"{name}{_begun('Mind', name)}", list(advice.cautions))


def _begun(title: str, name: str) -> str:
    """Return a title as it goes on after a name."""
    return title[0].lower() + title[1:] if name else title


def _if_any(title: str, lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    if lines:
        yield title, lines


def _meaning(metric: Metric) -> str:
    """Return what a metric is; where that is said beside its like only, "the same at .75", nothing."""
    return "" if metric.meaning.startswith("the same") else f"{metric.meaning}; "


def _is_command(line: str) -> bool:
    return line.startswith("python -m ")


def _rows(advice: Advice) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield a row for each loss; what was said of one above is not said again."""
    firsts: dict[str, str] = {}
    for each in advice.suggestions:
        first = firsts.setdefault(each.problem, each.loss)
        why, cost, source = (each.because, each.may_cost, each.source) if first == each.loss else (f"as {first}",) * 3
        why = f"{each.problem}: {why}" if first == each.loss else why
        yield each.loss, _what_it_is(each.loss), why, cost, source


def _what_it_is(loss: str) -> str:
    facts = facts_of(default_parameters(loss)["_target_"])
    return "" if facts is None else facts.summary.rstrip(".")


def _table(advice: Advice) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("loss", "what it is", "why", "what it may cost"):
        table.add_column(name, no_wrap=name == "loss")
    for row in _rows(advice):
        table.add_row(*map(Text, row[:4]))
    return table


def _html_table(advice: Advice) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("loss", "what it is", "why", "what it may cost", "source"))
    rows = ("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) for row in _rows(advice))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
