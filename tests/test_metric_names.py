"""Which way every metric is better that any run records, and what "neither" means for tables, checks and views."""

import json
from types import SimpleNamespace

import pytest
import torch

from lossbench.compare.analysis import Options, analyse
from lossbench.compare.metric_groups import group_tables
from lossbench.compare.records import comparisons
from lossbench.compare.table import means_table
from lossbench.compare.wording import better_is
from lossbench.data.points import Modes
from lossbench.errors import ConfigError
from lossbench.evaluation import EVALUATIONS
from lossbench.learners.learner import Problem
from lossbench.learners.vae import VAE
from lossbench.losses import load_loss
from lossbench.metric_names import (
    COLUMNS,
    DIRECTIONS,
    FURTHER,
    METRICS,
    MONITOR,
    direction,
    higher_is_better,
)
from lossbench.metrics import balanced_errors, noise_metrics
from lossbench.metrics_generation import compare_samples
from lossbench.metrics_sequence import sequence_metrics
from lossbench.tracking.views import view_tags
from tests.compared import made_up

LOSSES = {
    "binary": ("bce", ()),
    "multiclass": ("cross_entropy", (7,)),
    "multilabel": ("multilabel_bce", (3,)),
    "regression": ("mse", ()),
    "count": ("poisson_nll", ()),
    "distributional": ("gaussian_nll", (2,)),
}


def recorded() -> dict[str, set[str]]:
    """Return the names that each task, or way of learning, records for a part, and under "train" those of noise."""
    names: dict[str, set[str]] = {}
    for task, (loss, shape) in LOSSES.items():
        outputs = torch.randn(70, *shape, generator=torch.Generator().manual_seed(0))
        classes = {"binary": 2, "multiclass": 7, "multilabel": 3}.get(task)
        target = torch.arange(70) % (classes or 5)
        if task == "multilabel":
            target = torch.randint(2, (70, 3), generator=torch.Generator().manual_seed(1))
        target = target if classes else target.float() + 1
        problem = Problem(
            task,
            classes,
            [200, 50, 3, 9, 9, 9, 9][: classes or 0],
            ["test"],
            MONITOR[task],
            torch.tensor([]),
            num_features=4,
        )
        together = {
            "outputs": outputs.double(),
            "target": target,
            "target_clean": target.flip(0),
            "index": torch.arange(70),
        }
        evaluation = EVALUATIONS[task]
        predicted = evaluation.predict(load_loss(loss), together, problem)
        names[task] = set(evaluation.measure("test", predicted, problem))
        names[task] |= set(evaluation.measure_further("test", predicted, problem))
    y = torch.tensor([1.0, 2.0, 3.0])
    names["regression"] |= set(balanced_errors(y, y, torch.tensor([1.5, 2.5]), torch.tensor([200, 50, 3])))
    one = torch.ones(2, 3, dtype=torch.long)
    shares = dict.fromkeys(("nll", "blank_share", "frame_accuracy"), torch.rand(2))
    names["sequence"] = set(sequence_metrics({"target": one, "decoded": one, "decoded_beam": one, **shares}))
    frechet = SimpleNamespace(distance=lambda part, samples: 1.0)
    modes = Modes(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), std=0.1)
    names["gan"] = set()
    for known in (None, modes):
        generated = SimpleNamespace(modes=known, frechet=frechet)
        names["gan"] |= set(compare_samples(torch.rand(20, 2), torch.rand(20, 2), "test", generated))
    names["denoising"] = names["gan"]
    kept = {**dict.fromkeys(("neg_elbo", "reconstruction", "kl", "mse"), torch.rand(5)), "mean": torch.rand(5, 2)}
    stub = SimpleNamespace(problem=SimpleNamespace(frechet=frechet), samples=None)
    names["vae"] = set(VAE.metrics(stub, "test", kept))
    labels = torch.tensor([0, 1, 1])
    names["train"] = set(noise_metrics(torch.eye(2)[labels], labels.flip(0), labels)) | {"loss"}
    names["posthoc"] = {"temperature"}
    return names


