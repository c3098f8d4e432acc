"""The command line of a command that Hydra composes."""

import argparse
import sys
from collections.abc import Collection

import hydra
from hydra.core.utils import configure_log
from omegaconf import DictConfig, OmegaConf

from lossbench.compat.hydra import UnreadWords, parse_arguments
from lossbench.config.compose import compose_one
from lossbench.config.hydra_errors import unknown_key
from lossbench.config.variants import as_hydra_reads
from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF
from lossbench.tracking.store import hide_credentials


def read_arguments(config_name: str, short: Collection[str] = (), group: str = "") -> argparse.Namespace:
    """Read the command line as Hydra does, which reads it again where it answers by itself.

    Parameters
    ----------
    config_name : str
        The config of the command, unless `--config-name` gives another.
    short, group : collection of str, str
        Keys of a group of the config that may be given without its name before them.

    Raises
    ------
    ConfigError
        If there is no such flag, or overrides stand on both sides of one.

    """
    words = [f"{group}.{word}" if word.partition("=")[0] in short else word for word in sys.argv[1:]]
    sys.argv[1:] = as_hydra_reads(hide_credentials(words))
    try:
        arguments = parse_arguments()
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}.") from error
    except UnreadWords as error:
        raise ConfigError(_unread(error)) from error
    arguments.config_name = arguments.config_name or config_name
    return arguments


def _unread(error: UnreadWords) -> str:
    """Say what is wrong with the words that Hydra does not read."""
    flags = [word for word in error.words if word.startswith("-")]
    if flags:
        return f"{flags[0]}: there is no such flag. {nearest(flags[0].partition('=')[0], error.flags)}"
    return f"{error.words[0]}: overrides stand before a flag and after it. Write flags such as -m before all of them."


def look(arguments: argparse.Namespace) -> int:
    """Let Hydra answer what only asks for something to read: --help, --cfg, --info, completions of a shell.

    Raises
    ------
    ConfigError
        If the config that is to be shown can't be composed.

    """
    if arguments.cfg or arguments.info:
        config = compose_one(arguments)
        _require_package(config, arguments)

    def nothing(config: DictConfig) -> None:
        """Run nothing."""

    hydra.main(version_base="1.3", config_path=str(CONF), config_name=arguments.config_name)(nothing)()
    return 0


def _require_package(config: DictConfig, arguments: argparse.Namespace) -> None:
    """Check that `--package` names something that `--cfg` shows."""
    path = arguments.package
    if not arguments.cfg or path in (None, "_global_"):
        return
    if arguments.cfg != "all" and (path.partition(".")[0] == "hydra") != (arguments.cfg == "hydra"):
        raise ConfigError(f"--package {path}: --cfg {arguments.cfg} does not show it. --cfg all shows everything.")
    if OmegaConf.select(config, path) is None:
        parent, _, name = path.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        is_null = isinstance(node, DictConfig) and name in node
        raise ConfigError(f"--package {path}: {'it is null.' if is_null else unknown_key(path, '', config)}")


def compose_and_log(arguments: argparse.Namespace) -> DictConfig:
    """Compose the config of a command that makes no runs, and let its log be printed as the config says."""
    config = compose_one(arguments)
    configure_log(config.hydra.job_logging, config.hydra.verbose)
    return config
