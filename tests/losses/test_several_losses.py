"""Several losses at once: the sum against torch's own losses, and how it is declared, recorded, named and refused."""

import pytest
import torch
from torch.nn import functional as F

from lossbench.catalogue.binding import load_loss
from lossbench.compare.numbers.comparisons import labels, read_cells
from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.records import record
from lossbench.running.run import run
from tests.support.stacks import EXACT, SMALL, assert_same, trained_alone, trained_together

SUM = "loss=weighted_sum"


def test_is_the_sum_of_torchs_losses_in_value_and_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.arange(7) % 4
    ours = load_loss("weighted_sum", terms=["cross_entropy", "label_smoothing", "brier"], weights=[2, 0.5, 3])
    value = ours(logits, target)
    squared = F.mse_loss(logits.softmax(-1), F.one_hot(target, 4).double(), reduction="none").sum(-1)
    plain, smooth = (F.cross_entropy(logits, target, reduction="none", label_smoothing=share) for share in (0, 0.1))
    expected = 2 * plain + 0.5 * smooth + 3 * squared
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(each.sum(), logits, retain_graph=True)[0] for each in (value, expected)]
    torch.testing.assert_close(*gradients)
    terms = ours.terms(logits, target)
    torch.testing.assert_close(terms, {"term_0": plain, "term_1": smooth, "term_2": squared})
    weighed = sum(weight * term.sum() for weight, term in zip([2, 0.5, 3], terms.values(), strict=True))
    torch.testing.assert_close(torch.autograd.grad(weighed, logits)[0], gradients[1])  # no term is detached


def test_says_of_itself_what_its_terms_say():
    counts = {"class_counts": [30, 20, 10], "num_classes": 3, "num_samples": 60, "max_epochs": 5}
    cosine = load_loss("weighted_sum", terms=["ldam", {"name": "cosface", "s": 20.0}], **counts)
    assert cosine.declaration.head == "cosine" and not cosine.declaration.detached
    cosines = torch.tensor([[0.3, -0.2, 0.9]])
    torch.testing.assert_close(cosine.link(cosines), (30 * cosines).softmax(-1))  # that of ldam, with its s
    mixed = load_loss("weighted_sum", terms=["elr", "mdca"], **counts)
    assert mixed.declaration.coupled and "moving mean" in mixed.declaration.detached
    assert mixed.step_context == ("index",)
    numbers = load_loss("weighted_sum", terms=["l2", "l1"])
    assert (numbers.declaration.task, numbers.declaration.reduction) == ("regression", "sum")
    assert numbers.num_outputs(None) == 1


ROBUST = ["data=outliers", "loss.terms.0=adaptive_robust", "loss.terms.1={name: quantile, q: 0.8}"]


@pytest.mark.parametrize("weighting", ["none", "inverse"])
def test_the_weighted_means_of_the_terms_add_up_to_the_training_loss(cell, weighting):
    entry = run(cell(SUM, "loss.terms.1=focal", "loss.weights=[1,0.25]", f"weighting={weighting}", *SMALL))
    assert entry["status"] == "finished"
    for row in entry["history"]:
        assert row["train/loss"] == pytest.approx(row["train/term_0"] + 0.25 * row["train/term_1"], rel=1e-5)
    assert entry["history"][0]["train/term_0"] > entry["history"][-1]["train/term_0"] > 0


def test_the_terms_are_those_of_the_same_network(cell):
    """With no weight the second term is only watched: the run is that of the first one alone."""
    lines = ["trainer.max_epochs=3", *SMALL]
    watched = run(cell(SUM, "loss.terms.1=label_smoothing", "loss.weights=[1,0]", *lines))
    alone = run(cell("loss=cross_entropy", *lines))
    for selection, metrics in alone["metrics"].items():
        assert watched["metrics"][selection] == pytest.approx(
            metrics, rel=1e-14
        )  # a mean of logarithms, to the last bit
    for row, other in zip(watched["history"], alone["history"], strict=True):
        assert row["train/term_0"] == row["train/loss"] == pytest.approx(other["train/loss"], rel=1e-6)
        assert row["train/term_1"] != row["train/term_0"]


