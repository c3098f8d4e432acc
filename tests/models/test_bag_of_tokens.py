"""The bag of tokens: a mean over what is no padding, whatever the order."""

import pytest
import torch

from lossbench.errors import ConfigError
from lossbench.models.bag_of_tokens import BagOfTokens


def test_features_are_of_the_mean_embedding():
    torch.manual_seed(0)
    model = BagOfTokens((5,), vocabulary=10, width=3, hidden=4)
    tokens = torch.tensor([[7, 2, 2, 0, 0]])
    table = model.embedding.weight
    mean = (table[7] + 2 * table[2]) / 3
    torch.testing.assert_close(model(tokens)[0], torch.relu(model.layer(mean)))
    assert model.num_features == 4


def test_neither_order_nor_padding_counts():
    model = BagOfTokens((4,), vocabulary=10)
    one, other, empty = model(torch.tensor([[3, 5, 0, 0], [0, 5, 0, 3], [0, 0, 0, 0]]))
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(empty, torch.relu(model.layer.bias))


def test_it_learns_but_for_the_padding():
    model = BagOfTokens((3,), vocabulary=5)
    model(torch.tensor([[1, 2, 0]])).sum().backward()
    changed = model.embedding.weight.grad.abs().sum(1) > 0
    assert changed.tolist() == [False, True, True, False, False]


def test_what_is_no_text_is_refused():
    with pytest.raises(ConfigError, match=r"model=bag_of_tokens needs texts.*\(1, 8, 8\)"):
        BagOfTokens((1, 8, 8))
    with pytest.raises(ConfigError, match=r"model=bag_of_tokens needs texts.*no whole numbers"):
        BagOfTokens((30,))(torch.zeros(2, 30))
