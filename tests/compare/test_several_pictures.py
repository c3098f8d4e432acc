"""Pictures and tables of terms over epochs and of fronts: what is drawn, and the numbers in the words beside it."""

import csv
import io

import numpy as np
import pytest

from lossbench.compare.numbers.analysis import analyse
from lossbench.compare.numbers.comparisons import comparisons
from lossbench.compare.numbers.front import fronts
from lossbench.compare.numbers.options import Options
from lossbench.compare.report.figures.drawing import save
from lossbench.compare.report.figures.front import front_pictures
from lossbench.compare.report.figures.terms import LOWEST, MEAN, conflict, gradient_norms, weights
from lossbench.compare.report.html import write_report
from lossbench.compare.report.several import tables_of_fronts
from lossbench.compare.report.writers import to_csv
from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_one
from lossbench.config.values import check_comparing
from lossbench.errors import ConfigError
from lossbench.tasks.loss_style import MARKERS
from tests.support.compared import made_up
from tests.support.several import of_parts, two_goals, with_history  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("two_goals")

SWEPT = {0.1: (0.90, 3.0), 1.0: (0.86, 2.4), 10.0: (0.80, 2.0), 100.0: (0.79, 2.1)}
"""Weight of the right part, accuracy of the left, error of the right: the last one is dominated."""


def analysed(records, **options):
    (comparison,) = comparisons(records)
    return analyse(comparison, Options(population="seeds", **options))


def swept(seeds=(0, 1, 2)):
    """Return runs with swept weights, of a method that beats some of them, and alone."""
    found = []
    for seed in seeds:
        for weight, (left, right) in SWEPT.items():
            loss = {"_target_": "lossbench.losses.several_tasks", "weights": {"left": 1.0, "right": weight}}
            base = of_parts("sum", seed, left + 0.01 * seed, right + 0.1 * seed)
            config = {**base["config"], "loss": loss}
            found.append({**base, "config": config, "variant": f"w{weight:g}", "key": f"{weight}-{seed}"})
        found.append(of_parts("famo", seed, 0.88 + 0.01 * seed, 2.2 + 0.1 * seed))
        found.append(of_parts("alone", seed, 0.87 + 0.01 * seed, 2.3 + 0.1 * seed))
    return [{**entry, "started": float(number)} for number, entry in enumerate(found)]


def of_terms(terms, losses="weighted_sum"):
    """Return runs of a sum with other weights, whose raw terms end as given by weight and seed."""
    found = []
    for (weight, seed), (first, second) in terms.items():
        base = made_up(losses, seed, 0.8 + 0.01 * seed, variant=f"w{weight:g}", key=f"{weight}-{seed}")
        loss = {"_target_": "lossbench.losses.weighted_sum", "terms": {"0": "cross_entropy", "1": "mae_prob"}}
        rows = [{"train/term_0": 9.0, "train/term_1": 9.0}, {"train/term_0": first, "train/term_1": second}]
        base["config"]["loss"] = {**loss, "weights": [1.0, weight]}
        found.append(with_history(base, rows))
    return found


TERMS = {(0.1, 0): (1.0, 4.0), (0.1, 1): (1.2, 4.2), (1.0, 0): (2.0, 2.0), (1.0, 1): (2.2, 2.2), (9.0, 0): (4.0, 3.0)}


def test_a_front_of_parts_with_a_swept_weight():
    (front,) = fronts(analysed(swept()))
    assert front.goals == ["left_balanced_accuracy", "right_mae"] and front.higher == [True, False]
    assert front.best == ["w0.1", "w10", "famo"]
    assert front.reference.tolist() == [0.79, 3.2]
    assert list(front.alone) == ["alone"] and "alone" not in front.points
    assert {tuple(method.labels) for method in front.methods.values()} == {("w0.1", "w1", "w10", "w100"), ("famo",)}
    assert front.points["famo"] == pytest.approx([0.89, 2.3])


