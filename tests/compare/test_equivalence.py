"""Equal in practice: the test against SciPy's and by simulation, and the four outcomes wherever they are told."""

import csv
import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from lossbench.compare.numbers.across import holm
from lossbench.compare.numbers.analysis import Analysis, analyse
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.equivalence import outcome, p_equivalence
from lossbench.compare.numbers.options import Options
from lossbench.compare.present import compare_records
from lossbench.compare.report.figures.metrics import forest
from lossbench.compare.report.latex_tables import to_latex
from lossbench.compare.report.tables import differences_table
from lossbench.compare.report.verdict import verdict
from lossbench.compare.report.writers import to_csv, to_markdown, to_rich
from lossbench.compat.hydra import parse_arguments
from lossbench.config.compose import compose_one
from lossbench.config.values import check_comparing
from lossbench.errors import ConfigError
from lossbench.tracking import sweep
from tests.support.compared import made_up, write

CE = [0.80, 0.82, 0.84, 0.81, 0.83]
NOISE = [1, -1, 0.5, -0.7, 0.2]
MARGIN = 0.01


def away(mean: float, spread: float) -> list[float]:
    return [value + mean + spread * noise for value, noise in zip(CE, NOISE, strict=True)]


VALUES = {
    "cross_entropy": CE,
    "focal": away(0.002, 0.0005),  # differs measurably, by less than the margin
    "gce": away(-0.001, 0.004),  # can't be told apart, and is within the margin
    "ldam": away(-0.001, 0.03),  # all is open
    "bce": away(-0.03, 0.001),
}
OUTCOMES = {"focal": "equivalent", "gce": "equivalent", "ldam": "open", "bce": "worse"}


def compared(values: dict[str, list[float]], **options) -> Analysis:
    entries = [made_up(loss, seed, value) for loss, found in values.items() for seed, value in enumerate(found)]
    return analyse(comparisons(entries)[0], Options(**options))


@pytest.fixture(scope="module")
def five() -> Analysis:
    return compared(VALUES, margin=MARGIN)


@pytest.mark.parametrize("mean", [0.0, 0.3, -0.9, 1.0, -2.5])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_pairs_against_scipy(mean, n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(5 + mean, 1, n), rng.normal(5, 1, n)
    p = p_equivalence(first, second, 0.8)
    one_sided = [
        stats.ttest_1samp(first - second, 0.8, alternative="less").pvalue,
        stats.ttest_1samp(first - second, -0.8, alternative="greater").pvalue,
    ]
    assert p == pytest.approx(max(one_sided)) and p == pytest.approx(p_equivalence(second, first, 0.8))
    for alpha in (0.01, 0.05, 0.2, 0.45):
        low, high = stats.ttest_1samp(first - second, 0).confidence_interval(1 - 2 * alpha)
        assert (p < alpha) == (max(-low, high) < 0.8)


def test_runs_without_pairs_against_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.1, 1, 7), rng.normal(0, 2, 12)
    welch = {"equal_var": False}
    less = stats.ttest_ind(first - 1.5, second, alternative="less", **welch).pvalue
    more = stats.ttest_ind(first + 1.5, second, alternative="greater", **welch).pvalue
    assert p_equivalence(first, second, 1.5, paired=False) == pytest.approx(max(less, more))
    assert math.isnan(p_equivalence([1.0, 1.0], [1.0, 1.0], 1.5, paired=False))
    assert math.isnan(p_equivalence([1.0], [1.0, 2.0], 1.5, paired=False))


def test_without_spread_the_signs_count():
    for n in (2, 5, 8):
        assert p_equivalence([0.5] * n, [0.5] * n, 0.01) == p_equivalence([0.5] * n, [0.505] * n, 0.01) == 0.5**n
        assert p_equivalence([0.5] * n, [0.6] * n, 0.01) == p_equivalence([0.5] * n, [0.25] * n, 0.25) == 1.0
    noise = 1e-9 * np.arange(5)  # below single precision
    assert p_equivalence(0.5 + noise, [0.5] * 5, 0.01) == 0.5**5
    assert math.isnan(p_equivalence([0.5], [0.5], 0.01))


@pytest.mark.parametrize(("spread", "least"), [(0.1, 0.035), (1.0, 0.0), (5.0, 0.0)])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_at_the_margin_one_in_twenty_is_called_equivalent_at_most(n, spread, least):
    """2,000 sweeps whose true difference is the margin; by four standard errors of their share."""
    rng = np.random.default_rng(n)
    base = rng.normal(10, 3, (2000, n))
    other = base + rng.choice([-1, 1], (2000, 1)) + rng.normal(0, spread, (2000, n))
    share = np.mean([p_equivalence(a, b, 1.0) < 0.05 for a, b in zip(other, base, strict=True)])
    assert least <= share <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000)


