"""Hydra's errors in the words of a user: the key, its value, what is allowed and the nearest choice."""

import difflib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lossbench.config.variants import QUOTED, WRITTEN, is_of_variants
from lossbench.errors import ConfigError, first_line, nearest
from lossbench.locate import CONF, own_choices

SEARCHED = (
    "What searches values is python -m lossbench.tune: it searches the learning rate and, by loss.search.NAME={low: A, "
    "high: B}, parameters of the loss. A sweep has values: KEY=A,B, range(...), choice(...) or glob(...)."
)
Compose = Callable[[list[str]], DictConfig]


@contextmanager
def clear_errors(overrides: list[str], compose_raw: Compose) -> Iterator[None]:
    """Turn Hydra's errors into a `ConfigError` that names key, value, what is allowed and the nearest choice."""
    try:
        yield
    except MissingConfigException as error:
        raise ConfigError(_unknown_choice(error)) from error
    except (ConfigCompositionException, OmegaConfBaseException) as error:
        raise ConfigError(_not_composed(error, overrides, compose_raw)) from error
    except OverrideParseException as error:
        raise ConfigError(_unreadable(error)) from error
    except HydraException as error:
        raise ConfigError(_first_lines(error)) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_not_yaml(error)) from error
    except (AssertionError, AttributeError, KeyError) as error:
        own = [line for line in overrides if line.lstrip("+~").startswith("hydra.")]
        if not own:
            raise
        raise ConfigError(f"{' '.join(own)}: Hydra can't use it ({type(error).__name__}: {error}).") from error
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        group = next((line.partition("=")[0] for line in overrides if line.endswith("=null")), "")
        options = f" {nearest('', known)}" if (known := _choices(group)) else ""
        said = f"{group}=null: there must be one.{options}" if group else first_line(error)
        raise ConfigError(said) from error


def _not_yaml(error: yaml.MarkedYAMLError) -> str:
    """Say where a file is no YAML."""
    mark = error.problem_mark or error.context_mark
    where = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}this is no YAML: {error.problem or error.context}."


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if not group:
        return f"--config-name {choice}: there is no such config. {nearest(choice, own_choices(''))}"
    if group == "hydra/sweeper":
        return f"{group}={choice}: a comparison runs every combination of its values. {SEARCHED}"
    if group == "hydra/launcher" and "submitit" in choice:
        return f"{group}={choice}: for SLURM use cluster=slurm, which sends runs and stacks as a job array."
    options = error.options or _choices(group)
    return f"{group}={choice}: there is no such choice. {nearest(choice, options)}" if options else _first_lines(error)


def as_list(word: str) -> str:
    """Say how a list of the values of an override is written.

    Examples
    --------
    >>> as_list("compare.columns=accuracy,ece")
    "a list is written in brackets, and in quotes for the shell: compare.columns='[accuracy,ece]'."

    """
    key, _, values = word.partition("=")
    return f"a list is written in brackets, and in quotes for the shell: {key}='[{values}]'."


def _unreadable(error: OverrideParseException) -> str:
    word = str(error.override)
    key, _, formula = word.partition("=")
    if is_of_variants(word):
        return f"{word.lstrip('+')}: {_first_lines(error)}. {WRITTEN} {QUOTED}"
    if any(formula.count(quote) % 2 for quote in "\"'"):
        return f"{word}: a quote is opened that is not closed."
    if any(word.count(opened) > word.count(closed) for opened, closed in ("[]", "{}")):
        return f"{word}: a bracket is opened that is not closed. With spaces it needs quotes for the shell: '{key}=...'"
    if re.search(r"[(^*]", formula) and not re.search(r"[\"']|^(choice|range|interval|glob|tag)\(", formula):
        return f"{word}: a formula stands in quotes, and once more for the shell: '{key}=\"{formula}\"'."
    if "=" in word or word.startswith("~"):
        return f"{word}: {_first_lines(error)}"
    groups = [group for group in ("loss", "data", "model") if word in _choices(group)]
    key = groups[0] if groups else "output_dir" if Path(word).is_dir() else "data.path" if Path(word).is_file() else ""
    return f"{word}: each word after the command is KEY=VALUE{f', such as {key}={word}' if key else ''}."


def _not_composed(error: Exception, overrides: list[str], compose_raw: Compose) -> str:
    if ambiguous := re.search(r"Ambiguous value for argument '(.+)'", str(error)):
        return f"{ambiguous[1]}: {as_list(ambiguous[1])}"
    if doubled := re.search(r"Multiple values for (\S+)\.|force-add of config groups[^']*'\++([^=']+)", str(error)):
        return _chosen_twice(doubled[1] or doubled[2], overrides)
    found = re.search(r"Could not (override|append|delete)[^']*'([^']+)'", str(error))
    sign = {"append": "+", "delete": "~"}.get(found[1], "") if found else ""
    lines = [line for line in overrides if found and line.startswith(sign) and line.lstrip("+~").startswith(found[2])]
    if found is None or not lines:
        return _first_lines(error) + (f": {first_line(error.__cause__)}" if error.__cause__ else "")
    groups = [other for other in overrides if other not in lines and "." not in other.partition("=")[0]]
    return (
        f"{lines[0]}: {_not_applied(lines[0], found[2], error, overrides, _compose_what_can_be(groups, compose_raw))}"
    )


