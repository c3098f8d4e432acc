"""Advice for programs and notebooks: on data by their name, or on a LightningDataModule. Nothing is written."""

import argparse
import copy
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Union

from rich.console import Console

from lossbench.advise.rules import advise as by_rules
from lossbench.advise.told import Report, as_html, screen
from lossbench.catalogue.facts import losses_for
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check_cell, check_fit
from lossbench.config.compose import compose_cells
from lossbench.config.values import check_values
from lossbench.config.variants import is_of_variants, key_of
from lossbench.errors import ConfigError, nearest
from lossbench.tasks import is_known, task_named, tasks

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule

    from lossbench.data import DataModule

WIDTH = 110
"""Columns of an advice as text."""


@dataclass(frozen=True, eq=False)
class Advised(Report):
    """An advice, as `python -m lossbench.advise` tells it: `print` shows it as text, a notebook with tables.

    `losses` is its short list, `metrics` what to judge by, `findings` what was found, each with `.value` and `.told`,
    `command` the race of the list; "" of a LightningDataModule, which no command names.
    """

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the short list, most promising first."""
        return self.advice.losses

    @property
    def metrics(self) -> tuple[str, ...]:
        """What to judge by, most important first."""
        return self.advice.metrics

    def __repr__(self) -> str:
        return f"{self.data}: {', '.join(self.losses)}"

    def __str__(self) -> str:
        printed = io.StringIO()
        screen(self, Console(file=printed, width=WIDTH))
        return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())

    def _repr_html_(self) -> str:
        """Show a notebook what was found, and the table of losses."""
        return as_html(self)


def advise(data: Union[str, "LightningDataModule"], *overrides: str, task: str | None = None) -> Advised:
    """Look at data, and say which losses are worth trying on them; nothing is printed, written or trained.

    Parameters
    ----------
    data : str or LightningDataModule
        The name of data, such as "digits_noisy", "table" or "images", or a module of yours, whose loaders give pairs
        (inputs, target). It needs a training and a test loader; no test sample is looked at but to count them.
    *overrides : str
        What a command line would say beside `data=NAME`: "data.path=houses.csv", "data.target=price".
    task : str, optional
        What is predicted. A module needs it; named data say it by themselves.

    Returns
    -------
    Advised
        At most six losses, the baseline of the task among them, with what was found, what to judge by and the command
        of a race.

    Raises
    ------
    ConfigError
        If there are no such data or task, or if they don't fit together.

    Source: the rules of `lossbench.advise.rules`, each with its own; docs/choosing.md has them all.

    Examples
    --------
    >>> advised = advise("outliers", "data.max_train=200")
    >>> advised.losses[:2], advised.metrics[0]
    (('tukey', 'welsch'), 'mae')
    >>> advised.command.removeprefix("python -m lossbench.race ")
    'loss=tukey,welsch,geman_mcclure,cauchy,mae,mse data=outliers data.max_train=200'

    """
    if not isinstance(data, str):
        return _of_module(data, overrides, task)
    lines = [f"data={data}", *overrides, *([f"task={task}"] if task is not None else []), "tracking=none"]
    arguments = parse_arguments(lines)
    arguments.config_name = "advising"
    cell = compose_advising(arguments)
    check_cell(cell)
    from lossbench.advise.findings import look
    from lossbench.running.build import build_data

    module = build_data(cell.config.data)
    findings = look(module)
    advice = by_rules(findings, cell.task.name)
    left_out = _refused({loss: [*lines, f"loss={loss}"] for loss in advice.losses}, arguments)
    parts = by_part(cell, module, arguments, lines)
    return Advised(cell.data, findings, advice.without(left_out), lines[:-1], left_out, parts)


def compose_advising(arguments: argparse.Namespace) -> Cell:
    """Compose a run of the baseline on the data, by which these are read.

    Raises
    ------
    ConfigError
        If several values are given, or what is to be advised on.

    """
    if arguments.multirun:
        raise ConfigError("-m (--multirun): advice is on one problem. Leave it out, and give each key one value.")
    for line in arguments.overrides:
        if is_of_variants(line) or key_of(line) in ("loss", "variant") or key_of(line).startswith("loss."):
            raise ConfigError(f"{line}: the advice says which losses to try. To race some: lossbench.race {line}")
    (cell,) = compose_cells(arguments)
    if "advise" not in cell.config:
        raise ConfigError("the config has no node advise. Its defaults list needs `advising` in place of `config`.")
    check_values(cell)
    if cell.loss in losses_for(cell.task.name):
        return cell
    return _with([*arguments.overrides, f"loss={cell.task.baseline}"], arguments)


def by_part(cell: Cell, data: "DataModule", arguments: argparse.Namespace, given: Sequence[str]) -> dict[str, Report]:
    """Return what is advised on each part of several tasks, without losses that can't be one of several.

    Parameters
    ----------
    cell : Cell
        A run on the data.
    data : DataModule
        After `setup`; of a task without parts there is nothing.
    arguments : argparse.Namespace
        The command line.
    given : sequence of str
        Its overrides that are not about the advice.

    """
    from lossbench.advise.findings import look_by_part

    reports = {}
    for part, found in look_by_part(data).items():
        advice = by_rules(found, cell.task.parts[part])
        lines = {loss: [*given, "loss=several_tasks", f"loss.terms.{part}={loss}"] for loss in advice.losses}
        left_out = _refused(lines, arguments)
        metrics = tuple(name for name in advice.metrics if f"{part}_{name}" in cell.task.named)
        fits = replace(advice.without(left_out), metrics=metrics)
        reports[part] = Report(part, found, fits, left_out=left_out)
    return reports


def _with(lines: list[str], arguments: argparse.Namespace) -> Cell:
    """Compose the run of a command with other overrides."""
    like = copy.copy(arguments)
    like.overrides = lines
    return compose_cells(like)[0]


def _refused(lines: Mapping[str, list[str]], arguments: argparse.Namespace) -> dict[str, str]:
    """Return the losses that don't fit the overrides that they come with, and why."""
    refused: dict[str, str] = {}
    for loss, own in lines.items():
        try:
            check_fit(_with(own, arguments))
        except ConfigError as error:
            refused[loss] = str(error)
    return refused


def _of_module(module: "LightningDataModule", overrides: tuple[str, ...], task: str | None) -> Advised:
    import pytorch_lightning as pl

    name = type(module).__name__
    if not isinstance(module, pl.LightningDataModule):
        raise ConfigError(
            f"advise({name}): allowed is the name of data, or a LightningDataModule of pytorch_lightning. "
            "(The package `lightning` has a class of the same name that does not mix with it.)"
        )
    if overrides:
        raise ConfigError(f"advise({name}, {overrides[0]!r}): a module has no config, and takes no overrides.")
    if task is None or not is_known(task):
        raise ConfigError(f"advise({name}, task={task}): say what is predicted. {nearest(str(task), tasks())}")
    from lossbench.advise.findings import look
    from lossbench.data.foreign import ForeignDataModule

    findings = look(ForeignDataModule(module, task_named(task)))
    return Advised(name, findings, by_rules(findings, task), None)
