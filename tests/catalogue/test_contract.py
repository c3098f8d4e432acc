"""What every loss of the catalogue must keep: a YAML file in conf/loss is all that puts a loss under these tests."""

import inspect
import math

import pytest
import torch
from torch.nn import functional as F

from lossbench.catalogue.binding import bind, load_loss
from lossbench.catalogue.examine import contract
from lossbench.catalogue.examine.contract import examine, rules_for
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.examine.loss_under_test import CLASS_COUNTS, LossUnderTest
from lossbench.catalogue.facts import loss_names
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.losses import links, loss
from lossbench.losses.bound_loss import context_names
from lossbench.losses.facts import declared_losses
from lossbench.ranges import contains
from tests.support.losses import broken, subject_of

LOSSES = loss_names()


@pytest.mark.parametrize("name", LOSSES)
def test_keeps_the_contract(name):
    subject = subject_of(name)
    assert broken(subject, rules_for(subject)) == {}


@pytest.mark.parametrize("name", LOSSES)
def test_facts_read_from_the_source_are_those_of_the_loss(name):
    assert declared_losses()[name] == subject_of(name).facts


def test_every_point_applies_to_some_loss_of_the_catalogue():
    assert {point for name in LOSSES for point in rules_for(subject_of(name))} == set(contract.RULES)


def test_every_function_of_one_output_for_each_class_or_label_is_tested_with_permuted_classes():
    """Told by the shape of its outputs, not by its task."""
    tested = {name for name in LOSSES if contract.treat_all_classes_alike in rules_for(subject_of(name))}
    functions = [name for name in LOSSES if not inspect.isclass(subject_of(name).factory)]
    outputs, target = {}, {}
    for name in functions:
        outputs[name], target[name], _ = example_batch(subject_of(name).bind(), len(CLASS_COUNTS), samples=12)
    corners = {name for name in functions if outputs[name].shape[1:] == target[name].shape[1:] == (4,)}
    corners &= {name for name, facts in declared_losses().items() if facts.outputs == 4}  # of a box, not of a class
    wide = {name for name in functions if outputs[name].ndim in (2, 4) and outputs[name].shape[-1] == len(CLASS_COUNTS)}
    wide -= corners | {name for name in wide if subject_of(name).declaration.takes_embeddings}
    assert tested == {name for name in wide if not target[name].is_floating_point() or target[name].dim() == 2}


def test_every_declared_loss_has_its_yaml():
    assert set(declared_losses()) == set(LOSSES)


def mean_of_the_batch(logits, target):
    return F.cross_entropy(logits, target)


def log_of_softmax(logits, target):
    return -logits.softmax(-1).gather(1, target[:, None]).squeeze(1).log()


def detached_focal(logits, target):
    value = F.cross_entropy(logits, target, reduction="none")
    return (1 - (-value).exp()).detach() * value


def normalised_by_the_batch(logits, target):
    value = F.cross_entropy(logits, target, reduction="none")
    return value / value.mean()


def weighted_by_position(logits, target):
    return torch.arange(1, len(target) + 1) * F.cross_entropy(logits, target, reduction="none")


def fond_of_class_0(logits, target):
    return F.cross_entropy(logits, target, reduction="none") * (1 + (target == 0))


def constant(logits, target):
    return 0 * F.cross_entropy(logits, target, reduction="none")


@loss(task="multiclass", link=links.identity, source="nobody")
def without_probabilities(logits, target):
    return F.cross_entropy(logits, target, reduction="none")


@loss(task="multilabel", link=links.identity, source="A 2020")
def labels_without_probabilities(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)