def test_among_several_losses_at_the_margin_hardly_any_is_called_equivalent():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, (2000, 5))
    others = base[:, None] + 1 + rng.normal(0, 0.1, (2000, 3, 5))
    found = [
        holm([p_equivalence(each, one, 1.0) for each in losses]).min() for losses, one in zip(others, base, strict=True)
    ]
    assert 0.03 <= np.mean(np.array(found) < 0.05) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(
    ("difference", "p_difference", "p_equivalent", "wanted"),
    [
        (0.1, 0.05, 0.05, "better"),
        (-0.1, 0.05, 0.05, "worse"),
        (0.1, 0.04, 0.04, "equivalent"),
        (0.1, 0.06, 0.06, "open"),
        (0.1, math.nan, math.nan, "open"),
    ],
)
def test_the_rule(difference, p_difference, p_equivalent, wanted):
    assert outcome(difference, p_difference, p_equivalent, higher_is_better=True, alpha=0.05) == wanted
    turned = outcome(-difference, p_difference, p_equivalent, higher_is_better=False, alpha=0.05)
    assert turned == wanted


def test_outcomes_and_their_p_by_hand(five):
    assert {label: each.outcome for label, each in five.main.against.items()} == OUTCOMES
    raw = {
        label: max(
            stats.ttest_1samp(np.subtract(values, CE), MARGIN, alternative="less").pvalue,
            stats.ttest_1samp(np.subtract(values, CE), -MARGIN, alternative="greater").pvalue,
        )
        for label, values in VALUES.items()
        if label != "cross_entropy"
    }
    assert five.main.against["focal"].p_equivalence == pytest.approx(10 * raw["focal"])
    assert five.main.against["gce"].p_equivalence == pytest.approx(10 * raw["gce"])  # of ten pairs
    assert all(each.outcome is None for each in five.columns["nll"].against.values())  # it has another unit


def test_equal_losses_share_a_letter(five):
    assert not set(compared(VALUES).main.letters["focal"]) & set(compared(VALUES).main.letters["cross_entropy"])
    letters = {label: set(found) for label, found in five.main.letters.items()}
    assert letters["focal"] & letters["cross_entropy"] and letters["gce"] & letters["cross_entropy"]
    assert not letters["focal"] & letters["bce"]
    focal, gce = (five.main.pair(label, "cross_entropy") for label in ("focal", "gce"))
    assert focal.outcome == gce.outcome == "equivalent" and focal.p_t <= 0.05 < gce.p_t


def test_the_verdict_names_what_is_equal(five):
    text = verdict(five)
    assert text.startswith("focal has the best mean balanced accuracy") and "is best on" not in text
    assert "Equal in practice to focal, within a margin of 0.01 (two one-sided t tests): cross_entropy" in text
    assert "cross_entropy differs measurably all the same" in text or "cross_entropy, which differs" in text
    assert "focal can't be told apart from ldam" in text


def test_the_verdict_when_the_best_is_far_off():
    text = verdict(compared({**VALUES, "ldam": away(0.05, 0.002)}, margin=MARGIN))
    assert text.startswith("ldam is best on") and "Equal in practice to ldam" not in text
    assert "Equal in practice to cross_entropy" in text and "ldam is better than every other loss" in text


def test_the_verdict_when_the_baseline_is_best():
    values = {"cross_entropy": CE, "focal": away(-0.002, 0.0005), "gce": away(-0.001, 0.004)}
    text = verdict(compared(values, margin=MARGIN))
    assert "is the baseline: every other loss is equal to it in practice." in text
    assert "gce and focal; focal differs measurably all the same." in text and "can't be told" not in text
    text = verdict(compared({**values, "ldam": away(-0.03, 0.001)}, margin=MARGIN))
    assert "ldam is shown to be worse" in text and "cross_entropy is better than ldam." in text
    text = verdict(compared({**values, "ldam": away(-0.01, 0.1)}, margin=MARGIN))
    assert "no loss that is not equal to it in practice is shown to differ from it" in text


def test_one_seed_and_dead_runs_leave_it_open():
    one = compared({"cross_entropy": [0.8], "focal": [0.8]}, margin=MARGIN)
    assert one.main.against["focal"].outcome == "open" and "Equal in practice" not in verdict(one)
    assert "| – | open |" in to_markdown(one)
    dead = [made_up("focal", 0, 0.5, status="diverged")]
    assert verdict(analyse(comparisons(dead)[0], Options(margin=MARGIN))).startswith("There is no verdict")


def test_losses_without_pairs_have_outcomes_too():
    entries = [made_up("cross_entropy", seed, value) for seed, value in enumerate(CE)]
    entries += [made_up("focal", seed + 7, value) for seed, value in enumerate(away(0.001, 0.001))]
    options = {"unpaired": True, "margin": 0.1}
    against = analyse(comparisons(entries)[0], Options(**options)).main.against["focal"]
    assert not against.paired and against.outcome == "equivalent"


