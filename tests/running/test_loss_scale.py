"""`optimizer.calibrate=gradient`, against gradients taken by hand and against a loss that is ten times larger."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lossbench.config.cell import Cell
from lossbench.errors import ConfigError, Killed
from lossbench.learners import Supervised
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.loss_scale import calibrate, gradient_norm
from lossbench.running.run import run

LOSSES = """
import torch.nn.functional as F
def ten_times(logits, target): return 10 * F.cross_entropy(logits, target, reduction="none")
def flat(logits, target): return 0 * logits.sum(1)
"""


@pytest.fixture
def cell(cell, tmp_path: Path, monkeypatch):
    """A cell of two epochs, which may have the losses above."""
    (tmp_path / "losses_for_calibration.py").write_text(LOSSES)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("losses_for_calibration", None)
    return partial(cell, "trainer.max_epochs=2")


def calibrated(made: Cell):
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    return learner, next(iter(data.train_dataloader())), calibrate(learner, data)


def norm_by_hand(learner, loss: torch.Tensor) -> float:
    learner.network.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in learner.network.parameters()]).norm().item()


@pytest.mark.parametrize(
    ("overrides", "baseline"),
    [
        (["loss=focal"], "cross_entropy"),
        (["loss=gce", "weighting=inverse"], "cross_entropy"),
        (["data=breast_cancer", "loss=bce"], "bce"),
        (["data=breast_cancer", "loss=focal"], "cross_entropy"),
        (["data=digits_multilabel", "loss=multilabel_asymmetric"], "multilabel_bce"),
        (["data=outliers", "loss=l2"], "mse"),
        (["data=outliers", "loss=tukey"], "mse"),
    ],
)
def test_the_first_gradient_has_the_norm_of_the_baseline(cell, overrides, baseline):
    learner, batch, facts = calibrated(cell(*overrides))
    outputs = learner.network(batch.inputs)
    means = {"cross_entropy": F.cross_entropy, "bce": F.binary_cross_entropy_with_logits, "mse": F.mse_loss}
    means["multilabel_bce"] = means["bce"]
    target = batch.target if baseline == "cross_entropy" else batch.target.float()
    expected = norm_by_hand(learner, means[baseline](outputs, target))
    assert facts["baseline"] == baseline and facts["baseline_norm"] == pytest.approx(expected, rel=1e-5)
    assert gradient_norm(learner, batch) == pytest.approx(expected, rel=1e-5)
    assert facts["factor"] == pytest.approx(facts["baseline_norm"] / facts["own_norm"])


def test_the_factor_of_a_sum_is_one_over_the_batch(cell):
    _, batch, facts = calibrated(cell("data=outliers", "loss=l2"))
    assert facts["factor"] == pytest.approx(1 / len(batch.target), rel=1e-5)


def test_the_baseline_of_a_cosine_head_is_that_of_its_network(cell):
    learner, batch, facts = calibrated(cell("loss=ldam"))
    cosines = learner.network(batch.inputs)
    assert cosines.abs().max() <= 1
    expected = norm_by_hand(learner, F.cross_entropy(cosines, batch.target))
    assert facts["baseline_norm"] == pytest.approx(expected, rel=1e-5)


def test_weights_buffers_and_random_numbers_stay(cell):
    made = cell("data=mnist", "model=resnet32")
    data = build_data(cell().config.data)  # digits: only the shape of the batches matters here
    data.input_shape = [1, 28, 28]
    batch = next(iter(data.train_dataloader()))
    images = batch._replace(inputs=F.interpolate(batch.inputs.view(-1, 1, 8, 8), size=28))
    data.train_dataloader = lambda: [images]
    learner = build_learner(made, data)
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    random = torch.get_rng_state()
    first = calibrate(learner, data)
    assert torch.equal(torch.get_rng_state(), random)
    after = learner.state_dict()
    assert any("running_mean" in name for name in before)
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in learner.parameters())
    assert first["factor"] == pytest.approx(1.0)


def test_a_loss_ten_times_larger_trains_like_the_plain_one(cell):
    lines = ["optimizer=sgd", "optimizer.lr=0.02"]
    plain = run(cell(*lines))
    ten = "loss._target_=losses_for_calibration.ten_times"
    larger = run(cell(*lines, ten, "optimizer.calibrate=gradient"))
    assert larger["calibration"]["factor"] == pytest.approx(0.1, rel=1e-6)
    assert plain["calibration"] is None and run(cell(*lines, ten))["calibration"] is None
    for name, value in plain["metrics"]["last"].items():
        assert larger["metrics"]["last"][name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    uncalibrated = run(cell(*lines, ten))
    assert uncalibrated["metrics"]["last"]["test/nll"] != pytest.approx(plain["metrics"]["last"]["test/nll"], rel=1e-2)


def test_the_baseline_itself_is_left_as_it_is(cell, tmp_path):
    plain, same = run(cell()), run(cell("optimizer.calibrate=gradient", output_dir=tmp_path / "calibrated"))
    assert same["calibration"]["factor"] == 1.0
    assert same["metrics"] == plain["metrics"] and same["hashes"] == plain["hashes"]
    assert same["problem"] != plain["problem"]


def test_a_stopped_run_goes_on_with_the_same_factor(cell, tmp_path, monkeypatch):
    lines = ["loss=focal", "optimizer.calibrate=gradient", "trainer.max_epochs=4"]
    undisturbed = run(cell(*lines, output_dir=tmp_path / "undisturbed"))
    learn = Supervised.training_step

    def stopped(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise Killed(15)
        return learn(self, batch, batch_idx)

    monkeypatch.setattr(Supervised, "training_step", stopped)
    with pytest.raises(Killed):
        run(cell(*lines))
    monkeypatch.undo()
    resumed = run(cell(*lines))
    for key in ("calibration", "metrics", "history"):
        assert resumed[key] == undisturbed[key]


def test_a_loss_without_a_gradient_is_told(cell):
    with pytest.raises(ConfigError, match="calibrate=none"):
        calibrated(cell("loss._target_=losses_for_calibration.flat"))


def test_an_unknown_kind_is_told(cell):
    with pytest.raises(ConfigError, match="Nearest: gradient"):
        cell("optimizer.calibrate=gradiant")
