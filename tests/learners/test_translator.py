"""Translators: what a loss is given, what is drawn and what it costs, scheduled sampling, warm starts, refusals."""

import numpy as np
import pytest
import torch

from lossbench.catalogue.binding import load_loss
from lossbench.compare.numbers.labels import labels
from lossbench.data.loader import Batch
from lossbench.errors import ConfigError
from lossbench.learners.translator import Translator, cost, given, shifted, trimmed, without_end
from lossbench.models.text import GRUTranslator
from lossbench.running.run import run
from lossbench.seeding import torch_stream
from lossbench.tasks import task_named
from lossbench.tasks.problem import made_up_problem

V = 9
SHORT = ["data=number_words", "data.max_train=60", "data.max_test=40", "trainer.max_epochs=1",
         "learner.network.hidden=16", "learner.network.embedding=8"]  # fmt: skip
DRAWN = ("minimum_risk", "reinforce")


def learner_of(loss="token_cross_entropy", scheduled_sampling=0.0, samples=4, max_epochs=3, seed=0):
    torch.manual_seed(0)
    network = GRUTranslator([5], V, embedding=4, hidden=6)
    problem = made_up_problem(task_named("translation"), num_classes=V)
    common = {"optimizer": torch.optim.Adam, "scheduler": None, "max_epochs": max_epochs, "seed": seed}
    return Translator(
        scheduled_sampling, samples, network=network, loss=load_loss(loss), problem=problem, **common
    )  # fmt: skip


def batch():
    inputs = torch.tensor([[3, 4, 5, 0, 0], [6, 0, 0, 0, 0], [7, 8, 3, 4, 0]])
    target = torch.tensor([[4, 5, 6, -1, -1], [7, -1, -1, -1, -1], [8, 3, 4, 5, -1]])
    return Batch(inputs, target, target, torch.arange(3), {"long": torch.tensor([0, 0, 1])})


class Spy:
    """A loss that keeps what it is given."""

    def __init__(self, loss):
        self.loss = loss

    def __getattr__(self, name):
        return getattr(self.loss, name)

    def __call__(self, outputs, target, **known):
        self.given = {"outputs": outputs, "target": target, **known}
        return self.loss(outputs, target, **known)


def spied(learner):
    loss = learner.loss
    del learner.loss  # a loss that was loaded is a module, in whose place only another can stand
    learner.loss = Spy(loss)
    return learner.per_sample_loss(batch()), learner.loss.given


def test_a_loss_of_tokens_gets_the_true_ones_with_their_end():
    learner = learner_of()
    values, found = spied(learner)
    assert found["target"].tolist() == [[4, 5, 6, 2, -1], [7, 2, -1, -1, -1], [8, 3, 4, 5, 2]]
    tokens = torch.tensor([[1, 4, 5, 6, 0], [1, 7, 0, 0, 0], [1, 8, 3, 4, 5]])
    alone = learner.network.decode(tokens, learner.network.encode(batch().inputs))[0]
    torch.testing.assert_close(found["outputs"], alone)
    expected = torch.nn.functional.cross_entropy(alone.transpose(1, 2), found["target"], ignore_index=-1,
                                                 reduction="none").sum(1) / torch.tensor([4, 2, 5])  # fmt: skip
    torch.testing.assert_close(values, expected)
    assert set(found) == {"outputs", "target", "epoch", "index", "inputs"}


@pytest.mark.parametrize("loss", DRAWN)
def test_a_loss_of_translations_gets_those_that_are_drawn_and_what_they_cost(loss):
    learner = learner_of(loss, samples=5)
    values, found = spied(learner)
    outputs, target, costs = (found[name] for name in ("outputs", "target", "costs"))
    assert outputs.shape == (3, 5, target.shape[2], V) and costs.shape == (3, 5) and values.shape == (3,)
    assert ((costs >= 0) & (costs <= 1)).all() and len(target.flatten(0, 1).unique(dim=0)) > 5
    memory = learner.network.encode(batch().inputs)
    for sample in range(5):  # the logits are those of each translation, given its own tokens
        alone = learner.network.decode(given(target[:, sample]), memory)[0]
        torch.testing.assert_close(outputs[:, sample], alone)
        torch.testing.assert_close(costs[:, sample], cost(target[:, sample], batch().target))
    values.sum().backward()
    assert any(p.grad.abs().sum() > 0 for p in learner.network.parameters())
    if loss == "reinforce":
        greedy = learner.predictions({name: each.detach() for name, each in learner.kept(batch()).items()})
        ends = torch.nn.functional.pad(greedy["hypothesis"], (0, 1), value=-1)
        torch.testing.assert_close(found["baseline_cost"], cost(ends, batch().target))


def test_costs_are_one_less_the_bleu_of_sacrebleu():
    from sacrebleu import sentence_bleu

    rng = np.random.default_rng(0)
    texts, target = (torch.from_numpy(rng.integers(-1, 6, (200, 9)) + 0) for _ in "ab")
    texts, target = (without_end(torch.where(each.cummin(1).values < 0, -1, each + 3)) for each in (texts, target))
    target[:, 0] = 4
    found = cost(texts, target)
    for row in range(200):
        written, true = (" ".join(str(t) for t in each[row].tolist() if t >= 0) for each in (texts, target))
        score = sentence_bleu(written, [true], tokenize="none").score / 100
        assert float(found[row]) == pytest.approx(1 - score, abs=1e-6)


