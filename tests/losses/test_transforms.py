"""Losses that were made cheaper still go through torch.func.vmap, a second derivative and half precision."""

import pytest
import torch

from lossbench.catalogue.binding import bind
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.facts import default_parameters
from lossbench.locate import locate

NAMES = [
    "arcface", "auc_squared_hinge", "bi_tempered", "binary_asymmetric", "huber", "mmce", "mse", "multilabel_zlpr",
    "ovr_bce", "poisson_nll", "tweedie", "two_way", "weston_watkins",
]  # fmt: skip


def bound(name):
    parameters = default_parameters(name)
    return bind(locate(parameters.pop("_target_")), parameters, {"num_classes": 4, "class_counts": [9, 8, 7, 6]})


def batch(loss):
    outputs, target, _ = example_batch(loss, 2 if loss.declaration.task == "binary" else 4, 6)
    outputs = outputs.double()
    return (outputs / 4).tanh() if loss.declaration.head == "cosine" else outputs, target


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:An output with one or more:UserWarning")  # of torch, for huber
@pytest.mark.parametrize("batched", [(0, 0), (0, None), (None, 0)])
def test_a_stack_of_batches_is_as_each_alone(name, batched):
    loss = bound(name)
    outputs, target = batch(loss)
    given = (torch.stack([outputs, 2 * outputs]), torch.stack([target, target.flip(0)]))
    given = tuple(both if dim == 0 else both[0] for both, dim in zip(given, batched, strict=True))
    alone = [
        loss(*(each if dim is None else each[k] for each, dim in zip(given, batched, strict=True))) for k in (0, 1)
    ]
    torch.testing.assert_close(torch.func.vmap(loss, batched)(*given), torch.stack(alone))


@pytest.mark.parametrize("name", NAMES)
def test_its_second_derivatives_are_those_of_differences(name):
    loss = bound(name)
    outputs, target = batch(loss)
    target = target.double() if target.is_floating_point() else target
    assert torch.autograd.gradgradcheck(lambda z: loss(z, target), outputs.requires_grad_())


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_near_to_single(name):
    loss = bound(name)
    outputs, target = batch(loss)
    halved = outputs.bfloat16()
    torch.testing.assert_close(loss(halved, target).float(), loss(halved.float(), target), rtol=0.03, atol=0.03)
