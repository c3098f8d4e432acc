"""What stands for a picture where it can't be seen, over the pictures of every task, of made-up predictions."""

import re
from itertools import chain

import matplotlib
import numpy as np
import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.across import rank_across
from lossbench.compare.report.figures.critical_difference import critical_difference
from lossbench.compare.report.figures.drawing import STYLE, Picture, save
from lossbench.compare.report.figures.in_numbers import MOST
from lossbench.compare.report.figures.losses import loss_curves
from lossbench.compare.report.figures.metrics import forest, learning_curves
from lossbench.tasks import own_tasks
from tests.support.compared import made_up
from tests.support.drawn import outside

TASKS = own_tasks()
FILES = ("predictions.npz", "predictions_best.npz", "validation.npz")
SIDE = np.linspace(-2, 2, 5)
GRID = {"side": [SIDE], "critic": np.ones((1, 5, 5)), "log_density": -np.add.outer(SIDE**2, SIDE**2)[None]}
SNAPSHOTS = {"text": {"written": np.array([[1, 2, 1]])}, "gan": GRID, "energy": GRID, "flow": GRID}
NAMES = {"text": ["", "a", "b", "c", "d"], "translation": list("abcdefghijklmnopqrstuvwxyz")}
NOT_OF_ALL = {"generated", "densities", "critic_surfaces"}
"""What is drawn of generated images, flows and critics, and not of every task that generates."""


def labels_of(count):
    """Return that many losses: the baseline comes first, which is that of each task."""
    return [f"made_up_{number}" for number in range(count - 1)]


def runs_of(task, folder, count):
    """Write runs of losses of which every other one is bad, two seeds each; return their records."""
    entries = []
    for number, loss in enumerate([task.baseline, *labels_of(count)]):
        good = number % 2 == 0
        predictions, problem = task.sample(task, good, "test")
        values = {**task.evaluate.measure("test", predictions, problem)}
        values |= getattr(task.evaluate, "measure_final", lambda *_: {})("test", predictions, problem)
        arrays = {name: each.numpy() for name, each in predictions.items()}
        arrays |= more_of(task, arrays)
        for seed in (0, 1):
            row = {f"test/{name}": value * (1 - 0.01 * seed) for name, value in values.items()}
            row |= {f"val/{task.monitor}": row[f"test/{task.monitor}"]}
            row |= {"train/memorised": 0.1, "train/clean_accuracy": 0.9}
            row |= {f"train/{part}": 1.0 for part in task.parts}
            history = [{**row, "epoch": epoch} for epoch in range(3)]
            own = folder / f"{loss}-{seed}"
            own.mkdir()
            for name in FILES:
                np.savez(own / name, contaminated=np.arange(len(arrays["index"])) < 3, **arrays)
            np.savez(own / "snapshots.npz", **SNAPSHOTS.get(task.name, {}))
            counts = list(problem.class_counts or ()) or None
            data = {"train_class_counts": counts, "class_names": NAMES.get(task.name)}
            changes = {"task": task.name, "monitor": task.monitor, "history": history, "data": data, "folder": str(own)}
            metrics = {"last": history[2], "best_val": history[1]}
            entries.append(made_up(loss, seed, 0.5, metrics=metrics, **changes))
    return entries


def more_of(task, arrays):
    """Return what data of this task have beside what is made up of it."""
    if task.target in ("number", "count"):
        return {"inputs": np.linspace(-1, 1, len(arrays["target"]))}
    if task.name == "embedding":
        return {"shown": np.random.default_rng(0).random((2, 6, 1, 4, 4)), "shown_same": np.eye(2, 6, dtype=bool)}
    if task.name == "vae":
        names = ("samples", "images", "reconstructions")
        return {name: np.repeat(arrays[name].astype(np.uint8), 2, axis=0) for name in names}
    return {}


def pictures(task, folder, count):
    """Return the pictures of each function that draws this task."""
    (comparison,) = comparisons(runs_of(task, folder, count))
    analysis = analyse(comparison, Options())
    return {draw.__name__: draw(analysis) for draw in (forest, learning_curves, *task.pictures)}


def tells(picture: Picture, losses: list[str]) -> None:
    """Hold the words for a picture to what is asked of them."""
    assert picture.alt not in ("", picture.title) and len(picture.alt) <= MOST, picture.name
    assert re.search(r"\d", picture.alt.replace("made_up_", "")), picture.alt
    assert "nan" not in picture.alt and "inf " not in picture.alt, picture.alt
    more = re.search(r"and (\d+) more losses", picture.alt)
    named = [loss for loss in losses if re.search(rf"\b{re.escape(loss)}\b", picture.alt)]
    left_out = len(re.findall("made_up", picture.caption.partition("Not drawn:")[2]))
    assert len(named) + (int(more.group(1)) if more else 0) + left_out >= len(losses), picture.alt


@pytest.mark.parametrize("name", TASKS)
def test_every_picture_is_told_in_numbers_and_nothing_of_it_is_cut_off(name, tmp_path):
    task = TASKS[name]
    with matplotlib.rc_context(STYLE):
        found = pictures(task, tmp_path, 3)
        undrawn = {draw for draw, drawn in found.items() if not drawn}
        assert undrawn <= (NOT_OF_ALL if "samples" in task.title or task.package.endswith("generation") else set())
        for picture in chain(*found.values()):
            tells(picture, [task.baseline, *labels_of(3)])
            save(picture, tmp_path)
            assert picture.figure is None or outside(picture.figure) <= 0, picture.name


def test_nothing_of_the_readings_of_many_losses_is_cut_off(tmp_path):
    with matplotlib.rc_context(STYLE):
        (picture,) = pictures(TASKS["transduction"], tmp_path, 9)["readings"]
        save(picture, tmp_path)
        assert outside(picture.figure) <= 0


def test_a_number_beside_its_bar_changes_with_the_page(tmp_path):
    (picture,) = pictures(TASKS["multiclass"], tmp_path, 3)["accuracy_by_shots"]
    texts = [text for axes in picture.figure.axes for text in axes.texts]
    beside = [text.get_color() for text in texts if float(text.get_text()) <= 0.3]
    assert set(beside) <= {"black"} and "black" not in {text.get_color() for text in texts if text.get_text() > "0.3"}


def test_many_losses_are_counted(tmp_path):
    for picture in chain(*pictures(TASKS["multiclass"], tmp_path, 25).values()):
        tells(picture, labels_of(25))
        assert picture.name == "confusion" or "more losses" in picture.alt or len(picture.alt) < MOST


def test_ranks_and_the_curves_of_losses_are_told_in_numbers(tmp_path):
    analyses = []
    for data in "abcd":
        choices = {"choices": {"data": data, "model": "mlp"}, "problem": data * 64}
        entries = [made_up(f"made_up_{k}", seed, 0.5 + 0.1 * k, **choices) for k in range(3) for seed in (0, 1)]
        analyses += [analyse(each, Options()) for each in comparisons(entries)]
    (across,) = rank_across(analyses)
    tells(critical_difference(across), labels_of(4))
    entries = [made_up(loss, seed, 0.5) for loss in ("cross_entropy", "focal") for seed in (0, 1)]
    picture, problems = loss_curves(analyse(comparisons(entries)[0], Options()), tmp_path)
    assert not problems and "cross_entropy 1.31 (-0.731), 0.313 (-0.269)" in picture.alt
    tells(picture, ["cross_entropy", "focal"])