def test_volumes_of_the_seeds_by_hand():
    """Seed 0: famo's box is 0.09 wide and 1.0 high, from 0.79 and 3.2; each seed moves right by 0.01, up by 0.1."""
    (front,) = fronts(analysed(swept()))
    volume = next(method.hypervolume for method in front.methods.values() if method.labels == ["famo"])
    assert volume.mean == pytest.approx(np.mean([0.09 * 1.0, 0.10 * 0.9, 0.11 * 0.8])) and volume.n == 3
    steps = [0.11 * 0.2 + 0.07 * 0.6 + 0.01 * 0.4, 0.12 * 0.1 + 0.08 * 0.6 + 0.02 * 0.4, 0.09 * 0.6 + 0.03 * 0.4]
    several = next(method.hypervolume for method in front.methods.values() if len(method.labels) == 4)
    assert several.mean == pytest.approx(np.mean(steps))


def test_raw_terms_of_the_last_epoch():
    (front,) = fronts(analysed(of_terms(TERMS)))
    assert front.goals == ["train/term_0", "train/term_1"] and front.higher == [False, False]
    assert front.points["w0.1"] == pytest.approx([1.1, 4.1]) and front.best == ["w0.1", "w1"]
    assert front.reference.tolist() == [4.0, 4.2]
    ((name, method),) = front.methods.items()
    assert name == "weighted_sum" and method.hypervolume.n == 1  # only seed 0 has all three points
    assert method.hypervolume.mean == pytest.approx(3.0 * 0.2 + 2.0 * 2.0)


def test_terms_of_other_losses_are_no_goals_of_one_front():
    others = of_terms({(3.0, 0): (1.0, 1.0), (3.0, 1): (1.0, 1.0)})
    for entry in others:
        entry["config"]["loss"]["terms"] = {"0": "focal", "1": "mae_prob"}
    (front,) = fronts(analysed([*of_terms(TERMS), *others]))
    assert set(front.points) == {"w0.1", "w1", "w9"}


def test_a_diverged_weight_is_told_and_its_seed_not_counted():
    records = of_terms(TERMS)
    records[-1] = {**records[-1], "status": "diverged", "metrics": {"last": None, "best_val": None}}
    (front,) = fronts(analysed(records))
    assert set(front.points) == {"w0.1", "w1"} and front.methods["weighted_sum"].hypervolume.n == 2


def test_goals_that_are_asked_for():
    analysis = analysed(swept(), front=["right_mae", "left_accuracy"])
    assert fronts(analysis)[0].goals == ["right_mae", "left_accuracy"]
    (picture,) = front_pictures(analysis)
    assert picture.title == "Front of right MAE and left accuracy"
    many = analysed(swept(), front=["right_mae", "left_accuracy", "left_balanced_accuracy", "right_mae_observed"])
    assert not front_pictures(many) and fronts(many)[0].methods["famo"].hypervolume is None
    assert [row[4] for row in tables_of_fronts(many)[0].rows] == ["–", "–"]
    one_task = analysed(of_terms(TERMS), front=["train/term_1", "nll"])
    assert fronts(one_task)[0].goals == ["train/term_1", "nll"] and fronts(one_task)[0].higher == [False, False]


@pytest.mark.parametrize(
    ("front", "told"),
    [
        (["left_accuracy", "right_ame"], "compare.front=right_ame was not recorded"),
        (["left_accuracy", "right_bias"], "compare.front=right_bias is neither better"),
        (["left_accuracy", "train/lost"], "compare.front=train/lost was not recorded"),
        (["left_accuracy"], "give two or more different metrics"),
        (["left_accuracy", "left_accuracy"], "give two or more different metrics"),
    ],
)
def test_goals_that_are_none_are_refused(front, told):
    with pytest.raises(ConfigError, match=told):
        analysed(swept(), front=front)


@pytest.mark.parametrize("front", ["accuracy", "[accuracy]", "[accuracy,3]"])
def test_mistakes_of_the_command_are_told(front):
    arguments = parse_arguments([f"compare.front={front}"])
    arguments.config_name = "comparison"
    with pytest.raises(ConfigError, match=r"compare\.front=.* allowed is a list of 2 or more"):
        check_comparing(compose_one(arguments))


