"""The docs site: it builds without a warning, has every page, and fetches nothing from elsewhere."""

import doctest
import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest

from tests.support.commands import ROOT

pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install '.[docs]'")
pytest.importorskip("material", reason="mkdocs-material is not installed: pip install '.[docs]'")
pytestmark = pytest.mark.xdist_group("docs_site")
FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\W?(\w*:?//[^\s\"'>]+)|<link\b[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_it_has_every_page(site):
    """A page that README's table lacks is not in the navigation, at which a strict build fails."""
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert pages <= built and {path.as_posix() for path in built} >= {"index.html", "contributing.html"}
    for path in (ROOT / "docs").rglob("*.svg"):
        assert (site / path.relative_to(ROOT / "docs")).is_file()


def test_it_fetches_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        for found in FETCHED.finditer(page.read_text(encoding="utf-8")):
            assert not found[1] and not re.search(r"href=\W?(\w+:)?//", found[0]), (page.name, found[0])
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )\W?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_its_search_has_the_losses_without_a_server(site):
    text = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    places = [entry["location"] for entry in json.loads(text.removeprefix("var __index = "))["docs"]]
    assert "losses/class-imbalance.html#balanced_softmax" in places
    assert (site / "javascripts" / "iframe-worker.js").is_file()


def test_lists_keep_their_items(site):
    """Lists of three spaces, as those of CONTRIBUTING, whose code belongs to an item."""
    page = (site / "contributing.html").read_text(encoding="utf-8")
    steps = page[page.index('id="add-a-loss"') : page.index('id="add-a-metric"')]
    source = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    written = source[source.index("## Add a loss") : source.index("## Add a metric")]
    assert steps.count("<ol>") == 1 and steps.count("<li>") == len(re.findall(r"^\d\. ", written, re.MULTILINE)) > 3


def test_the_examples_of_its_hook():
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts" / "docs_site.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    ran = doctest.testmod(hook)
    assert ran.attempted >= 3 and ran.failed == 0
