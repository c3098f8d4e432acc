"""Several tasks of one network, from a command to the report; and each task with a network of its own."""

import numpy as np
import pytest
import torch
from torch import nn

from lossbench.compare.numbers.labels import labels
from lossbench.errors import ConfigError
from lossbench.models.heads import Backbones, Heads, a_network_each
from lossbench.models.network import Network
from lossbench.records import record
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from tests.support.commands import ended

PAIRS = [
    "data=digit_pairs", "loss=several_tasks", "data.count=300", "data.max_test=100", "model=mlp", "model.hidden=[32]",
    "trainer.max_epochs=3",
]  # fmt: skip
SCENES = [
    "data=scene_parts", "loss=several_tasks", "data.count=24", "data.max_test=8", "model.channels=[4,8]",
    "trainer.max_epochs=1", "data.batch_size=8",
]  # fmt: skip


def learner_of(cell):
    data = build_data(cell.config.data)
    return build_learner(cell, data), data


def test_a_run_leaves_what_each_part_leaves(cell):
    entry = run(cell(*PAIRS))
    assert entry["status"] == "finished", entry.get("traceback")
    last, row = entry["metrics"]["last"], entry["history"][-1]
    assert last["test/mean_balanced_accuracy"] == pytest.approx(
        (last["test/left_balanced_accuracy"] + last["test/right_balanced_accuracy"]) / 2
    )
    assert row["train/loss"] == pytest.approx(row["train/left"] + row["train/right"])
    assert {"test/left_mcc", "test/right_recall/3"} <= set(last) and entry["data"]["parts"]["left"][
        "task"
    ] == "multiclass"
    folder = cell(*PAIRS).path
    with np.load(folder / "predictions.npz") as arrays:
        assert arrays["left/probabilities"].shape == (100, 10) and arrays["index"].shape == (100,)
    assert (folder / "left_confusion_matrix.png").is_file() and (folder / "right_confusion_matrix.png").is_file()


def test_weights_weigh_what_is_descended_and_not_what_is_noted(cell):
    one, _ = learner_of(cell(*PAIRS, "loss.weights.left=0.5"))
    other, data = learner_of(cell(*PAIRS))
    batch = next(iter(data.train_dataloader()))
    halved, plain = one.per_sample_terms(batch), other.per_sample_terms(batch)
    torch.testing.assert_close(halved["left"], 0.5 * plain["left"])
    torch.testing.assert_close(halved["right"], plain["right"])
    torch.testing.assert_close(one.per_sample_loss(batch), halved["left"] + halved["right"])
    assert one._term_sums["left"] == pytest.approx(2 * plain["left"].sum().item())  # of two calls


@pytest.mark.usefixtures("undrawn")
def test_a_network_each_trains_each_task_as_if_it_were_alone(cell, tmp_path):
    """The same numbers, to the last bit, as a shared network in which the other task has no weight."""
    apart = run(cell(*PAIRS, "combine=alone", output_dir=tmp_path / "apart"))
    for part, other in (("left", "right"), ("right", "left")):
        single = run(cell(*PAIRS, f"loss.weights.{other}=0", output_dir=tmp_path / part))
        for one, two in zip(apart["history"], single["history"], strict=True):
            keys = [key for key in one if f"/{part}" in key]
            assert len(keys) > 20 and {key: one[key] for key in keys} == {key: two[key] for key in keys}
        assert single["hashes"]["weights"] == apart["hashes"]["weights"]
        assert single["hashes"]["head"] == apart["hashes"]["head"]
    together = run(cell(*PAIRS, output_dir=tmp_path / "together"))
    assert apart["parameters"] > together["parameters"] and together["hashes"] == apart["hashes"]


def test_copies_of_a_backbone_start_alike_and_share_nothing():
    backbone = nn.Linear(4, 3)
    backbone.num_features = 3
    network = Network(backbone, Heads({"type": nn.Linear(3, 2), "items": nn.Linear(3, 5)}))  # names that modules have
    each, inputs = a_network_each(network), torch.randn(6, 4)
    assert torch.equal(each(inputs), network(inputs)) and isinstance(each.backbone, Backbones)
    each.head.outputs(each.head.seen(each.backbone(inputs)))["type"].sum().backward()
    of_type, of_items = each.backbone.each
    assert of_type.weight.grad.any() and of_items.weight.grad is None


def test_what_is_no_map_sees_the_mean_and_the_maximum_over_pixels():
    heads = Heads({"mask": nn.Linear(2, 3), "front": nn.Linear(4, 5)}, per_pixel=("mask",))
    features = torch.arange(24.0).view(1, 3, 4, 2)
    seen = heads.seen(features)
    assert seen["mask"] is features and seen["front"].tolist() == [[11.0, 12.0, 22.0, 23.0]]
    assert heads(features).shape == (1, 3 * 4 * 3 + 5)