def test_mistakes_of_a_sweep_are_told_before_it_runs(cell):
    cell("compare.front=[accuracy,train/memorised]")
    with pytest.raises(ConfigError, match=r"compare\.front=acuracy is not known. Nearest: accuracy"):
        cell("compare.front=[acuracy,nll]")


def test_the_picture_and_the_table_of_a_front(tmp_path):
    analysis = analysed(swept())
    (picture,) = front_pictures(analysis)
    save(picture, tmp_path)
    assert (tmp_path / "front.png").stat().st_size > 5000
    (axes,) = picture.figure.axes
    assert {text.get_text() for text in axes.texts} == {"right 0.1", "right 1", "right 10", "right 100"}
    filled = [line for line in axes.lines if line.get_marker() in MARKERS and line.get_markersize() == 6]
    assert sum(line.get_markerfacecolor() != "white" for line in filled) == 3 and len(filled) == 5
    assert "3 of 5 on the front" in picture.alt and "famo (0.89, 2.3)" in picture.alt
    assert "Hypervolumes:" in picture.alt and "3 seeds" in picture.caption and "alone, a network" in picture.caption
    (table,) = tables_of_fronts(analysis)
    assert table.heading == ["method", "points", "on the front", "which", "hypervolume"]
    assert table.rows[0][1:4] == ["4", "2", "w0.1 and w10"] and table.rows[1][:4] == ["famo", "1", "1", "famo"]
    assert "left balanced accuracy 0.79, right MAE 3.2" in table.caption
    rows = [row for row in csv.DictReader(io.StringIO(to_csv(analysis))) if row["metric"].startswith("hypervolume")]
    assert {row["loss"] for row in rows} == set(fronts(analysis)[0].methods)


def test_weights_in_a_list_and_intervals_within_the_bounds_of_a_metric():
    (picture,) = front_pictures(analysed(of_terms(TERMS)))
    assert {text.get_text() for text in picture.figure.axes[0].texts} == {"1:0.1", "1:1", "1:9"}
    values = [(0.01, 2.0), (0.9, 2.5)]
    records = [of_parts(name, seed, *values[seed]) for name in ("sum", "famo") for seed in (0, 1)]
    interval = fronts(analysed(records))[0].intervals["famo"][0]
    assert (interval.low, interval.high) == (0.0, 1.0)
    (picture,) = front_pictures(analysed(records))
    assert picture.figure.axes[0].get_ylim() == pytest.approx((2.25 - 0.03, 2.5 + 0.03))  # no interval in it


def test_three_goals_have_a_panel_for_each_pair_and_no_steps():
    analysis = analysed(swept(), front=["left_accuracy", "right_mae", "right_mae_observed"])
    (picture,) = front_pictures(analysis)
    (front,) = fronts(analysis)
    assert len(picture.figure.axes) == 3 and "grey" not in picture.caption
    assert all(method.hypervolume.mean > 0 for method in front.methods.values())
    assert "Points by left accuracy, right MAE and right MAE observed: 3 of 5" in picture.alt


def test_the_steps_of_a_front_go_around_its_region():
    (picture,) = front_pictures(analysed(swept(seeds=(0,))))
    x, y = (np.array(each) for each in picture.figure.axes[0].lines[0].get_data())
    assert x.min() == 0.79 and y.max() == 3.0 and ((np.diff(x) == 0) | (np.diff(y) == 0)).all()
    assert {(0.9, 3.0), (0.88, 2.2), (0.8, 2.0)} <= set(zip(x.tolist(), y.tolist(), strict=True))


def histories(seed, combine, conflict_of=lambda epoch: 0.5 - 0.5 * epoch):
    base = of_parts(combine, seed, 0.8 + 0.01 * seed, 2.0)
    rows = [
        {
            "train/weight/left": 0.5 + 0.1 * epoch, "train/weight/right": 0.5 - 0.1 * epoch,
            "train/cosine/left/right": conflict_of(epoch) + 0.02 * seed,
            "train/gradient_norm/left": 1.0 + epoch, "train/gradient_norm/right": 100.0,
        }
        for epoch in range(3)
    ]  # fmt: skip
    return with_history(base, rows)


