"""Advice on several tasks of one network: each part is looked at as a task of its own."""

import json
import shlex
import sys

import numpy as np
import pandas as pd
import pytest

from lossbench.advise.findings import look, look_by_part
from lossbench.cli import advise
from lossbench.cli.arguments import parse_arguments
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from tests.support.own_files import module


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A price with outliers above, and whether it was sold, which is rare."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(900, 4))
    price = 10 + 3 * inputs[:, 0] + 0.3 * rng.normal(size=900) + 40 * (rng.random(900) < 0.1)
    sold = np.where(inputs[:, 1] + 0.2 * rng.normal(size=900) > 1.6, "yes", "no")
    path = tmp_path_factory.mktemp("houses") / "houses.csv"
    columns = {f"x{k}": inputs[:, k] for k in range(4)}
    pd.DataFrame({**columns, "price": price, "sold": sold}).to_csv(path, index=False)
    return path


def test_a_part_is_looked_at_as_a_task_of_its_own(houses):
    lines = ["data=table", f"data.path={houses}"]
    both = look_by_part(module(*lines, "data.target=[price,sold]"))
    assert set(both) == {"price", "sold"} and look_by_part(module(*lines, "data.target=price")) == {}
    assert both["price"]["outliers"].value == pytest.approx(0.1, abs=0.02)
    assert both["price"]["outliers_side"].value == 1
    assert 10 < both["sold"]["imbalance"].value < 40
    alone = look(module(*lines, "data.target=price", "data.drop=[sold]"))
    assert both["price"].keys() == alone.keys()


def test_the_command_lists_losses_for_each_part(houses, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["data=table", f"data.path={houses}", "data.target=[price,sold]", "tracking=none"]
    monkeypatch.setattr(sys, "argv", ["lossbench.advise", *words])
    assert advise.main() == 0
    (place,) = (tmp_path / "outputs" / "advice").rglob("advice.json")
    told = json.loads(place.read_text())
    assert told["parts"]["sold"]["problems"][0]["problem"] == "one rare class of two"
    assert "combine=sum,alone" in " ".join(told["cautions"])
    assert "mae_balanced" not in told["parts"]["price"]["metrics"] and "mae" in told["parts"]["price"]["metrics"]
    for name, part in told["parts"].items():
        arguments = parse_arguments(shlex.split(part["command"])[3:])
        cells = compose_cells(arguments)
        check(cells)
        assert len(cells) == 5 * len(part["losses"]) and f"loss.terms.{name}=" in part["command"]
        assert part["command"].split()[-1] == f"compare.metric={name}_{part['metrics'][0]}"
    screen = capsys.readouterr().out
    page = place.with_suffix(".md").read_text()
    assert "price (regression): losses worth trying" in screen and "sold (binary): losses worth trying" in page
