"""The command line of a command that Hydra composes."""

import argparse
import sys
from collections.abc import Collection

import hydra
from hydra.core.utils import configure_log
from omegaconf import DictConfig

from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_one
from lossbench.config.variants import as_hydra_reads
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

    """
    words = [f"{group}.{word}" if word.partition("=")[0] in short else word for word in sys.argv[1:]]
    sys.argv[1:] = as_hydra_reads(hide_credentials(words))
    arguments = parse_arguments()
    arguments.config_name = arguments.config_name or config_name
    return arguments


def look(arguments: argparse.Namespace) -> int:
    """Let Hydra answer what only asks for something to read: --help, --cfg, --info, completions of a shell.

    Raises
    ------
    ConfigError
        If the config that is to be shown can't be composed.

    """
    if arguments.cfg or arguments.info:
        compose_one(arguments)

    def nothing(config: DictConfig) -> None:
        """Run nothing."""

    hydra.main(version_base="1.3", config_path=str(CONF), config_name=arguments.config_name)(nothing)()
    return 0


def compose_and_log(arguments: argparse.Namespace) -> DictConfig:
    """Compose the config of a command that makes no runs, and let its log be printed as the config says."""
    config = compose_one(arguments)
    configure_log(config.hydra.job_logging, config.hydra.verbose)
    return config