def test_draws_are_those_of_a_stream_of_their_own():
    def drawn(seed, epoch_stream):
        learner = learner_of("minimum_risk", seed=seed)
        learner._draws = epoch_stream
        return spied(learner)[1]["target"]

    before = torch.random.get_rng_state()
    first = drawn(0, torch_stream(0, "translations", 0))
    torch.random.set_rng_state(before)
    assert torch.equal(first, drawn(0, torch_stream(0, "translations", 0)))
    other = drawn(0, torch_stream(0, "translations", 1))
    assert first.shape != other.shape or not torch.equal(first, other)
    learner, state = learner_of("reinforce"), torch.random.get_rng_state()
    spied(learner)
    assert torch.equal(state, torch.random.get_rng_state())


def test_scheduled_sampling_replaces_more_and_more_true_tokens_by_the_likeliest():
    learner = learner_of(scheduled_sampling=0.5)
    tokens, _ = shifted(torch.arange(3, 8).repeat(400, 1))
    memory = learner.network.encode(tokens)
    own = learner.network.decode(tokens, memory)[0].argmax(-1)
    for share in (0.0, 0.25, 1.0):
        mixed = learner.replaced(tokens, memory, share)
        assert torch.equal(mixed[:, 0], tokens[:, 0])
        ours = mixed[:, 1:] != tokens[:, 1:]
        assert torch.equal(mixed[:, 1:][ours], own[:, :-1][ours])
        possible = own[:, :-1] != tokens[:, 1:]
        assert float(ours[possible].float().mean()) == pytest.approx(share, abs=0.05)
    padded = torch.tensor([[1, 4, 0, 0]])
    assert learner.replaced(padded, learner.network.encode(padded), 1.0)[0, 2:].tolist() == [0, 0]


def test_scheduled_sampling_grows_from_none_in_the_first_epoch(monkeypatch):
    shares = []
    for epoch in range(3):
        learner = learner_of(scheduled_sampling=0.5)
        monkeypatch.setattr(type(learner), "current_epoch", epoch)
        monkeypatch.setattr(learner, "replaced", lambda tokens, memory, share: shares.append(share) or tokens)
        learner.per_sample_loss(batch())
    assert shares == [0.25, 0.5]


def test_an_evaluation_keeps_a_token_more_than_the_longest_target():
    """A network that never ends, and one that ends at once."""
    for bias, expected in (((5, 50.0), [5] * 6), ((2, 50.0), [-1] * 6)):
        learner = learner_of()
        with torch.no_grad():
            learner.network.outputs.weight.zero_()
            learner.network.outputs.bias.zero_()
            learner.network.outputs.bias[bias[0]] = bias[1]
        kept = learner.kept(batch())
        assert kept["hypothesis"].tolist() == [expected] * 3 and kept["long"].tolist() == [0, 0, 1]
        assert kept["tokens"].tolist() == [4, 2, 5]


def test_what_a_translation_is_given_begins_with_the_start_and_has_no_end():
    texts = torch.tensor([[5, 2, -1], [6, 7, 8]])
    assert given(texts).tolist() == [[1, 5, 0], [1, 6, 7]]
    assert trimmed(torch.zeros(2, 3, dtype=torch.int64), 0).shape == (2, 1)


def test_one_comparison_holds_shares_against_each_other(cell):
    cells = [cell(*SHORT, "loss=token_focal", f"learner.scheduled_sampling={share}") for share in (0, 0.5)]
    assert cells[0].problem == cells[1].problem and cells[0].key != cells[1].key
    assert cell(*SHORT, "loss=token_focal", "learner.samples=2").problem != cells[0].problem
    told = labels([{"axes": {}, **each.record("finished")} for each in cells])
    assert told == ["token_focal(scheduled_sampling=0)", "token_focal(scheduled_sampling=0.5)"]


@pytest.mark.parametrize("loss", DRAWN)
def test_scheduled_sampling_without_true_tokens_is_refused(loss):
    with pytest.raises(ConfigError, match=rf"scheduled_sampling=0.5: loss={loss} is for translations that"):
        learner_of(loss, scheduled_sampling=0.5)


@pytest.mark.parametrize("network", ["gru", "transformer"])
@pytest.mark.usefixtures("undrawn")
def test_losses_of_translations_start_from_a_run_of_cross_entropy(network, cell, caplog):
    """The run that they start from is made by the same data, network and seed; they begin where it has ended."""
    small = SHORT if network == "gru" else [*SHORT[:4], "learner/network=transformer_translator",
                                            "learner.network.width=16"]  # fmt: skip
    for loss in DRAWN:
        warm = cell(*small, f"loss={loss}", "warm_start=token_cross_entropy", "learner.samples=2")
        start = run(warm.source)
        assert start["status"] == "finished" and start["loss"] == "token_cross_entropy"
        assert "next to nothing" not in caplog.text
        entry = run(warm)
        assert entry["status"] == "finished", entry.get("traceback")
        assert entry["warm_start"]["name"] == "token_cross_entropy-s0" and "train/cost" in entry["history"][0]


@pytest.mark.usefixtures("undrawn")
def test_without_a_warm_start_they_say_that_they_need_one(cell, caplog):
    assert run(cell(*SHORT, "loss=minimum_risk", "learner.samples=2"))["status"] == "finished"
    assert "minimum_risk learns next to nothing. Start it warm: warm_start=token_cross_entropy" in caplog.text


def test_another_task_is_no_warm_start(cell):
    with pytest.raises(ConfigError, match="ctc is not"):
        cell(*SHORT, "loss=minimum_risk", "warm_start=ctc")
