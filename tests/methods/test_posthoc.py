"""Post-hoc adjustments against closed forms, scikit-learn and torch's own optimizer; the training stays as it is."""

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError
from lossbench.methods.posthoc import adjust, logit_adjustment, none, temperature
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.running.stacks import run_stack
from lossbench.running.trainer import quiet
from lossbench.tasks import task_named
from lossbench.tasks.problem import Problem
from tests.support.own_data import Own

COUNTS = [70, 20, 10]
QUICK = ["data.max_train=200", "data.batch_size=32", "model.hidden=[16]", "trainer.max_epochs=4"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    quiet()
    torch.set_num_threads(1)
    monkeypatch.setattr("lossbench.running.artifacts.draw_run", lambda *_: [])


def problem(counts=COUNTS, task="multiclass"):
    return Problem(
        task_named(task), len(counts), counts, ["val", "test"], "accuracy", torch.empty(0, dtype=torch.int64)
    )


def parts(classes=3, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    shape = (300, classes) if classes > 2 else (300,)
    return {
        name: {
            "outputs": scale * torch.randn(shape, generator=generator),
            "target": torch.randint(classes, (300,), generator=generator),
        }
        for name in ("val", "test")
    }


def test_none_leaves_everything():
    given = parts()
    adjusted, fitted = adjust(none, given, load_loss("cross_entropy"), problem())
    assert fitted == {}
    assert all(torch.equal(adjusted[name]["outputs"], given[name]["outputs"].double()) for name in given)


@pytest.mark.parametrize(("loss", "classes"), [("cross_entropy", 3), ("norm_softmax", 3), ("bce", 2)])
def test_the_temperature_has_the_smallest_likelihood_of_the_validation_part(loss, classes):
    given, bound = parts(classes), load_loss(loss)
    adjusted, fitted = adjust(temperature, given, bound, problem(COUNTS[:classes]))
    found = fitted["temperature"]
    for name, part in given.items():
        torch.testing.assert_close(adjusted[name]["outputs"] * found, part["outputs"].double())

    def likelihood(temperature):
        probabilities = bound.link(given["val"]["outputs"].double() / temperature)
        return log_loss(given["val"]["target"], probabilities, labels=range(classes))

    if found < 19:  # else it lies at the bound, as the labels are noise
        log_temperature = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([log_temperature], max_iter=100)

        def step():
            optimizer.zero_grad()
            probabilities = bound.link(given["val"]["outputs"].double() / log_temperature.exp())
            value = torch.nn.functional.nll_loss(probabilities.log(), given["val"]["target"])
            value.backward()
            return value

        optimizer.step(step)
        assert found == pytest.approx(float(log_temperature.exp()), rel=5e-3)
    assert all(likelihood(found) <= likelihood(other) + 1e-9 for other in (0.9 * found, min(20.0, 1.1 * found), 1.0))


def test_calibrated_logits_have_temperature_one():
    """Targets drawn from the softmax of the logits: the likelihood is largest near T = 1."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20000, 4, generator=generator)
    target = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    given = {"val": {"outputs": logits, "target": target}}
    adjusted, fitted = adjust(temperature, given, load_loss("cross_entropy"), problem([1] * 4))
    assert fitted["temperature"] == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(adjusted["val"]["outputs"].float(), logits, rtol=0.03, atol=0.1)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logit_adjustment_divides_the_probabilities_by_the_priors(tau):
    given = parts()
    adjusted, fitted = adjust(partial(logit_adjustment, tau=tau), given, load_loss("cross_entropy"), problem())
    assert fitted == {}
    for name, part in given.items():
        expected = softmax(part["outputs"].double().numpy(), axis=1) / (torch.tensor(COUNTS) / 100).numpy() ** tau
        expected /= expected.sum(1, keepdims=True)
        assert adjusted[name]["outputs"].softmax(1).numpy() == pytest.approx(expected, rel=1e-6)


def test_logit_adjustment_of_one_logit_and_of_cosines_is_that_of_two_and_of_logits():
    given = parts(2)
    one = adjust(logit_adjustment, given, load_loss("bce"), problem([80, 20], "binary"))[0]["test"]["outputs"].sigmoid()
    outputs = given["test"]["outputs"]
    two = {"test": {"outputs": torch.stack([-outputs / 2, outputs / 2], 1)}}
    both = adjust(logit_adjustment, two, load_loss("cross_entropy"), problem([80, 20]))[0]["test"]["outputs"].softmax(1)
    torch.testing.assert_close(one, both[:, 1])
    cosines = {"test": {"outputs": parts(scale=0.3)["test"]["outputs"]}}
    cosine = load_loss("norm_softmax", s=20.0)
    logits = {"test": {"outputs": 20 * cosines["test"]["outputs"]}}
    torch.testing.assert_close(
        cosine.link(adjust(logit_adjustment, cosines, cosine, problem())[0]["test"]["outputs"]),
        adjust(logit_adjustment, logits, load_loss("cross_entropy"), problem())[0]["test"]["outputs"].softmax(1),
        rtol=1e-6,
        atol=1e-6,
    )


def test_an_absent_class_has_the_prior_of_a_single_sample():
    loss, counts = load_loss("cross_entropy"), ([5, 5, 0], [5, 5, 1])
    absent, single = (adjust(logit_adjustment, parts(), loss, problem(each))[0]["test"]["outputs"] for each in counts)
    assert torch.equal(absent, single)


@pytest.fixture
def ran(cell, tmp_path):
    def make(posthoc, *lines):
        each = cell("data=digits_imb", *QUICK, f"posthoc={posthoc}", *lines)
        run(each)
        return each, record.read(each.path), dict(np.load(each.path / "predictions.npz"))

    return make


def test_runs_that_differ_in_it_alone_train_alike_and_are_measured_by_hand(ran):
    plain, temperature, adjusted = (ran(name) for name in ("none", "temperature", "logit_adjustment"))
    assert len({each[0].problem for each in (plain, temperature, adjusted)}) == 1
    losses = [[row["train/loss"] for row in each[1]["history"]] for each in (plain, temperature, adjusted)]
    assert losses[0] == losses[1] == losses[2]
    target, logits = plain[2]["target"], plain[2]["logits"].astype("float64")
    found = temperature[1]["metrics"]["last"]["val/temperature"]
    scaled = softmax(logits / found, axis=1)
    assert temperature[2]["probabilities"] == pytest.approx(scaled, abs=1e-6)
    assert temperature[1]["metrics"]["last"]["test/nll"] == pytest.approx(log_loss(target, scaled), rel=1e-5)
    assert temperature[1]["metrics"]["last"]["test/accuracy"] == plain[1]["metrics"]["last"]["test/accuracy"]
    assert temperature[1]["metrics"]["last"]["val/nll"] <= plain[1]["metrics"]["last"]["val/nll"]
    assert "val/temperature" in temperature[1]["history"][0]
    counts = torch.tensor(adjusted[1]["data"]["train_class_counts"]).double()
    predicted = (logits - (counts / counts.sum()).log().numpy()).argmax(1)
    assert adjusted[2]["probabilities"].argmax(1).tolist() == predicted.tolist()
    found = adjusted[1]["metrics"]["last"]["test/balanced_accuracy"]
    assert found == pytest.approx(balanced_accuracy_score(target, predicted))


def test_runs_in_a_stack_are_adjusted_as_alone(cell, tmp_path):
    def cells(folder):
        lines = ["trainer.precision=64-true", *QUICK]
        names = ("none", "temperature", "logit_adjustment")
        return [cell("data=digits_imb", *lines, f"posthoc={name}", output_dir=tmp_path / folder) for name in names]

    run_stack(cells("together"))
    for together, alone in zip(cells("together"), cells("alone"), strict=True):
        run(alone)
        one, other = record.read(together.path), record.read(alone.path)
        assert one["engine"]["runs"] == 3 and one["posthoc"] == other["posthoc"] == together.axes["posthoc"]
        assert one["metrics"]["last"] == pytest.approx(other["metrics"]["last"], rel=1e-6)


def test_one_logit_of_a_run_is_adjusted(cell):
    each = cell("data=breast_cancer", "loss=bce", "posthoc=logit_adjustment")
    data = build_data(each.config.data)
    learner = build_learner(each, data)
    outputs = torch.linspace(-3, 3, 7)
    given = {"test": {"outputs": outputs, "target": torch.tensor([0, 1] * 3 + [0])}}
    given["test"] |= {"target_clean": given["test"]["target"], "index": torch.arange(7)}
    learner.history.append({"epoch": 0})
    learner.evaluate(0, given)
    negative, positive = data.train_class_counts
    expected = torch.sigmoid(outputs.double()) / positive
    expected = expected / (expected + torch.sigmoid(-outputs.double()) / negative)
    torch.testing.assert_close(learner.last["test"]["probabilities"][:, 1], expected)


ADJUST = ["balanced_softmax", "cdt", "class_balanced", "ldam", "logit_adjustment", "seesaw", "vs"]


@pytest.mark.parametrize("loss", ADJUST)
def test_losses_that_know_the_frequencies_are_not_adjusted_twice(cell, loss):
    with pytest.raises(ConfigError, match=f"loss={loss} takes the class frequencies into account itself"):
        cell("data=digits_imb", f"loss={loss}", "posthoc=logit_adjustment")


def test_other_losses_for_imbalance_are_adjusted(cell):
    for loss in ("focal", "poly1_focal", "influence_balanced", "elr"):
        assert cell("data=digits_imb", f"loss={loss}", "posthoc=logit_adjustment").axes["posthoc"] == "logit_adjustment"


def own(logits, target, *, class_counts):
    return torch.nn.functional.cross_entropy(logits, target, reduction="none")


def halved(*, validation, by=2.0):
    """Return outputs halved: what a user may bring."""
    return lambda outputs: outputs / by, {"samples": float(len(validation["target"]))}


def test_a_function_of_the_user_adjusts_and_names_the_run(ran):
    each, entry, predictions = ran("none", f"posthoc._target_={__name__}.halved", "+posthoc.by=4")
    logits = ran("none")[2]["logits"].astype("float64")
    assert (each.name, entry["posthoc"], entry["choices"]["posthoc"]) == ("cross_entropy+halved-s0", "halved", "halved")
    assert predictions["probabilities"] == pytest.approx(softmax(logits / 4, axis=1), abs=1e-6)
    assert entry["metrics"]["last"]["val/samples"] == entry["data"]["sizes"]["val"]


def asks_too_much(*, validation, weather):
    return lambda outputs: outputs, {}


def by_counts(*, class_counts):
    return lambda outputs: outputs, {}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["loss=ovr_bce", "posthoc=temperature"], "loss=ovr_bce become probabilities by normalised_sigmoid"),
        (["loss=edl", "posthoc=logit_adjustment"], "loss=edl become probabilities by dirichlet_mean"),
        (["data.val_fraction=0", "posthoc=temperature"], r"data\.val_fraction=0 leaves none"),
        (["data=diabetes", "posthoc=temperature"], "posthoc=temperature needs classes"),
        (["posthoc=logit_adjustment", "posthoc.tau=-1"], r"posthoc\.tau=-1 is out of range"),
        ([f"loss._target_={__name__}.own", "posthoc=logit_adjustment"], "loss=own takes the class frequencies"),
        ([f"posthoc._target_={__name__}.halved", "data.val_fraction=0"], r"posthoc=halved is fitted .* leaves none"),
        ([f"posthoc._target_={__name__}.halved", "+posthoc.size=2"], "unexpected keyword argument 'size'"),
        ([f"posthoc._target_={__name__}.asks_too_much"], "without a value: weather.*come only loss, validation"),
        ([f"posthoc._target_={__name__}.by_counts", "loss=ldam"], "loss=ldam takes the class frequencies"),
        ([f"posthoc._target_={__name__}.by_counts", "data=diabetes", "loss=mse"], "posthoc=by_counts needs classes"),
        (["+posthoc.kind=temperature"], "nothing reads the key 'kind'"),
    ],
)
def test_what_can_not_be_adjusted_is_told(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell(*lines)


class WithoutValidation(Own):
    """Data of the user that have no validation loader."""

    val_dataloader = pl.LightningDataModule.val_dataloader


def test_data_without_a_validation_part_are_told(cell):
    each = cell("data.task=binary", "loss=bce", f"data._target_={__name__}.WithoutValidation", "posthoc=temperature")
    with pytest.raises(ConfigError, match="posthoc=temperature is fitted on the validation part, but data=Without"):
        build_learner(each, build_data(each.config.data))