def test_the_tables_have_the_outcome_only_with_a_margin(five):
    def printed(analysis: Analysis, width: int) -> str:
        console = Console(width=width, file=io.StringIO())
        console.print(to_rich(analysis, width))
        return console.file.getvalue()

    def told(analysis: Analysis) -> list[str]:
        return [printed(analysis, 80), to_markdown(analysis), to_latex(analysis), to_csv(analysis)]

    assert all("equivalent" in text and "outcome" in text for text in told(five))
    assert "+0.0020 ± 0.0010   equivalent" in printed(five, 80) and "0.004   equivalent" in printed(five, 100)
    assert not any("equivalent" in text or "utcome" in text for text in told(compared(VALUES)))
    assert "the 99 % interval of the t test lies within ±0.01" in to_markdown(five)
    table = differences_table(five, "balanced_accuracy")
    assert {row[0]: row[-1] for row in table.rows} == OUTCOMES
    assert differences_table(five, "nll").heading[-1] == "seeds needed"
    rows = list(csv.DictReader(io.StringIO(to_csv(five))))
    main = {row["loss"]: row for row in rows if row["metric"] == "balanced_accuracy"}
    assert {label: row["outcome"] for label, row in main.items()} == {**OUTCOMES, "cross_entropy": ""}
    assert float(main["gce"]["p_equivalence_adjusted"]) == five.main.against["gce"].p_equivalence
    assert not any(row["outcome"] for row in rows if row["metric"] != "balanced_accuracy")


def test_the_picture_has_the_margin_as_a_band(five):
    (picture,) = forest(five)
    low, high = (
        picture.figure.axes[0]
        .patches[0]
        .get_extents()
        .transformed(picture.figure.axes[0].transData.inverted())
        .intervalx
    )
    assert (low, high) == pytest.approx((-MARGIN, MARGIN)) and "margin of ±0.01" in picture.caption
    (picture,) = forest(compared(VALUES))
    assert not picture.figure.axes[0].patches and "margin" not in picture.caption


def test_the_report_tells_it(tmp_path):
    for loss, values in VALUES.items():
        for seed, value in enumerate(values):
            write(tmp_path, made_up(loss, seed, value))
    found, errors = compare_records(comparisons(read_outputs(tmp_path)), tmp_path, Options(margin=MARGIN))
    html = (found["made_up"][0] / "report.html").read_text()
    assert not errors and "Not drawn" not in html
    for part in ("Equal in practice to focal", "Grey band: the margin of ±0.01", ">equivalent<", ">open<", ">worse<"):
        assert part in html, part


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"margin": -0.01}, ["compare.margin=-0.01", "(0, inf) or null"]),
        ({"margin": 0}, ["compare.margin=0", "(0, inf) or null"]),
        ({"margin": math.inf}, ["compare.margin=inf"]),
        ({"margin": "1 %"}, ["compare.margin=1 %"]),
        ({"margin": 0.01, "confidence": 0.4}, ["compare.margin", "above 0.5", "0.4"]),
        ({"margin": 0.01, "metric": "mcc"}, ["compare.metric=mcc was not recorded"]),
    ],
)
def test_mistakes_are_told(options, parts):
    with pytest.raises(ConfigError) as error:
        compared(VALUES, **options)
    assert all(part in str(error.value) for part in parts)
    with pytest.raises(ValueError, match="margin=-1"):
        p_equivalence(CE, CE, -1)


@pytest.mark.parametrize("margin", ["-0.01", "0", "abc", "[0.1]"])
def test_mistakes_of_the_command_are_told(margin):
    arguments = parse_arguments([f"compare.margin={margin}"])
    arguments.config_name = "comparison"
    with pytest.raises(ConfigError, match=r"compare\.margin=.* a number in \(0, inf\) or null"):
        check_comparing(compose_one(arguments))


def test_mlflow_is_told_what_the_report_says(five, tmp_path, monkeypatch):
    """The client is made up: what counts is which tags are set, and that those of another margin are taken back."""
    folder, tags = tmp_path / five.comparison.name, {}
    folder.mkdir()
    (folder / "table.csv").write_text(to_csv(five))
    assert sweep._outcomes(five.comparison, {"made_up": [tmp_path / "another", folder]}) == OUTCOMES
    assert sweep._outcomes(five.comparison, {"made_up": [tmp_path / "another"]}) == {}
    client = SimpleNamespace(
        get_run=lambda run: SimpleNamespace(
            data=SimpleNamespace(tags=tags.get(run, {}), params={"there": ""}, metrics={})
        ),
        set_tag=lambda run, name, value: tags.setdefault(run, {}).update({name: value}),
        delete_tag=lambda run, name: tags[run].pop(name),
        log_batch=lambda *_, **__: None,
        set_terminated=lambda *_: None,
    )
    monkeypatch.setattr(sweep, "find_or_create", lambda *arguments: (arguments[3].rpartition("/")[2], False))
    parent = SimpleNamespace(client=client, run_id="parent", note={"experiment": "made_up"})
    sweep._sum_up(parent, five.comparison, OUTCOMES)
    assert tags == {label: {"lossbench.outcome": each} for label, each in OUTCOMES.items()}
    sweep._sum_up(parent, five.comparison, {})
    assert not any(tags.values())