@pytest.mark.parametrize(
    ("lines", "name", "groups"), [(["loss.terms.1=elr"], "memory", 1), (ROBUST, "latent_alpha", 2)]
)
@pytest.mark.usefixtures("whole_checkpoints")
def test_memory_and_parameters_of_terms_are_trained_and_saved(cell, lines, name, groups):
    made = cell(SUM, *lines, *SMALL, "trainer.max_epochs=2")
    assert run(made)["status"] == "finished"
    saved = torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)
    kept = saved["state_dict"][f"loss_module.modules_of_terms.0.{name}"]
    first = load_loss("adaptive_robust").module.state_dict()[name] if groups == 2 else torch.zeros_like(kept)
    assert not torch.equal(kept, first)
    assert len(saved["optimizer_states"][0]["param_groups"]) == groups


def test_sums_train_in_a_stack_as_alone(cell):
    common = ["data=digits_imb", *SMALL, *EXACT, SUM]
    own = [
        ["loss.terms.1=focal", "loss.weights=[1,0.5]", "weighting=drw"],
        ["loss.terms.1=elr", "loss.weights=[1,2]", "seed=1"],
        ["+loss.terms.2=gce", "loss.weights=[1,0,3]"],
        ["loss.terms.0=influence_balanced", "loss.terms.1=mdca"],
    ]
    cells = [cell(*common, *lines) for lines in own] + [cell(*common[:-1], "loss=focal")]
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 1e-10)
        assert ("train/term_1" in learner.history[-1]) == (each.loss == "weighted_sum")


def test_sums_of_regression_with_parameters_train_in_a_stack_as_alone(cell):
    lines = [SUM, *ROBUST, *SMALL, *EXACT]
    cells = [cell(*lines), cell(*lines, "loss.weights=[1,0.1]"), cell(*lines, "seed=1")]
    for learner, each in zip(trained_together(cells).learners, cells, strict=True):
        assert_same(learner, trained_alone(each), 1e-10)


def cells_of(*words: str):
    return compose_cells(parse_arguments([*words, "tracking=none"]))


def test_is_written_as_hydra_takes_it():
    (made,) = cells_of(SUM, "loss.terms.1={name: focal, gamma: 1.0}", "+loss.terms.2=mae_prob", "loss.weights=[1,1,2]")
    assert made.resolved["loss"]["terms"] == {
        "0": "cross_entropy", "1": {"name": "focal", "gamma": 1.0}, "2": "mae_prob"
    }  # fmt: skip
    swept = cells_of("-m", SUM, "loss.terms.1=focal,gce,{name: gce, q: 0.5}", "loss.weights.1=0.1,0.5", "seed=0,1")
    assert len({each.key for each in swept}) == 12 and len({each.problem for each in swept}) == 1
    assert [each.resolved["loss"]["weights"] for each in swept[:4]] == [[1.0, 0.1]] * 2 + [[1.0, 0.5]] * 2


def test_two_sums_have_names_that_tell_what_they_add(tmp_path):
    words = ["loss.terms.1={name: focal, gamma: 1.0},gce", "loss.weights.1=0.5,1", f"output_dir={tmp_path}"]
    cells = cells_of("-m", SUM, *words) + cells_of("loss=focal", f"output_dir={tmp_path}")
    assert labels(list(read_cells(cells))) == [
        "weighted_sum(cross_entropy + 0.5 focal(gamma=1))",
        "weighted_sum(cross_entropy + focal(gamma=1))",
        "weighted_sum(cross_entropy + 0.5 gce)",
        "weighted_sum(cross_entropy + gce)",
        "focal",
    ]


def own_loss(outputs, target):
    return (outputs - target).abs()


def takes_the_mean(outputs, target):
    return (outputs - target).abs().mean()


