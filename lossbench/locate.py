"""Where things are: the YAML files, and what a `_target_` in one of them names."""

import gc
import importlib
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from lossbench.errors import ConfigError, nearest

_PACKAGE = Path(__file__).parent
CONF = next(folder for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if (folder / "config.yaml").is_file())
"""The folder of the YAML files: inside an installed package, or beside it in a checkout."""


@contextmanager
def without_collecting() -> Iterator[None]:
    """Leave out Python's look for garbage where much is made that stays: a quarter of imports, a tenth of a report.

    Examples
    --------
    >>> with without_collecting():
    ...     import decimal

    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def own_choices(group: str) -> list[str]:
    """Return the names of the YAML files of a group that lossbench brings."""
    folder = CONF / group
    return list(_names_in(folder, folder.stat().st_mtime_ns if folder.is_dir() else 0))


@lru_cache(maxsize=256)
def _names_in(folder: Path, _changed: int) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def targets_in(node: Any) -> set[str]:
    """Return every `_target_` that a config names, however deep."""
    if isinstance(node, Mapping):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*(targets_in(value) for value in node.values()))
    return set().union(*(targets_in(value) for value in node)) if isinstance(node, list | tuple) else set()


def strangers(node: Any, group: str, trusted: Collection[str]) -> list[str]:
    """Return what a config from the files of a run names that must not be imported: files are data, never code.

    Parameters
    ----------
    node : mapping
        The part of a group of the config that was read from a file.
    group : str
        "loss" or "model": what the YAML files of lossbench name in it is ours.
    trusted : collection of str
        Targets that the user has named in this command.

    """
    return sorted(targets_in(node) - _ours(group, tuple(own_choices(group))) - set(trusted))


@lru_cache(maxsize=16)
def _ours(group: str, choices: tuple[str, ...]) -> frozenset[str]:
    return frozenset(target_of(group, choice) for choice in choices)


def target_of(group: str, choice: str) -> str:
    """Return the `_target_` in the YAML file of a choice that lossbench brings; "" if it has none."""
    text = (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8")
    found = re.search(r"^_target_: (\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def locate(target: str) -> Any:
    """Import what a `_target_` names.

    Raises
    ------
    ConfigError
        If the module or the name in it does not exist; the cause is told.

    """
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"_target_={target}: importing {module_name or target!r} failed: {type(error).__name__}: {error}. "
            "A module of yours is found in the current folder, in the folder of --config-dir, or when installed."
        ) from error
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(f"_target_={target}: {module_name} has no {name!r}. {nearest(name, public)}")
    return getattr(module, name)
