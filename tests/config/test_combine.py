"""`combine`: what it is refused with, in words, before anything is written; how such runs are named and planned."""

import shlex

import pytest
from torch import nn

from lossbench.catalogue.facts import facts_of
from lossbench.compat.hydra import parse_arguments
from lossbench.config.axes import AXES
from lossbench.config.check_combine import losses_of_several
from lossbench.config.checks import check
from lossbench.config.compose import compose_cells
from lossbench.errors import ConfigError
from lossbench.learners.detector import Detector
from lossbench.locate import own_choices
from lossbench.losses import distillation, yolo_v1
from lossbench.methods.combining import Combine
from lossbench.running.plan import plan, why_alone
from lossbench.tasks import task_named

MINE = "loss=weighted_sum combine=dwa combine._target_=" + __name__
REFUSED = {
    "loss=weighted_sum combine=pcgard": ["pcgard", "pcgrad"],
    "loss=focal combine=pcgrad": ["combine=pcgrad needs a loss of several terms", "loss=focal has one", "weighted_sum",
                                  "distillation", "Or use combine=sum"],
    "data=diabetes loss=huber combine=dwa": ["several: none"],
    "loss=weighted_sum ~loss.terms.1 loss.weights=[1] combine=dwa": ["loss=weighted_sum has one"],
    "data=gaussians8 loss=wgan_gp combine=uncertainty": ["learner=gan", "two players"],
    "data=gaussians8 loss=contrastive_divergence combine=famo": ["loss=contrastive_divergence has one"],
    "loss=weighted_sum combine=dwa combine.temperature=0": ["combine.temperature=0", "(0, inf)"],
    "loss=weighted_sum combine=pcgrad +combine.leak=1": ["combine.leak=1", "nothing reads the key 'leak'"],
    "loss=weighted_sum combine=dwa optimizer.calibrate=gradient": ["optimizer.calibrate=gradient", "combine=dwa"],
    "loss=weighted_sum combine=dwa compile=true": ["compile=true", "combine=dwa", "Use compile=false"],
    f"{MINE}.nothing_there combine.temperature=1": ["nothing_there"],
    f"{MINE}.makes_no_method": ["makes a Linear", "lossbench.methods.combining.Combine"],
    f"{MINE}.fails": ["can't be made for two terms", "RuntimeError: not today"],
    f"{MINE}.asks_for_more": ["parameters without a value: patience", "terms, seed"],
    "loss=weighted_sum combine=dwa combine._target_=lossbench.methods.combining.plain_sum ~combine.temperature":
        ["is combine=sum", "combine=fixed"],
}  # fmt: skip


def makes_no_method(*, terms, temperature):
    return nn.Linear(len(terms), 1)


def fails(*, terms, temperature):
    raise RuntimeError("not today")


def asks_for_more(*, terms, patience, temperature):
    return Combine(terms=terms)


@pytest.mark.parametrize("command", REFUSED)
def test_what_does_not_fit_is_refused_in_words(command, tmp_path):
    with pytest.raises(ConfigError) as caught:
        check(compose_cells(parse_arguments(["tracking=none", f"output_dir={tmp_path}/out", *shlex.split(command)])))
    said = str(caught.value)
    assert [part for part in REFUSED[command] if part not in said] == []
    assert not (tmp_path / "out").exists()


def test_without_torchjd_methods_by_gradient_are_refused_and_those_by_value_are_not(cell, monkeypatch):
    monkeypatch.setattr("lossbench.config.check_combine.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"combine=mgda .* torchjd, which is not installed.*\[balance\]"):
        cell("loss=weighted_sum", "combine=mgda")
    assert cell("loss=weighted_sum", "combine=gradnorm").axes["combine"] == "gradnorm"


def test_losses_of_several_terms_say_so_without_torch(cell):
    for loss in (distillation, yolo_v1):
        facts = facts_of(f"lossbench.losses.{loss.__name__}")
        assert facts.terms == loss.term_names and facts.has_several_terms
    assert facts_of("lossbench.losses.weighted_sum").has_several_terms and not facts_of("lossbench.losses.mse").terms
    assert {"distillation", "nce_rce", "sce", "weighted_sum"} <= set(losses_of_several(cell()))
    assert Detector.adds_terms and "kl" in facts_of("lossbench.losses.vae_l1").terms


def test_a_run_is_named_by_its_method_and_trains_alone(cell):
    made = cell("loss=weighted_sum", "combine=pcgrad", "posthoc=temperature")
    assert made.name == "weighted_sum+temperature+pcgrad-s0" and list(AXES)[-1] == "combine"
    assert why_alone(made) == why_alone(made, forced=True) == "combine=pcgrad has no stacked form"
    cells = [made, *(cell("loss=weighted_sum", f"seed={seed}") for seed in (0, 1))]
    planned = plan(cells, "stacked")
    assert [item.stacked for item in planned.items] == [True, False]
    assert any("combine=pcgrad has no stacked form" in note for note in planned.notes)


def test_its_record_says_how_terms_were_combined(cell):
    assert cell("loss=sce", "combine=dwa").record("running")["combine"] == "dwa"
    assert cell("loss=sce").record("running")["combine"] == "sum"


def test_what_the_history_tells_of_terms_has_no_better_way():
    for key in ("train/weight/kl", "train/gradient_norm/accuracy", "train/cosine/kl/pixels"):
        assert task_named("multiclass").direction(key) == "neither"


def test_each_method_has_its_yaml():
    assert {"sum", "fixed", "uncertainty", "gradnorm", "pcgrad", "upgrad"} <= set(own_choices("combine"))
