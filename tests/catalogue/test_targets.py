"""What every loss says of targets that don't belong to its outputs."""

import dataclasses

import pytest
import torch

from lossbench.catalogue.binding import bind, load_loss
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.examine.loss_under_test import CLASS_COUNTS
from lossbench.catalogue.facts import loss_names
from lossbench.losses import focal, links, loss, negative_binomial_nll, poisson_nll
from lossbench.losses.bound_loss import WrongValues
from lossbench.losses.facts import declared_losses
from tests.support.losses import subject_of

LOSSES = loss_names()
SAMPLES, CLASSES = 12, 4


def called(name):
    """Return a loss of the catalogue with outputs, target and context that it is made for."""
    bound = subject_of(name).bind()
    return bound, *example_batch(bound, 2 if bound.declaration.task == "binary" else CLASSES, SAMPLES)


# --- Shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_with_one_more_axis_is_not_broadcast(name):
    bound, outputs, target, context = called(name)
    with pytest.raises(ValueError, match=rf"shape \({SAMPLES}, 1.*shape \({SAMPLES}") as raised:
        bound.copy()(outputs, target.unsqueeze(1), **context)
    assert str(tuple(outputs.shape)) in str(raised.value)
    if bound.module is None:  # the function by itself, as a library is used
        asked = {key: context[key] for key in bound.step_context}
        with pytest.raises(ValueError, match=rf"shape \({SAMPLES}, 1"):
            bound.function(outputs, target.unsqueeze(1), **asked)


@pytest.mark.parametrize("name", [name for name in LOSSES if declared_losses()[name].shapes != "N ... , N -> N"])
def test_outputs_with_one_more_axis_are_not_broadcast(name):
    bound, outputs, target, context = called(name)
    with pytest.raises(ValueError, match="shape"):
        bound.copy()(outputs.unsqueeze(1), target, **context)


def test_shapes_are_compared_however_a_loss_is_called():
    one, column = torch.zeros(3), torch.zeros(3, 1)
    for call in (poisson_nll, negative_binomial_nll()):
        for given in ({"target": column}, {"log_rate": one, "target": column}):
            with pytest.raises(ValueError, match=r"target has shape \(3, 1\); outputs of shape \(3,\)"):
                call(*([] if "log_rate" in given else [one]), **given)
    assert focal(logits=torch.zeros(3, 2), target=torch.zeros(3, dtype=torch.long)).shape == (3,)


def absolute(outputs, target):
    return (outputs - target).abs()


@pytest.mark.parametrize("declared", [False, True])
def test_an_own_loss_is_not_called_with_shapes_that_broadcast(declared):
    own = loss(task="regression", link=links.identity, source="me")(absolute) if declared else absolute
    bound = bind(own, {}, {}, task="regression")
    assert bound(torch.zeros(3), torch.ones(3)).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"absolute: the target has shape \(3, 1\); outputs of shape \(3,\)"):
        bound(torch.zeros(3), torch.ones(3, 1))


def test_an_own_loss_returns_one_number_for_each_sample():
    def in_pairs(outputs, target):
        return outputs[:, None] - target[None, :]

    with pytest.raises(WrongValues, match=r"in_pairs returned shape \(3, 3\) for outputs of shape \(3,\)"):
        bind(in_pairs, {}, {}, task="regression")(torch.zeros(3), torch.ones(3))


def test_values_of_a_loss_keep_the_leading_axes():
    assert load_loss("huber")(torch.zeros(2, 3), torch.ones(2, 3)).shape == (2, 3)
    assert load_loss("focal")(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.long)).shape == (2, 3)


# --- Labels -------------------------------------------------------------------------------------------------------

OF_LABELS = [name for name in LOSSES if declared_losses()[name].task in ("binary", "multiclass")]
OF_SEVERAL = [name for name in LOSSES if declared_losses()[name].task == "multilabel"]


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize("place", ["below", "above"])
def test_a_label_that_the_outputs_do_not_have_is_an_error(name, place):
    bound, outputs, target, context = called(name)
    last = 1 if bound.declaration.task == "binary" else CLASSES - 1
    target[3] = -1 if place == "below" else last + 1
    loaded = dataclasses.replace(bound.copy(), checks_labels=True)
    with pytest.raises(ValueError, match=rf"labels of the target go from .* labels from 0 to {last}"):
        loaded(outputs, target, **context)
    if bound.declaration.task == "multiclass":  # torch's own words, in a run and by itself
        with pytest.raises((IndexError, RuntimeError)):
            bound.copy()(outputs, target, **context)
        target[3] = -100  # which torch's cross-entropy ignores without a word
        with pytest.raises((IndexError, RuntimeError)):
            bound.copy()(outputs, target, **context)


