"""What every loss of the catalogue must keep: a YAML file in conf/loss is all that puts a loss under these tests."""

import inspect
import math

import pytest
import torch
from omegaconf import OmegaConf

from lossbench import CONF
from lossbench.catalogue import RUN_CONTEXT, STEP_CONTEXT, declared_losses, facts_of, loss_names
from lossbench.errors import ConfigError
from lossbench.intervals import contains
from lossbench.losses import load_loss
from lossbench.losses.binding import BoundLoss, context_names
from lossbench.probe import made_up

LOSSES = loss_names()
COUNTS = [100, 30, 10, 3]
N, K = 12, len(COUNTS)


def loaded(name: str) -> BoundLoss:
    facts = facts_of(OmegaConf.load(CONF / "loss" / f"{name}.yaml")["_target_"])
    context = {"class_counts": COUNTS, "num_classes": K, "max_epochs": 10, "num_samples": 100, "num_features": 4}
    return load_loss(name, **{key: context[key] for key in facts.needs if key in context})


def batch(loss: BoundLoss, samples: int = N):
    return made_up(loss, K, samples)


def value_and_gradient(loss: BoundLoss, outputs, target, context):
    outputs = outputs.detach().clone().requires_grad_()
    value = loss(outputs, target, **context)
    value.sum().backward()
    return value.detach(), outputs.grad


@pytest.mark.parametrize("name", LOSSES)
def test_returns_one_number_per_sample(name):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    value, gradient = value_and_gradient(loss, outputs, target, context)
    assert value.shape == (N,)
    assert value.isfinite().all() and gradient.isfinite().all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_is_finite_at_extreme_outputs(name, dtype):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    signs = outputs.sign()
    for magnitude in (1e4, 1e2, 30.0, 0.0):
        for extreme in (signs * magnitude, -signs * magnitude):
            target_of = target if target.dtype == torch.int64 else target.to(dtype)
            value, gradient = value_and_gradient(loss, extreme.to(dtype), target_of, context)
            assert value.isfinite().all(), f"value at {magnitude}"
            assert gradient.isfinite().all(), f"gradient at {magnitude}"


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    outputs = (outputs.double() + 0.05).requires_grad_()  # off the kinks at a residual of zero
    target = target if target.dtype == torch.int64 else target.double()
    assert torch.autograd.gradcheck(lambda free: loss(free, target, **context), outputs)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_is_its_single_rows(name):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    together = loss(outputs, target, **context)
    for row in range(N):
        part = slice(row, row + 1)
        own = {key: value[part] if torch.is_tensor(value) else value for key, value in context.items()}
        assert torch.allclose(loss(outputs[part], target[part], **own), together[part], atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_permuted_samples_give_permuted_values(name):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    own = {key: value[order] if torch.is_tensor(value) else value for key, value in context.items()}
    assert torch.allclose(
        loss(outputs[order], target[order], **own), loss(outputs, target, **context)[order], atol=1e-6
    )


@pytest.mark.parametrize("name", [name for name in LOSSES if declared_losses()[name].task == "multiclass"])
def test_permuted_classes_change_nothing(name):
    loss = loaded(name)
    outputs, target, context = batch(loss)
    order = torch.randperm(K, generator=torch.Generator().manual_seed(2))
    counts = {"class_counts": [COUNTS[label] for label in order]} if "class_counts" in loss.parameters else {}
    permuted = load_loss(name, **counts)
    new_target = order.argsort()[target]
    assert torch.allclose(
        permuted(outputs[:, order], new_target, **context), loss(outputs, target, **context), atol=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_link_gives_probabilities_or_predictions(name):
    loss = loaded(name)
    outputs, _, _ = batch(loss)
    linked = loss.link(outputs)
    if loss.declaration.task == "regression":
        assert linked.shape == (N,)
    else:
        assert linked.shape == (N, K if loss.declaration.task == "multiclass" else 2)
        assert torch.allclose(linked.sum(1), torch.ones(N))


@pytest.mark.parametrize("name", LOSSES)
def test_yaml_has_the_parameters_of_the_signature(name):
    node = OmegaConf.load(CONF / "loss" / f"{name}.yaml")
    function = loaded(name).function
    function = getattr(function, "func", function)
    keys = {key for key in node if key not in ("_target_", "_partial_", "search")}
    signature = inspect.signature(function).parameters
    free = {key for key, parameter in signature.items() if parameter.kind is parameter.KEYWORD_ONLY}
    assert keys == free - RUN_CONTEXT - STEP_CONTEXT
    for key in keys:
        assert signature[key].default == node[key], f"{key}: the YAML and the signature have different defaults"
    assert set(node.get("search", {})) <= keys
    for key, search in node.get("search", {}).items():
        ends = search.get("choices") or [search.low, search.high]
        assert contains(loaded(name).declaration.ranges[key], list(ends)), f"{key}: searched outside its range"


@pytest.mark.parametrize("name", LOSSES)
def test_says_what_it_is(name):
    facts = declared_losses()[name]
    assert facts.summary.endswith(".") and facts.formula and facts.source
    for section in ("Parameters", "Returns", "References", "Examples"):
        assert f"\n{section}\n---" in facts.docstring, f"the docstring has no section {section}"
    assert any(character.isdigit() for character in facts.source), "the source has no year"


@pytest.mark.parametrize("name", LOSSES)
def test_facts_read_from_the_source_are_those_of_the_loss(name):
    facts, declaration = declared_losses()[name], loaded(name).declaration
    assert (facts.task, facts.head, facts.reduction, facts.problem) == (
        declaration.task, declaration.head, declaration.reduction, declaration.problem
    )  # fmt: skip
    assert facts.ranges == declaration.ranges
    assert facts.link == declaration.link.__name__


@pytest.mark.parametrize("name", LOSSES)
def test_parameters_outside_their_range_are_refused(name):
    facts = declared_losses()[name]
    known = {"class_counts": COUNTS} if "class_counts" in facts.needs else {}
    for parameter in facts.ranges:
        with pytest.raises(ConfigError, match=rf"loss\.{parameter}=-1\.5 is out of range: allowed is [\[(]"):
            load_loss(name, **{parameter: -1.5}, **known)


def test_every_declared_loss_has_its_yaml():
    assert set(declared_losses()) == set(LOSSES)


def test_a_loss_asks_for_context_by_name():
    def needs_epoch(outputs, target, *, epoch, scale=2.0):
        return outputs * epoch * scale

    assert context_names(needs_epoch) == ["epoch"]


def test_unknown_context_is_named():
    from lossbench.losses import bind

    def strange(outputs, target, *, moon_phase):
        return outputs

    with pytest.raises(ConfigError, match="moon_phase"):
        bind(strange, {}, {})


def test_an_unknown_loss_names_the_nearest():
    with pytest.raises(ConfigError, match="Nearest: focal"):
        load_loss("focl")


def test_a_module_loss_has_parameters_and_is_called_alike():
    from lossbench.losses import bind

    class Scaled(torch.nn.Module):
        def __init__(self, *, num_classes, start=2.0):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.full((num_classes,), start))

        def forward(self, outputs, target, *, features):
            return self.scale[target] * features.sum(1)

    bound = bind(Scaled, {"start": 3.0}, {"num_classes": 2})
    value = bound(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]), features=torch.ones(4, 5), epoch=3)
    assert value.tolist() == [15.0] * 4 and bound.step_context == ("features",)
    assert len(list(bound.module.parameters())) == 1


def test_infinity_is_allowed_by_no_open_interval():
    assert not contains("[0, inf)", math.inf) and not contains("[0, inf)", math.nan)