def test_a_loss_of_the_user_is_a_term(cell):
    lines = ["data=outliers", SUM, "loss.terms.0=mae", f"loss.terms.1={{_target_: {__name__}.own_loss}}", *SMALL]
    made = cell(*lines, "trainer.max_epochs=1")
    (row,) = run(made)["history"]
    assert row["train/term_0"] == pytest.approx(row["train/term_1"])
    assert record.read(made.path)["config"]["loss"]["terms"]["1"] == {"_target_": f"{__name__}.own_loss"}


MISTAKES = {
    "loss.terms.1=focl": ["loss.terms.1=focl: no such loss", "Nearest: focal", "my_module.my_loss"],
    "loss.terms.1=null": ["loss.terms.1=None"],
    "loss.terms.1={name: focal, gama: 1}": ["loss.terms.1: focal has no parameter 'gama'", "Nearest: gamma"],
    "loss.terms.1={name: focal, gamma: -1}": ["loss.terms.1.gamma=-1", "[0, inf)", "default of focal is 2.0"],
    "loss.terms.1={name: mae_prob, q: 1}": ["mae_prob has no parameter 'q'", "It has none"],
    "loss.terms.1=mse": ["loss.terms.1=mse is for regression, but data=digits_imb is multiclass", "focal"],
    "loss.terms.1=weighted_sum": ["no term of another sum"],
    "loss.terms.1=ldam": ["loss.terms.0=cross_entropy and loss.terms.1=ldam", "the head of one is linear", "cosine"],
    "loss.weights=[1,-0.5]": ["loss.weights=[1, -0.5]", "[0, inf)"],
    "loss.weights=[1,much]": ['loss.weights=[1, "much"]', "[0, inf)"],
    "loss.weights=[0,0]": ["nothing is learned"],
    "loss.weights=1": ["loss.weights=1 is out of range: allowed is a list"],
    "+loss.terms.2=gce": ["3 terms (loss.terms.0=cross_entropy, ", "loss.terms.2=gce)", "loss.weights=[1.0,1.0,1.0]"],
    "+loss.terms.more=gce": ["loss.terms.more", "+loss.terms.2=NAME"],
    "loss.terms.1={_target_: nowhere.loss}": ["importing 'nowhere' failed"],
    f"loss.terms.1={{_target_: {__name__}.takes_the_mean}}": ["weighted_sum failed", "size"],
}


@pytest.mark.parametrize("override", MISTAKES)
def test_mistakes_are_told_before_training(cell, override):
    with pytest.raises(ConfigError) as told:
        cell(SUM, override)
    for part in MISTAKES[override]:
        assert part in str(told.value)


def test_terms_of_one_and_of_two_logits_do_not_mix(cell):
    assert cell(SUM, "data=breast_cancer", "loss.terms.0=bce", "loss.terms.1=binary_focal")
    with pytest.raises(ConfigError, match="the task of one is binary, of the other multiclass"):
        cell(SUM, "data=breast_cancer", "loss.terms.0=bce", "loss.terms.1=focal")


def test_a_sum_over_the_batch_and_a_mean_do_not_mix(cell):
    with pytest.raises(ConfigError, match=r"loss.terms.0=l2 and loss.terms.1=mae .* reduction of one is sum"):
        cell(SUM, "data=outliers", "loss.terms.0=l2", "loss.terms.1=mae")


def test_what_is_combined_with_a_sum_must_fit_each_term(cell):
    with pytest.raises(ConfigError, match="remembers"):
        cell(SUM, "loss.terms.1=elr", "mixup=mixup")
    with pytest.raises(ConfigError, match="takes the class frequencies"):
        cell(SUM, "loss.terms.1=balanced_softmax", "posthoc=logit_adjustment")
    with pytest.raises(ConfigError, match="become probabilities by normalised_sigmoid"):
        cell(SUM, "loss.terms.0=ovr_bce", "posthoc=temperature")


def test_terms_of_mixed_samples_add_up_to_the_training_loss(cell):
    (row,) = run(cell(SUM, "loss.weights=[1,0.25]", "mixup=mixup", *SMALL, "trainer.max_epochs=1"))["history"]
    assert row["train/loss"] == pytest.approx(row["train/term_0"] + 0.25 * row["train/term_1"], rel=1e-5)
