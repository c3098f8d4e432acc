"""Judge the short list of the advice: does it hold a loss that a full comparison can't tell from the best?

A problem is a source under one corruption: classes with an imbalance of 1 to 200 and noise of each kind, numbers with
contamination of each kind and side. In each, every loss of the task that can be stacked with the values of its YAML
trains as an MLP, under the same seeds, and the advice looks at the data of the first seed. Judged is by the metric that
the advice would race by, of the last epoch, on clean test samples.

hit: a loss of the list is the best, or differs from it by no more than what a paired t test over the seeds finds at
the 5 % level. The test is not corrected for the number of losses, as a race would be: so it is harder on the list.
gap: the best of all less the best of the list, in the unit of the metric; the best of all is chosen from the same runs,
which makes the gap too large rather than too small.
by chance: how often as many losses drawn at random, the baseline among them, would have hit; alone: the baseline.

The problems come in an order drawn once, so that the first N are a fair sample of all. What is done is kept in a
folder, a file for each problem and its seeds, and not done again: the command goes on where it was stopped. Seeds 1 to
99 are for looking while rules change, those from 100 on for reporting.

  python scripts/advice_lists.py FOLDER                          the first 10 problems, a minute or more each
  python scripts/advice_lists.py FOLDER --most 100               all
  python scripts/advice_lists.py FOLDER --seeds 1 2 3            other seeds, to look
  python scripts/advice_lists.py FOLDER --most 0                 only the table of what is done
"""

import argparse
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from lossbench.advise.findings import look
from lossbench.advise.rules import advise
from lossbench.catalogue.examine.example_batch import draws_random_numbers
from lossbench.catalogue.facts import losses_for
from lossbench.compat.hydra import parse_arguments
from lossbench.config.cell import Cell
from lossbench.config.checks import check_cell
from lossbench.config.compose import compose_cells
from lossbench.data.stacked import StackedData
from lossbench.errors import ConfigError
from lossbench.learners.stacked.stack import Stack
from lossbench.records.files import write_text
from lossbench.running.assemble import build_learner
from lossbench.running.build import build_data, build_trainer
from lossbench.running.plan import why_alone
from lossbench.running.trainer import quiet
from lossbench.tasks import task_named

LINES = ("model=mlp", "model.hidden=[32,32]", "optimizer=adam", "optimizer.lr=0.01", "data.batch_size=100",
         "data.max_train=500", "data.max_test=1000", "trainer.max_epochs=30", "trainer.check_val_every_n_epoch=30",
         "tracking=none", "output_dir=nowhere")  # fmt: skip
ALPHA = 0.05


@dataclass(frozen=True)
class Case:
    """A problem: its name, and the overrides that make its data."""

    name: str
    task: str
    lines: tuple[str, ...]