@pytest.mark.parametrize("name", OF_SEVERAL)
@pytest.mark.parametrize("value", [2, -2])
def test_several_labels_are_checked_too(name, value):
    bound, outputs, target, context = called(name)
    target[0, 0], target[1, 1] = value, float("nan")
    with pytest.raises(ValueError, match="labels from 0 to 1; a label that is not known is NaN or -1"):
        dataclasses.replace(bound, checks_labels=True)(outputs, target, **context)


def test_a_loaded_loss_checks_labels_also_where_no_value_can_be_asked_for():
    loaded = load_loss("cross_entropy")
    assert loaded.checks_labels
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    torch.testing.assert_close(torch.func.vmap(loaded)(logits, target), loaded(logits, target))
    several = load_loss("multilabel_bce")
    labels = torch.tensor([[1.0, float("nan"), 0.0]] * 5)
    torch.testing.assert_close(torch.func.vmap(several)(logits, labels), several(logits, labels))


@pytest.mark.parametrize("name", OF_SEVERAL)
@pytest.mark.parametrize("unknown", [float("nan"), -1.0])
def test_a_label_that_is_not_known_contributes_nothing(name, unknown):
    bound, outputs, target, context = called(name)
    outputs.requires_grad_()
    target[:, 1], target[2] = unknown, unknown
    value = bound(outputs, target, **context)
    (gradient,) = torch.autograd.grad(value.sum(), outputs)
    assert gradient.isfinite().all() and not gradient[:, 1].any() and not gradient[2].any()
    assert gradient[[0, 1, 3]][:, [0, 2, 3]].abs().sum() > 0
    for other in (0.0, 50.0):  # whatever the outputs of unknown labels are
        changed = outputs.detach().clone()
        changed[:, 1], changed[2] = other, -other
        torch.testing.assert_close(bound(changed, target, **context), value.detach())


WEIGHED_TOGETHER = ("multilabel_class_balanced", "multilabel_two_way")
"""Losses whose weight of a label depends on the other labels, or on the number of them in the batch."""


@pytest.mark.parametrize("name", [name for name in OF_SEVERAL if name not in WEIGHED_TOGETHER])
def test_a_label_that_is_not_known_is_as_if_it_did_not_exist(name):
    """The last label, known of no sample: the loss of the first three, which has their counts."""
    bound, outputs, target, context = called(name)
    target[:, -1] = float("nan")
    subject = subject_of(name)
    per_label = {"class_counts": list(CLASS_COUNTS[:-1])} if "class_counts" in subject.facts.needs else {}
    three = subject.bind(**per_label)
    torch.testing.assert_close(
        bound(outputs, target, **context), three(outputs[:, :-1], target[:, :-1], **context), rtol=1e-6, atol=1e-6
    )


# --- Half precision -----------------------------------------------------------------------------------------------


def in_type(entry, dtype):
    return entry.to(dtype) if torch.is_tensor(entry) and entry.is_floating_point() else entry


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_gives_the_values_of_full_precision_but_for_rounding(name, dtype):
    bound, outputs, target, context = called(name)

    def value_and_gradient(dtype, rounded):
        own = {key: in_type(in_type(entry, rounded), dtype) for key, entry in context.items()}
        free = in_type(in_type(outputs, rounded), dtype).detach().requires_grad_()
        value = bound.copy()(free, in_type(in_type(target, rounded), dtype), **own)
        return value.detach().float(), torch.autograd.grad(value.sum(), free)[0].float()

    rounding = torch.finfo(dtype).eps
    for half, full in zip(value_and_gradient(dtype, dtype), value_and_gradient(torch.float32, dtype), strict=True):
        assert half.isfinite().all()
        assert (half - full).abs().max() <= 64 * rounding * full.abs().max()


@pytest.mark.parametrize("name", OF_LABELS + OF_SEVERAL)
def test_large_logits_in_float16_have_finite_gradients(name):
    bound, outputs, target, context = called(name)
    own = {key: in_type(entry, torch.float16) for key, entry in context.items()}
    free = (30 * outputs.sign()).half().requires_grad_()
    value = bound.copy()(free, in_type(target, torch.float16), **own)
    (gradient,) = torch.autograd.grad(value.float().sum(), free)
    assert value.isfinite().all() and gradient.isfinite().all()