def _not_applied(line: str, key: str, error: Exception, overrides: list[str], config: DictConfig) -> str:
    """Say why an override does not fit a config that is composed without it."""
    name, _, value = line.lstrip("+~").partition("=")
    if "An item is already" in str(error):
        return f"there is a key {key!r} already. Write {name}={value}"
    if line.startswith("+"):
        return _first_lines(error)
    if line.startswith("~"):
        now = config.hydra.runtime.choices.get(name) or (None if "/" in name else OmegaConf.select(config, name))
        is_other = value and now is not None
        return f"it is {name}={now} here. Write ~{name}" if is_other else unknown_key(name, "", config)
    inner = re.search(r"full_key: (\S+)", str(error.__cause__))  # of `scheduler={gamma: 1}` the key scheduler.gamma
    missing = inner[1] if inner and inner[1].startswith(f"{key}.") else key
    target = f"{missing.rpartition('.')[0]}._target_="
    own = next((other.removeprefix(target) for other in overrides if other.startswith(target)), None)
    if own is not None:
        return f"there is no such key yet. As an option of {own} it is +{missing}=..."
    added = f" (To add a new key, write +{missing}=...)" if "/" not in missing else ""
    return unknown_key(missing, value, config) + added


def _chosen_twice(group: str, overrides: list[str]) -> str:
    """Say how a group is chosen that has a choice already; a file that does so has no `override`."""
    line = next((line for line in overrides if line.startswith("+") and line.lstrip("+").startswith(group)), None)
    if line is None:
        return f"{group}: there is a choice already, so a file that makes another one writes override /{group}: NAME."
    choice = line.partition("=")[2]
    known = f" {nearest(choice, _choices(group))}" if _choices(group) and choice not in _choices(group) else ""
    return f"{line}: there is a choice of {group} already. Without the plus, {group}={choice} takes its place.{known}"


def _compose_what_can_be(overrides: list[str], compose_raw: Compose) -> DictConfig:
    try:
        return compose_raw(overrides)
    except (HydraException, ValueError):
        return compose_raw([])


def unknown_key(key: str, value: str, config: DictConfig) -> str:
    """Say that a composed config has no such key, or group, which was to get a value, and which there are."""
    if "/" in key:
        groups = {str(group).partition("@")[0] for group in config.hydra.runtime.choices}
        return f"there is no group {key!r}. {nearest(key, groups)}"
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        return f"there is no key {key!r}. {nearest(key.partition('.')[0], [str(name) for name in config])}"
    known = [str(name) for name in node if not str(name).startswith("_") and name != "hydra"]
    if name in known:
        return f"{key!r} is null already, so there is nothing to take away."
    if not parent and (choices := _choices(name)):
        told = f"{value}." if value in choices else f"NAME. {nearest(value, choices)}"
        return f"{name!r} is a group of which nothing is chosen yet, so write +{name}={told}"
    hint = nearest(name, known) if known else "It has no keys to set."
    if not parent and not hint.startswith("Nearest"):
        hint = _nearest_below(name, config) + hint
    group = parent.replace(".", "/")
    if value in _choices(group):
        hint = f"Choose it by {group}={value}."
    chosen = config.hydra.runtime.choices.get(group)
    where = f"{group}={chosen}, which is chosen here" if chosen else parent or "the config"
    others = [each for each in _choices(group) if re.search(rf"^{name}:", _yaml(group, each), re.MULTILINE)]
    instead = f" It is a key of {', '.join(f'{group}={each}' for each in others)}." if chosen and others else ""
    return f"there is no key {name!r} in {where}. {hint}{instead}"


def _nearest_below(name: str, config: DictConfig) -> str:
    """Say which key of a group is meant, such as `trainer.max_epochs` where `max_epochs` was given."""
    groups: Any = OmegaConf.to_container(config, resolve=False)
    inner = {
        str(key): f"{group}.{key}"
        for group, keys in reversed(groups.items())
        if isinstance(keys, dict) and group != "hydra"
        for key in keys
        if not str(key).startswith("_")
    }
    close = difflib.get_close_matches(name, inner, n=1, cutoff=0.8)
    return f"Nearest: {inner[close[0]]}. " if close else ""


def _choices(group: str) -> list[str]:
    return own_choices(group) if group and (CONF / group).is_dir() else []


def _yaml(group: str, choice: str) -> str:
    return (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8")


def _first_lines(error: Exception) -> str:
    """Return what an error says, less where Hydra looked and how it shows more."""
    text = str(error).partition("\nConfig search path")[0]
    unsaid = ("HYDRA_FULL_ERROR", "See https://hydra.cc/docs/")
    return "\n".join(line for line in text.splitlines() if not any(word in line for word in unsaid)).strip()