def test_weights_over_epochs():
    analysis = analysed([histories(seed, name) for name in ("famo", "dwa") for seed in (0, 1)])
    (picture,) = weights(analysis)
    assert [axes.get_title() for axes in picture.figure.axes] == ["dwa", "famo"]  # alike: by name
    drawn = [line.get_ydata() for line in picture.figure.axes[1].lines]
    assert drawn[0] == pytest.approx([0.5, 0.6, 0.7]) and drawn[1] == pytest.approx([0.5, 0.4, 0.3])
    assert (
        picture.alt == "Weights of terms in the last epoch. dwa: left 0.7 and right 0.3; famo: left 0.7 and right 0.3."
    )
    assert "2 seeds" in picture.caption


def test_methods_without_weights_have_no_panel():
    records = [histories(seed, "famo") for seed in (0, 1)]
    no_weights = {"train/weight/left": float("nan"), "train/weight/right": None}
    records += [with_history(of_parts("pcgrad", seed, 0.7, 2.0), [no_weights] * 3) for seed in (0, 1)]
    (picture,) = weights(analysed(records))
    assert len(picture.figure.axes) == 1
    plain = analysed([of_parts("sum", seed, 0.7, 2.0) for seed in (0, 1)])
    assert weights(plain) == conflict(plain) == gradient_norms(plain) == front_pictures(plain) == []


def test_conflict_over_epochs_with_a_line_at_0():
    (picture,) = conflict(analysed([histories(seed, "famo") for seed in (0, 1)]))
    (axes,) = picture.figure.axes
    zero = [line for line in axes.lines if list(line.get_ydata()) == [0, 0]]
    assert len(zero) == 1 and axes.get_ylim() == (-1.05, 1.05)
    assert "famo: left and right -0.49." in picture.alt and "below 0: famo: left and right 1 of 3." in picture.alt


def test_many_pairs_are_summed_up():
    names = "abcde"
    pairs = [(one, other) for k, one in enumerate(names) for other in names[k + 1 :]]
    rows = [{f"train/cosine/{one}/{other}": 0.1 * k - 0.2 for k, (one, other) in enumerate(pairs)}] * 2
    (picture,) = conflict(analysed([with_history(of_parts("sum", seed, 0.8, 2.0), rows) for seed in (0, 1)]))
    lines = {line.get_label(): line for line in picture.figure.axes[0].lines}
    assert {MEAN, LOWEST} <= set(lines)
    drawn = [list(line.get_ydata()) for line in picture.figure.axes[0].lines]
    assert pytest.approx([0.25, 0.25]) in drawn and pytest.approx([-0.2, -0.2]) in drawn


def test_gradient_norms_have_a_logarithmic_scale():
    (picture,) = gradient_norms(analysed([histories(seed, "famo") for seed in (0, 1)]))
    (axes,) = picture.figure.axes
    picture.figure.canvas.draw()
    ticks = {text.get_text() for text in axes.get_yticklabels()}
    assert axes.get_yscale() == "log" and {"1", "10", "100"} <= ticks
    assert "famo: left 3 and right 100." in picture.alt
    with_0 = [with_history(of_parts("sum", 0, 0.8, 2.0), [{"train/gradient_norm/left": 0.0}])]
    (picture,) = gradient_norms(analysed(with_0))
    assert picture.figure.axes[0].get_yscale() == "linear"


def test_the_report_has_all_of_it(tmp_path):
    records = [histories(seed, name) for name in ("famo", "sum", "alone") for seed in (0, 1, 2)]
    write_report(analysed(records), tmp_path, [])
    html = (tmp_path / "report.html").read_text()
    assert "Not drawn" not in html
    for title in ("Several tasks", "Fronts", "Weights over epochs", "Conflict over epochs", "Gradients of the terms"):
        assert f">{title}" in html, title
    assert '="Weights of terms in the last epoch.' in html
    for name in ("front", "term_weights", "term_conflict", "term_gradient_norms"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