def main() -> None:
    """Compare what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the results are kept")
    parser.add_argument("--most", type=int, default=10, help="problems, the first of the order")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    of_seeds = "-".join(map(str, args.seeds))
    for case in cases(args.folder)[: args.most]:
        place = args.folder / f"{case.name}-seeds-{of_seeds}.json"
        if not place.exists():
            write_text(place, json.dumps(compared(case, args.seeds)))
            print(line(json.loads(place.read_text())), flush=True)
    table([json.loads(each.read_text()) for each in sorted(args.folder.glob(f"*-seeds-{of_seeds}.json"))])


def cases(folder: Path) -> list[Case]:
    """Return all problems in the order drawn once."""
    found = [*_of_classes(folder), *_of_numbers(folder)]
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))]


def _of_classes(folder: Path) -> Iterator[Case]:
    noises = [("none", 0.0), *(("symmetric", rate) for rate in (0.2, 0.4, 0.6)), ("pair", 0.2), ("pair", 0.4)]
    noises += [("instance", 0.3), ("asymmetric", 0.3)]
    for source in ("digits", "clusters"):
        lines = ["data=digits"] if source == "digits" else ["data=arrays", f"data.path={_made(folder, source)}"]
        for factor in (1, 10, 50, 100 if source == "digits" else 200):  # it has some 120 samples of a class
            for kind, rate in noises:
                if kind == "asymmetric" and source != "digits":
                    continue  # which class is mistaken for which is known of digits
                heads = [] if factor == 1 else ["data/imbalance=exp", f"data.imbalance.factor={factor}"]
                noise = [] if kind == "none" else [f"data/noise={kind}", f"data.noise.rate={rate}"]
                yield Case(f"{source}-1to{factor}-{kind}{rate:g}", "multiclass", (*lines, *heads, *noise))


def _of_numbers(folder: Path) -> Iterator[Case]:
    kinds = [
        ("none", ""),
        ("heavy_tail", "fraction=1.0 scale=0.3 df=2.0"),
        ("heteroscedastic", "fraction=1.0 scale=1.0"),
    ]
    kinds += [("leverage", f"fraction={share} scale=5.0") for share in (0.1, 0.3)]
    kinds += [("vertical", f"fraction={share} shift={shift}") for share in (0.05, 0.1, 0.2, 0.3)
              for shift in ("one_sided", "symmetric")]  # fmt: skip
    for source in ("diabetes", "above", "below"):
        lines = ["data=diabetes"] if source == "diabetes" else ["data=arrays", f"data.path={_made(folder, source)}"]
        for kind, settings in kinds:
            chosen = [] if kind == "none" else [f"data/contamination={kind}"]
            chosen += [f"++data.contamination.{each}" for each in settings.split()]
            yield Case(f"{source}-{kind}{settings.replace(' ', '-').replace('=', '')}", "regression", (*lines, *chosen))


def _made(folder: Path, name: str) -> Path:
    """Return a file of arrays: five overlapping clusters, or Friedman's function, "below" turned upside down."""
    from sklearn.datasets import make_classification, make_friedman1

    place = folder / f"{name}.npz"
    if not place.exists():
        if name == "clusters":
            inputs, target = make_classification(
                4000, 20, n_informative=8, n_redundant=4, n_classes=5, n_clusters_per_class=2, flip_y=0, random_state=0
            )
        else:
            inputs, target = make_friedman1(2000, 10, noise=1.0, random_state=0)
            target = -target if name == "below" else target
        np.savez(place, X=inputs[1000:], y=target[1000:], X_test=inputs[:1000], y_test=target[:1000])
    return place


def compared(case: Case, seeds: Sequence[int]) -> dict[str, Any]:
    """Advise on a problem, and train all losses on it."""
    cells = list(_cells(case))
    advice = advise(look(build_data(_with_seed(cells[0], seeds[0]).config.data)), case.task)
    task = task_named(case.task)
    metric = next((name for name in advice.metrics if name in task.names("epoch")), task.columns[0])
    values = trained(cells, seeds, metric)
    better = 1 if task.higher_is_better(metric) else -1
    return {"name": case.name, "task": case.task, "metric": metric, "better": better, "values": values,
            "list": list(advice.losses), "baseline": task.baseline}  # fmt: skip


def _cells(case: Case) -> Iterator[Cell]:
    """Yield a cell for each loss that fits and can be stacked, the baseline first; they differ in nothing else."""
    baseline = task_named(case.task).baseline
    (like,) = compose_cells(parse_arguments([*case.lines, *LINES, f"loss={baseline}"]))
    for first in _first_cells(case.task).values():
        config = first.config.copy()
        config.data = like.config.data.copy()
        if why_alone(cell := Cell(config, {**first.choices, "data": like.choices["data"]}), forced=True) is None:
            yield cell


@cache
def _first_cells(task: str) -> dict[str, Cell]:
    """Return a cell for each loss of a task, on data of ours: to compose them takes longer than to train them."""
    baseline, found = task_named(task).baseline, {}
    for loss in [baseline, *(name for name in losses_for(task) if name != baseline)]:
        try:
            data = "digits" if task == "multiclass" else "diabetes"
            (cell,) = compose_cells(parse_arguments([f"data={data}", *LINES, f"loss={loss}"]))
            check_cell(cell)
            found[loss] = cell
        except ConfigError:
            continue
    return found


def _with_seed(cell: Cell, seed: int) -> Cell:
    config = cell.config.copy()
    config.seed = seed
    return Cell(config, cell.choices)


