"""A loss looks the same everywhere, and other than those that it is compared with, without some colours or any."""

import re
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from lossbench.advise.rules import RULES
from lossbench.catalogue.facts import loss_names
from lossbench.catalogue.gallery import gallery_pictures
from lossbench.locate import CONF
from lossbench.tasks import own_tasks
from lossbench.tasks.loss_lines import alike, hatch_of, line_of, marked_sparsely
from lossbench.tasks.loss_style import COLORS, DASHES, MARKERS, PLACES, numbered_style, style_of
from tests.support.commands import ROOT

SEEN = {
    "as it is": np.eye(3),
    "without green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "without red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}
"""What linear RGB looks like, of Machado et al. 2009 at a severity of 1."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
APART, LIGHTER = 30.0, 10.0
"""In CIE Lab (1976), of colours, and of lightness alone."""
POPULAR = (
    "cross_entropy focal ldam balanced_softmax label_smoothing gce brier poly1",
    "bce binary_focal weighted_bce hinge label_smoothing_bce binary_asymmetric aucm cross_entropy",
    "cross_entropy focal logit_adjustment class_balanced weighted_cross_entropy arcface cosface distillation",
    "mse mae huber log_cosh tukey cauchy smooth_l1 quantile",
    "poisson_nll negative_binomial_nll tweedie mse mae huber",
)
TASKS = own_tasks()


@cache
def lab(color: str, seen: str = "as it is") -> np.ndarray:
    """Return a colour in CIE Lab under D65, as it is seen."""
    coded = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SEEN[seen] @ linear, 0, 1) / (0.95047, 1.0, 1.08883)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def told_apart(one: str, other: str) -> bool:
    """Say whether two labels can be told apart by colour or dashes, whoever looks, and without any colour too."""
    first, second = style_of(one), style_of(other)
    colors = [np.linalg.norm(lab(first.color, seen) - lab(second.color, seen)) for seen in SEEN]
    grey = abs(lab(first.color)[0] - lab(second.color)[0])
    return first.dashes != second.dashes or (min(colors) >= APART and grey >= LIGHTER)


@cache
def usual_sets() -> dict[str, list[str]]:
    """Return what is often compared: by the rules of advice, in the docs, and the first losses of each task."""
    found = {}
    for rule in RULES:
        for task in sorted(set(rule.tasks) & set(TASKS)):
            found[f"{rule.problem}, {task}"] = [TASKS[task].baseline, *rule.losses]
    known = set(loss_names())
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for names in re.findall(r"loss=([a-z_0-9]+(?:,[a-z_0-9]+)+)", page.read_text()):
            found[f"{page.name}: {names}"] = [name for name in names.split(",") if name in known]
    found |= {names: names.split() for names in POPULAR}
    for row, names in PLACES.items():
        found |= {} if row in ("classification", "numbers and counts") else {f"the first of {row}": names.split()[:8]}
    return {title: list(dict.fromkeys(losses)) for title, losses in found.items()}


def test_colors_are_apart_and_seen_on_white_and_on_dark_pages():
    for one, other in combinations(COLORS, 2):
        for seen in SEEN:
            assert np.linalg.norm(lab(one, seen) - lab(other, seen)) >= APART, (one, other, seen)
    assert all(35 < lab(color)[0] < 73 for color in COLORS)


@pytest.mark.parametrize("title", usual_sets())
def test_what_is_often_compared_is_told_apart_without_colours_too(title):
    pairs = combinations(usual_sets()[title], 2)
    assert [pair for pair in pairs if not told_apart(*pair)] == []


def test_what_is_often_compared_differs_in_colour_where_there_are_colours_enough():
    alike = {
        frozenset(pair)
        for losses in usual_sets().values()
        for pair in combinations(losses, 2)
        if style_of(pair[0]).color == style_of(pair[1]).color
    }
    assert len(alike) <= 2, alike


def test_a_picture_of_the_gallery_has_no_two_lines_alike():
    for stem, names in gallery_pictures().items():
        assert alike(names) == [] and [pair for pair in combinations(names, 2) if not told_apart(*pair)] == [], stem


def test_places_are_those_of_losses_and_ways_to_combine_and_each_stands_once():
    names = [name for row in PLACES.values() for name in row.split()]
    ways = {path.stem for path in (CONF / "combine").glob("*.yaml")}
    assert len(names) == len(set(names)) and set(names) <= set(loss_names()) | ways
    for row in PLACES.values():
        styles = [style_of(name) for name in row.split()]
        assert len(set(styles)) == len(styles)
        for k, one in enumerate(styles):
            assert all((one.color, one.dashes) != (other.color, other.dashes) for other in styles[k + 1 : k + 40])


STYLES = {
    "cross_entropy": ("#0380e7", (), "o"),
    "focal": ("#6bc275", (7, 3), "^"),
    "ldam": ("#ba5316", (7, 3), "v"),
    "amse": ("#863187", (5, 2, 1, 2, 1, 2), "v"),
    "mse": ("#0380e7", (), "o"),
    "huber": ("#1abef3", (7, 3), "X"),
    "several_tasks+pcgrad": ("#1abef3", (7, 3), "X"),
    "focal(gamma=2)": ("#6bc275", (5, 2, 1, 2, 1, 2), "D"),
    "my_loss": ("#e9a206", (7, 3), "X"),
}
"""Known ones; a change of any would change reports that were written."""


@pytest.mark.parametrize("label", STYLES)
def test_styles_never_change(label):
    style = style_of(label)
    assert (style.color, style.dashes, style.marker) == STYLES[label]
    assert style.color in COLORS or "(" in label
    assert style.dashes in DASHES and style.marker in MARKERS and re.fullmatch("#[0-9a-f]{6}", style.color)


@pytest.mark.parametrize("loss", ["focal", "mse", "mine", "ldam"])
def test_variants_have_the_colour_of_their_loss_or_a_shade_with_other_dashes_and_marker(loss):
    plain = style_of(loss)
    rests = [f"(gamma={k})" for k in range(30)] + ["+drw", "+drw+mixup", " after huber", "(gamma=1)+drw"]
    styles = [style_of(loss + rest) for rest in rests]
    assert all(style.dashes != plain.dashes and style.marker != plain.marker for style in styles)
    assert len({style.color for style in styles}) == 3 and plain.color in {style.color for style in styles}
    hue = lab(plain.color)[1:]
    for style in styles:  # a shade: no other colour is nearer in hue
        nearest = min(COLORS, key=lambda color: _angle(lab(color)[1:], lab(style.color)[1:]))
        assert nearest == plain.color or _angle(hue, lab(style.color)[1:]) < 0.1


@pytest.mark.parametrize(
    "values",
    [
        "0.5 1 2 3 5",
        "0.5 1 1.5 2",
        "1 2 3 5 10",
        "0.01 0.1 1 10 100",
        "1 3 10 30 100",
        "0.2 0.4 0.6 0.8",
        "0.1 0.2 0.3 0.4 0.5",
        "0.25 0.5 1 2 4",
        "0 0.1 0.2 0.3",
    ],
)
def test_usual_values_of_a_parameter_differ_in_shade_or_dashes(values):
    for parameter in ("gamma", "delta", "q", "smoothing", "weights.left"):
        labels = [f"focal({parameter}={value})" for value in values.split()]
        assert alike(labels) == [] and alike([f"{label}+drw" for label in labels]) == []
    pairs = [f"focal(alpha={alpha}, gamma={gamma})" for alpha in (0.25, 0.5) for gamma in (1, 2, 5)]
    assert alike(pairs, marked=True) == []


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    return 1 - float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_places_take_all_280_styles():
    assert len({numbered_style(number) for number in range(280)}) == 280
    assert numbered_style(280) == numbered_style(0)


def test_lines_of_matplotlib():
    assert line_of("focal")["linestyle"] == (0, (7, 3)) and line_of("mse", marked=False) == {
        "color": "#0380e7", "linestyle": "-", "linewidth": 1.6,
    }  # fmt: skip
    assert line_of("mse", "mse")["linewidth"] > line_of("mse")["linewidth"]
    assert len({hatch_of(name) for name in PLACES["embeddings"].split()[:5]}) == 5
    first, step = marked_sparsely(line_of("focal"), 60)["markevery"]
    assert (first, step) == (2, 10)
    assert marked_sparsely(line_of("focal"), 3)["markevery"] == (0, 1)
    assert marked_sparsely({"color": "k"}, 2)["marker"] == "." and "marker" not in marked_sparsely({"color": "k"}, 9)
