"""A loaded loss is a module: it learns, moves, is saved, copied, compiled and shown."""

import copy
import pickle
from functools import cache

import pytest
import torch
from torch import nn

from lossbench import load_loss
from lossbench.catalogue.examine.example_batch import example_batch
from lossbench.catalogue.facts import loss_names
from lossbench.losses.bound_loss import BoundLoss
from lossbench.losses.facts import RUN_CONTEXT
from tests.support.losses import subject_of

LOSSES = loss_names()
BOUND = {name: subject_of(name).bind() for name in LOSSES}
LEARNED = [name for name in LOSSES if BOUND[name].module and list(BOUND[name].module.parameters())]
REMEMBERING = [name for name in LOSSES if BOUND[name].module and list(BOUND[name].module.buffers())]


def loaded(name, **settings):
    """Load a loss with the run context that the contract's made-up run has."""
    known = BOUND[name].settings.items()
    context = {key: value for key, value in known if key in RUN_CONTEXT and not callable(value)}
    context |= {"num_classes": 4, "class_counts": [100, 10, 5, 1]} if "parts" in context else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return load_loss(name, **context, **settings)


@cache
def batch(name):
    """Return outputs, target and context, with which the loss is called."""
    return example_batch(BOUND[name], 2 if BOUND[name].declaration.task == "binary" else 4)


def value_of(loss, name):
    """Call a loss on its batch, with the same random numbers each time."""
    outputs, target, context = batch(name)
    torch.manual_seed(1)
    return loss(outputs, target, **context)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_module_with_the_values_that_it_has_in_a_run(name):
    loss = loaded(name)
    expected = value_of(BOUND[name].copy(), name)
    assert isinstance(loss, nn.Module) and isinstance(loss, BoundLoss) and hash(loss)
    module = BOUND[name].module
    assert set(loss.state_dict()) == ({f"function.{key}" for key in module.state_dict()} if module else set())
    for twin in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), loss.copy(), loss):
        same(value_of(twin, name), expected)
