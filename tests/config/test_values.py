"""Every key of every config has a type and a range: bad values are derived for each, and each is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lossbench.config.cell import Cell, cell_of
from lossbench.config.values import OPTIONAL, OWNERS, SEARCH, _at, check_node, check_values, table_of
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.ranges import admits

OF_LISTS_OF_KEYS = ("defaults", "hydra")
BAD = [None, "no such word", "", -1.5, 10**9 + 0.5, True, [], ["no"], [-1.5, -1.5], [None], {"a": 1}, [[1]]]
DELETED = object()


def composed(*overrides: str, name: str = "config") -> Cell:
    """Compose a cell, without checking it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return cell_of(compose(name, list(overrides), return_hydra_config=True))


def nodes_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the nodes of a config that a YAML file has keys of, with their places."""
    loaded: Any = OmegaConf.to_container(OmegaConf.load(path))
    place = path.parent.relative_to(CONF).as_posix().replace("/", ".").removeprefix(".")
    if path.name == "data_common.yaml":
        place = "data"
    if path.parent == CONF or "@package _global_" in path.read_text():
        place = "" if place != "data" or path.parent != CONF else place
    pending = [(place, {key: value for key, value in loaded.items() if key not in OF_LISTS_OF_KEYS})]
    for place, node in pending:
        inner = {key: f"{place}.{key}".lstrip(".") for key in node}
        pending += [(inner[key], value) for key, value in node.items() if inner[key] in OWNERS]
        yield place, {key: value for key, value in node.items() if inner[key] not in OWNERS}


def every_key() -> dict[tuple[str, str, str], tuple[str, dict[str, Any]]]:
    """Return the notation of every key of every YAML, by node, `_target_` and name, with a node that has the key."""
    base = composed("+scale=small", name="tuning").resolved
    found = {}
    for path in sorted(CONF.rglob("*.yaml")):
        if path.stem in ("comparison", "rag", "repair") or path.parent.name == "experiment":
            continue  # the first three are of other commands, the others choose by themselves whose keys they set
        for place, node in nodes_of(path):
            target = (_at(base, place) or {}).get("_target_")  # which a file may leave to the one that it builds on
            whole = {"_target_": target, **node} if target else node
            table = table_of(place, whole)
            for name in node:
                assert name in table, f"{path.name}: nothing says what values {place}.{name} may have"
                found[place, str(whole.get("_target_")), name] = table[name], whole
    return found


def test_every_bad_value_of_every_key_is_refused() -> None:
    keys = every_key()
    assert len(keys) > 400
    for (place, target, name), (allowed, node) in keys.items():
        literal = {key: value for key, value in node.items() if "${" not in str(value)}
        bad = [value for value in BAD if not admits(allowed, value)]
        assert len(bad) >= (2 if "any" in allowed else 5), f"{place}.{name} of {target}: {allowed}"
        for value in bad:
            if place and name == "_target_":
                continue
            with pytest.raises(ConfigError) as error:
                check_node(place, {**literal, name: value}, table_of(place, node))
            assert f"{place}.{name}=".lstrip(".") in str(error.value)
        assert name not in literal or admits(allowed, node[name])


@pytest.mark.parametrize("searched", [{"low": "a"}, {"high": None}, {"log": 1}, {"choices": 3}, {"lo": 1}])
def test_search_ranges_are_read_like_all_keys(searched) -> None:
    assert set(searched) & set(SEARCH) or "lo" in searched
    node = {**composed("loss=focal").resolved["loss"], "search": {"gamma": searched}}
    with pytest.raises(ConfigError, match=f"loss.search.gamma.{next(iter(searched))}="):
        check_node("loss", node, table_of("loss", node))


@pytest.mark.parametrize(
    ("name", "overrides"), [("config", ["data=digits_imb"]), ("tuning", []), ("config", ["loss=vae_l1", "data=digits"])]
)
def test_no_key_and_no_node_can_be_taken_away(name: str, overrides: list[str]) -> None:
    cell = composed(*overrides, name=name)
    check_values(cell)
    OmegaConf.set_struct(cell.config, False)
    for path in ("", *OWNERS):
        node = OmegaConf.select(cell.config, path) if path else cell.config
        if node is None:
            continue
        for key in list(node):
            full = f"{path}.{key}".lstrip(".")
            for value in (["no"],) if full in OPTIONAL else (DELETED, ["no"]) if full in OWNERS else (DELETED,):
                kept = node._get_node(key)
                if value is DELETED:
                    del node[key]
                else:
                    node[key] = value
                with pytest.raises(ConfigError) as error:
                    check_values(Cell(cell.config, cell.choices, (f"~{full}",) if value is DELETED else ()))
                assert full in str(error.value), f"{full}: {error.value}"
                node[key] = kept
    check_values(cell)
