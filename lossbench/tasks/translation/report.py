"""Pictures of translations: the share without a mistake by length under each loss, and the same texts side by side."""

import numpy as np
from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.report.figures.drawing import WIDTH, Picture, lines_legend, one_panel
from lossbench.compare.report.figures.first_runs import first_arrays, first_runs
from lossbench.compare.report.figures.in_numbers import in_numbers, numbers
from lossbench.tasks.loss_lines import hatch_of, line_of
from lossbench.tasks.translation.by_sample import exact_matches
from lossbench.tasks.translation.figures import WRONG, draw_lengths
from lossbench.tasks.translation.texts import texts_of

MOST_LOSSES, TEXTS, MOST, MOST_DIRECTIONS = 8, 4, 92, 12
KEYS = ["hypothesis", "target", "inputs", "long", "pieces"]


def lengths(analysis: Analysis) -> list[Picture]:
    """Draw the share of translations without a mistake by the words of the true ones."""
    found, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    if not found:
        return []
    figure, axes = one_panel(3.4)
    for label, arrays in found.items():
        draw_lengths(axes, arrays, line_of(label, analysis.baseline), label)
    axes.set(xlabel="words of the true translation", ylabel="without a mistake", ylim=(-0.03, 1.03))
    axes.grid(alpha=0.3)
    lines_legend(figure, axes, found, analysis.baseline)
    caption = (
        "Share of the test translations without a mistake by their length; hollow and dotted: texts that are longer "
        f"than all in training ({told}).{left_out}"
    )
    shares = {}
    for label, arrays in found.items():
        exact, long = exact_matches(arrays["hypothesis"], arrays["target"]), arrays["long"].astype(bool)
        parts = {"all": np.ones_like(long), "texts longer than in training": long}
        shares[label] = numbers({name: float(exact[part].mean()) for name, part in parts.items() if part.any()})
    alt = in_numbers("Share of translations without a mistake", shares)
    return [Picture("lengths", "Translations by length", caption, figure, alt)]


def directions(analysis: Analysis) -> list[Picture]:
    """Draw the share of translations without a mistake by the first token of a text, where that says the direction."""
    found, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    names = next(iter(first_runs(analysis).values()))["data"]["class_names"] if found else []
    firsts = np.unique(next(iter(found.values()))["inputs"][:, 0]) if found else np.empty(0)
    if not 1 < len(firsts) <= MOST_DIRECTIONS:
        return []
    figure, axes = one_panel(2.8)
    shares, width = {}, 0.8 / len(found)
    for place, (label, arrays) in enumerate(found.items()):
        exact = exact_matches(arrays["hypothesis"], arrays["target"]) & ~arrays["long"].astype(bool)
        some = [(arrays["inputs"][:, 0] == first) & ~arrays["long"].astype(bool) for first in firsts]
        share = [exact[part].mean() if part.any() else np.nan for part in some]
        places, look = np.arange(len(firsts)) + (place + 0.5) * width - 0.4, {"color": line_of(label)["color"]}
        axes.bar(places, share, width, hatch=hatch_of(label), edgecolor="white", linewidth=0, label=label, **look)
        shares[label] = numbers({names[first]: float(each) for first, each in zip(firsts, share, strict=True)})
    axes.set_xticks(range(len(firsts)), [names[first] for first in firsts])
    axes.set(ylabel="without a mistake", ylim=(0, 1.03))
    lines_legend(figure, axes, found, analysis.baseline)
    caption = (
        f"Share of the test translations without a mistake by their direction, long ones left out ({told}).{left_out}"
    )
    alt = in_numbers("Share of translations without a mistake by direction", shares)
    return [Picture("directions", "Translations by direction", caption, figure, alt)]


def side_by_side(analysis: Analysis) -> list[Picture]:
    """Show texts that not all losses translate alike, with the translations of each."""
    found, told, left_out = first_arrays(analysis, KEYS, MOST_LOSSES)
    if not found:
        return []
    first = next(iter(found.values()))
    exact = {label: exact_matches(arrays["hypothesis"], arrays["target"]) for label, arrays in found.items()}
    right = np.sum(list(exact.values()), axis=0)
    rows = sorted(range(len(first["target"])), key=lambda row: (right[row] % len(found) == 0, row))[:TEXTS]
    read, true = texts_of(first, ["inputs", "target"])
    written = {label: texts_of(arrays, ["hypothesis"])[0] for label, arrays in found.items()}
    lines = [
        (what, text, good)
        for row in rows
        for what, text, good in [
            ("text", read[row], True),
            ("true", true[row], True),
            *[(label, texts[row], bool(exact[label][row])) for label, texts in written.items()],
            ("", "", True),
        ]
    ]
    figure = Figure(figsize=(WIDTH, 0.1 + 0.165 * len(lines)))
    for number, (what, text, good) in enumerate(lines):
        y = 1 - (0.06 + 0.165 * number) / figure.get_figheight()
        figure.text(0.01, y, what[:26], fontsize=7, color="#555555", va="top")
        cut = text if len(text) <= MOST else f"{text[: MOST - 1]}…"
        figure.text(0.22, y, cut, fontsize=7, family="monospace", va="top", color="black" if good else WRONG)
    caption = (
        "Test texts, their true translations and those of each loss, those with a mistake in red; first such texts "
        f"that some losses translate right and others don't ({told}).{left_out}"
    )
    alt = in_numbers(
        f"Of {len(rows)} texts translated without a mistake",
        {label: f"{int(each[rows].sum())}" for label, each in exact.items()},
        f"The first one: {read[rows[0]]}" if rows and len(read[rows[0]]) < 120 else "",
    )
    return [Picture("translations", "The same texts under each loss", caption, figure, alt)]


PICTURES = (lengths, directions, side_by_side)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
