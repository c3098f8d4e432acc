"""What is measured of texts token by token, and in terms of texts."""

import numpy as np
import pytest
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.tasks import task_named
from lossbench.tasks.problem import made_up_problem
from lossbench.tasks.text.evaluate import measure, of_tokens
from lossbench.tasks.text.figures import shown

TASK = task_named("text")


def made_up(samples=6, places=5, vocabulary=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, places, vocabulary, generator=generator)
    target = torch.randint(vocabulary, (samples, places), generator=generator)
    target[torch.arange(places) >= 1 + torch.arange(samples).unsqueeze(1) % places] = -1
    return logits, target


def predictions(logits, target):
    return {**of_tokens(load_loss("token_cross_entropy"), logits, target), "index": torch.arange(len(target))}


def test_perplexity_is_that_of_torchmetrics():
    from torchmetrics.text import Perplexity

    logits, target = made_up()
    theirs = Perplexity(ignore_index=-1)
    theirs.update(logits, target)
    found = measure("test", predictions(logits, target), made_up_problem(TASK))
    assert found["perplexity"] == pytest.approx(float(theirs.compute()), rel=1e-5)
    assert found["perplexity"] == pytest.approx(2 ** found["bits_per_character"])


@pytest.mark.parametrize("vocabulary", [2, 93])
def test_of_equal_probabilities_it_is_the_vocabulary(vocabulary):
    target = made_up(vocabulary=vocabulary)[1]
    found = measure("test", predictions(torch.zeros(6, 5, vocabulary), target), made_up_problem(TASK))
    assert found["perplexity"] == pytest.approx(vocabulary)


def test_sure_and_wrong_is_finite_and_no_token_has_no_value():
    sure = torch.tensor([[[0.0, 2000.0]]])
    found = measure("test", predictions(sure, torch.tensor([[0]])), made_up_problem(TASK))
    assert np.isfinite(found["perplexity"]) and found["nll"] > 700 and found["token_accuracy"] == 0
    assert measure("test", predictions(sure, torch.tensor([[-1]])), made_up_problem(TASK)) == {}


def test_what_is_written_is_shown_in_lines():
    assert shown([1, 2, 1, 3, -1], ["", "ab", "\n", " c"], columns=4) == "ab¶a\nb c"
