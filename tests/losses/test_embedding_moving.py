"""AdaCos and the center loss, what moves with the batches by hand: in loops over samples, as the papers say it."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn import functional as F

from lossbench.losses.embedding_margin import embedding_norm_softmax, embedding_softmax
from lossbench.losses.embedding_moving import adacos, center_loss
from tests.support.embeddings import CLASSES, EMBEDDINGS, NUM_CLASSES, WIDTH, made
from tests.support.losses import assert_same_loss, value_and_gradient

# --- AdaCos -------------------------------------------------------------------------------------------------------


def scale_by_hand(embeddings, target, weight, before):
    """The paper's dynamic scale, sample by sample."""
    total, angles = 0.0, []
    for x, y in zip(embeddings, target, strict=True):
        for k, w in enumerate(weight):
            cosine = x @ w / np.linalg.norm(x) / np.linalg.norm(w)
            if k == y:
                angles.append(math.acos(cosine))
            else:
                total += math.exp(before * cosine)
    return math.log(total / len(target)) / math.cos(min(math.pi / 4, sorted(angles)[(len(angles) - 1) // 2]))


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("samples", [4, 5])
def test_adacos_scale_of_two_steps_is_that_of_the_paper(samples, near):
    ours = made(adacos)
    target = torch.tensor([0, 1, 1, 4, 2])[:samples]
    directions = ours.weight.detach()[target]
    scale = math.sqrt(2) * math.log(NUM_CLASSES - 1)
    assert ours.scale.item() == pytest.approx(scale)
    for step in range(2):
        noise = EMBEDDINGS[5 * step : 5 * step + samples]
        embeddings = directions + 0.1 * noise if near else noise  # angles below pi / 4, or most above it
        values = ours(embeddings, target)
        scale = scale_by_hand(embeddings.numpy(), target.tolist(), ours.weight.detach().numpy(), scale)
        assert ours.scale.item() == pytest.approx(scale, rel=1e-6)
        plain = made(embedding_norm_softmax, s=scale)
        plain.weight.data.copy_(ours.weight.data)
        torch.testing.assert_close(values, plain(embeddings, target), rtol=1e-6, atol=1e-7)


def test_adacos_has_the_gradient_of_a_fixed_scale():
    ours = made(adacos)
    ours(EMBEDDINGS, CLASSES)
    moved = ours.scale.item()
    ours.scale = torch.tensor(math.sqrt(2) * math.log(NUM_CLASSES - 1)).double()
    plain = made(embedding_norm_softmax, s=moved)
    plain.weight.data.copy_(ours.weight.data)

    def from_the_start(embeddings):
        ours.scale = torch.tensor(math.sqrt(2) * math.log(NUM_CLASSES - 1)).double()
        return ours(embeddings, CLASSES)

    assert_same_loss(from_the_start, lambda x: plain(x, CLASSES), EMBEDDINGS, rtol=1e-6, atol=1e-9)


def test_adacos_keeps_its_scale_outside_training_and_in_a_checkpoint():
    ours = made(adacos)
    ours(EMBEDDINGS[:7], CLASSES[:7])
    scale = ours.scale.clone()
    ours.eval()(EMBEDDINGS, CLASSES)
    assert ours.scale == scale and ours.state_dict()["scale"] == scale
    assert not ours.scale.requires_grad


@pytest.mark.parametrize("num_classes", [2, 3])
def test_adacos_scale_stays_above_0_with_few_classes(num_classes):
    """The formula by hand: two classes start at 0; opposite ones let log B fall to -s."""
    ours = made(adacos, num_classes=num_classes, num_features=2)
    assert ours.scale.item() == pytest.approx(math.sqrt(2) * math.log(2))
    ours.weight.data.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, -0.1]]).double()[:num_classes])
    for _ in range(20):
        ours(torch.tensor([[1.0, 0.0]]).double(), torch.tensor([0]))
        assert ours.scale >= 0.1


