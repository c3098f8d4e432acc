"""What README, CONTRIBUTING and the pages of docs/ say that can be looked up: links, data and choices are there."""

import re
from pathlib import Path

import pytest

from lossbench.locate import own_choices
from tests.support.commands import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUPS = (
    "combine",
    "data",
    "engine",
    "loss",
    "mixup",
    "model",
    "optimizer",
    "posthoc",
    "sampler",
    "scheduler",
    "task",
    "weighting",
)
MADE_UP = {"my_loss", "logistic", "searched", "side_hinge", "NAME"}
"""Choices of a user, in what is said of one's own."""


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_to_exists(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_overrides_in_its_commands_are_choices(page):
    """Such as loss=focal,ldam or data=cifar_imb."""
    known = {group: {*own_choices(group), *MADE_UP} for group in GROUPS} | {
        "engine": {"auto", "packed", "single", "stacked"}
    }
    commands = re.findall(r"^ *(python -m lossbench.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    for command in commands:
        for group, values in re.findall(rf" ({'|'.join(GROUPS)})=([\w,]+)", command):
            assert set(values.split(",")) <= known[group], command


def test_every_page_is_in_the_table_of_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.(?:md|ipynb))\)", PAGES[0].read_text(encoding="utf-8")))
    pages = [*PAGES[2:], *(ROOT / "docs").glob("*.ipynb")]
    assert linked == {path.relative_to(ROOT).as_posix() for path in pages}


def test_the_table_of_data_names_each_preset_and_nothing_else():
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    table = re.search(r"^\| data \|.*?\n\n", page, re.MULTILINE | re.DOTALL)[0]
    named = {
        word for cell in re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE) for word in re.findall(r"`(\w+)`", cell)
    }
    assert sorted(named) == sorted(own_choices("data"))
