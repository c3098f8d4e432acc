"""The loss of several tasks: value and gradient against torch, each part for itself; what is refused."""

import pytest
import torch
import torch.nn.functional as F

from lossbench import load_loss
from lossbench.catalogue.binding import bind
from lossbench.errors import ConfigError
from lossbench.losses import several_tasks
from lossbench.losses.multitask import apart, beside
from lossbench.tasks.problem import Part
from tests.support.losses import assert_same_loss

PARTS = {"digit": "multiclass", "size": "regression", "paid": "binary"}
GENERATOR = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(8, 6, generator=GENERATOR, dtype=torch.float64)
TARGET = torch.stack([torch.arange(8) % 4, torch.linspace(-1, 2, 8), torch.arange(8) % 2], 1).double()


def test_value_and_gradient_are_those_of_the_parts():
    loss = load_loss("several_tasks", parts=PARTS, num_classes=4, terms={"size": "mae"}, weights={"paid": 0.25})

    def by_hand(outputs):
        digit = F.cross_entropy(outputs[:, :4], TARGET[:, 0].long(), reduction="none")
        size = (outputs[:, 4] - TARGET[:, 1]).abs()
        paid = F.binary_cross_entropy_with_logits(outputs[:, 5], TARGET[:, 2], reduction="none")
        return digit + size + 0.25 * paid

    assert_same_loss(lambda outputs: loss(outputs, TARGET), by_hand, OUTPUTS)
    terms = loss.terms(OUTPUTS, TARGET)
    assert list(terms) == list(PARTS) == list(loss.term_names)
    weighed = loss.weighed(terms)
    torch.testing.assert_close(sum(weighed.values()), loss(OUTPUTS, TARGET))
    torch.testing.assert_close(weighed["paid"], 0.25 * terms["paid"])


def test_images_keep_their_shape():
    names = ("background", "one", "two")
    parts = {"mask": Part("segmentation", (3, 4), names, (9, 2, 1)), "order": Part("depth", (3, 4))}
    loss = bind(several_tasks, {}, {"parts": parts}, "scene_parts")
    logits, depth = torch.randn(2, 3, 4, 3, generator=GENERATOR), torch.randn(2, 3, 4, generator=GENERATOR)
    mask, order = torch.arange(24).view(2, 3, 4) % 3, torch.rand(2, 3, 4, generator=GENERATOR) + 1
    terms = loss.terms(beside([logits, depth]), beside([mask.float(), order]))
    pixels = F.cross_entropy(logits.movedim(-1, 1), mask, reduction="none").mean((1, 2))
    torch.testing.assert_close(terms["mask"], pixels)
    torch.testing.assert_close(terms["order"], (depth.exp() - order).abs().mean((1, 2)))


def test_what_stands_beside_one_another_is_taken_apart_again():
    shapes = {"a": (2, 3), "b": (), "c": (4,)}
    parts = {name: torch.randn(5, *shape) for name, shape in shapes.items()}
    found = apart(beside(list(parts.values())), shapes)
    assert all(torch.equal(found[name], parts[name]) for name in shapes)
    with pytest.raises(
        ValueError, match=r"the rows have shape \(5, 3\), but the parts need \(N, 11\): a: 6, b: 1, c: 4"
    ):
        apart(torch.zeros(5, 3), shapes)


def test_each_part_gets_its_own_classes_features_and_memory():
    terms = {"left": "elr", "right": {"name": "influence_balanced", "start_epoch": 0}}
    parts = {
        "left": Part("multiclass", (), ("a", "b", "c"), (5, 3, 2)),
        "right": Part("multiclass", (), ("x", "y"), (4, 6)),
    }
    loss = bind(several_tasks, {"terms": terms}, {"parts": parts, "num_samples": 6, "max_epochs": 2}, "digit_pair")
    features = {"left": torch.zeros(6, 3), "right": torch.randn(6, 3, generator=GENERATOR)}
    outputs, target = torch.randn(6, 5, generator=GENERATOR), torch.stack([torch.arange(6) % 3, torch.arange(6) % 2], 1)
    known = {"index": torch.arange(6), "inputs": torch.zeros(6, 1), "epoch": 1}
    found = loss.terms(outputs, target.float(), features=features, **known)
    context = {"num_classes": 2, "class_counts": [4, 6], "max_epochs": 2}
    alone = load_loss("influence_balanced", **context, start_epoch=0)
    expected = alone(outputs[:, 3:], target[:, 1], features=features["right"], epoch=1)
    torch.testing.assert_close(found["right"], expected)
    assert [tuple(each.shape) for each in loss.module.buffers()] == [(6, 3)]  # what ELR remembers of the left part


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"terms": {"lft": "focal"}}, "loss.terms.lft=focal: there is no part 'lft'. Allowed: digit, paid, size."),
        (
            {"terms": {"size": "focal"}},
            "loss.terms.size=focal: it is a loss for multiclass, but the part size is regre",
        ),
        ({"terms": {"size": "hubr"}}, "loss.terms.size=hubr: no such loss. Nearest: huber."),
        ({"terms": {"size": {"name": "huber", "d": 1}}}, "loss.terms.size: huber has no parameter 'd'. Nearest: delta"),
        ({"terms": {"size": "several_tasks"}}, "it is the loss of several tasks, not of one"),
        ({"terms": "focal"}, "loss.terms=focal: give one by the name of a part, such as loss.terms.digit=focal"),
        ({"weights": {"size": -1.0}}, r"loss.weights.size=-1.0 is out of range: allowed is \[0, inf\)."),
        ({"weights": {"size": "much"}}, "loss.weights.size=much is out of range"),
        ({"weights": {"size": True}}, "loss.weights.size=True is out of range"),
        ({"weights": dict.fromkeys(PARTS, 0)}, "all are 0, so that nothing is learned"),
        ({"parts": {}}, "loss=several_tasks is for several tasks of one network"),
    ],
)
def test_what_is_no_part_or_no_loss_of_it_is_told(given, said):
    with pytest.raises(ConfigError, match=said):
        load_loss("several_tasks", **{"parts": PARTS, "num_classes": 4, **given})


def test_a_sum_of_losses_can_be_a_term():
    terms = {"digit": {"name": "weighted_sum", "terms": ["cross_entropy", "mae_prob"], "weights": [1.0, 0.5]}}
    loss = load_loss("several_tasks", parts=PARTS, num_classes=4, terms=terms)
    alone = load_loss("weighted_sum", terms=["cross_entropy", "mae_prob"], weights=[1.0, 0.5], num_classes=4)
    expected = alone(OUTPUTS[:, :4], TARGET[:, 0].long())
    torch.testing.assert_close(loss.terms(OUTPUTS, TARGET)["digit"], expected)
