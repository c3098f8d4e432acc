"""Losses of segmentation against MONAI, segmentation_models_pytorch and kornia: where they agree, and where they don't.

A difference is stated by both numbers, theirs and ours. MONAI 1.6.1, segmentation_models_pytorch 0.6.0, kornia 0.9.0.
"""

import pytest
import torch
import torch.nn.functional as F

from lossbench.losses.distance_maps import boundary, hausdorff_dt
from lossbench.losses.lovasz import lovasz_hinge, lovasz_softmax
from lossbench.losses.overlap import dice, focal_tversky, generalized_dice, jaccard, tversky
from lossbench.losses.overlap_squared import dice_squared, power_jaccard
from lossbench.losses.pixels import pixel_bce, pixel_cross_entropy, pixel_focal
from lossbench.losses.sigmoid import ovr_focal
from lossbench.losses.skeleton import cl_dice
from tests.support.losses import assert_same_loss
from tests.support.pixels import certain, images

monai = pytest.importorskip("monai.losses")
smp = pytest.importorskip("segmentation_models_pytorch.losses")
kornia = pytest.importorskip("kornia.losses")

LOGITS, TARGET = images()
NO_SMOOTH = {"smooth_nr": 0.0, "smooth_dr": 0.0}
MONAI = {"softmax": True, "to_onehot_y": True}


def first(logits):
    """As libraries have it: the classes after the samples."""
    return logits.movedim(-1, 1)


def monais(function, logits, target):
    """The mean over the classes, one value for each image."""
    return function(first(logits), target.unsqueeze(1)).reshape(len(logits), -1).mean(1).to(logits)


def each_image(function, logits):
    """Values of a function that gives one number for a batch, for each image by itself."""
    return torch.stack([function(first(logits[[i]]), TARGET[[i]]) for i in range(len(logits))])


# --- Where they agree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (dice, {}),
        (dice_squared, {"squared_pred": True}),
        (jaccard, {"jaccard": True}),
        (power_jaccard, {"jaccard": True, "squared_pred": True}),
    ],
)
def test_dice_and_jaccard_are_monais_of_images_with_all_classes(ours, theirs, smooth, background):
    """Some of its sums are of float32, and its Jaccard loss adds `smooth` to twice the sums."""
    twice = smooth * (2 if "jaccard" in theirs else 1)
    how = {"smooth_nr": twice, "smooth_dr": twice, "include_background": background, **MONAI, **theirs}
    function = monai.DiceLoss(reduction="none", **how)
    assert_same_loss(
        lambda z: ours(z, TARGET, smooth=smooth, background=background),
        lambda z: monais(function, z, TARGET),
        LOGITS,
        rtol=1e-6,
        atol=1e-9,
    )
    pooled = monai.DiceLoss(batch=True, **how)(first(LOGITS), TARGET.unsqueeze(1))
    found = ours(LOGITS, TARGET, smooth=smooth, background=background, per="batch")
    torch.testing.assert_close(found, pooled.expand(3), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.9, 0.2)])
def test_alpha_weighs_false_positives_in_all_three(alpha, beta):
    function = monai.TverskyLoss(alpha=alpha, beta=beta, reduction="none", **NO_SMOOTH, **MONAI)
    ours = lambda z: tversky(z, TARGET, alpha=alpha, beta=beta)  # noqa: E731
    assert_same_loss(ours, lambda z: monais(function, z, TARGET), LOGITS)
    kornias = lambda z: each_image(lambda p, t: kornia.tversky_loss(p, t, alpha, beta, eps=0.0), z)  # noqa: E731
    assert_same_loss(ours, kornias, LOGITS)
    pooled = smp.TverskyLoss("multiclass", alpha=alpha, beta=beta, smooth=0.0, eps=1e-12)
    torch.testing.assert_close(
        tversky(LOGITS, TARGET, alpha=alpha, beta=beta, per="batch"), pooled(first(LOGITS), TARGET).expand(3)
    )


def test_generalized_dice_is_monais_of_images_with_all_classes():
    function = monai.GeneralizedDiceLoss(reduction="none", **NO_SMOOTH, **MONAI)
    assert_same_loss(
        lambda z: generalized_dice(z, TARGET), lambda z: monais(function, z, TARGET), LOGITS, rtol=1e-6, atol=1e-9
    )


def test_lovasz_softmax_is_that_of_both():
    kornias = lambda z: each_image(kornia.lovasz_softmax_loss, z)  # noqa: E731
    assert_same_loss(lambda z: lovasz_softmax(z, TARGET), kornias, LOGITS, rtol=1e-6, atol=1e-9)
    pooled = smp.LovaszLoss("multiclass")(first(LOGITS).float(), TARGET)
    torch.testing.assert_close(lovasz_softmax(LOGITS.float(), TARGET, per="batch"), pooled.expand(3), rtol=1e-5, atol=0)


