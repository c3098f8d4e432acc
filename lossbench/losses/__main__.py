"""`python -m lossbench.losses`: list the losses, show one whole, draw them, or check one against the contract.

The list needs no torch. The words are written like Hydra's overrides; nothing is composed but a YAML of the user's.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lossbench import CONF
from lossbench.catalogue import SERVES, LossFacts, facts_of, hyperparameters, locate, loss_names
from lossbench.errors import ConfigError, nearest
from lossbench.losses.gallery import search_range, write_gallery, yaml_value

if TYPE_CHECKING:
    from lossbench.subject import Subject

USAGE = """\
python -m lossbench.losses                         list every loss
python -m lossbench.losses task=binary,multiclass  only those of some tasks
python -m lossbench.losses problem=noise           only those for a problem
python -m lossbench.losses focal                   show one loss whole
python -m lossbench.losses plot=focal,gce          draw value, slope, curvature
python -m lossbench.losses check=focal             run the contract on a loss;
                                                   exit code 1 if it fails
python -m lossbench.losses gallery=docs/losses     write a page for each problem

A loss is a name of the list, a YAML of yours in DIR/loss, or a dotted path like
my_module.my_loss.

--config-dir DIR  add the losses in DIR/loss; modules are imported from DIR and
                  from the current folder
output=PATH       plot= writes PATH.png and PATH.svg (outputs/loss_curves)
task=TASK         plot=, check= or a name: the task of a loss without @loss
                  (multiclass)
--help            this text"""

OPTIONS: dict[str, tuple[str, ...]] = {
    "list": ("task", "problem"),
    "show": ("task",),
    "plot": ("task", "output"),
    "check": ("task",),
    "gallery": (),
}
VERBS = ("plot", "check", "gallery")


@dataclass
class Request:
    """What the command line asks for."""

    names: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    config_dir: str | None = None
    help: bool = False


@dataclass(frozen=True)
class Entry:
    """A loss as its YAML gives it; `parameters` is None for a dotted path, which has no YAML."""

    name: str
    target: str
    parameters: dict[str, Any] | None
    search: dict[str, Any]
    in_catalogue: bool


def main() -> None:
    """Do what the command line asks for, and exit: 0, or 1 if a checked loss fails, or 2 if the command can't work."""
    try:
        sys.exit(answer(parse(sys.argv[1:])))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def parse(words: Iterable[str]) -> Request:
    """Read names, KEY=VALUE words and the two options."""
    request, left = Request(), list(words)
    keys = {key for allowed in OPTIONS.values() for key in allowed} | set(VERBS)
    while left:
        word = left.pop(0)
        key, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            request.help = True
        elif key in ("--config-dir", "-cd"):
            request.config_dir = value if equals else left.pop(0) if left else ""
            _check_folder(request.config_dir)
        elif word.startswith("-"):
            raise ConfigError(f"{word}: no such option. {nearest(word, ['--config-dir', '--help'])}")
        elif not equals:
            request.names.append(word)
        elif key not in keys:
            raise ConfigError(f"{word}: there is no key {key!r}. {nearest(key, keys)}")
        elif not value or key in request.options:
            raise ConfigError(f"{word}: {key} needs one value" + ("." if not value else ", and was given before."))
        else:
            request.options[key] = value
    return request


def answer(request: Request) -> int:
    """Do what is asked for; return the exit code."""
    if request.help:
        print(USAGE)
        return 0
    asked = [name for name in VERBS if name in request.options] + ["show"] * bool(request.names)
    if len(asked) > 1:
        raise ConfigError("ask for one thing at a time: names to show, plot=, check= or gallery=.")
    verb = asked[0] if asked else "list"
    _check_options(request.options, verb)
    if verb == "list":
        return list_losses(request)
    if verb == "gallery":
        return gallery(request)
    names = request.names or [name.strip() for name in request.options[verb].split(",")]
    entries = [find(name, request.config_dir) for name in dict.fromkeys(names) if name]
    return {"show": show, "plot": plot, "check": check}[verb](entries, request.options)


