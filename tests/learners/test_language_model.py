"""Language models: what is measured of them, what they write, what is refused."""

import math

import numpy as np
import pytest
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.data.loader import Batch
from lossbench.errors import ConfigError
from lossbench.learners.language_model import LanguageModel
from lossbench.learners.writing import drawn, likeliest, write
from lossbench.models.text import GRULM
from lossbench.running.run import run
from lossbench.tasks import task_named
from lossbench.tasks.problem import made_up_problem

V = 7
SHORT = ["data=help_chars", "data.max_train=80", "data.max_test=30", "trainer.max_epochs=1"]


def learner_of(network, loss="token_cross_entropy", **settings):
    problem = made_up_problem(task_named("text"), num_classes=V, shared={"pieces": ["", "\n", *"abcde"]})
    common = {"optimizer": torch.optim.Adam, "scheduler": None, "max_epochs": 1, "seed": 0}
    return LanguageModel(network=network, loss=load_loss(loss), problem=problem, **common, **settings)


def batch():
    """Texts of 5, 3 and no tokens."""
    target = torch.tensor([[2, 3, 4, 5, 6], [3, 3, 3, -1, -1], [-1] * 5])
    inputs = torch.tensor([[1, 2, 3, 4, 5], [1, 3, 3, 0, 0], [0] * 5])
    return Batch(inputs, target, target, torch.arange(3))


def measured(learner, of):
    kept = {name: tensor.detach() for name, tensor in learner.kept(of).items()}
    return learner.metrics("test", learner.predictions(kept))


def test_a_uniform_model_has_the_perplexity_of_the_vocabulary():
    network = GRULM([5], V, embedding=4, hidden=4)
    torch.nn.init.zeros_(network.outputs.weight)
    torch.nn.init.zeros_(network.outputs.bias)
    found = measured(learner_of(network), batch())
    assert found["perplexity"] == pytest.approx(V)
    assert found["bits_per_character"] == pytest.approx(math.log2(V)) and found["nll"] == pytest.approx(math.log(V))


def test_perplexity_is_of_all_tokens_and_not_of_texts():
    """Against torch's mean over tokens, padding left out; the loss of a text is the mean over its own."""
    torch.manual_seed(0)
    learner, of = learner_of(GRULM([5], V, embedding=4, hidden=4)), batch()
    outputs = learner.network(of.inputs).detach()
    mean = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), of.target.flatten(), ignore_index=-1)
    found = measured(learner, of)
    assert found["perplexity"] == pytest.approx(float(mean.exp()), rel=1e-5)
    right = (outputs.argmax(-1) == of.target)[of.target >= 0].double().mean()
    assert found["token_accuracy"] == pytest.approx(float(right))
    losses = learner.per_sample_loss(of)
    assert losses.shape == (3,) and losses[2] == 0
    assert float(losses[0] * 5 + losses[1] * 3) == pytest.approx(float(mean) * 8, rel=1e-5)


def test_what_is_written_goes_by_the_probabilities_and_ends():
    """A chain that goes round: the likeliest token is the next one; 3 ends a text."""
    table = torch.full((5, 5), -20.0)
    table[torch.arange(5), (torch.arange(5) + 1) % 5] = 20.0

    def decode(tokens, state=None):
        return table[tokens], (0 if state is None else state) + 1

    found = write(decode, torch.tensor([[0], [2], [3]]), 9, likeliest, end=3)
    assert found.tolist() == [[1, 2, 3, -1, -1], [3, -1, -1, -1, -1], [4, 0, 1, 2, 3]]
    assert write(decode, torch.tensor([[0]]), 4, likeliest, end=None).tolist() == [[1, 2, 3, 4]]
    choose = drawn(lambda logits: logits.softmax(-1), torch.Generator().manual_seed(0))
    assert write(decode, torch.tensor([[0]]), 4, choose, end=None).tolist() == [[1, 2, 3, 4]]


def test_draws_leave_the_global_generator_alone():
    learner = learner_of(GRULM([5], V, embedding=4, hidden=4))
    before = torch.random.get_rng_state()
    first, second = learner.snapshot()["written"], learner.snapshot()["written"]
    assert torch.equal(first, second) and first.shape == (160,) and len(first.unique()) > 2
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_loss_of_drawn_translations_is_refused():
    with pytest.raises(ConfigError, match="minimum_risk is for translations that are drawn"):
        learner_of(GRULM([5], V), "minimum_risk")


@pytest.mark.parametrize("network", ["gru_lm", "transformer_lm"])
@pytest.mark.usefixtures("undrawn")
def test_losses_under_one_seed_are_paired_and_learn(network, cell):
    lines = [*SHORT, f"learner/network={network}", "trainer.max_epochs=3", "optimizer.lr=0.01"]
    entries = [run(cell(*lines, f"loss={name}")) for name in ("token_cross_entropy", "token_focal")]
    assert entries[0]["hashes"] == entries[1]["hashes"]
    for entry in entries:
        assert entry["status"] == "finished", entry
        history = [row["test/perplexity"] for row in entry["history"]]
        assert history[-1] < history[0] < len(entry["data"]["class_names"]) and np.isfinite(history).all()
