"""The metrics of segmentation against torchmetrics, monai, scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.distance import cdist
from sklearn import metrics as sklearn
from torch.nn.functional import nll_loss, one_hot
from torchmetrics.classification import MulticlassCalibrationError
from torchmetrics.detection import PanopticQuality
from torchmetrics.segmentation import DiceScore, MeanIoU

from lossbench.data.scenes import field
from lossbench.data.textures import smooth_noise
from lossbench.tasks.segmentation.metrics import object_numbers, pixel_metrics, shape_metrics

CROSS = ndimage.generate_binary_structure(2, 2)


def blobs(classes=4, count=12, size=24, rare=0.0, seed=0):
    """Made-up probabilities and target: patches of classes, the last ones rarer, and a target near the prediction."""
    rng = np.random.default_rng(seed)
    heights = smooth_noise(count, classes, (size, size + 4), 4, rng)
    heights -= rare * np.arange(classes)[:, None, None] * rng.random((count, classes, 1, 1))
    target = (heights + 0.3 * smooth_noise(count, classes, (size, size + 4), 4, rng)).argmax(1)
    probabilities = torch.tensor(12 * heights).double().softmax(1).movedim(1, -1).contiguous()
    return probabilities, torch.tensor(target)


def sure(labels, classes):
    return one_hot(labels, classes).double()


def masks(*rows):
    return torch.tensor([[int(digit) for digit in row] for row in rows])[None]


CASES = {"all classes": blobs(), "rare classes": blobs(6, rare=0.3), "two classes": blobs(2, seed=1)}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@cases
def test_overlaps_are_those_of_torchmetrics(case):
    probabilities, target = case
    predicted, classes = probabilities.argmax(-1), probabilities.shape[-1]
    scores = pixel_metrics(probabilities, target)
    jaccard = sklearn.jaccard_score(target.flatten(), predicted.flatten(), labels=range(classes), average=None)
    f1 = sklearn.f1_score(target.flatten(), predicted.flatten(), labels=range(classes), average=None)
    assert [scores[f"iou/{label}"] for label in range(classes)] == pytest.approx(jaccard.tolist())
    assert scores["miou_pooled"] == pytest.approx(jaccard[1:].mean())
    assert scores["dice_pooled"] == pytest.approx(f1[1:].mean())
    assert scores["pixel_accuracy"] == pytest.approx((predicted == target).double().mean().item())
    # torchmetrics with one image at a time, as it divides by another number of images for each class.
    settings = {"include_background": False, "input_format": "index"}
    pairs = [pair for pair in zip(predicted, target, strict=True) if (pair[0] + pair[1]).any()]
    by_image = [MeanIoU(classes, per_class=True, **settings)(said[None], true[None]) for said, true in pairs]
    assert scores["miou_image"] == pytest.approx(np.mean([iou[iou >= 0].mean().item() for iou in by_image]), abs=1e-6)
    by_image = [DiceScore(classes, average="none", **settings)(said[None], true[None]) for said, true in pairs]
    assert scores["dice_image"] == pytest.approx(np.mean([dice.nanmean().item() for dice in by_image]), abs=1e-6)


@cases
def test_probabilities_are_judged_as_by_torch_torchmetrics_and_scikit_learn(case):
    probabilities, target = case
    classes = probabilities.shape[-1]
    scores = pixel_metrics(probabilities, target) | shape_metrics(probabilities, target)
    by_class = probabilities.movedim(-1, 1)
    assert scores["nll"] == pytest.approx(nll_loss(by_class.log(), target).item())
    calibration = MulticlassCalibrationError(classes, n_bins=15, norm="l1")(by_class, target)
    assert scores["ece"] == pytest.approx(calibration.item(), abs=1e-6)
    flat, true = probabilities.flatten(0, 2).numpy(), target.flatten().numpy()
    precision = [sklearn.average_precision_score(true == k, flat[:, k]) for k in range(1, classes) if (true == k).any()]
    assert scores["ap"] == pytest.approx(np.mean(precision))
    assert scores["brier"] == pytest.approx(classes * sklearn.mean_squared_error(np.eye(classes)[true], flat))
    assert scores["soft_area"] == pytest.approx(flat[:, 1:].sum() / len(flat))
    assert scores["area_ratio"] == pytest.approx((flat.argmax(1) > 0).sum() / (true > 0).sum())


def test_ties_of_probabilities_count_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    target = torch.tensor(rng.integers(0, 3, (2, 8, 8)))
    probabilities = torch.tensor(rng.integers(1, 4, (2, 8, 8, 3))).double()
    probabilities /= probabilities.sum(-1, keepdim=True)
    expected = [sklearn.average_precision_score(target.flatten() == k, probabilities[..., k].flatten()) for k in (1, 2)]
    assert shape_metrics(probabilities, target)["ap"] == pytest.approx(np.mean(expected))


def test_log_odds_tell_pixels_apart_that_probabilities_do_not():
    logits = torch.tensor([[[[0.0, 60.0], [0.0, 50.0], [0.0, 55.0], [90.0, 0.0]]]], dtype=torch.float64)
    target, log_odds = torch.tensor([[[1, 0, 1, 1]]]), torch.stack([logits[..., 0] - logits[..., 1]] * 2, -1)
    log_odds[..., 1] *= -1
    assert pixel_metrics(logits.softmax(-1), target, log_odds)["nll"] == pytest.approx((50 + 90) / 4)
    assert shape_metrics(logits.softmax(-1), target, log_odds=log_odds)["ap"] == pytest.approx((1 + 1 + 3 / 4) / 3)


@pytest.mark.parametrize(
    ("threshold", "area", "dice", "iou"),
    [((3 - 5**0.5) / 2, (5**0.5 - 1) / 2, 3 - 5**0.5, (5**0.5 - 1) / 2), (0.5, 0.5, 0.75, 0.6)],
)
def test_a_field_is_predicted_as_well_as_its_posterior_allows(threshold, area, dice, iou):
    """Of labels that are 1 with probability x, uniform: thresholds of x have a known area, Dice and IoU."""
    made = field(60, np.random.default_rng(0), size=64)
    target = torch.tensor(made.masks).long()
    scores = pixel_metrics(sure(torch.tensor(made.posterior > threshold).long(), 2), target)
    assert scores["area_ratio"] == pytest.approx(2 * area, abs=0.01)
    assert scores["dice_pooled"] == pytest.approx(dice, abs=0.005)
    assert scores["miou_pooled"] == pytest.approx(iou, abs=0.005)
    posterior = torch.tensor(made.posterior).double()
    scores = pixel_metrics(torch.stack([1 - posterior, posterior], -1), target)
    assert scores["ece"] < 0.01 and scores["soft_area"] == pytest.approx(0.5, abs=0.005)
    assert scores["nll"] == pytest.approx(0.5, abs=0.005)  # the integral of the entropy of x over (0, 1)


def edge_points(mask):
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def boundaries_by_brute_force(predicted, target, classes):
    """Each pair of an image and a class by itself, with all distances between its boundary pixels."""
    f1, hausdorff, surface, missed = [], [], [], []
    for said, true in zip(predicted.numpy(), target.numpy(), strict=True):
        for kind in range(1, classes):
            here, there = edge_points(said == kind), edge_points(true == kind)
            if not len(here) and not len(there):
                continue
            missed.append(not (len(here) and len(there)))
            if missed[-1]:
                f1.append(0.0)
                continue
            distances = cdist(here, there)
            to_true, to_said = distances.min(1), distances.min(0)
            precision, recall = (to_true <= 2).mean(), (to_said <= 2).mean()
            f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
            hausdorff.append(max(np.percentile(to_true, 95), np.percentile(to_said, 95)))
            surface.append(np.concatenate([to_true, to_said]).mean())
    return {
        "boundary_f1": np.mean(f1),
        "hausdorff_95": np.mean(hausdorff),
        "surface_distance": np.mean(surface),
        "missed": np.mean(missed),
    }


@pytest.mark.parametrize("case", [*CASES.values(), blobs(9, rare=0.6, seed=2)], ids=[*CASES, "many missed"])
def test_boundaries_are_those_of_brute_force(case):
    probabilities, target = case
    expected = boundaries_by_brute_force(probabilities.argmax(-1), target, probabilities.shape[-1])
    scores = shape_metrics(probabilities, target)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert (expected["missed"] > 0) == (probabilities.shape[-1] > 4)


@cases
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_distances_are_those_of_monai(case):
    monai = pytest.importorskip("monai.metrics")
    probabilities, target = case
    planes = [sure(labels, probabilities.shape[-1]).movedim(-1, 1) for labels in (probabilities.argmax(-1), target)]
    hausdorff = monai.compute_hausdorff_distance(*planes, include_background=False, percentile=95)
    surface = monai.compute_average_surface_distance(*planes, include_background=False, symmetric=True)
    scores = shape_metrics(probabilities, target)
    assert scores["hausdorff_95"] == pytest.approx(hausdorff[hausdorff.isfinite()].mean().item(), rel=1e-5)
    assert scores["surface_distance"] == pytest.approx(surface[surface.isfinite()].mean().item(), rel=1e-5)


def of_torchmetrics(predicted, target, instances, classes):
    """Panoptic, segmentation and recognition quality, means over the foreground classes of which there are objects."""
    of_class = [[ndimage.label(said == kind, CROSS)[0] for kind in range(1, classes)] for said in predicted]
    parts = torch.tensor(np.array(of_class)).sum(1)
    quality = PanopticQuality(things=range(1, classes), stuffs={0}, return_sq_and_rq=True, return_per_class=True)
    there = instances * (target > 0)
    by_class = quality(torch.stack([predicted, parts], -1), torch.stack([target, there], -1))
    by_class = by_class.view(classes, 3).T  # (K, 3) in torchmetrics 1.9.0, whose text says (3, K)
    seen = [kind - 1 for kind in range(1, classes) if ((predicted == kind) | (target == kind)).any()]
    return dict(zip(("pq", "sq", "rq"), by_class[:, seen].mean(1).tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 5])
def test_panoptic_quality_is_that_of_torchmetrics(classes, seed):
    probabilities, target = blobs(classes, count=8, size=20, rare=0.1, seed=seed)
    # Objects are the quarters of the image, so that some are cut and some are of several parts.
    rows, columns = torch.arange(20)[:, None] // 10, torch.arange(24) // 12
    instances = (1 + rows + 2 * columns).expand(target.shape) * (target > 0)
    scores = shape_metrics(probabilities, target, instances)
    expected = of_torchmetrics(probabilities.argmax(-1), target, instances, classes)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "true", "instances", "expected"),
    [
        # One of two objects is found exactly, the other with IoU 2/3: sq = 5/6, all matched.
        (masks("1100110", "1100100"), masks("1100110", "1100110"), masks("1100220", "1100220"), (7 / 8, 7 / 8, 1)),
        # Two objects of a class that touch are one part: its IoU with each is one half, not above.
        (masks("1111"), masks("1111"), masks("1122"), (0, 0, 0)),
        # The class is wrong: one object missed, one predicted that is not there.
        (masks("0220"), masks("0110"), masks("0110"), (0, 0, 0)),
        # Diagonal pixels are one part.
        (masks("100", "010", "001"), masks("100", "010", "001"), masks("100", "010", "001"), (1, 1, 1)),
        # A second part that is not there: rq = 1 / (1 + 1/2).
        (masks("11001"), masks("11000"), masks("11000"), (2 / 3, 1, 2 / 3)),
    ],
)
def test_panoptic_quality_by_hand(said, true, instances, expected):
    scores = shape_metrics(sure(said, 3), true, instances)
    assert (scores["pq"], scores["sq"], scores["rq"]) == pytest.approx(expected)


def test_objects_are_those_of_scipy_in_each_picture():
    images = np.random.default_rng(0).integers(0, 4, (5, 12, 12)).astype(np.uint8)
    images[:, :3, 2:9] = 255
    numbers = object_numbers(images)
    for image, mine in zip(images, numbers, strict=True):
        expected = np.zeros_like(mine)
        for kind in (1, 2, 3):
            parts = ndimage.label(image == kind, CROSS)[0]
            expected += np.where(parts, parts + expected.max(), 0)
        pairs = set(zip(mine.ravel().tolist(), expected.ravel().tolist(), strict=True))
        assert len(pairs) == len({number for number, _ in pairs}) == len({number for _, number in pairs})
    shared = [set(np.unique(each)) - {0} for each in numbers]
    assert sum(map(len, shared)) == len(set().union(*shared)) == numbers.max()


def everything(probabilities, target, instances):
    return pixel_metrics(probabilities, target) | shape_metrics(probabilities, target, instances)


def test_unknown_pixels_are_as_if_they_were_cut_off():
    probabilities, target = blobs(5, rare=0.2)
    instances = torch.tensor(object_numbers(target.numpy()) % 251)
    cut = everything(probabilities[:, 2:, :-5].contiguous(), target[:, 2:, :-5], instances[:, 2:, :-5])
    target[:, :2], target[:, :, -5:] = 255, 255
    assert everything(probabilities, target, instances) == pytest.approx(cut)
    assert len(cut) == 18 + 5
    target[:] = 255
    assert everything(probabilities, target, instances) == {}


def test_neither_the_order_of_images_nor_single_precision_changes_a_metric():
    probabilities, target = blobs(5, rare=0.2)
    instances = torch.tensor(object_numbers(target.numpy()) % 251)
    scores, order = everything(probabilities, target, instances), torch.randperm(len(target))
    assert everything(probabilities[order], target[order], instances[order]) == pytest.approx(scores)
    assert everything(probabilities.float(), target, instances.to(torch.uint8)) == pytest.approx(scores, abs=1e-4)


def test_a_perfect_prediction_has_perfect_metrics():
    target = blobs()[1]
    instances = torch.tensor(object_numbers(target.numpy()))
    scores = everything(sure(target, 4), target, instances)
    best = dict.fromkeys(scores, 1.0) | dict.fromkeys(
        ("nll", "ece", "brier", "missed", "hausdorff_95", "surface_distance"), 0.0
    )
    del best["soft_area"], scores["soft_area"]
    assert scores == pytest.approx(best)


def test_a_class_of_one_side_counts_as_none_and_one_of_neither_is_left_out():
    """torchmetrics 1.9.0's MeanIoU gives -1 for a class of neither side, and leaves it out as well (LT12)."""
    true, said = masks("0000", "0000", "0000"), masks("0000", "1100", "0000")
    scores = everything(sure(said, 3), true, true)
    tm = MeanIoU(3, include_background=False, per_class=True, input_format="index")(said, true)
    assert tm.tolist() == [0, -1]
    assert [scores[name] for name in ("miou_pooled", "dice_pooled", "miou_image", "iou/1")] == [0, 0, 0, 0]
    assert scores["boundary_f1"] == 0 and scores["missed"] == 1 and scores["pq"] == 0
    assert not {"iou/2", "area_ratio", "ap", "hausdorff_95", "surface_distance"} & set(scores)
    empty = everything(sure(true, 3), true, true)
    assert sorted(empty) == ["brier", "ece", "iou/0", "nll", "pixel_accuracy", "soft_area"]
    both = everything(sure(torch.cat([true, said]), 3), torch.cat([true, said]), None)
    assert both["miou_image"] == both["dice_image"] == 1  # of the one image that has a class


def test_nothing_to_measure():
    assert everything(torch.zeros(0, 4, 4, 3), torch.zeros(0, 4, 4, dtype=torch.int64), None) == {}
