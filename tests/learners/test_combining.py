"""Terms of a loss, combined: the gradients that reach each parameter, what the history tells, runs of each learner."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lossbench.catalogue.binding import load_loss
from lossbench.errors import ConfigError
from lossbench.learners.combining import Combining, Means
from lossbench.losses.declaration import adds
from lossbench.methods.combining import ByGradient, Combine, graddrop, pcgrad, plain_sum
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from tests.support.records import numbers

DIGITS = ["data=digits", "data.max_train=120", "data.max_test=60", "data.batch_size=32", "model.hidden=[16]"]
SHORT = [*DIGITS, "trainer.max_epochs=2"]
WEIGHTED = [*SHORT, "loss=weighted_sum", "loss.terms.1=gce", "loss.weights=[1,0.5]"]
IMAGES = ["data=digits", "data.max_train=120", "data.max_test=60", "trainer.max_epochs=1",
          "learner.network.hidden=[16]", "learner.network.latents=3", "learner.evaluated_samples=50"]  # fmt: skip
BOXES = ["data=digit_boxes", "data.count=30", "data.max_test=10", "trainer.max_epochs=1"]
OF_LEARNERS = {
    "labels, teacher": [*SHORT, "loss=distillation"],
    "reconstruction, kl": [*IMAGES, "loss=vae_bernoulli", "loss.beta=2"],
    "coordinates, confidence, no_object, classes": [*BOXES, "loss=yolo_v1", "learner/network=yolo_grid"],
    "classes, boxes, centreness": [*BOXES, "loss=varifocal", "learner.network.channels=8",
                                   "learner.network.quality=true"],
    "classes, overlap, sides": [*BOXES, "loss=box_dfl", "learner.network.channels=8"],
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("undrawn")


class Net(nn.Module):
    """Two heads on a trunk, and something that only a loss has."""

    def __init__(self, method: Combine):
        super().__init__()
        self.network = nn.ModuleDict(
            {"trunk": nn.Linear(3, 4), "left": nn.Linear(4, 1), "right": nn.Linear(4, 1), "idle": nn.Linear(2, 2)}
        )
        self.loss_module = nn.Linear(1, 1, bias=False)
        self.combining = Combining(method, ["left", "right"], "combine=mine")

    def terms(self, inputs: Tensor) -> list[Tensor]:
        features = self.network["trunk"](inputs).tanh()
        left = self.loss_module(self.network["left"](features)).square().mean()
        return [left, 100 * (self.network["right"](features) - 1).square().mean()]


class halves(ByGradient):  # noqa: N801
    """Half of the first gradient, and minus the second."""

    def forward(self, jacobian: Tensor) -> Tensor:
        self.jacobian = jacobian
        self.weights.copy_(torch.tensor([0.5, -1.0]))
        return 0.5 * jacobian[0] - jacobian[1]


def by_hand(net: Net, inputs: Tensor) -> list[dict[str, Tensor]]:
    """Return the gradient of each term at each parameter, each from a graph of its own."""
    rows = []
    for place in range(2):
        net.zero_grad()
        net.terms(inputs)[place].backward()
        rows.append({name: each.grad for name, each in net.named_parameters() if each.grad is not None})
    net.zero_grad()
    return rows


@pytest.mark.parametrize("scale", [1.0, 0.25, 1024.0])
def test_shared_parameters_get_the_methods_gradient_and_heads_that_of_the_sum(scale):
    torch.manual_seed(0)
    net, inputs = Net(halves(terms=["left", "right"])), torch.randn(5, 3)
    left, right = by_hand(net, inputs)
    for _ in range(2):  # the second time what is shared is known, and gradients add up
        loss = net.combining.value(net, net.terms(inputs), 0)
        net.combining.backward(net, scale * loss)
    for name in ("network.trunk.weight", "network.trunk.bias"):
        wanted = 2 * scale * (0.5 * left[name] - right[name])
        torch.testing.assert_close(net.get_parameter(name).grad, wanted)
    for name, row in {"network.left.weight": left, "network.right.bias": right, "loss_module.weight": left}.items():
        torch.testing.assert_close(net.get_parameter(name).grad, 2 * scale * row[name])
    assert net.get_parameter("network.idle.weight").grad is None
    trunk = [
        torch.cat([row[f"network.trunk.{name}"].flatten() for name in ("weight", "bias")]) for row in (left, right)
    ]
    torch.testing.assert_close(net.combining.method.jacobian, torch.stack(trunk))
    told = net.combining.end_epoch()
    cosine = torch.cosine_similarity(*trunk, dim=0)
    assert told == pytest.approx({
        "train/weight/left": 0.5, "train/weight/right": -1.0, "train/gradient_norm/left": float(trunk[0].norm()),
        "train/gradient_norm/right": float(trunk[1].norm()), "train/cosine/left/right": float(cosine),
    }, rel=1e-5)  # fmt: skip


def test_small_gradients_survive_half_precision_where_the_loss_is_scaled():
    """A gradient of 1e-9 is 0 in half precision, but not what a trainer has multiplied by 2**16."""
    net = Net(graddrop(terms=["left", "right"], leak=1.0))
    for scale, found in [(1.0, 0.0), (2.0**16, 2.0**16 * 1e-9)]:
        net.zero_grad()
        bias = net.get_parameter("network.trunk.bias")
        terms = [bias.half().float().sum() * 1e-9, bias.sum() * 0]
        net.combining.backward(net, scale * net.combining.value(net, terms, 0))
        torch.testing.assert_close(bias.grad, torch.full((4,), found), rtol=0.1, atol=0)


def test_each_term_costs_one_backward_pass(monkeypatch):
    net, passes = Net(halves(terms=["left", "right"])), []
    grad = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda outputs, inputs, **kw: passes.append(len(inputs)) or grad(outputs, inputs, **kw)
    )
    loss = net.combining.value(net, net.terms(torch.randn(5, 3)), 0)
    net.combining.backward(net, loss)
    assert [count for count in passes if count > 1] == [9, 9]  # beside that of the sum itself, down to the first term


def test_terms_that_share_nothing_are_told():
    net = Net(halves(terms=["left", "right"]))
    values = [net.network[side](torch.ones(1, 4)).sum() for side in ("left", "right")]
    with pytest.raises(ConfigError, match="no two of the terms left, right depend on the same parameter"):
        net.combining.backward(net, net.combining.value(net, values, 0))
    with pytest.raises(ConfigError, match="the loss has 1 terms, not left, right"):
        net.combining.value(net, values[:1], 0)


def test_means_leave_out_what_is_no_number():
    means = Means()
    means.add("norm", torch.tensor([1.0, torch.nan, torch.nan]))
    means.add("norm", torch.tensor([3.0, 5.0, torch.nan]))
    assert means["norm"].tolist()[:2] == [2.0, 5.0] and means["norm"][2].isnan()


@pytest.mark.parametrize(
    "name",
    ["distillation", "vae_bernoulli", "vae_gaussian", "vae_l1", "yolo_v1", "sce", "nce_rce", "nce_mae", "nfl_rce",
     "anl_ce", "box_dfl"],
)  # fmt: skip
def test_terms_add_up_to_the_loss(name):
    torch.manual_seed(1)
    loss = load_loss(name)
    outputs, target, context = torch.randn(4, 3), torch.tensor([0, 2, 1, 1]), {}
    if name == "distillation":
        context = {"teacher_logits": torch.randn(4, 3)}
    if name.startswith("vae"):
        target = torch.rand(4, 3)
        context = {"mean": torch.randn(4, 2), "log_variance": torch.randn(4, 2), "epoch": 0}
    if name == "yolo_v1":
        outputs, target = torch.rand(4, 2, 2, 13), torch.rand(4, 2, 2, 8)
        target[..., 4:] = target[..., 4:].round()
    if name == "box_dfl":
        outputs, target = torch.randn(4, 4, 8), 7 * torch.rand(4, 4)
    terms = loss.each_term(outputs, target, **context)
    assert tuple(terms) == loss.term_names and len(terms) > 1
    value = loss(outputs, target, **context)
    torch.testing.assert_close(torch.stack(list(loss.weighed(terms).values())).sum(0), value)
    assert all(term.shape == value.shape for term in terms.values())


def test_weights_of_a_sum_and_of_samples_are_in_its_terms(cell):
    made = cell(*WEIGHTED, "weighting=inverse", "mixup=mixup", "combine=pcgrad", "data=digits_imb")
    data = build_data(made.config.data)
    learner = build_learner(made, data)
    batch = next(iter(data.train_dataloader()))
    learner.weighting, weights = learner.weighting, learner.class_weights(0)
    learner._class_weights = weights
    for mixture in (None, learner._mix({"samples": len(batch.target), "seed": 0, "epoch": 0, "step": 0})):
        learner._mixture = mixture
        terms = learner.per_sample_terms(batch)
        assert list(terms) == ["term_0", "term_1"] == list(learner.term_names)
        torch.testing.assert_close(sum(terms.values()), learner.per_sample_loss(batch))


@pytest.mark.parametrize("terms", OF_LEARNERS)
@pytest.mark.parametrize("combine", ["pcgrad", "uncertainty"])
def test_each_learner_descends_its_terms(terms, combine, cell, taught):
    lines = OF_LEARNERS[terms]
    teacher = taught("distillation", "digits") if "loss=distillation" in lines else []
    entry = run(cell(*lines, *teacher, f"combine={combine}"))
    assert entry["status"] == "finished", entry.get("traceback")
    names, row = terms.split(", "), entry["history"][-1]
    assert {f"train/{name}" for name in names} | {f"train/weight/{name}" for name in names} <= row.keys()
    assert all(row[f"train/gradient_norm/{name}"] > 0 for name in names)
    assert -1.001 <= row[f"train/cosine/{names[0]}/{names[1]}"] <= 1.001
    assert entry["combine"] == combine and entry["name"].endswith(f"+{combine}-s0")


NUMBERS = ["data=diabetes", "trainer.max_epochs=2", "model.hidden=[16]", "optimizer.lr=1e-4"]


@pytest.mark.parametrize(
    "lines",
    [WEIGHTED, [*NUMBERS, "loss=weighted_sum", "loss.terms.0=l1", "loss.terms.1=l2", "loss.weights=[1,0.01]"]],
    ids=["means", "sums over the batch"],
)
def test_a_plain_sum_of_terms_is_the_sum(lines, cell, tmp_path):
    """The same descent, but for rounding, whether the loss adds its terms or a method that only adds does."""

    def history(*more):
        entry = run(cell(*lines, *more, output_dir=tmp_path / str(len(more))))
        assert entry["status"] == "finished", entry.get("traceback")
        return entry["history"]

    usual = history()
    added = history("combine=fixed")
    for ours, theirs in zip(added, usual, strict=True):
        assert not any("weight/" in name or "cosine" in name for name in theirs)
        assert {name: ours[name] for name in theirs} == pytest.approx(theirs, rel=1e-3, abs=1e-4, nan_ok=True)
        assert ours["train/weight/term_0"] == ours["train/weight/term_1"] == 1


@pytest.mark.parametrize("combine", ["pcgrad", "graddrop", "cagrad", "imtl_g", "nash_mtl", "aligned_mtl", "upgrad"])
def test_methods_by_gradient_train_in_half_precision(combine, cell):
    """bf16, which Lightning makes of 16-mixed on a CPU; the draws and scales of a GPU are not seen here."""
    entry = run(cell(*WEIGHTED, f"combine={combine}", "trainer.precision=16-mixed"))
    assert entry["status"] == "finished", entry.get("traceback")
    told = [value for row in entry["history"] for name, value in row.items() if name.startswith("train/")]
    assert np.isfinite(told).all() and entry["history"][-1]["train/loss"] < entry["history"][0]["train/loss"]


@pytest.mark.parametrize(
    "lines", [["trainer.precision=bf16-mixed"], ["trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.1"]]
)
@pytest.mark.parametrize("combine", ["mgda", "gradnorm", "famo"])
def test_precision_clipping_and_accumulation_stay(combine, lines, cell):
    entry = run(cell(*WEIGHTED, f"combine={combine}", *lines))
    assert entry["status"] == "finished", entry.get("traceback")
    assert entry["history"][-1]["train/weight/term_1"] > 0 and entry["history"][-1]["train/gradient_norm/term_0"] > 0


def test_what_is_learned_beside_the_network_has_no_weight_decay(cell):
    made = cell(*WEIGHTED, "combine=uncertainty", "optimizer.weight_decay=0.1")
    learner = build_learner(made, build_data(made.config.data))
    network, beside = learner.configure_optimizers()["optimizer"].param_groups
    assert beside["weight_decay"] == 0 and network["weight_decay"] == 0.1
    assert [id(each) for each in beside["params"]] == [id(learner.combining.method.log_variance)]


def test_a_second_look_at_a_batch_leaves_no_trace(cell, tmp_path, monkeypatch):
    """FAMO's look at the terms after a step, in a run with draws, changes nothing but its own weights."""
    lines = [*IMAGES, "loss=vae_bernoulli", "combine=famo", "combine.lr=1e-30"]
    looking, other = (cell(*lines, output_dir=tmp_path / name) for name in ("looking", "other"))
    assert run(looking)["status"] == "finished"
    monkeypatch.setattr(Combining, "before", lambda *_: None)
    assert run(other)["status"] == "finished"
    assert numbers(looking) == numbers(other)


def test_a_method_of_ones_own_trains(cell, monkeypatch):
    made = cell(*WEIGHTED, "combine=pcgrad", f"combine._target_={__name__}.halves")
    assert made.method == "weighted_sum+halves"
    entry = run(made)
    assert entry["history"][-1]["train/weight/term_1"] == -1


@adds("fits", "spreads")
def own_loss(logits, target):
    return nn.functional.cross_entropy(logits, target, reduction="none"), 0.1 * logits.square().mean(-1)


def test_a_loss_of_ones_own_tells_its_terms(cell):
    entry = run(cell(*SHORT, "loss=cross_entropy", f"loss._target_={__name__}.own_loss", "combine=uncertainty"))
    assert entry["status"] == "finished" and entry["name"] == "own_loss+uncertainty-s0"
    row = entry["history"][-1]
    assert row["train/loss"] == pytest.approx(row["train/fits"] + row["train/spreads"], rel=1e-5)


def test_methods_are_of_the_two_kinds():
    assert pcgrad.by == "gradient" and plain_sum.by == "value"