@loss(task="multilabel", link=links.sigmoids, source="A 2020")
def fond_of_label_0(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")[:, 0]


@loss(task="multiclass", link=links.softmax, source="A 2020", ranges={"q": "[0, 1]"})
def ranged(logits, target, *, q=0.5):
    return q * F.cross_entropy(logits, target, reduction="none")


def summarised(logits, target):
    """Plain."""


def without_example(logits, target):
    """Plain.

    Formula: -log p_y
    """


def with_undescribed_parameter(logits, target, *, class_counts, scale=1.0):
    """Scaled.

    Formula: scale (-log p_y)

    Examples
    --------
    >>> with_undescribed_parameter(None, None, class_counts=None)

    """


def with_what_the_run_gives(logits, target, *, class_counts):
    """Weighted.

    Formula: n_y (-log p_y)

    Examples
    --------
    >>> with_what_the_run_gives(None, None, class_counts=None)

    """


@pytest.mark.parametrize(
    ("factory", "point", "said"),
    [
        (mean_of_the_batch, contract.return_one_number_per_sample, "Leave out the mean"),
        (constant, contract.return_one_number_per_sample, "gradient is 0 everywhere"),
        (log_of_softmax, contract.stay_finite_in_float32, "log_softmax"),
        (log_of_softmax, contract.stay_finite_in_bfloat16, "log_softmax"),
        (detached_focal, contract.have_the_gradient_of_the_value, "detach"),
        (normalised_by_the_batch, contract.give_a_sample_the_same_alone, "first dimension"),
        (weighted_by_position, contract.let_values_follow_their_samples, "position in the batch"),
        (fond_of_class_0, contract.treat_all_classes_alike, "taken by its number"),
        (fond_of_label_0, contract.treat_all_classes_alike, "taken by its number"),
        (labels_without_probabilities, contract.link_to_probabilities_or_predictions, "a probability of its own"),
        (without_probabilities, contract.link_to_probabilities_or_predictions, "Declare the link"),
        (without_probabilities, contract.declare_task_link_and_source, "no year"),
        (fond_of_label_0, contract.declare_task_link_and_source, "no title"),
        (constant, contract.declare_task_link_and_source, "no @loss"),
        (constant, contract.say_what_it_is, "one-line summary"),
        (summarised, contract.say_what_it_is, "no line 'Formula"),
        (without_example, contract.say_what_it_is, "sections Examples"),
        (with_undescribed_parameter, contract.say_what_it_is, "sections Parameters"),
    ],
)
def test_each_point_catches_its_fault_and_says_how_to_mend_it(factory, point, said):
    with pytest.raises(AssertionError, match=said):
        point(LossUnderTest("mine", factory, {}))


@pytest.mark.parametrize(
    ("parameters", "search", "point", "said"),
    [
        ({}, {}, contract.have_the_parameters_of_the_signature, r"parameters .* are \['q'\]"),
        ({"q": 0.5, "r": 1}, {}, contract.have_the_parameters_of_the_signature, r"\['q', 'r'\]"),
        ({"q": 0.7}, {}, contract.have_the_parameters_of_the_signature, "0.7 in the YAML and 0.5"),
        ({"q": 0.5}, {"q": {"low": 0, "high": 2}}, contract.search_within_the_ranges, "outside its range"),
        ({"q": 0.5}, {"q": {"choices": [0.1, 3]}}, contract.search_within_the_ranges, "outside its range"),
        ({"q": 0.5}, {"p": {"low": 0, "high": 1}}, contract.search_within_the_ranges, "names no parameter"),
    ],
)
def test_a_yaml_that_does_not_fit_is_told(parameters, search, point, said):
    with pytest.raises(AssertionError, match=said):
        point(LossUnderTest("mine", ranged, parameters, search))


def test_only_hyperparameters_must_be_described():
    contract.say_what_it_is(LossUnderTest("mine", with_what_the_run_gives, {}))


def test_what_is_declared_on_purpose_is_no_fault():
    coupled = loss(task="multiclass", link=links.softmax, source="A 2020", coupled=True)(normalised_by_the_batch)
    detached = loss(task="multiclass", link=links.softmax, source="A 2020", detached="the factor")(detached_focal)
    assert contract.give_a_sample_the_same_alone not in contract.rules_for(LossUnderTest("mine", coupled))
    assert contract.have_the_gradient_of_the_value not in contract.rules_for(LossUnderTest("mine", detached))


def test_a_range_that_is_not_kept_is_told(monkeypatch):
    contract.refuse_what_is_out_of_range(LossUnderTest("mine", ranged, {"q": 0.5}))
    monkeypatch.setattr("lossbench.catalogue.binding.within", lambda interval, value: True)
    with pytest.raises(AssertionError, match=r"q=-1.5 is taken, although its range is \[0, 1\]"):
        contract.refuse_what_is_out_of_range(LossUnderTest("mine", ranged, {"q": 0.5}))


def test_what_only_documents_is_advice_for_a_loss_outside_the_catalogue():
    def mine(logits, target):
        return F.cross_entropy(logits, target, reduction="none")

    assert {finding.status for finding in examine(LossUnderTest("mine", mine))} == {"holds", "advice"}
    assert {finding.status for finding in examine(LossUnderTest("mine", mine, in_catalogue=True))} == {"holds", "fails"}


def test_nothing_else_is_said_of_the_behaviour_when_the_first_point_fails():
    findings = examine(LossUnderTest("mine", mean_of_the_batch))
    assert [finding.status for finding in findings].count("fails") == 1 and findings[0].status == "fails"


def test_a_module_with_memory_is_examined_on_copies():
    class Remembers(torch.nn.Module):
        def __init__(self, *, num_samples):
            super().__init__()
            self.register_buffer("memory", torch.zeros(num_samples))

        def forward(self, logits, target, *, index):
            value = F.cross_entropy(logits, target, reduction="none") + self.memory[index].to(logits)
            self.memory[index] = value.detach().to(self.memory)
            return value

    assert "fails" not in {finding.status for finding in examine(LossUnderTest("mine", Remembers))}


def test_a_loss_asks_for_context_by_name():
    def needs_epoch(outputs, target, *, epoch, scale=2.0):
        return outputs * epoch * scale

    assert context_names(needs_epoch) == ["epoch"]


def test_unknown_context_is_named():
    def strange(outputs, target, *, moon_phase):
        return outputs

    with pytest.raises(ConfigError, match="moon_phase"):
        bind(strange, {}, {})


def test_an_unknown_loss_names_the_nearest():
    with pytest.raises(ConfigError, match="Nearest: focal"):
        load_loss("focl")


def test_a_module_loss_has_parameters_and_is_called_alike():
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


def test_losses_with_parameters_and_with_memory_are_named_where_they_are_used_as_a_library():
    modules = {name: module for name in LOSSES if (module := subject_of(name).bind().module) is not None}
    learn = [name for name, module in modules.items() if list(module.parameters())]
    remember = [name for name, module in modules.items() if list(module.buffers())]
    assert set(modules) - {"weighted_sum", "dice_ce", "several_tasks"} == {*learn, *remember}
    page = (CONF.parent / "docs" / "library.md").read_text(encoding="utf-8")
    for names in (learn, remember):
        assert ", ".join(names) in " ".join(load_loss.__doc__.split())
        assert " ".join(f"`{name}`" for name in names) in " ".join(page.split())


def test_a_parameter_of_a_loss_learns_when_the_optimizer_has_it():
    criterion = load_loss("gaussian_nll_global")
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.1)
    before = [each.clone() for each in criterion.parameters()]
    criterion(torch.zeros(4), torch.full((4,), 3.0)).mean().backward()
    optimizer.step()
    assert not torch.equal(before[0], next(criterion.parameters()))
