"""`python -m lossbench.losses`: list the losses, show one whole, draw them, or check one against the contract.

The list needs no torch. The words are written like Hydra's overrides; nothing is composed but a YAML of the user's.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lossbench.catalogue.facts import loss_names
from lossbench.catalogue.gallery import write_gallery
from lossbench.cli.loss_entries import Entry, facts_of_entry, find, ours, own_rows, subject_of
from lossbench.cli.loss_tables import details, findings_table, list_lines, parameter_table, parameters_in_words
from lossbench.errors import ConfigError, nearest
from lossbench.losses.facts import LossFacts
from lossbench.running.stopping import stop_signals
from lossbench.tasks import task_named, tasks

USAGE = """\
python -m lossbench.losses                         list every loss, one a line
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
COLUMNS=200       before a command: lines of that many characters (80, or what
                  the terminal has)
task=TASK         plot=, check= or a name: the task of a loss without @loss
                  (multiclass)
--help            this text
--version         the version of lossbench"""

KEYS = ("task", "problem", "output")
VERBS = ("plot", "check", "gallery")


def main() -> int:
    """Do what the command line asks for; return 0, or 1 if a checked loss fails."""
    with stop_signals(then=""):
        return answer(parse(sys.argv[1:]))


def answer(request: argparse.Namespace) -> int:
    """Do what is asked for; return the exit code."""
    code: int = request.work(request)
    return code


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read names, KEY=VALUE words and the two options.

    Raises
    ------
    ConfigError
        If a word is not known, or does not go with the others.

    """
    everywhere = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    everywhere.add_argument("--help", "-h", dest="work", action="store_const", const=print_usage)
    everywhere.add_argument("--config-dir", "-cd", nargs="?", const="")
    request, left = everywhere.parse_known_args(words)
    if (folder := request.config_dir) is not None and (not folder or not Path(folder).is_dir()):
        raise ConfigError(f"--config-dir {folder}: no such folder. Give the folder that holds your loss/NAME.yaml.")
    _check_words(left)
    if request.work is not None:
        return request
    names = [word for word in left if "=" not in word]
    asked = [verb for verb in VERBS if any(word.startswith(f"{verb}=") for word in left)] + ["show"] * bool(names)
    if len(asked) > 1:
        raise ConfigError("ask for one thing at a time: names to show, plot=, check= or gallery=.")
    verb = asked[0] if asked else "list"
    options = [f"--{word}" for word in left if "=" in word]
    read, unfit = _commands().parse_known_args([verb, *options, *names], argparse.Namespace(**vars(request)))
    if unfit:
        allowed = ", ".join(key for key in KEYS if key in read)
        raise ConfigError(f"{unfit[0][2:]} does not go with {verb}. Allowed: {allowed or 'nothing else'}.")
    return read


def print_usage(request: argparse.Namespace) -> int:
    """Print what can be asked for."""
    print(USAGE)
    return 0


def list_losses(request: argparse.Namespace) -> int:
    """Print a line for each loss that passes the filters, the user's own last."""
    rows = [(entry, facts_of_entry(entry)) for entry in map(ours, loss_names())]
    own, notes = own_rows(request.config_dir)
    filters = {key: value for key, value in (("task", request.task), ("problem", request.problem)) if value}
    allowed = {"task": set(tasks()), "problem": {facts.problem for _, facts in [*rows, *own]} - {""}}
    for key, values in filters.items():
        for value in values.split(","):
            _check_value(key, value, allowed[key])
    shown = [row for row in [*rows, *own] if _passes(row[1], filters)]
    console = Console(highlight=False)
    for line in list_lines(shown, console.width):
        console.print(line, soft_wrap=True)
    told = " ".join(f"{key}={value}" for key, value in filters.items())
    console.print(f"\n{len(shown)} of {len(rows) + len(own)} losses{f' with {told}' if told else ''}.", markup=False)
    for name in filters.get("task", "").split(","):
        others = [other for other in task_named(name).served_by if other != name] if name else []
        if others:
            console.print(f"Losses of task={' and '.join(others)} serve {name} as well.", markup=False)
    console.print("One whole: python -m lossbench.losses NAME. More: --help", markup=False)
    for note in notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    return 0


def show(request: argparse.Namespace) -> int:
    """Print all that is known of each loss."""
    console = Console(highlight=False)
    for entry in _entries(request):
        facts = facts_of_entry(entry, request.task)
        console.rule(Text(entry.name, style="bold"), align="left")
        for key, value in details(entry, facts).items():
            console.print(Text.assemble((f"{key:<13}", "dim"), value), soft_wrap=True)
        console.print(Text("\n" + (facts.docstring or "It has no docstring.") + "\n"), soft_wrap=True)
        if entry.parameters or facts.needs:
            console.print(parameter_table(entry, facts), "")
    return 0


