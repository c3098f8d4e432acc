"""What we take from Hydra and OmegaConf that they keep to themselves; seen in Hydra 1.3.8 and OmegaConf 2.3.1.

Hydra's `compose` reads no command line and expands no sweep, and `hydra.main` hands out neither the words that it has
read nor the jobs that it will run. Both are needed to check every run of a command before the first one starts.
"""

import argparse
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
"""What `hydra/sweeper=basic` makes."""


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the words of a command, by default those of this process, as `hydra.main` does."""
    return get_args_parser().parse_args(words)


def expand_sweep(overrides: list[Override]) -> list[list[str]]:
    """Return the overrides of each job of a sweep, as the basic sweeper runs them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    jobs: list[list[str]] = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
    return jobs


def put_in_place_of(copy: DictConfig, node: DictConfig) -> None:
    """Put a copy where a node is in its config, so that its interpolations reach the whole config."""
    copy._set_parent(node._get_parent())
