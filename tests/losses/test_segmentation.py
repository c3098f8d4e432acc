"""What all losses of segmentation keep: ignored pixels, absent classes, precision, order, and labels that are none."""

import pytest
import torch

from lossbench import load_loss
from lossbench.losses.facts import declared_losses
from lossbench.losses.labelled_pixels import IGNORED
from tests.support.losses import value_and_gradient
from tests.support.pixels import COUNTS, LOSSES, PIXELWISE, certain, images, loss_named, masks

each_loss = pytest.mark.parametrize("name", LOSSES)
WITH_PER = [name for name in LOSSES if "per" in declared_losses()[name].ranges]
ROWS, COLUMNS = slice(3, 14), slice(3, 16)  # sizes and places at which pooling by 3 has the same borders


def on(name, target, **settings):
    loss = loss_named(name, **settings)
    return lambda logits: loss(logits, target)


@each_loss
def test_a_border_of_ignored_pixels_is_as_if_it_was_cut_off(name):
    logits, target = images()
    framed = torch.full_like(target, IGNORED)
    framed[:, ROWS, COLUMNS] = target[:, ROWS, COLUMNS]
    values, gradient = value_and_gradient(on(name, framed), logits)
    cut, of_cut = value_and_gradient(on(name, target[:, ROWS, COLUMNS]), logits[:, ROWS, COLUMNS])
    torch.testing.assert_close(values, cut)
    torch.testing.assert_close(gradient[:, ROWS, COLUMNS], of_cut)
    gradient[:, ROWS, COLUMNS] = 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("name", PIXELWISE)
def test_ignored_pixels_anywhere_are_as_if_they_were_not_there(name, per):
    """For losses that don't look at where a pixel is."""
    logits, target = images()
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randperm(16 * 17, generator=generator)[:200].sort().values for _ in target]
    thinned = torch.full_like(target, IGNORED).flatten(1)
    for image, kept in enumerate(rows):
        thinned[image, kept] = target[image].flatten()[kept]
    left = torch.stack([target[image].flatten()[kept] for image, kept in enumerate(rows)]).unsqueeze(1)
    settings = {"per": per} if name in WITH_PER else {}
    values, gradient = value_and_gradient(on(name, thinned.view_as(target), **settings), logits)

    def of_the_rest(logits):
        pixels = torch.stack([logits[image].flatten(0, 1)[kept] for image, kept in enumerate(rows)])
        return loss_named(name, **settings)(pixels.unsqueeze(1), left)

    expected, its_gradient = value_and_gradient(of_the_rest, logits)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gradient, its_gradient)