def find(name: str, config_dir: str | None) -> Entry:
    """Find a loss by the name of its YAML, or by the dotted path of its function.

    Raises
    ------
    ConfigError
        If there is no such loss.

    """
    if name in loss_names():
        from omegaconf import OmegaConf

        return _entry(name, OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml")), in_catalogue=True)
    from lossbench.cells import compose_cells, put_user_code_on_path

    arguments = argparse.Namespace(
        config_dir=config_dir, config_name=None, config_path=None, multirun=False, overrides=[f"loss={name}"]
    )
    put_user_code_on_path(arguments)
    own = _own_names(config_dir)
    if name in own:  # composed as a run composes it: it may have a defaults list or interpolations
        return _entry(name, compose_cells(arguments)[0].resolved["loss"], in_catalogue=False)
    if "." in name:
        return Entry(name.rpartition(".")[2], name, None, {}, in_catalogue=False)
    raise ConfigError(f"{name}: no such loss. {nearest(name, [*loss_names(), *own])}")


def list_losses(request: Request) -> int:
    """Print the table of the losses that pass the filters, the user's own last."""
    rows = [(entry, _facts(entry)) for entry in (find(name, None) for name in loss_names())]
    rows.sort(key=lambda row: (row[1].family, row[0].name))
    own, notes = _own_rows(request.config_dir)
    allowed = {"task": set(SERVES), "problem": {facts.problem for _, facts in [*rows, *own]} - {""}}
    for key, values in request.options.items():
        for value in values.split(","):
            _check_value(key, value, allowed[key])
    shown = [row for row in [*rows, *own] if _passes(row[1], request.options)]
    console = Console(highlight=False)
    if shown:
        console.print(_table(shown))
    told = " ".join(f"{key}={value}" for key, value in request.options.items())
    console.print(f"\n{len(shown)} of {len(rows) + len(own)} losses{f' with {told}' if told else ''}.", markup=False)
    if "binary" in request.options.get("task", "").split(","):
        console.print("With two logits, task=multiclass serves two classes as well.", markup=False)
    console.print("One whole: python -m lossbench.losses NAME. More: --help", markup=False)
    for note in notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    return 0


def show(entries: list[Entry], options: dict[str, str]) -> int:
    """Print all that is known of each loss."""
    console = Console(highlight=False)
    for entry in entries:
        facts = _facts(entry, options)
        console.rule(Text(entry.name, style="bold"), align="left")
        for key, value in _details(entry, facts).items():
            console.print(Text.assemble((f"{key:<13}", "dim"), value), soft_wrap=True)
        console.print(Text("\n" + (facts.docstring or "It has no docstring.") + "\n"), soft_wrap=True)
        if entry.parameters or facts.needs:
            console.print(_parameter_table(entry, facts), "")
    return 0


def plot(entries: list[Entry], options: dict[str, str]) -> int:
    """Draw the losses into one figure and say where it is."""
    from lossbench.loss_curves import TWO_CLASSES, draw_loss_curves
    from lossbench.losses.binding import bind
    from lossbench.probe import probe

    losses = {}
    for entry in entries:
        subject = _subject(entry, options)
        loss = bind(subject.factory, entry.parameters or {}, TWO_CLASSES, subject.task)
        probe(loss, 2, entry.name)
        told = _told(entry, separator=", ")
        losses[f"{entry.name} ({told})" if told else entry.name] = loss
    path = Path(options.get("output", "outputs/loss_curves"))
    stem = path.with_suffix("") if path.suffix in (".png", ".svg") else path
    for written in draw_loss_curves(losses, stem):
        print(written)
    return 0


def check(entries: list[Entry], options: dict[str, str]) -> int:
    """Print what each loss keeps of the contract; return 1 if one of them fails."""
    from lossbench.contract import examine

    console, failed = Console(highlight=False), False
    for entry in entries:
        subject = _subject(entry, options)
        subject.bind()
        findings = examine(subject)
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for status, rule, explanation in findings:
            color = {"holds": "green", "advice": "yellow", "fails": "bold red"}[status]
            told = Text.assemble(rule.rstrip("."), (f": {explanation}" if explanation else "", color))
            table.add_row(Text(status.upper() if status == "fails" else status, style=color), told)
        assumed = subject.declaration is None and "task" not in options
        another = " (it has no @loss; for another task: task=TASK)" if assumed else ""
        console.print(
            Text(f"{entry.name}, {entry.target}, checked as {subject.bound_task}{another}", style="bold"), table
        )
        statuses = [finding.status for finding in findings]
        if statuses[0] == "fails":
            console.print("What else it does is checked when the first point holds.")
        console.print(
            f"{statuses.count('holds')} hold, {statuses.count('fails')} fail, {statuses.count('advice')} advice\n"
        )
        failed = failed or "fails" in statuses
    return int(failed)


def gallery(request: Request) -> int:
    """Write the pages of the losses that lossbench brings and say where they are."""
    if request.config_dir is not None:
        raise ConfigError("--config-dir does not go with gallery=: it has only the losses of lossbench. Leave it out.")
    for path in write_gallery(Path(request.options["gallery"])):
        print(path)
    return 0


def _check_options(options: dict[str, str], verb: str) -> None:
    for key in options.keys() - {verb}:
        if key not in OPTIONS[verb]:
            hint = f"Allowed: {', '.join(OPTIONS[verb]) or 'nothing else'}."
            raise ConfigError(f"{key}={options[key]} does not go with {verb}. {hint}")
    if verb != "list" and "task" in options:
        _check_value("task", options["task"], SERVES)


def _check_value(key: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}={value} is not known. {nearest(value, allowed)}")


def _check_folder(config_dir: str) -> None:
    if not config_dir or not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir}: no such folder. Give the folder that holds your loss/NAME.yaml.")


