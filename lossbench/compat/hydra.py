"""What we take from Hydra and OmegaConf that they keep to themselves; seen in Hydra 1.3.8 and OmegaConf 2.3.1.

Hydra's `compose` reads no command line and expands no sweep, and `hydra.main` hands out neither the words that it has
read nor the jobs that it will run. Both are needed to check every run of a command before the first one starts.
"""

import argparse
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any
from unittest.mock import patch

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, flag_override
from omegaconf.errors import OmegaConfBaseException

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
"""What `hydra/sweeper=basic` makes."""


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the words of a command, by default those of this process, as `hydra.main` does.

    Raises
    ------
    argparse.ArgumentError
        With what is wrong.
    UnreadWords
        With the words that are not read: unknown flags, or overrides on both sides of a flag.

    """
    parser = get_args_parser()
    parser.exit_on_error = False
    arguments, unread = parser.parse_known_args(words)
    if unread:
        raise UnreadWords(unread, [flag for action in parser._actions for flag in action.option_strings])
    return arguments


class UnreadWords(Exception):
    """Words of a command line that Hydra does not read, and the flags that it knows."""

    def __init__(self, words: list[str], flags: list[str]) -> None:
        super().__init__(" ".join(words))
        self.words, self.flags = words, flags


def expand_sweep(overrides: list[Override]) -> list[list[str]]:
    """Return the overrides of each job of a sweep, as the basic sweeper runs them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    jobs: list[list[str]] = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
    return jobs


@contextmanager
def reading_each_file_once() -> Iterator[None]:
    """Let all configs that are composed here share what they read: Hydra parses each file again for each config.

    Beside that a third of the time goes to the choices for interpolations in each file's list of defaults, left out
    where a list has none, and a third to Hydra's own node, which is merged once.
    """
    kept: dict[tuple[Any, ...], bytes] = {}
    read = ConfigRepository.load_config

    def once(repository: ConfigRepository, config_path: str) -> Any:
        place = (*((source.provider, source.path) for source in repository.sources), config_path)
        if place in kept:
            return pickle.loads(kept[place])  # a copy of its own, which was read here
        found = read(repository, config_path)
        kept[place] = pickle.dumps(found)
        return found

    with patch.object(ConfigRepository, "load_config", once), choices_where_interpolated(), own_node_merged_once():
        yield


def choices_where_interpolated() -> Any:
    """Make a context in which Hydra collects the choices for a list of defaults that asks for them alone."""
    collect = defaults_list._create_interpolation_map

    def where_asked(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
        asked = any("${" in str(value) for default in defaults for value in vars(default).values())
        return collect(overrides, defaults, self_added) if asked else None

    return patch.object(defaults_list, "_create_interpolation_map", where_asked)


def own_node_merged_once() -> Any:
    """Make a context in which Hydra merges what makes up its own node once: it comes first, and is half of a config."""
    merge = ConfigLoaderImpl._compose_config_from_defaults_list
    kept: dict[tuple[Any, ...], bytes] = {}

    def from_own_node(loader: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
        first = list(takewhile(lambda default: default.config_path.startswith("hydra/"), defaults))
        sources = ((source.provider, source.path) for source in repo.get_sources())
        place = (*sources, *((default.config_path, default.package) for default in first))
        if any(repo.load_config(each.config_path).path.startswith("structured:") for each in defaults[len(first) :]):
            return merge(loader, defaults, repo)  # classes keep their lists of defaults until the end
        if place not in kept:
            kept[place] = pickle.dumps(merge(loader, first, repo))
        config: DictConfig = pickle.loads(kept[place])
        try:
            with flag_override(config, "no_deepcopy_set_nodes", True):
                for default in defaults[len(first) :]:
                    config.merge_with(loader._load_single_config(default, repo).config)
        except OmegaConfBaseException:
            return merge(loader, defaults, repo)  # which tells the mistake
        return config

    return patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", from_own_node)


def put_in_place_of(copy: DictConfig, node: DictConfig) -> None:
    """Put a copy where a node is in its config, so that its interpolations reach the whole config."""
    copy._set_parent(node._get_parent())
