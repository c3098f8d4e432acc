"""Inputs on which losses are compared, and the comparison: of value and gradient.

A factor that is detached by mistake passes a test of the value alone.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby, product

import torch
from omegaconf import OmegaConf

from lossbench.catalogue.examine.contract import Rule
from lossbench.catalogue.examine.loss_under_test import LossUnderTest
from lossbench.catalogue.facts import hyperparameters
from lossbench.locate import CONF, locate
from lossbench.losses.facts import declared_losses

COUNTS = [100, 10, 1]
# One batch whose values were computed apart from this project (float64; class counts 100, 10, 1).
LOGITS = torch.tensor([[2, -1, 0.5], [0, 3, -2], [1, 1, 1], [-4, 0, 4]], dtype=torch.float64)
TARGET = torch.tensor([0, 2, 1, 2])
CIFAR_COUNTS = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
"""The class counts of CIFAR-10-LT with imbalance factor 100."""
_KINKLESS = torch.linspace(-6, 6, 100, dtype=torch.float64)  # none so near to zero that rounding gives it a sign
RESIDUALS = torch.cat([_KINKLESS, torch.tensor([-900.0, 900.0]).double()])


def value_and_gradient(function, outputs):
    """Return the values of a loss and the gradient of their sum."""
    outputs = outputs.clone().requires_grad_()
    values = function(outputs)
    (gradient,) = torch.autograd.grad(values.sum(), outputs)
    return values.detach(), gradient


def assert_same_loss(function, reference, outputs, rtol=1e-10, atol=1e-12):
    """Hold value and gradient of two functions of the outputs against each other."""
    for got, expected in zip(
        value_and_gradient(function, outputs), value_and_gradient(reference, outputs), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=rtol, atol=atol)


def subject_of(name: str) -> LossUnderTest:
    """Return a loss of the catalogue as its examination takes it."""
    node = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
    parameters = hyperparameters(node)
    return LossUnderTest(name, locate(node["_target_"]), parameters, node.get("search", {}), in_catalogue=True)


def broken(subject: LossUnderTest, rules: Iterable[Rule]) -> dict[str, str]:
    """Return the rules that a loss does not keep, with what is said of each."""
    found = {}
    for point in rules:
        try:
            point(subject)
        except Exception as error:
            found[point.__name__] = f"{type(error).__name__}: {error}"
    return found


def losses_of(task: str) -> list[str]:
    """Return the losses that are made for a task."""
    return [name for name, facts in declared_losses().items() if facts.task == task]


def all_paths(logits):
    """The log-probability of every path of one line by what it collapses to."""
    log_probabilities, found = logits.log_softmax(-1), defaultdict(list)
    blank = logits.shape[1] - 1
    for path in product(range(blank + 1), repeat=len(logits)):
        collapsed = tuple(label for label, _ in groupby(path) if label != blank)
        found[collapsed].append(sum(log_probabilities[frame, label] for frame, label in enumerate(path)))
    return {line: torch.stack(each) for line, each in found.items()}
