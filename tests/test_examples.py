"""The examples of the docs run, stay short, and print what can be so."""

import doctest
import re
import runpy

import pytest
import torch

from tests.support.commands import ROOT
from tests.support.compared import made_up, write

ONE_RUN = ROOT / "docs" / "examples" / "one_run.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(ONE_RUN))


def test_one_run_prints_a_comparison(example, capsys):
    example["main"]()
    head, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head[-3:] == ["balanced_accuracy", "nll", "ece"]
    values = {" ".join(row[:-3]): [float(value) for value in row[-3:]] for row in rows}
    plain, balanced, difference = values["cross_entropy"], values["balanced_softmax"], values["paired difference"]
    for accuracy, nll, ece in (plain, balanced):
        assert 0.7 < accuracy < 1 and 0 < nll < 1 and 0 < ece < 0.5
    assert balanced[0] > plain[0] and balanced[1] < plain[1]
    assert difference == pytest.approx([one - other for one, other in zip(balanced, plain, strict=True)], abs=2e-4)


def test_one_run_is_paired(example):
    """Under one seed two losses see the same batches, and the same outputs of the first one."""
    train, _ = example["long_tailed_digits"](0)
    seen: dict[float, list] = {1.0: [], 2.0: []}

    def loss(outputs, target, scale):
        seen[scale].append((outputs.detach(), target))
        return scale * outputs.square().sum(1)

    for scale in seen:
        example["trained"](lambda outputs, target, scale=scale: loss(outputs, target, scale), train, seed=0)
    one, other = seen.values()
    assert torch.equal(one[0][0], other[0][0]) and not torch.equal(one[-1][0], other[-1][0])
    assert all(torch.equal(first[1], second[1]) for first, second in zip(one, other, strict=True))


def test_one_run_is_under_eighty_lines():
    assert len(ONE_RUN.read_text(encoding="utf-8").splitlines()) < 80


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_code_of_a_page_runs(page):
    code = re.search(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]
    exec(compile(code, page, "exec"), {})


def test_the_results_of_a_page_come_out(tmp_path, monkeypatch):
    """The sessions of the page print what it says, with four made-up runs in `outputs`."""
    monkeypatch.chdir(tmp_path)
    choices = {"data": "digits", "model": "mlp"}
    for loss, values in {"cross_entropy": (0.891, 0.894), "focal": (0.884, 0.882)}.items():
        for seed, value in enumerate(values):
            config = made_up(loss, seed, value)["config"]
            config["loss"] |= {"gamma": 2.0} if loss == "focal" else {}
            write(tmp_path / "outputs", made_up(loss, seed, value, config=config, choices={**choices, "loss": loss}))
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    sessions = "\n".join(re.findall(r"^```python\n(>>> .*?)^```", text, re.DOTALL | re.MULTILINE))
    told = doctest.DocTestParser().get_doctest(sessions, {}, "docs/library.md", None, 0)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert len(told.examples) > 8 and doctest.DocTestRunner(optionflags=flags).run(told).failed == 0
