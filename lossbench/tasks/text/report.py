"""Pictures of language models: how hard tokens are by their place in a text, and what each loss has come to write."""

from matplotlib.figure import Figure

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.comparisons import load_arrays
from lossbench.compare.report.figures.drawing import WIDTH, Picture, lines_legend, one_panel
from lossbench.compare.report.figures.first_runs import first_arrays, first_runs
from lossbench.compare.report.figures.in_numbers import in_numbers, number
from lossbench.tasks.loss_lines import line_of
from lossbench.tasks.text.figures import COLUMNS, draw_places, label_places, perplexities, shown

MOST_LOSSES = 12


def by_place(analysis: Analysis) -> list[Picture]:
    """Draw the perplexity of each loss over the places of a text."""
    found, told, left_out = first_arrays(analysis, ["nll", "target"], MOST_LOSSES)
    if not found:
        return []
    figure, axes = one_panel(3.4)
    ends = {}
    for label, arrays in found.items():
        draw_places(axes, arrays["nll"], arrays["target"], line_of(label, analysis.baseline), label)
        places, perplexity = perplexities(arrays["nll"], arrays["target"])
        first, last = number(perplexity[0]), number(perplexity[-1])
        ends[label] = f"{first} at place {places[0]}, {last} at place {places[-1]}"
    label_places(axes)
    axes.grid(alpha=0.3)
    lines_legend(figure, axes, found, analysis.baseline)
    caption = (
        "Perplexity of the tokens of the test texts by their place: what comes later has more before it, from which "
        f"it can be guessed ({told}).{left_out}"
    )
    return [Picture("places", "Perplexity by place", caption, figure, in_numbers("Perplexity", ends))]


def written(analysis: Analysis) -> list[Picture]:
    """Show the text that the first run of each loss has written at its last evaluation."""
    texts = {}
    for label, run in list(first_runs(analysis).items())[:MOST_LOSSES]:
        arrays, names = load_arrays(run, "snapshots.npz", ["written"]), (run.get("data") or {}).get("class_names")
        if arrays is not None and names:
            texts[label] = shown(arrays["written"][-1].tolist(), names)
    if not texts:
        return []
    figure = Figure(figsize=(WIDTH, 0.2 + 0.72 * len(texts)))
    for row, (label, text) in enumerate(texts.items()):
        top = 1 - (0.12 + 0.72 * row) / (0.2 + 0.72 * len(texts))
        figure.text(0.02, top, label, fontsize=8.5, weight="bold", va="top")
        figure.text(0.02, top - 0.17 / figure.get_figheight(), text, fontsize=7.4, family="monospace", va="top")
    caption = (
        f"What a run of each loss writes at its last epoch after a line break, {COLUMNS} tokens a line: drawn by its "
        "own probabilities, with the same draws for all. ¶ is a line break."
    )
    counts = {label: f"{len(text)} characters: {' '.join(text[:60].split())}" for label, text in texts.items()}
    return [Picture("written", "Written by the models", caption, figure, in_numbers("Written", counts))]


PICTURES = (by_place, written)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
