"""What is predicted: one folder for each task, with its facts, its evaluation and its figures.

`task_named` finds a task by its name; importing this package imports no torch.
"""

import pkgutil
from functools import cache
from importlib import import_module

from lossbench.errors import ConfigError, nearest
from lossbench.tasks.several import of_name
from lossbench.tasks.task import Task

_BROUGHT: dict[str, Task] = {}
"""Tasks that are not lossbench's, by name, since a config of this process has named them."""


@cache
def own_tasks() -> dict[str, Task]:
    """Return the tasks that lossbench brings, by name: those in `TASKS` of each folder here."""
    packages = [found.name for found in pkgutil.iter_modules(__path__) if found.ispkg]
    found = [task for name in packages for task in import_module(f"{__name__}.{name}").TASKS]
    return {task.name: task for task in found}


def tasks() -> dict[str, Task]:
    """Return all tasks that are known, by name."""
    return {**own_tasks(), **_BROUGHT}


def is_known(name: str) -> bool:
    """Tell whether there is a task of this name, or its name says what it is made of."""
    return name in tasks() or of_name(name) is not None


def task_named(name: str) -> Task:
    """Return a task by its name.

    Raises
    ------
    ConfigError
        If there is no such task.

    """
    known = tasks()
    if name not in known and (made := of_name(name)) is not None:
        bring(made)
        return made
    if name not in known:
        raise ConfigError(f"data.task={name} is not known. {nearest(name, known)}")
    return known[name]


def bring(task: Task) -> None:
    """Make a task known by its name that is not lossbench's.

    Raises
    ------
    ConfigError
        If the name is that of one of lossbench's.

    """
    if task.name in own_tasks():
        raise ConfigError(f"task {task.name}: lossbench has one of this name. Give yours another.")
    _BROUGHT[task.name] = task