def test_every_recorded_metric_is_in_the_table_and_every_one_in_the_table_is_recorded():
    names = recorded()
    assert set(names) >= set(COLUMNS)
    for task, found in names.items():
        for name in found:
            assert direction(f"test/{name}") == direction(f"best_val/{name}") in ("higher", "lower", "neither")
        if task in METRICS:
            plain = {name for name in found if "/" not in name}
            sorting = {name for name in plain if direction(name) != "neither"}
            listed = {*METRICS[task], *FURTHER.get(task, [])}
            assert sorting <= listed and listed - sorting <= {"accuracy_medium", "accuracy_few", "accuracy_many"}
            assert set(COLUMNS[task]) <= plain
    plain = {part.removesuffix("_observed") for found in names.values() for name in found for part in name.split("/")}
    never = set(DIRECTIONS) - plain
    assert never <= {"accuracy_many", "accuracy_medium", "accuracy_few", "macro_f1", "macro_recall"}, never


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("coverage_90", "neither"),
        ("coverage_error_90", "lower"),
        ("width_50", "neither"),
        ("blank_share", "neither"),
        ("active_units", "neither"),
        ("diversity", "neither"),
        ("val/clean/nll", "lower"),
        ("test/recall/3", "higher"),
        ("mae_fifth_observed/2", "lower"),
        ("train/memorised", "lower"),
        ("train/loss", "lower"),
        ("train/critic_estimate", "neither"),
        ("r2_observed", "higher"),
    ],
)
def test_directions(metric, way):
    assert direction(metric) == way


@pytest.mark.parametrize("name", ["", "nllx", "maes", "accurracy", "loss_of_mine", "test/3"])
def test_an_unknown_name_is_an_error_and_no_guess(name):
    with pytest.raises(ConfigError, match="not known"):
        direction(name)
    with pytest.raises(ConfigError):
        higher_is_better(name)


def test_what_is_neither_can_sort_nothing():
    with pytest.raises(ConfigError, match="coverage_90 is neither better"):
        higher_is_better("coverage_90")
    for task, metric in MONITOR.items():
        assert direction(metric) != "neither" != direction(COLUMNS[task][0])
        assert isinstance(json.loads(view_tags(task)["mlflow.sharedViewState.lossbench-runs"])["orderByAsc"], bool)


@pytest.mark.parametrize(
    ("line", "nearest"),
    [("compare.metric=coverage_90", "coverage_error_90"), ("monitor=width_90", "coverage_error_90")],
)
def test_checks_say_that_it_is_neither(cell, line, nearest):
    with pytest.raises(ConfigError, match=f"neither better where it is higher.*{nearest}"):
        cell("data=heteroscedastic", line)


def test_no_table_sets_off_a_best_value_of_what_is_neither():
    entries = []
    for loss, values in {"bce": (0.9, 3.0), "mse": (0.8, 2.0)}.items():
        for seed in (0, 1):
            entry = made_up(loss, seed, 0.5)
            extra = {"test/coverage_90": values[0], "test/coverage_error_90": abs(values[0] - 0.9)}
            entry["metrics"]["last"] = {**entry["metrics"]["last"], **extra}
            entries.append(entry)
    (comparison,) = comparisons(entries)
    analysis = analyse(comparison, Options())
    assert analysis.best_mean("coverage_90") is None and analysis.best_mean("coverage_error_90") == 0
    table = group_tables(analysis)["Predicted distributions"]
    columns = {place for _, place in table.bold}
    assert len(table.heading) == 3 and len(columns) == 1
    assert "coverage error 90" in table.heading[columns.pop()]
    assert "neither" in table.caption and "lower is better" in table.caption
    assert means_table(analysis).bold
    against = analysis.columns["coverage_90"].against
    assert all(each.difference.improvement != each.difference.improvement for each in against.values())
    assert better_is("coverage_90") == "neither way is better"
    with pytest.raises(ConfigError, match=r"compare.metric=coverage_90 is neither"):
        analyse(comparison, Options(metric="coverage_90"))