@pytest.mark.parametrize("combine", ["sum", "alone"])
def test_scenes_train_with_a_mask_a_class_and_a_map(cell, combine):
    made = cell(*SCENES, "loss.terms.mask=dice_ce", "loss.terms.order=silog", f"combine={combine}")
    entry = run(made)
    assert entry["status"] == "finished", entry.get("traceback")
    last = entry["metrics"]["last"]
    assert {"test/mask_miou_pooled", "test/front_accuracy", "test/order_abs_rel"} <= set(last)
    names = {path.name for path in made.path.glob("*.png")}
    assert {"mask_masks.png", "front_confusion_matrix.png", "order_depth.png"} <= names


def test_methods_by_gradient_share_the_backbone_and_leave_the_heads(cell):
    made, data = learner_of(cell(*PAIRS, "combine=pcgrad"))
    assert made.term_names == ("left", "right") and made.combining is not None
    terms = [term.mean() for term in made.per_sample_terms(next(iter(data.train_dataloader()))).values()]
    made.combining.jacobian(made, terms, keep=False)
    assert made.combining._shared == ["network.backbone.1.weight", "network.backbone.1.bias"]


def test_the_labels_of_runs_say_what_differs_of_parts(cell):
    made = [
        cell(*PAIRS),
        cell(*PAIRS, "loss.terms.left=focal"),
        cell(*PAIRS, "loss.terms.left={name: focal, gamma: 1.0}"),
        cell(*PAIRS, "loss.weights.right=0.1"),
        cell(*PAIRS, "combine=alone"),
    ]
    entries = [{**each.record("finished"), "head": "linear"} for each in made]
    assert labels(entries) == [
        "several_tasks(left=cross_entropy, weights.right=1)",
        "several_tasks(left=focal, weights.right=1)",
        "several_tasks(left=focal(gamma=1), weights.right=1)",
        "several_tasks(left=cross_entropy, weights.right=0.1)",
        "several_tasks+alone(left=cross_entropy, weights.right=1)",
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["loss.terms.lft=focal"], "loss.terms.lft=focal: there is no part 'lft'. .*left, right"),
        (["loss.terms.left=mse"], "loss.terms.left=mse: it is a loss for regression, but the part left is multiclass"),
        (["loss.terms.left=distillation"], "loss.terms.left=distillation asks for teacher_logits, which several tasks"),
        (["loss.terms.left={name: focal, gamma: -1.0}"], "loss.terms.left.gamma"),
        (["loss.weights.left=-1"], r"loss.weights.left=-1 is out of range: allowed is \[0, inf\)"),
        (["loss=focal"], "loss=focal is for multiclass, but data=digit_pairs is digit_pair.*several_tasks"),
        (["weighting=inverse"], "weighting=inverse needs classes, but data=digit_pairs is digit_pair"),
        (["mixup=mixup"], "mixup=mixup mixes"),
        (["posthoc=temperature"], "posthoc=temperature needs classes"),
        (["data/noise=symmetric"], "data/noise=symmetric"),
        (["combine=alone", "trainer.gradient_clip_val=1.0"], "clips by the norm over all networks of combine=alone"),
        (["data=digits", "model=mlp"], "loss=several_tasks is for digit_pair, but data=digits is multiclass"),
        (["data=digits", "loss=weighted_sum", "learner=supervised", "combine=alone"], "trains a network for each of"),
        (["monitor=left_acc"], "monitor=left_acc is not known. Nearest: left_accuracy"),
        (["model=unet"], "model=unet has features of each pixel, which does not fit digit_pair"),
    ],
)
def test_what_does_not_fit_is_told_before_training(cell, lines, said):
    with pytest.raises(ConfigError, match=said):
        cell("data=digit_pairs", "loss=several_tasks", *lines)


def test_a_command_ends_with_a_verdict_and_pictures(tmp_path):
    lines = [line for line in PAIRS if not line.startswith("trainer")]
    done = ended(
        "-m", *lines, "loss.terms.left=cross_entropy,focal", "seed=0,1", "trainer.max_epochs=2", "tracking=none",
        f"output_dir={tmp_path}", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "several_tasks(left=focal)" in done.stdout and "could not be drawn" not in done.stderr
    (report,) = tmp_path.glob("comparisons/*/")
    assert {"parts.svg", "terms.svg", "trade_off.svg"} <= {path.name for path in report.rglob("*.svg")}
    assert len(list(record.read_all(tmp_path))) == 4
