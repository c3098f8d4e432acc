"""What every loss that compares the samples of a batch does where there is nothing to compare."""

import pytest
import torch

from lossbench.losses.facts import declared_losses
from tests.support.losses import subject_of, value_and_gradient

FAMILIES = ("embedding_pairs", "embedding_ranking", "self_supervised")
COMPARED = [name for name, facts in declared_losses().items() if facts.family in FAMILIES]
RANDOM = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
BATCHES = {
    "all equal": (torch.ones(8, 4), torch.arange(8) // 2, torch.arange(8) // 2),
    "all zero": (torch.zeros(8, 4), torch.arange(8) // 2, torch.arange(8) // 2),
    "one class": (RANDOM, torch.zeros(8, dtype=torch.long), torch.arange(8) // 2),
    "no two of a class, no two of an image": (RANDOM, torch.arange(8), torch.arange(8)),
    "one image": (RANDOM, torch.zeros(8, dtype=torch.long), torch.zeros(8, dtype=torch.long)),
    "one sample": (RANDOM[:1], torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long)),
    "two opposite points": (torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0]] * 4), torch.arange(8) % 2, torch.arange(8)),
    "odd number of views": (RANDOM[:7], torch.zeros(7, dtype=torch.long), torch.arange(7) // 2),
}
NEED_A_NEGATIVE = ["circle", "embedding_triplet", "lifted_structure", "multi_similarity", "smooth_ap"]
NEED_A_POSITIVE = [*NEED_A_NEGATIVE, "barlow_twins", "byol", "nt_xent", "sim_siam", "sup_con"]


def tried(name, batch, dtype=torch.float32):
    embeddings, target, index = BATCHES[batch]
    loss = subject_of(name).bind(num_features=4)
    context = {"index": index, "momentum_embeddings": embeddings.flip(0)}
    return value_and_gradient(lambda x: loss(x, target, **context), embeddings.to(dtype))


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("batch", BATCHES)
def test_values_and_gradients_are_finite(name, batch):
    values, gradient = tried(name, batch)
    assert values.shape == BATCHES[batch][1].shape
    assert values.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("name", NEED_A_POSITIVE)
def test_an_anchor_without_a_positive_or_another_view_has_the_value_0(name):
    values, gradient = tried(name, "no two of a class, no two of an image")
    assert (values == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize("name", NEED_A_NEGATIVE)
def test_an_anchor_without_a_negative_has_the_value_0(name):
    values, gradient = tried(name, "one class")
    assert (values == 0).all() and (gradient == 0).all()