@each_loss
def test_ignored_pixels_have_no_gradient_and_no_influence(name):
    logits, target = images()
    generator = torch.Generator().manual_seed(2)
    ignored = torch.rand(target.shape, generator=generator) < 0.2
    target[ignored] = IGNORED
    values, gradient = value_and_gradient(on(name, target), logits)
    assert (gradient[ignored] == 0).all() and (gradient[~ignored] != 0).any()
    logits[ignored] = 50 * torch.randn(logits[ignored].shape, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(loss_named(name)(logits, target), values)


@each_loss
def test_an_image_without_a_valid_pixel_has_the_value_and_gradient_0(name):
    logits, target = images()
    target[1] = IGNORED
    values, gradient = value_and_gradient(on(name, target), logits)
    assert values[1] == 0 and (gradient[1] == 0).all()
    whole, of_whole = value_and_gradient(on(name, target[::2]), logits[::2])
    torch.testing.assert_close(values[::2], whole)
    torch.testing.assert_close(gradient[::2], of_whole)
    values, gradient = value_and_gradient(on(name, torch.full_like(target, IGNORED)), logits)
    assert (values == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize(
    "name", [name for name in LOSSES if name not in ("cl_dice", "mask_ssim", "region_mutual_information")]
)
def test_one_class_alone_can_be_learned_and_has_finite_gradients(name):
    """Of an image that one class fills, with all others absent."""
    logits, target = images(1, classes=4)
    target[:] = 2
    values, gradient = value_and_gradient(on(name, target), logits)
    assert values.isfinite().all() and gradient.isfinite().all()
    if name not in ("boundary", "hausdorff_dt"):  # without a border there is no distance to it
        assert (gradient[..., 2] <= 0).all() and (gradient[..., 2] < 0).any()


@pytest.mark.parametrize("name", [name for name in LOSSES if "background" in declared_losses()[name].annotations])
def test_absent_classes_and_the_background_are_left_out(name):
    logits, target = images()
    settings = {"w_cross": 0.0} if name == "exponential_logarithmic" else {}
    loss = loss_named(name, background=False, **settings)
    target[target == 3] = 0
    logits[..., 3] = -2000  # absent, and nowhere predicted: as if there were three classes
    of_three = {"class_counts": COUNTS[:3]} if settings else {}
    torch.testing.assert_close(loss(logits, target), loss(logits[..., :3], target, **of_three))
    values, gradient = value_and_gradient(lambda z: loss(z, torch.zeros_like(target)), logits)
    assert (values == 0).all() and (gradient == 0).all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_finite_at_extreme_outputs(name, dtype):
    _, target = images(2)
    target[0, :4] = IGNORED
    signs = torch.randn(*target.shape, 4, generator=torch.Generator().manual_seed(3)).sign()
    for magnitude in (1e4, 1e2, 30.0, 0.0):
        for logits in ((signs * magnitude).to(dtype), certain(target.clamp(max=3)).to(dtype) * magnitude / 2000):
            for values in value_and_gradient(on(name, target), logits):
                assert values.isfinite().all()


@each_loss
def test_half_precision_is_computed_in_float32(name):
    logits, target = images(dtype=torch.bfloat16)
    values, gradient = value_and_gradient(on(name, target), logits)
    expected, its_gradient = value_and_gradient(on(name, target), logits.float())
    assert values.dtype == torch.float32 and gradient.dtype == torch.bfloat16
    torch.testing.assert_close(values, expected, rtol=0, atol=0)
    torch.testing.assert_close(gradient, its_gradient.bfloat16())


@each_loss
def test_the_gradient_is_that_of_the_value(name):
    logits, target = images(1, height=8, width=7)
    target[0, 0, :3] = IGNORED
    assert torch.autograd.gradcheck(on(name, target), logits.requires_grad_())
    for per in ("batch",) if name in WITH_PER else ():
        assert torch.autograd.gradcheck(on(name, target, per=per), logits)


@each_loss
def test_an_image_has_the_same_value_alone_and_follows_its_place(name):
    logits, target = images()
    values = loss_named(name)(logits, target)
    alone = torch.cat([loss_named(name)(logits[[image]], target[[image]]) for image in range(3)])
    torch.testing.assert_close(values, alone)
    torch.testing.assert_close(loss_named(name)(logits[[2, 0, 1]], target[[2, 0, 1]]), values[[2, 0, 1]])


@pytest.mark.parametrize("name", WITH_PER)
def test_per_batch_is_the_value_of_all_images_as_one(name):
    logits, target = images()
    together = loss_named(name, per="batch")(logits, target)
    if name == "exponential_logarithmic":  # its part of pixels stays one of each image
        of_pixels = loss_named(name, w_dice=0.0)(logits, target)
        together = together - of_pixels + of_pixels.mean()
    joined = loss_named(name)(logits.flatten(0, 1).unsqueeze(0), target.flatten(0, 1).unsqueeze(0))
    torch.testing.assert_close(together, joined.expand(3))
    assert not torch.isclose(together, loss_named(name)(logits, target)).any()


@each_loss
def test_classes_can_change_places(name):
    logits, target = images()
    order = torch.tensor([3, 0, 1, 2])
    settings = {"background": True} if name == "cl_dice" else {}
    if declared_losses()[name].needs:
        settings["class_counts"] = [COUNTS[label] for label in order]
    moved = loss_named(name, **settings)(logits[..., order], order.argsort()[target])
    settings.pop("class_counts", None)
    torch.testing.assert_close(moved, loss_named(name, **settings)(logits, target))


@each_loss
def test_values_can_be_vectorised(name):
    logits, target = images(6)
    logits, target = logits.view(2, 3, *logits.shape[1:]), target[:3]
    together = torch.func.vmap(loss_named(name), (0, None))(logits, target)
    torch.testing.assert_close(together, torch.stack([loss_named(name)(each, target) for each in logits]))


@each_loss
def test_labels_that_are_no_class_are_refused(name):
    logits, target = images(1)
    assert loss_named(name)(logits, target.to(torch.uint8)).equal(loss_named(name)(logits, target))
    for label in (4, -1, 254):
        target[0, 0, 0] = label
        with pytest.raises((RuntimeError, IndexError)):
            loss_named(name)(logits, target)
    with pytest.raises(ValueError, match="integer class indices"):
        loss_named(name)(logits, target[:, 1:])
    with pytest.raises(ValueError, match="integer class indices"):
        loss_named(name)(logits, images(1)[1].double())


@pytest.mark.parametrize("name", WITH_PER)
def test_what_is_summed_is_said_rightly(name):
    with pytest.raises(ValueError, match="allowed is 'image' or 'batch'"):
        loss_named(name, per="pixel")(*images(1))


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky", "lovasz_softmax", "dice_squared", "power_jaccard"])
def test_hard_predictions_are_judged_as_sets(name):
    """Of 30 random pairs of masks: 1 - Dice or 1 - IoU, the mean over the classes of the truth, some of them absent."""
    predicted, target = masks()
    target[target == 3] = torch.where(torch.arange(30) % 3 == 0, 1, 3)[:, None, None].expand_as(target)[target == 3]
    alpha, beta = {"dice": (0.5, 0.5), "dice_squared": (0.5, 0.5), "tversky": (0.3, 0.7)}.get(name, (1, 1))
    for background in (True, False):
        expected = []
        for prediction, truth in zip(predicted.flatten(1).tolist(), target.flatten(1).tolist(), strict=True):
            scores = []
            for label in set(truth) - (set() if background else {0}):
                a, b = ({place for place, one in enumerate(each) if one == label} for each in (prediction, truth))
                scores.append(len(a & b) / (len(a & b) + alpha * len(a - b) + beta * len(b - a)))
            expected.append(1 - sum(scores) / len(scores))
        values = loss_named(name, background=background)(certain(predicted), target)
        torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@each_loss
def test_as_a_library_a_wrong_label_is_named(name):
    logits, target = images(1)
    target[0, 0, 0] = 9
    settings = (
        {"class_counts": [5] * logits.shape[-1]}
        if name in ("pixel_weighted_cross_entropy", "exponential_logarithmic")
        else {}
    )
    with pytest.raises(ValueError, match=r"go from 0 to 9; .* labels from 0 to 3; one that is not known is 255"):
        load_loss(name, **settings)(logits, target)
