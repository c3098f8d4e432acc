"""Named variants of a sweep: overrides under a name, so that one loss can stand in it with several settings.

On the command line a variant is a key, in YAML a list; a sweep is the product of the variants and all other values.

    variants.focal_mild="loss=focal loss.gamma=1"
    variants: {focal_mild: [loss=focal, loss.gamma=1]}
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from lossbench.catalogue.facts import loss_names
from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, first_line

OF_COMMAND = (
    "compare", "engine", "hydra", "output_dir", "rerun", "search", "skip_impossible", "tracking", "trust", "tune",
    "variant", "variants",
)  # fmt: skip
"""What holds for a whole command, so that no variant can set it."""
WRITTEN = 'Write variants.NAME="loss=focal loss.gamma=1", or in YAML variants: {NAME: [loss=focal, loss.gamma=1]}.'
QUOTED = (
    "Quotes stand around all overrides of a name, and inside them quotes of the other kind: "
    "variants.NAME=\"loss=expression loss.expression='-log(p)'\"."
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPED = re.compile(r"\+{0,2}variants\.([^=]*)=(.*)", re.DOTALL)
_OF_PART = re.compile(r"(loss\.(?:terms|weights)\.[^\W\d]\w*=.*)", re.DOTALL)
"""A loss, or a weight, by the name of a part: which there are, the data say, not the YAML of the loss."""
_BRACKETS = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}


def as_hydra_reads(words: Iterable[str]) -> list[str]:
    """Write the variants of a command line as lists in quotes, which Hydra's grammar takes; other words stay.

    Keys of which no YAML says that there are some, `loss.terms.PART` and `loss.weights.PART`, get the plus signs with
    which Hydra takes them.

    Raises
    ------
    ConfigError
        If a name is not valid, or nothing stands under it.

    Examples
    --------
    >>> as_hydra_reads(["-m", "variants.mild=loss=focal loss.gamma=1"])
    ['-m', '++variants.mild=["loss=focal","loss.gamma=1"]']

    """
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    if word.startswith("variants=") and word not in ("variants=null", "variants={}"):
        raise ConfigError(f"{word}: on the command line each variant is a key of its own. {WRITTEN}")
    match = _TYPED.fullmatch(word)
    if match is None:
        return _added(word)
    name, value = match[1], _within_quotes(match[2].strip())
    _require_name(f"variants.{name}", name)
    if value.startswith('["'):
        return f"++variants.{name}={value}"
    is_list = value.startswith("[") and value.endswith("]")
    parts = _split(value[1:-1], ",") if is_list else _split(value, " \t\n")
    if not parts or value == "null":
        raise ConfigError(f"variants.{name}={value}: nothing stands under the name. {WRITTEN}")
    escaped = (part.replace('"', '\\"') for part in parts)
    return f"++variants.{name}=[" + ",".join(f'"{part}"' for part in escaped) + "]"


def _within_quotes(text: str) -> str:
    """Take off the quotes that stand around a whole text, and leave those that other text parts."""
    return text[1:-1].strip() if text[:1] in ("'", '"') and text.find(text[0], 1) == len(text) - 1 else text


def _added(word: str) -> str:
    return f"++{word}" if _OF_PART.fullmatch(word) else word


def _split(text: str, separators: str) -> list[str]:
    """Split a text where no bracket or quote is open; quotes around a whole part are taken off."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        depth += 0 if quote else _BRACKETS.get(character, 0)
        if character in separators and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    trimmed = [part.strip() for part in parts if part.strip()]
    return [_within_quotes(part) for part in trimmed]


def variants_in(config: DictConfig) -> dict[str, list[str]]:
    """Return the overrides of each variant of a composed config; none where the config is itself that of a variant.

    Raises
    ------
    ConfigError
        If a name or an override is not one.

    """
    node: Any = OmegaConf.to_container(config).get("variants") or {}  # type: ignore[union-attr]
    if config.get("variant") is not None:
        return {}
    if not isinstance(node, dict):
        raise ConfigError(f"variants={node}: these are names with overrides. {WRITTEN}")
    found = {}
    for name, lines in node.items():
        key = f"variants.{name}"
        _require_name(key, str(name))
        given = _split(_within_quotes(lines), " \t\n") if isinstance(lines, str) else lines
        if not isinstance(given, list) or not all(isinstance(line, str) for line in given):
            raise ConfigError(f"{key}={lines}: a variant is a list of overrides. {WRITTEN}")
        if not given:
            raise ConfigError(f"{key}: nothing stands under the name. {WRITTEN}")
        for line in given:
            _require_override(key, line)
        found[str(name)] = [_added(line) for line in given]
    return found


def _require_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{key}: {name!r} is no name. A name has letters, digits and _, and begins with a letter.")


def _require_override(key: str, line: str) -> None:
    if "=" not in line and not line.startswith("~"):
        raise ConfigError(f"{key}: {line!r} sets nothing, since it has no '='. {WRITTEN}")
    try:
        override = OverridesParser.create().parse_override(line)
    except HydraException as error:
        raise ConfigError(f"{key}: {line} can't be read: {first_line(error)}. {WRITTEN} {QUOTED}") from error
    if override.is_sweep_override():
        raise ConfigError(f"{key}: {line} has several values. A variant has one of each key: make a variant of each.")
    if (top := re.split(r"[./@]", override.key_or_group)[0]) in OF_COMMAND:
        raise ConfigError(f"{key}: {line}: {top} holds for the whole command. Give it outside of the variants.")


def key_of(line: str) -> str:
    """Return the key that an override sets or deletes."""
    return line.lstrip("+~").partition("=")[0]


def is_of_variants(line: str) -> bool:
    """Tell whether an override of a command line says which variants there are."""
    return key_of(line) == "variants" or key_of(line).startswith("variants.")


def beside(own: Sequence[str], lines: Iterable[str], swept: Callable[[str], bool], name: str = "") -> list[str]:
    """Return the other overrides of a command that hold for a variant: all but those whose key it sets itself.

    Raises
    ------
    ConfigError
        If one of these has several values: which of them the variant takes would be a guess.

    """
    keys, kept = set(map(key_of, own)), []
    for line in lines:
        if is_of_variants(line):
            continue
        if key_of(line) not in keys:
            kept.append(line)
        elif swept(line):
            raise ConfigError(
                f"variants.{name} sets {key_of(line)}, and {line} gives it several values. Leave one of them out, or "
                "make a variant of each value."
            )
    return kept


def check_names(cells: Sequence[Cell]) -> None:
    """Check that each run has one name, and that no name is that of another loss.

    Raises
    ------
    ConfigError
        With the names and what they stand for.

    """
    named = [cell for cell in cells if cell.variant is not None]
    others = {cell.method for cell in cells if cell.variant is None}
    keys: dict[str, Cell] = {}
    for cell in named:
        name = str(cell.variant)
        _require_name(f"variant={name}", name)
        if name != cell.loss and (name in loss_names() or name in others):
            raise ConfigError(f"variants.{name}: there is a loss {name}, but this is {cell.method}. Name it otherwise.")
        before = keys.setdefault(cell.key, cell)
        if before.variant != name:
            raise ConfigError(
                f"variants.{before.variant} and variants.{name} are the same run, {cell.data} {cell.name}: all that "
                "they set comes to the same values. Leave one of them out."
            )