def test_lovasz_hinge_is_the_mean_over_the_classes_of_that_of_both():
    def of_classes(function):
        return lambda z: torch.stack(
            [each_image(lambda p, t, k=k: function(p[:, [k]], (t == k).long()), z) for k in range(4)]
        ).mean(0)

    for function in (kornia.lovasz_hinge_loss, smp.LovaszLoss("binary", per_image=True)):
        logits = LOGITS.float()
        assert_same_loss(lambda z: lovasz_hinge(z, TARGET), of_classes(function), logits, rtol=1e-4, atol=1e-7)


def test_focal_is_monais_of_a_softmax():
    function = monai.FocalLoss(gamma=1.5, use_softmax=True, to_onehot_y=True, reduction="none")
    theirs = lambda z: 4 * monais(function, z, TARGET)  # noqa: E731  its mean is over the classes, too
    assert_same_loss(lambda z: pixel_focal(z, TARGET, gamma=1.5), theirs, LOGITS, rtol=1e-5, atol=1e-8)  # in float32


@pytest.mark.parametrize("background", [True, False])
def test_hausdorff_is_monais(background):
    function = monai.HausdorffDTLoss(alpha=2.0, reduction="none", include_background=background, **MONAI)
    ours = lambda z: hausdorff_dt(z, TARGET, background=background)  # noqa: E731
    assert_same_loss(ours, lambda z: monais(function, z, TARGET), 3 * LOGITS, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("iterations", [1, 3])
def test_centreline_dice_of_one_class_is_monais(iterations):
    """MONAI sums over the classes of an image; with one that counts there is no difference."""
    target = TARGET.clamp(max=1)
    function = monai.SoftclDiceLoss(iter_=iterations, smooth=1e-15, include_background=False, reduction="none", **MONAI)
    theirs = lambda z: monais(function, z, target)  # noqa: E731
    assert_same_loss(lambda z: cl_dice(z, target, iterations=iterations), theirs, LOGITS[..., :2])


# --- Where they differ --------------------------------------------------------------------------------------------

TWO = torch.tensor([[[0, 0, 0, 0], [1, 1, 1, 1]]])
"""One image of two classes, in which a third is absent."""
EVEN = torch.zeros(1, 2, 4, 3, dtype=torch.float64)
"""p = 1/3 everywhere: each class that is there has the Dice score 2/5, the absent one 0."""


def test_absent_classes_are_in_the_mean_of_monai_and_smp_and_not_of_kornia():
    assert dice(EVEN, TWO).item() == pytest.approx(1 - 2 * (4 / 3) / (4 + 8 / 3))  # .6
    assert kornia.dice_loss(first(EVEN), TWO, average="macro", eps=0.0).item() == pytest.approx(0.6)
    theirs = monai.DiceLoss(**NO_SMOOTH, **MONAI)(first(EVEN), TWO.unsqueeze(1)).item()
    assert theirs == pytest.approx((0.6 + 0.6 + 1) / 3)  # .7333: the absent class counts, as not hit at all
    smps = smp.DiceLoss("multiclass", eps=1e-12)(first(EVEN), TWO).item()
    assert smps == pytest.approx((0.6 + 0.6 + 0) / 3)  # .4: the absent class counts, as hit


def test_kornias_lovasz_loss_counts_absent_classes_unlike_its_dice_loss():
    theirs = kornia.lovasz_softmax_loss(first(EVEN), TWO).item()
    assert theirs == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)  # .5556: of the absent one the largest probability
    assert lovasz_softmax(EVEN, TWO).item() == pytest.approx(2 / 3)
    assert smp.LovaszLoss("multiclass")(first(EVEN).float(), TWO).item() == pytest.approx(2 / 3)


def test_smp_pools_the_batch_and_monai_does_not():
    pooled = smp.JaccardLoss("multiclass", eps=1e-12)(first(LOGITS), TARGET).item()
    assert pooled == pytest.approx(jaccard(LOGITS, TARGET, per="batch")[0].item(), rel=1e-9)
    by_image = monai.DiceLoss(jaccard=True, **NO_SMOOTH, **MONAI)(first(LOGITS), TARGET.unsqueeze(1)).item()
    assert by_image == pytest.approx(jaccard(LOGITS, TARGET).mean().item(), rel=1e-9)
    assert abs(pooled - by_image) > 1e-3


def test_kornias_dice_is_one_of_all_classes_together_by_default():
    theirs = kornia.dice_loss(first(LOGITS), TARGET, eps=0.0).item()
    p_y = LOGITS.softmax(-1).gather(-1, TARGET.unsqueeze(-1)).mean((1, 2, 3))  # 2 TP / 2 M: the mean of p_y
    assert theirs == pytest.approx(1 - p_y.mean().item())
    assert abs(theirs - dice(LOGITS, TARGET).mean().item()) > 0.02


