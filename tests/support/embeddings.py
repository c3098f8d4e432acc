"""Embeddings on which losses with directions of their own are compared, and the comparison: directions, too."""

import torch
from pytorch_metric_learning.reducers import DoNothingReducer

NUM_CLASSES, WIDTH = 5, 3
EMBEDDINGS = 2 * torch.randn(40, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(40) % NUM_CLASSES
SIZES = {"num_classes": NUM_CLASSES, "num_features": WIDTH}


def made(loss, **parameters):
    """Return a loss of these classes in double precision, its directions drawn anew but always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return loss(**{**SIZES, **parameters}).double()


def with_directions_of(ours, library, **parameters):
    """Return a loss of pytorch-metric-learning with copies of our directions, which gives a value for each sample."""
    theirs = library(num_classes=NUM_CLASSES, embedding_size=WIDTH, reducer=DoNothingReducer(), **parameters).double()
    weight = theirs.state_dict()[name_of_directions(theirs)]
    rows = ours.weight.detach().flatten(0, -2)
    weight.copy_(rows if weight.shape == rows.shape and hasattr(theirs, "proxies") else rows.T)
    return theirs


def name_of_directions(theirs):
    return next(name for name, _ in theirs.named_parameters())


def of_library(theirs, target=CLASSES):
    """Return a function of embeddings that gives the library's values of each sample."""
    return lambda embeddings: theirs(embeddings, target)["loss"]["losses"]


def values_and_gradients(function, weight, embeddings=EMBEDDINGS):
    """Return values, and the gradients of their sum: of embeddings, and of directions as rows (..., D)."""
    embeddings = embeddings.clone().requires_grad_()
    values = function(embeddings)
    of_embeddings, of_weight = torch.autograd.grad(values.sum(), [embeddings, weight])
    columns = weight.ndim == 2 and weight.shape[0] == embeddings.shape[1] != weight.shape[1]
    return values.detach(), of_embeddings, of_weight.T if columns else of_weight.flatten(0, -2)


def assert_same_as_library(ours, theirs, **tolerance):
    """Hold values and gradients of each sample against the library's; directions are those it was given."""
    weight = next(iter(theirs.parameters()))
    got = values_and_gradients(lambda x: ours(x, CLASSES), ours.weight)
    expected = values_and_gradients(of_library(theirs), weight)
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, other, **{"rtol": 1e-9, "atol": 1e-10, **tolerance})
