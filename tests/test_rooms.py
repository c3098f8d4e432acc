"""Imports of the package run one way: which room may import which. Late imports and those for types count as well."""

import importlib.util
import sys

import pytest

from tests.support.commands import ROOT

FLOORS = (
    "compat errors words", "ranges seeding locate", "losses", "tasks", "catalogue", "lossbench", "data", "models",
    "methods", "records", "learners", "config", "compare", "tasks.report", "tracking", "running",
    "tune race rag advise play", "search", "cli", "repair __main__",
)  # fmt: skip
"""From the ground; a room imports those below it."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
DOORS = (
    "lossbench.__main__", "lossbench.advise.__main__", "lossbench.compare.__main__", "lossbench.losses.__main__",
    "lossbench.play.__main__", "lossbench.race.__main__", "lossbench.rag.__main__", "lossbench.search.__main__",
    "lossbench.tune.__main__",
)  # fmt: skip
ONLY = {"losses": set(), "compat": set(), "errors": set(), "rag": {"errors", "ranges", "locate", "compare"}}
"""Rooms that may not even import all below them."""


@pytest.fixture(scope="module")
def imports():
    spec = importlib.util.spec_from_file_location("imports_of_a_package", ROOT / "scripts" / "imports.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def name(room: str) -> str:
    return "__main__" if room in DOORS else room.removeprefix("lossbench.")


def test_a_room_imports_those_below_it(imports):
    arrows = {(name(one), name(other)): lines for (one, other), lines in imports.arrows_of(ROOT / "lossbench").items()}
    assert {room for arrow in arrows for room in arrow} - FLOOR.keys() == set()
    assert {arrow: lines for arrow, lines in arrows.items() if FLOOR[arrow[0]] <= FLOOR[arrow[1]]} == {}
    for room, allowed in ONLY.items():
        assert {other for one, other in arrows if one == room} <= allowed, room


def test_no_files_import_each_other_in_a_circle(imports):
    assert imports.circles(imports.arrows_of(ROOT / "lossbench", of_files=True)) == []


def test_few_files_lie_in_the_package_itself():
    assert len(list((ROOT / "lossbench").glob("*.py"))) <= 8


def test_no_test_imports_another(imports):
    arrows = imports.arrows_of(ROOT / "tests", of_files=True)
    assert [lines for (_, imported), lines in arrows.items() if imported.rpartition(".")[2].startswith("test_")] == []


def test_files_are_short():
    files = [path for room in ("lossbench", "scripts", "tests") for path in (ROOT / room).rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {path: count for path, count in lines.items() if count > 400} == {}