def plot(request: argparse.Namespace) -> int:
    """Draw the losses into one figure and say where it is."""
    from lossbench.catalogue.binding import bind
    from lossbench.catalogue.curves import draw_loss_curves
    from lossbench.catalogue.examine.example_batch import probe
    from lossbench.catalogue.loss_picture import TWO_CLASSES

    losses = {}
    for entry in _entries(request):
        subject = subject_of(entry, request.task)
        loss = bind(subject.factory, entry.parameters or {}, TWO_CLASSES, subject.task)
        probe(loss, 2, entry.name)
        told = parameters_in_words(entry, separator=", ")
        losses[f"{entry.name} ({told})" if told else entry.name] = loss
    path = request.output
    stem = path.with_suffix("") if path.suffix in (".png", ".svg") else path
    for written in draw_loss_curves(losses, stem):
        print(written)
    return 0


def check(request: argparse.Namespace) -> int:
    """Print what each loss keeps of the contract; return 1 if one of them fails."""
    from lossbench.catalogue.examine.contract import examine

    console, failed = Console(highlight=False), False
    for entry in _entries(request):
        subject = subject_of(entry, request.task)
        subject.bind()
        findings = examine(subject)
        assumed = subject.declaration is None and request.task is None
        another = " (it has no @loss; for another task: task=TASK)" if assumed else ""
        heading = Text(f"{entry.name}, {entry.target}, checked as {subject.bound_task}{another}", style="bold")
        console.print(heading, findings_table(findings))
        statuses = [finding.status for finding in findings]
        if statuses[0] == "fails":
            console.print("What else it does is checked when the first point holds.")
        console.print(
            f"{statuses.count('holds')} hold, {statuses.count('fails')} fail, {statuses.count('advice')} advice\n"
        )
        failed = failed or "fails" in statuses
    return int(failed)


def gallery(request: argparse.Namespace) -> int:
    """Write the pages of the losses that lossbench brings and say where they are."""
    if request.config_dir is not None:
        raise ConfigError("--config-dir does not go with gallery=: it has only the losses of lossbench. Leave it out.")
    for path in write_gallery(request.gallery):
        print(path)
    return 0


def _check_words(words: Iterable[str]) -> None:
    given: set[str] = set()
    for word in words:
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(f"{word}: no such option. {nearest(word, ['--config-dir', '--help'])}")
        if equals and key not in (*KEYS, *VERBS):
            raise ConfigError(f"{word}: there is no key {key!r}. {nearest(key, [*KEYS, *VERBS])}")
        if equals and (not value or key in given):
            raise ConfigError(f"{word}: {key} needs one value" + ("." if not value else ", and was given before."))
        given |= {key} if equals else set()


def _commands() -> argparse.ArgumentParser:
    """Return the sub-commands, each with the options that go with it."""
    command = argparse.ArgumentParser(add_help=False)
    verbs = command.add_subparsers()

    def add(verb: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(verb, add_help=False, allow_abbrev=False)
        parser.set_defaults(work=work)
        return parser

    listed, shown, drawn, checked = add("list", list_losses), add("show", show), add("plot", plot), add("check", check)
    add("gallery", gallery).add_argument("--gallery", type=Path)
    listed.add_argument("--task")
    listed.add_argument("--problem")
    shown.add_argument("names", nargs="+")
    drawn.add_argument("--output", type=Path, default=Path("outputs/loss_curves"))
    for parser, verb in ((drawn, "plot"), (checked, "check")):
        parser.add_argument(f"--{verb}", dest="names", type=lambda names: [name.strip() for name in names.split(",")])
    for parser in (shown, drawn, checked):
        parser.add_argument("--task", type=partial(_check_value, "task", allowed=tasks()))
    return command


def _check_value(key: str, value: str, allowed: Collection[str]) -> str:
    if value not in allowed:
        raise ConfigError(f"{key}={value} is not known. {nearest(value, allowed)}")
    return value


def _entries(request: argparse.Namespace) -> list[Entry]:
    return [find(name, request.config_dir) for name in dict.fromkeys(request.names) if name]


def _passes(facts: LossFacts, filters: dict[str, str]) -> bool:
    said = {"task": facts.task, "problem": facts.problem}
    return all(said[key] in value.split(",") for key, value in filters.items())
