"""uv.lock is that of pyproject.toml, and leads to PyPI alone; `uv lock --check`, which asks PyPI, is for CI."""

import re

import pytest
from packaging.requirements import Requirement

from tests.support.commands import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML by itself")
CHANGED = "pyproject.toml has changed: run `uv lock`"


def read(name: str) -> dict:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lock() -> dict:
    return read("uv.lock")


def test_it_is_that_of_the_project(lock):
    project = read("pyproject.toml")["project"]
    (own,) = [package for package in lock["package"] if package["name"] == project["name"]]
    assert own["version"] == project["version"] and lock["requires-python"] == project["requires-python"], CHANGED
    asked = {("", line) for line in project["dependencies"]} | {
        (extra, line) for extra, lines in project["optional-dependencies"].items() for line in lines
    }
    wanted = set()
    for extra, line in asked:
        parsed = Requirement(line)
        wanted.add((extra, parsed.name.lower(), tuple(sorted(parsed.extras)), str(parsed.specifier)))
    found = set()
    for entry in own["metadata"]["requires-dist"]:
        extra = re.search(r"extra == '(\w+)'", entry.get("marker", ""))
        specifier = str(Requirement(f"x{entry.get('specifier', '')}").specifier)
        found.add((extra[1] if extra else "", entry["name"], tuple(sorted(entry.get("extras", []))), specifier))
    assert found == wanted, CHANGED


def test_what_is_locked_satisfies_what_is_asked(lock):
    versions: dict[str, list[str]] = {}
    for package in lock["package"]:
        versions.setdefault(package["name"], []).append(package["version"])
    for line in read("pyproject.toml")["project"]["dependencies"]:
        wanted = Requirement(line)
        assert all(version in wanted.specifier for version in versions[wanted.name.lower()]), line


def test_it_leads_to_pypi_alone():
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[^/\"]+", text)) == {"https://pypi.org", "https://files.pythonhosted.org"}