def _entry(name: str, node: Any, in_catalogue: bool) -> Entry:
    if "_target_" not in node:
        raise ConfigError(f"{name}.yaml has no _target_. Write _target_: my_module.my_loss")
    return Entry(name, node["_target_"], hyperparameters(node), node.get("search") or {}, in_catalogue)


def _own_names(config_dir: str | None) -> list[str]:
    return [] if config_dir is None else sorted(path.stem for path in (Path(config_dir) / "loss").glob("*.yaml"))


def _own_rows(config_dir: str | None) -> tuple[list[tuple[Entry, LossFacts]], list[str]]:
    """Read the user's losses; of those that can't be read, say why."""
    rows, notes = [], []
    for name in _own_names(config_dir):
        path = f"{config_dir}/loss/{name}.yaml"
        if name in loss_names():
            notes.append(f"{path} is never read: the {name} of lossbench comes first. Give it another name.")
            continue
        try:
            entry = find(name, config_dir)
            rows.append((entry, replace(_facts(entry), family="yours")))
        except ConfigError as error:
            notes.append(f"{path} is not in the list: {error}")
    if config_dir is not None and not rows and not notes:
        notes.append(f"there is no loss in {config_dir}/loss.")
    return rows, notes


def _facts(entry: Entry, options: dict[str, str] | None = None) -> LossFacts:
    return facts_of(entry.target) or _subject(entry, options or {}).facts


def _subject(entry: Entry, options: dict[str, str]) -> "Subject":
    from lossbench.subject import Subject

    task: Any = options.get("task", "multiclass")
    factory = locate(entry.target)
    if not callable(factory):
        raise ConfigError(f"{entry.target} is a {type(factory).__name__}; a loss is a function or an nn.Module class.")
    subject = Subject(entry.name, factory, entry.parameters, entry.search, task, entry.in_catalogue)
    if "task" in options and subject.bound_task != task:
        raise ConfigError(f"{entry.name} declares task {subject.bound_task}; task={task} is for losses without @loss.")
    return subject


def _passes(facts: LossFacts, options: dict[str, str]) -> bool:
    said = {"task": facts.task, "problem": facts.problem}
    return all(said[key] in value.split(",") for key, value in options.items())


def _table(rows: list[tuple[Entry, LossFacts]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for above, below in (("loss", "made for"), ("task", "link"), ("parameters", "needs")):
        table.add_column(_stacked(above, below), no_wrap=True)
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
            _stacked(_told(entry, separator="\n"), "\n".join(facts.needs)),
            _stacked(facts.formula or facts.summary or "no docstring", facts.source),
        )
    return table


def _stacked(above: str | Text, below: str) -> Text:
    lines = [part for part in (above, Text(below, style="dim")) if len(part)]
    return Text("\n").join(Text(line) if isinstance(line, str) else line for line in lines)


def _told(entry: Entry, separator: str) -> str:
    told: dict[str, Any] = {}
    for key, value in (entry.parameters or {}).items():
        told |= {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
    return separator.join(f"{key}={yaml_value(value)}" for key, value in told.items())


def _details(entry: Entry, facts: LossFacts) -> dict[str, str]:
    details = {
        "task": facts.task or "not declared",
        "made for": facts.problem,
        "link": facts.link,
        "head": facts.head if facts.head != "linear" else "",
        "reduction": facts.reduction if facts.reduction != "mean" else "",
        "source": facts.source,
        "function": entry.target,
        "use": f"loss={entry.name}" if entry.parameters is not None else f"loss._target_={entry.target}",
    }
    return {key: value for key, value in details.items() if value}


def _parameter_table(entry: Entry, facts: LossFacts) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("parameter", "default", "range", "search"):
        table.add_column(column)
    for key, value in (entry.parameters or {}).items():
        cells = (key, yaml_value(value), facts.ranges.get(key, ""), search_range(entry.search.get(key, {})))
        table.add_row(*(Text(cell) for cell in cells))
    for name in facts.needs:
        table.add_row(Text(name), Text("from the run", style="dim"), "", "")
    return table


if __name__ == "__main__":
    main()