def trained(cells: Sequence[Cell], seeds: Sequence[int], metric: str) -> dict[str, list[float]]:
    """Train each loss under each seed; return a metric of the test part, NaN where a run failed.

    Seeds whose data have as many training samples train in one stack.
    """
    data = {seed: build_data(_with_seed(cells[0], seed).config.data) for seed in seeds}
    found: dict[str, dict[int, float]] = {cell.loss: {} for cell in cells}
    for _, alike in groupby(sorted(seeds, key=lambda seed: data[seed].train_size), lambda seed: data[seed].train_size):
        for loss, seed, value in _stacked(cells, {seed: data[seed] for seed in alike}, metric):
            found[loss][seed] = value
    return {loss: [values[seed] for seed in seeds] for loss, values in found.items() if len(values) == len(seeds)}


def _stacked(cells: Sequence[Cell], data: dict[int, Any], metric: str) -> Iterator[tuple[str, int, float]]:
    """Train all losses under some seeds as one stack; yield loss, seed and metric of each run."""
    runs, learners, places = [], [], []
    for place, (seed, module) in enumerate(data.items()):
        for cell in cells:
            try:
                learner = build_learner(_with_seed(cell, seed), module)
            except ConfigError:
                continue
            if not draws_random_numbers(learner.loss, learner.problem.num_classes):
                runs.append((cell.loss, seed))
                learners.append(learner)
                places.append(place)
    together = StackedData(list(data.values()))
    stack = Stack(learners, places, {name: loader.sizes for name, loader in together.evaluated.items()})
    build_trainer(cells[0].config.trainer, [], Path("nowhere")).fit(stack, datamodule=together)
    for run, (learner, names) in enumerate(zip(learners, runs, strict=True)):
        measured = learner.last["metrics"] if learner.last and run not in stack.endings else {}
        yield *names, float(measured.get(f"test/{metric}", "nan"))


def judged(result: dict[str, Any]) -> dict[str, float]:
    """Return whether the list hits, its gap, the chance of a random list, and whether the baseline alone hits."""
    scores = {name: result["better"] * np.array(values) for name, values in result["values"].items()}
    scores = {name: values for name, values in scores.items() if np.isfinite(values).all()}
    best = max(scores, key=lambda name: scores[name].mean())
    equal = {name for name, values in scores.items() if name == best or _p(scores[best] - values) > ALPHA}
    listed = [name for name in result["list"] if name in scores]
    others, good = len(scores) - 1, len(equal - {result["baseline"]})
    drawn = len(listed) - 1
    missed = stats.hypergeom.pmf(0, others, good, drawn)
    alone = result["baseline"] in equal
    gap = scores[best].mean() - max((scores[name].mean() for name in listed), default=-np.inf)
    return {"hit": bool(equal & set(listed)), "gap": gap, "chance": 1.0 if alone else 1 - missed, "alone": alone,
            "equal": len(equal), "losses": len(scores), "best": best,
            "of_list": max(listed, key=lambda name: scores[name].mean())}  # fmt: skip


def _p(differences: Any) -> float:
    """Return the p-value of a paired t test; differences that are all alike differ unless they are 0."""
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0).pvalue)


def line(result: dict[str, Any]) -> str:
    """Return a row of the table."""
    said = judged(result)
    numbers = f"{said['losses']:4}{said['equal']:6}  {'hit' if said['hit'] else 'MISS':5}{said['gap']:8.3f}"
    return f"{result['name']:44}{result['metric']:19}{numbers}{said['chance']:8.2f}  {said['best']} / {said['of_list']}"


def table(results: list[dict[str, Any]]) -> None:
    """Print a row for each problem and the rates with their 95 % intervals (Clopper and Pearson 1934)."""
    head = f"{'problem':44}{'metric':19}{'of':>4}{'equal':>6}  {'list':5}{'gap':>8}{'chance':>8}"
    print(f"\n{head}  best / best of the list")
    for result in results:
        print(line(result))
    for task in ("multiclass", "regression", None):
        some = [judged(result) for result in results if task in (None, result["task"])]
        if not some:
            continue
        hits = sum(each["hit"] for each in some)
        low, high = stats.binomtest(hits, len(some)).proportion_ci()
        chance, alone = (np.mean([each[name] for each in some]) for name in ("chance", "alone"))
        gap = np.median([each["gap"] for each in some])
        print(
            f"{task or 'all'}: the list hits in {hits} of {len(some)} problems, {hits / len(some):.0%} "
            f"({low:.0%} to {high:.0%}); by chance {chance:.0%}, the baseline alone {alone:.0%}; median gap {gap:.3f}"
        )


if __name__ == "__main__":
    quiet()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    main()
