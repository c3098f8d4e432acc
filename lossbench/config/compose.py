"""From the command line to the cells of a comparison, composed as Hydra does it."""

import argparse
import pickle
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lossbench.compat.hydra import BASIC_SWEEPER, expand_sweep, reading_each_file_once
from lossbench.config.cell import Cell, cell_of
from lossbench.config.hydra_errors import SEARCHED, as_list, clear_errors
from lossbench.config.repeats import say_lost_sweeps
from lossbench.config.values import takes_a_list
from lossbench.config.variants import as_hydra_reads, beside, is_of_variants, key_of, variants_in
from lossbench.errors import ConfigError
from lossbench.locate import CONF


def compose_cells(arguments: argparse.Namespace) -> list[Cell]:
    """Compose every cell that a command line asks for.

    Parameters
    ----------
    arguments : argparse.Namespace
        The arguments as Hydra's own parser read them.

    Raises
    ------
    ConfigError
        If a group, a choice or a key does not exist, or a value can't be read.

    """
    with _composer(arguments) as compose_config:
        arguments.overrides = as_hydra_reads(arguments.overrides)
        overrides = OverridesParser.create().parse_overrides(arguments.overrides)
        swept = [str(override.input_line) for override in overrides if override.is_sweep_override()]
        fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        first, of = _compose_first(fixed, compose_config, bool(arguments.multirun))
        require_our_folders(first)
        named = variants_in(first)
        multirun = arguments.multirun or str(first.hydra.mode) == "RunMode.MULTIRUN"
        if (swept or named) and not multirun:
            several = swept[0] if swept else f"variants.{next(iter(named))}"
            wanted = takes_a_list(first, several.partition("=")[0])
            listed = f" If it is one value, {as_list(several)}" if wanted else ""
            raise ConfigError(f"{several}: several values need -m (--multirun) before the overrides.{listed}")
        if not multirun:
            return [cell_of(first)]
        parameters = [f"{key}={value}" for key, value in dict(first.hydra.sweeper.get("params") or {}).items()]
        say_lost_sweeps(arguments.overrides, _is_swept)
        lines = parameters + [line for line in arguments.overrides if not is_of_variants(line)]

        def compose_others(lines: list[str]) -> DictConfig:
            config: DictConfig = first if lines == of else compose_config(lines)
            return config

        if not named:
            return _compose_each(_expand(lines), compose_others)
        return [cell for name, own in named.items() for cell in _compose_variant(name, own, lines, compose_others)]


def compose_one(arguments: argparse.Namespace) -> DictConfig:
    """Compose the config of a command that makes no runs; its mistakes are told as those of `compose_cells`."""
    if arguments.multirun:
        raise ConfigError("-m (--multirun): this command makes no runs, so there is no sweep of them. Leave it out.")
    with _composer(arguments) as compose_config:
        config: DictConfig = compose_config(arguments.overrides)
    _require_to_stay(config)
    return config


def only_looks(arguments: argparse.Namespace) -> bool:
    """Tell whether a command line asks for something to read, which Hydra answers by itself, but not for a sweep."""
    shown = not arguments.multirun and (arguments.cfg or arguments.info or arguments.shell_completion)
    return bool(arguments.help or arguments.hydra_help or shown)


def _compose_first(fixed: list[str], compose_config: Any, multirun: bool) -> tuple[DictConfig, list[str]]:
    """Compose what a whole command shares, and return of which overrides.

    Values of a sweep may be of choices that only some cells have.
    """
    try:
        return compose_config(fixed), fixed
    except ConfigError:
        if not multirun:
            raise
        shared = [line for line in fixed if "." not in key_of(line) or key_of(line).startswith(("hydra.", "variants."))]
        return compose_config(shared), shared


def _compose_variant(name: str, own: list[str], lines: list[str], compose_config: Any) -> list[Cell]:
    """Compose the cells of a variant: its overrides come after those of the command."""
    brought = (*own, f"variant={name}")
    try:
        kept = beside(brought, lines, _is_swept, name)
        cells = _compose_each(_expand([*kept, *brought]), compose_config)
    except ConfigError as error:
        told = str(error)
        raise ConfigError(told if told.startswith("variants.") else f"variants.{name}: {told}") from error
    return [replace(cell, of_variant=brought) for cell in cells]


def _is_swept(line: str) -> bool:
    return bool(OverridesParser.create().parse_override(line).is_sweep_override())


def _compose_each(lines_of_cells: list[list[str]], compose_config: Any) -> list[Cell]:
    """Compose the cells of a sweep; those that differ in the seed alone are composed once, which is far faster."""
    composed: dict[tuple[str, ...], Cell | ConfigError] = {}
    copied: dict[tuple[str, ...], bytes] = {}
    cells = []
    for lines in lines_of_cells:
        seeds = [line for line in lines if re.fullmatch(r"seed=\d+", line)]
        others = tuple(line for line in lines if line not in seeds)
        if others not in composed:
            composed[others] = _composed(lines, compose_config)
            copied[others] = pickle.dumps(getattr(composed[others], "config", None))
        like = composed[others]
        if isinstance(like, ConfigError):
            continue
        config = pickle.loads(copied[others])  # six times as fast as copy.deepcopy
        if seeds:
            config.seed = int(seeds[-1].partition("=")[2])
        overrides = (*(line for line in like.overrides if not line.startswith("seed=")), *seeds)
        cells.append(Cell(config, like.choices, overrides))
    mistakes = {lines: found for lines, found in composed.items() if isinstance(found, ConfigError)}
    if mistakes:
        raise _told_of_sweep(mistakes, some_fit=bool(cells))
    return cells


