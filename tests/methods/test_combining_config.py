"""Combinations as the config names them: defaults, ranges, what their source says, resuming, what is missing."""

import ast
import inspect
import sys
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lossbench.config.source import said_by, settings_of
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.methods import combining
from lossbench.ranges import admits, describe

METHODS = sorted(set(combining.__all__) - {"ByGradient", "Combine", "alone"})
BY_GRADIENT = [name for name in METHODS if getattr(combining, name).by == "gradient"]
IMPORTS = (ast.Import, ast.ImportFrom)
TERMS = ["mask", "kind", "depth"]


def choice(name):
    return OmegaConf.load(CONF / "combine" / f"{'sum' if name == 'plain_sum' else name}.yaml")


def steps(combine, first, last):
    """Drive a method through steps, two of them an epoch; return what it gives and its weights."""
    found = []
    for step in range(first, last):
        drawn = torch.Generator().manual_seed(step)
        values, rows = torch.rand(3, generator=drawn) + 0.1, torch.randn(3, 8, generator=drawn)
        if step % 2 == 0:
            combine.start_epoch(step // 2, values + 0.1 if step else None)
        found += [combine(rows if combine.by == "gradient" else values).detach(), combine.weights.clone()]
        for hook, given in (("after_step", (0.8 * values**1.1,)), ("balance", (values, rows.norm(dim=1)))):
            getattr(combine, hook, lambda *_: None)(*given)
    return found


@pytest.mark.parametrize("name", METHODS)
def test_a_choice_is_built_with_the_defaults_of_its_class(name):
    built = instantiate(choice(name))(terms=TERMS)
    assert type(built) is getattr(combining, name) and built.terms == tuple(TERMS)
    given = {key: value for key, value in choice(name).items() if not key.startswith("_")}
    defaults = {
        each.name: each.default
        for each in inspect.signature(getattr(combining, name)).parameters.values()
        if each.name not in ("terms", "seed")
    }
    assert given == defaults


@pytest.mark.parametrize("name", METHODS)
def test_each_setting_says_what_it_may_be_without_an_import(name):
    target = str(choice(name)["_target_"])
    ranges = settings_of(target)
    assert ranges == getattr(getattr(combining, name), "takes", {})
    settings = {key: value for key, value in choice(name).items() if not key.startswith("_")}
    assert settings.keys() == ranges.keys()
    assert all(admits(ranges[key], value) and describe(ranges[key]) for key, value in settings.items())
    assert said_by(target, "by") == getattr(combining, name).by


def test_each_choice_has_a_file_and_each_file_a_method():
    assert {path.stem for path in (CONF / "combine").glob("*.yaml")} >= {*METHODS, "sum"} - {"plain_sum"}


def test_the_words_of_a_setting_are_those_that_torchjd_or_the_method_knows():
    for name, key in (("aligned_mtl", "scale"), ("mgda", "normalize"), ("uncertainty", "likelihood")):
        for word in settings_of(f"lossbench.methods.combining.{name}")[key].removeprefix("one of: ").split(", "):
            combine = getattr(combining, name)(terms=TERMS, **{key: word})
            assert combine(torch.eye(3) if combine.by == "gradient" else torch.ones(3)).isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_a_run_that_was_stopped_goes_on_with_the_same_numbers(name):
    whole, stopped, resumed = (instantiate(choice(name))(terms=TERMS, seed=7) for _ in range(3))
    expected = steps(whole, 0, 8)
    steps(stopped, 0, 4)
    resumed.load_state_dict(stopped.state_dict())
    for ours, theirs in zip(steps(resumed, 4, 8), expected[8:], strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)


@pytest.mark.parametrize("name", METHODS)
def test_the_state_is_of_fixed_shapes_from_the_start(name):
    combine = instantiate(choice(name))(terms=TERMS)
    before = {key: state.shape for key, state in combine.state_dict().items()}
    steps(combine, 0, 3)
    assert {key: state.shape for key, state in combine.state_dict().items()} == before


@pytest.mark.parametrize("name", METHODS)
def test_only_uncertainties_are_learned_by_the_optimizer(name):
    learned = {key for key, _ in instantiate(choice(name))(terms=TERMS).named_parameters()}
    assert learned == ({"log_variance"} if name.startswith("uncertainty") else set())


@pytest.mark.parametrize("name", sorted(set(BY_GRADIENT) - {"mgda", "graddrop"}))
def test_without_torchjd_a_method_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[balance\]'"):
        getattr(combining, name)(terms=TERMS)


def test_without_a_solver_that_torchjd_needs_a_method_says_what_to_install(monkeypatch):
    monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None)
    for name in ("cagrad", "nash_mtl", "dualproj", "upgrad"):
        with pytest.raises(ConfigError, match=r"pip install '\.\[balance\]'"):
            getattr(combining, name)(terms=TERMS)


def test_torchjd_is_imported_in_functions_only():
    for path in Path(combining.__file__).parent.glob("*.py"):
        imports = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, IMPORTS)]
        assert not any(
            "torchjd import" in ast.unparse(node) or "import torchjd" in ast.unparse(node) for node in imports
        )
