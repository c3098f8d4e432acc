"""Imported by a process that forks for commands: they find `conf/` read, and what a first composition leaves.

That is Hydra's and OmegaConf's grammars, and what is kept of losses and data when a mistake is told.
"""

from contextlib import suppress

from lossbench.compat.hydra import parse_arguments
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from tests.support.commands import read_conf_once

read_conf_once()
compose_cells(parse_arguments(["-m", "loss=cross_entropy,focal", "seed=0,1"]))
with suppress(ConfigError):
    check(compose_cells(parse_arguments(["loss=focal", "data=outliers"])))