def _composed(lines: list[str], compose_config: Any) -> Cell | ConfigError:
    try:
        return cell_of(compose_config(lines))
    except ConfigError as error:
        return error


def _told_of_sweep(mistakes: Mapping[tuple[str, ...], ConfigError], some_fit: bool) -> ConfigError:
    """Return the first mistake; where a key is one of some of the choices only, with the choices that lack it."""
    lines, first = next(iter(mistakes.items()))
    line = next((line for line in lines if str(first).startswith(f"{line}: there is no key")), None)
    group = next((key_of(each) for each in lines if line and line.startswith(f"{key_of(each)}.")), None)
    if not some_fit or group is None:
        return first
    lack = dict.fromkeys(each for found in mistakes for each in found if each.startswith(f"{group}="))
    return ConfigError(
        f"{line}: there is no such key in {', '.join(lack)}, which other choices of this sweep have. Give it to those "
        f'alone: variants.NAME="{group}=CHOICE {line}", and variants.OTHER="{next(iter(lack))}".'
    )


def _expand(lines: list[str]) -> list[list[str]]:
    overrides = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(lines)
    own = [override for override in overrides if not override.key_or_group.startswith("hydra.sweeper")]
    for override in own:
        if override.is_interval_sweep():
            raise ConfigError(f"{override.input_line}: an interval has no list of values to run. {SEARCHED}")
    found = expand_sweep(own)
    if not found:
        raise ConfigError("the sweep has no run: a glob(...) or range(...) in it stands for nothing.")
    return found


@contextmanager
def _composer(arguments: argparse.Namespace) -> Iterator[Any]:
    """Give what composes the config of some overrides, its errors told as a `ConfigError`."""
    if arguments.multirun and (arguments.cfg or arguments.info):
        looked = f"--cfg {arguments.cfg}" if arguments.cfg else f"--info {arguments.info}"
        raise ConfigError(
            f"{looked} shows one config, but -m asks for several runs. Leave out -m and all but one value."
        )
    searchpath = []
    if arguments.config_dir is not None:
        folder = Path(arguments.config_dir).resolve()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {arguments.config_dir}: no such folder.")
        searchpath = [f"hydra.searchpath=[file://{folder.as_posix()}]"]
    config_name = arguments.config_name or "config"

    def compose_raw(overrides: list[str]) -> DictConfig:
        return compose(config_name, [*searchpath, *overrides], return_hydra_config=True)

    def compose_config(overrides: list[str]) -> DictConfig:
        with clear_errors(overrides, compose_raw):
            return compose_raw(overrides)

    with (
        initialize_config_dir(str(arguments.config_path or CONF), version_base="1.3", job_name="lossbench"),
        clear_errors(arguments.overrides, compose_raw),
        reading_each_file_once(),
    ):
        yield compose_config


def require_our_folders(config: DictConfig) -> None:
    """Refuse settings of Hydra by which runs would not be found again, or would be swept by another sweeper.

    Raises
    ------
    ConfigError
        With the setting, and what is for that here.

    """
    ours = _our_settings()
    given: Any = OmegaConf.to_container(config.hydra)
    for group, name in (("run", "dir"), ("sweep", "dir"), ("sweep", "subdir")):
        if given[group][name] != ours[group][name]:
            raise ConfigError(
                f"hydra.{group}.{name}={given[group][name]}: a run is found again by its folder, DATA/NAME-KEY in "
                "output_dir. Leave it out, and choose output_dir=DIR."
            )
    _require_to_stay(config)
    if (sweeper := (given["sweeper"] or {}).get("_target_")) != BASIC_SWEEPER:
        raise ConfigError(f"hydra.sweeper={sweeper}: a comparison runs every combination of its values. {SEARCHED}")


@cache
def _our_settings() -> dict[str, Any]:
    """Return what `conf/config.yaml` sets of Hydra."""
    return OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))["hydra"]  # type: ignore[index, call-overload, return-value]


def _require_to_stay(config: DictConfig) -> None:
    if config.hydra.job.chdir:
        raise ConfigError(
            "hydra.job.chdir=true: a command stays in its folder, so that paths mean what they say. Leave it out, and "
            "choose output_dir=DIR."
        )


def put_user_code_on_path(arguments: argparse.Namespace) -> None:
    """Make modules importable from the current folder and from the folder of --config-dir."""
    for folder in (arguments.config_dir, "."):
        path = str(Path(folder).resolve()) if folder else ""
        if path and path not in sys.path:
            sys.path.insert(0, path)