def test_kornias_alpha_of_the_focal_loss_takes_class_0_for_the_background():
    values = -LOGITS.log_softmax(-1).gather(-1, TARGET.unsqueeze(-1)).squeeze(-1)
    values = (1 - (-values).exp()) ** 2 * values
    theirs = kornia.focal_loss(first(LOGITS), TARGET, alpha=0.2, gamma=2.0, reduction="none").sum(1)
    torch.testing.assert_close(theirs, torch.where(TARGET == 0, 0.8, 0.2).double() * values)
    mean = kornia.focal_loss(first(LOGITS), TARGET, alpha=None, gamma=2.0, reduction="mean")
    torch.testing.assert_close(4 * mean, pixel_focal(LOGITS, TARGET).mean())  # its mean is over the classes, too


def test_monais_focal_loss_is_one_of_sigmoids_by_default():
    theirs = 4 * monais(monai.FocalLoss(gamma=2.0, to_onehot_y=True, reduction="none"), LOGITS, TARGET)
    torch.testing.assert_close(theirs, ovr_focal(LOGITS, TARGET, gamma=2.0).mean((1, 2)), rtol=1e-5, atol=0)
    assert ((theirs / pixel_focal(LOGITS, TARGET) - 1).abs() > 0.1).all()


@pytest.mark.parametrize(("classes", "value"), [(2, 0.0866), (4, 0.0433)])
def test_smps_focal_loss_of_perfect_probabilities_is_not_0(classes, value):
    """It gives log p to a sigmoid, so that p = 1 comes out as 1/2: .25 log 2 at each true class, over K classes."""
    target = TARGET.clamp(max=classes - 1)
    truth = first(F.one_hot(target, classes).double())
    theirs = smp.FocalLoss("multiclass", gamma=2.0, from_logits=False)(truth, target).item()
    assert theirs == pytest.approx(value, abs=1e-4)
    assert pixel_focal(certain(target, classes), target).max().item() == 0


def test_smps_focal_tversky_has_the_exponent_gamma_on_the_mean():
    pooled = tversky(LOGITS, TARGET, per="batch")[0].item()
    theirs = smp.TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=0.75, eps=1e-12)(first(LOGITS), TARGET).item()
    assert theirs == pytest.approx(pooled**0.75)
    ours = focal_tversky(LOGITS, TARGET, gamma=4 / 3, per="batch")[0].item()
    assert ours < theirs - 1e-4  # the mean of the powers, which are concave


def test_monais_boundary_loss_does_not_see_thin_objects():
    """It adds 1 to distances inside: a perfect square of 3 pixels has -.04, one of 2 pixels 0 as if not there."""
    target = torch.zeros(2, 5, 5, dtype=torch.int64)
    target[0, 1:4, 1:4], target[1, 1:3, 1:3] = 1, 1
    function = monai.BoundaryLoss(include_background=False, reduction="none", **MONAI)
    theirs = monais(function, certain(target, 2), target)
    assert theirs.tolist() == pytest.approx([-0.04, 0.0])
    assert boundary(certain(target, 2), target, background=False).tolist() == pytest.approx([-0.4, -0.16])
    smooth = LOGITS[:2, :5, :5, :2]
    difference = monais(function, smooth, target) - boundary(smooth, target, background=False)
    torch.testing.assert_close(difference, (smooth.softmax(-1)[..., 1] * target).mean((1, 2)), rtol=1e-6, atol=0)


def test_monais_generalized_dice_gives_an_absent_class_the_largest_weight():
    theirs = monai.GeneralizedDiceLoss(**NO_SMOOTH, **MONAI)(first(EVEN), TWO.unsqueeze(1)).item()
    assert generalized_dice(EVEN, TWO).item() == pytest.approx(0.6)
    assert theirs == pytest.approx(1 - 2 * (8 / 3) / (2 * (4 + 8 / 3) + 8 / 3))  # .6667


def test_monais_centreline_dice_sums_over_classes():
    function = monai.SoftclDiceLoss(smooth=1e-15, include_background=False, reduction="none", **MONAI)
    theirs = monais(function, LOGITS, TARGET)
    assert ((theirs - cl_dice(LOGITS, TARGET)).abs() > 1e-3).all()


def test_library_means_over_classes():
    """torch's and smp's binary cross-entropy of one-hot targets is a mean over the classes, too; ours is their sum."""
    truth = first(F.one_hot(TARGET, 4).double())
    theirs = smp.SoftBCEWithLogitsLoss()(first(LOGITS), truth)
    torch.testing.assert_close(pixel_bce(LOGITS, TARGET).mean(), 4 * theirs)
    torch.testing.assert_close(
        pixel_cross_entropy(LOGITS, TARGET).mean(), smp.SoftCrossEntropyLoss(smooth_factor=0.0)(first(LOGITS), TARGET)
    )