def test_adacos_scale_that_would_grow_without_bound_stops_at_twice_its_start():
    """A wrong direction beside the embeddings, whose own is far: s = log(exp(0.99 s) + ...) sqrt(2) by the paper."""
    ours = made(adacos, num_classes=3, num_features=2)
    ours.weight.data.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.1], [1.0, -0.1]]))
    x, y, by_the_paper = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([0]), ours.scale.item()
    for _ in range(15):
        by_the_paper = scale_by_hand(x.numpy(), [0], ours.weight.detach().numpy(), by_the_paper)
        ours(x, y)
    assert by_the_paper > 100 and ours.scale.item() == pytest.approx(2 * math.sqrt(2) * math.log(2))


# --- Center loss --------------------------------------------------------------------------------------------------


def moved_by_hand(centers, embeddings, target, alpha):
    moved = centers.copy()
    for k in range(len(centers)):
        pull, count = np.zeros(centers.shape[1]), 0
        for x, y in zip(embeddings, target, strict=True):
            if y == k:
                pull, count = pull + (centers[k] - x), count + 1
        moved[k] = centers[k] - alpha * pull / (1 + count)
    return moved


def test_center_loss_and_its_centres_of_three_steps_are_those_of_the_paper():
    ours = made(center_loss, lam=0.3, alpha=0.4)
    weight, bias = (each.detach().numpy() for each in ours.linear.parameters())
    centers = np.zeros((NUM_CLASSES, WIDTH))
    for step in range(3):
        rows = slice(7 * step, 7 * step + 7)
        embeddings, target = EMBEDDINGS[rows], (CLASSES[rows] % 3)  # classes 3 and 4 are absent
        x, y = embeddings.numpy(), target.numpy()
        values, gradient = value_and_gradient(lambda x, y=target: ours(x, y), embeddings)
        logits, true = x @ weight.T + bias, np.eye(NUM_CLASSES)[y]
        apart = x - centers[y]
        expected = -(log_softmax(logits, 1) * true).sum(1) + 0.15 * (apart**2).sum(1)
        np.testing.assert_allclose(values, expected, rtol=1e-10)
        np.testing.assert_allclose(gradient, (softmax(logits, 1) - true) @ weight + 0.3 * apart, rtol=1e-9, atol=1e-12)
        centers = moved_by_hand(centers, x, y, 0.4)
        np.testing.assert_allclose(ours.centers, centers, rtol=1e-10, atol=1e-12)
    assert (ours.centers[3:] == 0).all() and not ours.centers.requires_grad


def test_one_sample_moves_its_centre_half_of_alpha_and_many_nearly_alpha():
    one, many = made(center_loss, alpha=0.5), made(center_loss, alpha=0.5)
    x = torch.tensor([[8.0, 0.0, 0.0]]).double()
    one(x, torch.tensor([0])), many(x.expand(99, 3), torch.zeros(99, dtype=torch.long))
    assert one.centers[0, 0].item() == pytest.approx(2.0) and many.centers[0, 0].item() == pytest.approx(3.96)


def test_centres_stay_outside_training():
    ours = made(center_loss)
    ours(EMBEDDINGS, CLASSES)
    before = ours.centers.clone()
    ours.eval()(3 * EMBEDDINGS, CLASSES)
    assert torch.equal(ours.centers, before) and set(ours.state_dict()) == {"centers", "linear.weight", "linear.bias"}


def test_center_loss_without_weight_is_the_softmax():
    ours, plain = made(center_loss, lam=0.0), made(embedding_softmax)
    plain.load_state_dict({name: each for name, each in ours.state_dict().items() if name != "centers"})
    assert_same_loss(lambda x: ours(x, CLASSES), lambda x: plain(x, CLASSES), EMBEDDINGS)


def test_centres_come_to_the_means_of_steady_classes():
    ours = made(center_loss, alpha=0.9)
    for _ in range(200):
        ours(EMBEDDINGS, CLASSES)
    true = F.one_hot(CLASSES).double()
    torch.testing.assert_close(ours.centers, true.T @ EMBEDDINGS / true.sum(0)[:, None])
