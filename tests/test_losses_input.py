"""What every loss says of targets that don't belong to its outputs."""

import pytest
import torch

from lossbench import links
from lossbench.errors import ConfigError
from lossbench.losses import bind, focal, load_loss, loss, negative_binomial_nll, poisson_nll
from lossbench.probe import made_up
from tests.test_losses_contract import LOSSES, subject_of

SAMPLES, CLASSES = 12, 4


def called(name):
    """Return a loss of the catalogue with outputs, target and context that it is made for."""
    bound = subject_of(name).bind()
    return bound, *made_up(bound, 2 if bound.declaration.task == "binary" else CLASSES, SAMPLES)


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


@pytest.mark.parametrize("name", LOSSES)
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

    with pytest.raises(ConfigError, match=r"in_pairs returned shape \(3, 3\) for outputs of shape \(3,\)"):
        bind(in_pairs, {}, {}, task="regression")(torch.zeros(3), torch.ones(3))


def test_values_of_a_loss_keep_the_leading_axes():
    assert load_loss("huber")(torch.zeros(2, 3), torch.ones(2, 3)).shape == (2, 3)
    assert load_loss("focal")(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.long)).shape == (2, 3)
