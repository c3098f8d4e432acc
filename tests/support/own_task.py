"""A small task: its package, two losses of it and their YAML, as texts of files."""

FACTS = '''
"""On which side of the median a number lies."""

from lossbench.tasks.task import Metric, Page, Task

TASK = Task(
    name="side", title="side of the median", package=__name__, target="number", data=("regression",),
    metrics=(
        Metric("side_accuracy", "higher", "share of right sides"),
        Metric("doubt", "lower", "mean distance of the chance to the truth"),
        Metric("certainty", "neither", "mean distance of the chance to one half", when="end"),
    ),
    columns=("side_accuracy", "doubt"), monitor="side_accuracy", baseline="logistic",
    context=("epoch", "features", "index", "inputs"), stacked=False,
    pages=(Page("Sides of the median", "Only the side matters."),),
)
'''
EVALUATE = """
import torch

from lossbench.tasks.example import context_for, outputs_for


def example(loss, num_classes, samples, generator):
    outputs = outputs_for(loss, num_classes, samples, generator)
    return outputs, torch.randn(samples, generator=generator), context_for(outputs, samples, generator)


def check_link(linked, samples, num_classes):
    assert linked.shape == (samples, 2)


def predict(loss, kept, problem):
    right = (kept["target"] > 0).double()
    return {"chance": loss.link(kept["outputs"])[:, 1], "right": right, "index": kept["index"]}


def measure(part, predictions, problem):
    distance = (predictions["chance"] - predictions["right"]).abs()
    return {"side_accuracy": float((distance < 0.5).double().mean()), "doubt": float(distance.mean())}


def measure_final(part, predictions, problem):
    return {"certainty": float((predictions["chance"] - 0.5).abs().mean())}
"""
FIGURES = """
from lossbench.tasks.drawing import save_figure


def of_run(folder, entry, last, snapshots):
    chance = last["test"]["chance"].numpy()
    return [save_figure(folder / "chances.png", lambda axes: axes.hist(chance))]
"""
REPORT = """
from lossbench.compare.report.figures.drawing import Picture, one_panel


def sides(analysis):
    figure, axes = one_panel(2.0)
    axes.barh(analysis.counted, [analysis.main.intervals[label].mean for label in analysis.counted])
    return [Picture("sides", "The right side of each loss", "Made up.", figure)]


PICTURES = (sides,)
"""
LOSSES = """
from torch.nn.functional import softplus

from lossbench.losses import loss
from lossbench.losses.links import sigmoid


@loss(task="side", link=sigmoid, source="Cox 1958")
def logistic(outputs, target):
    return softplus(-outputs * target.sign())


@loss(task="side", link=sigmoid, source="Cox 1958", ranges={"margin": "(0, inf)"})
def side_hinge(outputs, target, *, margin: float = 1.0):
    return (margin - outputs * target.sign()).clamp_min(0)
"""
TASK_YAML = "_target_: side_of_median.TASK\nname: side\n"
LOSS_YAML = "defaults: [override /task@_global_.task: side, _self_]\n_target_: side_losses.{}\n{}"
SAMPLE = """
import torch

from lossbench.tasks.problem import made_up_problem


def sample(task, good, part="test"):
    right = torch.arange(12) % 2
    chance = (right if good else 1 - right) * 0.8 + 0.1
    predictions = {"chance": chance.double(), "right": right.double(), "index": torch.arange(12)}
    return predictions, made_up_problem(task)
"""
