"""The detector: its loss against loops and torchvision, what it learns, and what it refuses before it trains."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision import ops

from lossbench.catalogue.facts import losses_for
from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.config.checks import check_fit
from lossbench.errors import ConfigError
from lossbench.learners.detection_targets import assign
from lossbench.losses.declaration import loss
from lossbench.losses.links import identity
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data
from lossbench.running.run import run
from lossbench.tasks.detection.report import detections

DATA = ["data=digit_boxes", "data.count=60", "data.max_test=20"]
SMALL = [*DATA, "learner.network.channels=8", "learner.network.blocks=1"]


@pytest.fixture
def learner(cell):
    """Build a learner and a batch of four images."""

    def make(*lines, of=SMALL):
        made = cell(*of, *lines)
        data = build_data(made.config.data)
        built = build_learner(made, data)
        batch = next(iter(data.train_dataloader()))
        few = {name: each[:4] for name, each in batch.extras.items()}
        return built, batch._replace(**{name: getattr(batch, name)[:4] for name in batch._fields[:4]}, extras=few)

    return make


def by_places(detector, batch):
    """Return what each place says and shall say, one after the other: image, logits, box in strides, truth, label."""
    places = detector.network(batch.inputs)
    targets = assign(detector.network.locations, batch.extras["boxes"], batch.target, 4)
    rows = []
    for image in range(len(batch.target)):
        for place, (x, y) in enumerate(detector.network.locations.tolist()):
            left, top, right, bottom = places.distances[image, place]
            box = torch.stack([x - left, y - top, x + right, y + bottom]) / 4
            label = int(targets.labels[image, place])
            true = batch.extras["boxes"][image][targets.chosen[image, place]] / 4 if label >= 0 else None
            rows.append((image, places.logits[image, place], box, true, label))
    return rows


@pytest.mark.parametrize("lines", [["box_giou"], ["box_giou", "learner/network=centre_bins"], ["box_dfl"]])
def test_the_loss_is_a_sum_over_places_divided_by_the_positives(learner, lines):
    """Focal loss and GIoU of torchvision, cross-entropy of torch with the neighbours of a side; value and gradient."""
    detector, batch = learner("learner.box_weight=0.7", f"loss={lines[0]}", *lines[1:])
    classes, boxes, positives = [0.0] * 4, [0.0] * 4, 0
    bins = detector.network(batch.inputs).bins
    assert (bins is None) == (lines == ["box_giou"])
    for number, (image, logits, box, true, label) in enumerate(by_places(detector, batch)):
        hot = torch.tensor([float(k == label) for k in range(10)])
        classes[image] = classes[image] + ops.sigmoid_focal_loss(logits, hot, alpha=0.25, gamma=2).sum()
        if label >= 0:
            positives += 1
            boxes[image] = boxes[image] + ops.generalized_box_iou_loss(box, true)
            if lines == ["box_dfl"]:
                place = detector.network.locations[number % 144] / 4
                sides = torch.cat([place - true[:2], true[2:] - place])
                near = (1 - (sides[:, None] - torch.arange(8)).abs()).clamp(min=0)
                boxes[image] = boxes[image] + 0.125 * F.cross_entropy(bins[image, number % 144], near)
    expected = torch.stack([classes[k] + 0.7 * boxes[k] for k in range(4)]) * 4 / positives
    values = detector.per_sample_loss(batch)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    whole = (sum(classes) + 0.7 * sum(boxes)).detach()
    torch.testing.assert_close(values.mean().detach() * positives, whole, rtol=1e-4, atol=1e-5)
    parameters = list(detector.network.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(values.mean(), parameters), torch.autograd.grad(expected.mean(), parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_quality_is_the_overlap_of_positives_and_has_no_gradient(learner):
    detector, batch = learner("loss=varifocal")
    given = {}

    def noted(logits, target, **context):
        given.update(context, target=target)
        return logits.sum(-1)

    object.__setattr__(detector.class_loss, "function", noted)
    detector.per_sample_loss(batch)
    expected, classes = [], []
    for _, _, box, true, label in by_places(detector, batch):
        expected.append(ops.box_iou(box[None], true[None]).item() if label >= 0 else 0.0)
        classes.append([float(k == label) for k in range(10)])
    np.testing.assert_allclose(given["quality"], expected, rtol=1e-4, atol=1e-6)
    assert not given["quality"].requires_grad and 0 < np.count_nonzero(expected) < len(expected) / 2
    assert given["target"].tolist() == classes


def test_a_batch_without_objects_trains_the_classes_alone(learner):
    detector, batch = learner("loss=box_ciou")
    detector.per_sample_loss(batch._replace(target=torch.full_like(batch.target, -1))).mean().backward()
    assert detector.network.classes.weight.grad.abs().sum() > 0
    assert detector.network.boxes.weight.grad.abs().sum() == 0


def test_the_loss_of_the_run_trains_its_part_and_the_other_is_named(learner):
    boxes, _ = learner("loss=box_l1", "learner.class_loss=quality_focal")
    assert (boxes.box_loss, boxes.class_loss.name) == (boxes.loss, "quality_focal")
    classes, _ = learner("loss=dense_bce", "learner.box_loss=box_siou")
    assert (classes.class_loss, classes.box_loss.name) == (classes.loss, "box_siou")
    bins, _ = learner("loss=box_dfl", "learner.class_loss=varifocal")
    assert (bins.box_loss, bins.class_loss.name) == (bins.loss, "varifocal")
    named, _ = learner("loss=varifocal", "learner/network=centre_bins", "learner.box_loss=box_dfl")
    assert (named.box_loss.name, named.term_names) == ("box_dfl", ("classes", "overlap", "sides"))


def test_with_the_network_of_bins_other_losses_of_boxes_stand_in_one_comparison(cell):
    one, other = (cell(*DATA, f"loss={name}", "learner/network=centre_bins") for name in ("box_giou", "box_dfl"))
    assert one.problem == other.problem
    assert cell(*DATA, "loss=box_dfl").key == other.key
    assert cell(*DATA, "loss=box_giou").key != one.key


def test_centreness_is_learned_at_positives_and_multiplies_scores(learner):
    detector, batch = learner("loss=box_iou", "learner.network.quality=true")
    noted = {}
    detector.add_terms = lambda **terms: noted.update(terms)
    detector.per_sample_loss(batch)
    places, expected, positives = detector.network(batch.inputs), 0.0, 0
    for number, (image, _, _, true, label) in enumerate(by_places(detector, batch)):
        if label >= 0:
            x, y = (detector.network.locations[number % 144] / 4).tolist()
            (x1, y1, x2, y2), positives = true.tolist(), positives + 1
            left, right, top, bottom = x - x1, x2 - x, y - y1, y2 - y
            central = (min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)) ** 0.5
            logit = places.quality[image, number % 144]
            expected = expected + F.binary_cross_entropy_with_logits(logit, torch.tensor(central))
    torch.testing.assert_close(noted["centreness"].mean() * positives, expected, rtol=1e-4, atol=1e-5)
    scores, _ = detector._scores_and_boxes(batch.inputs)
    torch.testing.assert_close(scores**2, places.logits.sigmoid() * places.quality.sigmoid()[..., None])


# --- What it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            ["loss=box_iou", "learner.class_loss=dense_focl"],
            r"class_loss=dense_focl is not known. Nearest: dense_focal",
        ),
        (["loss=box_iou", "learner.class_loss=box_giou"], r"class_loss=box_giou is not known.* Allowed: dense_bce"),
        (["loss=dense_bce", "learner.box_loss=yolo_v1"], r"box_loss=yolo_v1 is not known"),
        (["loss=box_iou", "learner/network=yolo_grid"], r"box_iou does not fit .* Use learner/network=centre_points"),
        (["loss=box_dfl", "learner/network=yolo_grid"], r"box_dfl does not fit .* Use learner/network=centre_points"),
        (["loss=box_dfl", "learner/network=centre_points"], r"box_dfl takes .* Use learner/network=centre_bins"),
        (["loss=dense_bce", "learner.box_loss=box_dfl"], r"box_dfl takes .* Use learner/network=centre_bins"),
        (["loss=box_dfl", "learner.network.bins=1"], r"bins=1: one bin has one distance"),
        (["loss=yolo_v1", "learner/network=centre_points"], r"yolo_v1 does not fit .* Use learner/network=yolo_grid"),
    ],
)
def test_what_does_not_fit_is_told_before_training(cell, lines, told):
    made = cell(*DATA, *lines)
    with pytest.raises(ConfigError, match=told):
        run(made)
    assert not (made.path / "record.json").exists()


def test_without_the_package_that_measures_nothing_is_trained(cell, monkeypatch):
    monkeypatch.setattr("lossbench.tasks.detection.metrics.find_spec", lambda name: None)
    made = cell(*SMALL, "loss=box_giou")
    with pytest.raises(ConfigError, match=r"pip install 'lossbench\[detection\]'"):
        run(made)
    assert not (made.path / "record.json").exists()


@loss(task="boxes", link=identity, outputs=4, shapes="N 4 , N 4 -> N", source='Me 2026, "Mine"')
def remembering(boxes, target, *, index):
    return (boxes - target).abs().sum(-1) + 0 * index


def test_a_loss_of_boxes_that_asks_for_samples_is_refused(cell):
    made = cell(*SMALL, "loss=box_giou", "loss._target_=tests.learners.test_detector.remembering")
    with pytest.raises(ConfigError, match="remembering asks for index, which learner=detector does not supply"):
        run(made)


def test_losses_and_data_choose_the_task(cell):
    for lines in (
        ["data=digit_boxes", "loss=box_giou"],
        ["data=digit_boxes", "loss=dense_focal"],
        ["data=digit_scenes", "loss=box_giou", "task=detection"],
        ["data=digit_scenes", "loss=yolo_v1"],
        ["data=digit_boxes", "loss=box_dfl"],
    ):
        made = cell(*lines)
        assert (made.task.name, made.choices["learner"]) == ("detection", "detector")
    assert cell("data=box_regression", "loss=box_giou").task.name == "boxes"
    with pytest.raises(ConfigError, match="loss=dense_focal is for detection, but data=box_regression is boxes"):
        cell("data=box_regression", "loss=dense_focal")
    with pytest.raises(ConfigError, match=r"but data=digit_scenes is segmentation\..* It serves detection, too"):
        cell("data=digit_scenes", "loss=box_giou")
    with pytest.raises(ConfigError, match="loss=box_giou is learned by learner=detector, not by learner=supervised"):
        check_fit(cell("data=digit_boxes", "loss=box_giou", "learner=supervised"))
    assert {"box_iou", "dense_bce", "yolo_v1"} <= set(losses_for("detection"))


# --- What it learns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["box_giou", "varifocal", "yolo_v1", "box_dfl"])
@pytest.mark.usefixtures("undrawn")
def test_digits_are_found(cell, learner, name):
    """In a few seconds some are; an untrained detector finds nothing."""
    few = ["data=digit_boxes", "data.count=200", "data.max_test=40", "data.batch_size=8", "learner.network.channels=32"]
    detector, batch = learner(f"loss={name}", of=few)
    assert (detector.kept(batch)["labels"] == -1).all()
    entry = run(cell(*few, f"loss={name}", "trainer.max_epochs=8", "trainer.check_val_every_n_epoch=8"))
    assert entry["metrics"]["last"]["test/ap50"] > 0.04
    assert entry["history"][-1]["train/loss"] < entry["history"][0]["train/loss"]


def test_the_files_hold_what_is_found_and_the_report_draws_it(cell, tmp_path):
    lines = [*SMALL, "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1"]
    for name in ("box_giou", "box_l1"):
        made = cell(*lines, f"loss={name}")
        assert run(made)["status"] == "finished"
        with np.load(made.path / "predictions.npz") as kept:
            found = dict(kept)
        assert found["image"].shape == (8, 3, 48, 48) and found["boxes"].shape[0] == len(found["index"]) == 20
        assert found["boxes"].shape[:2] == found["scores"].shape == found["labels"].shape
        assert found["labels"].shape[1] <= 100 and (found["target"] >= 0).sum() > 20
        assert sum(path.stat().st_size for path in made.path.glob("*.npz")) < 300_000
    (comparison,) = comparisons(read_outputs(tmp_path))
    analysis = analyse(comparison, Options())
    assert analysis.baseline == "box_l1"
    (picture,) = detections(analysis)
    assert len(picture.figure.axes) == 3 * 6
