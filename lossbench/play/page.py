"""Write the page: one HTML file with all that it needs, which opens without a network."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lossbench import __version__
from lossbench.compare.report.script import as_script
from lossbench.errors import ConfigError
from lossbench.losses.facts import declared_losses
from lossbench.play.choice import RATIOS, bound, chosen
from lossbench.play.lessons import Try, lessons_with
from lossbench.play.measure import (
    BASE,
    POINTS,
    REACH,
    SHUFFLE,
    SPREAD,
    State,
    best_constant,
    best_probability,
    curves_at,
    sample,
)
from lossbench.play.still import first_of, still
from lossbench.play.tables import page_data
from lossbench.records import files

FIRST = ("mse", "mae", "huber", "tukey", "cross_entropy", "focal", "gce", "hinge")
"""What is drawn before anything is chosen, as far as it is on the page."""
SAMPLES: dict[str, dict[str, Any]] = {
    "clean": {},
    "10 % at +5": {"share": 0.1},
    "40 % at +5": {"share": 0.4},
    "skew 0.5": {"skew": 0.5},
}
"""The samples of the table of constants."""
PLACES: dict[str, dict[str, float]] = {
    "η 0.8": {"eta": 0.8},
    "20 % flipped": {"eta": 0.8, "noise": 0.2},
    "η 0.09": {"eta": 0.09},
    "weight 10": {"eta": 0.09, "weight": 10.0},
}
"""The places of the table of probabilities, beside one where the counts of the classes are 10 to 1."""
STANDS = (-6.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0)
"""The places of the tables of values and slopes."""
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """A table that needs no JavaScript."""

    caption: str
    heading: list[str]
    rows: list[list[str]]


def write_page(path: Path, names: Sequence[str] = ()) -> Path:
    """Write the page for a lesson; return its path.

    Parameters
    ----------
    path : Path
        Where to write; folders are made.
    names : sequence of str
        Losses that can be dragged; all of them (but the families of the search) if none is named.

    Raises
    ------
    ConfigError
        If a loss is not known or has no curve over one number, or the file can't be written.

    """
    text = page(chosen(names), path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)
    except OSError as error:
        raise ConfigError(
            f"output={path}: can't write there ({error.strerror}). Choose another: output=PATH."
        ) from error
    return path


def page(names: list[str], path: Path = Path("play.html")) -> str:
    """Return the page as text; the same losses give the same text."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    data = page_data(names)
    lessons = [
        {
            **vars(lesson),
            "id": f"lesson-{lesson.title.lower()}",
            "tries": [_try(each) for each in lesson.tries],
            "still": _still(lesson.tries),
        }
        for lesson in lessons_with(names)
    ]
    return environment.get_template("page.html.j2").render(
        command=f"python -m lossbench.play output={path.name}",
        count=len(names),
        css=_own("page.css"),
        data=as_script(data | _settings()),
        groups=_groups(data["losses"]),
        lessons=lessons,
        numbers_js=_own("numbers.js"),
        page_js=_own("page.js"),
        points=POINTS,
        reach=REACH,
        still="" if lessons else still(first_of(names, FIRST)),
        tables=_tables(data["losses"]),
        version=__version__,
    )


def _still(tries: Sequence[Try]) -> dict[str, Any]:
    """Draw the state of a lesson with the most losses, and say which it is."""
    each = max(tries, key=lambda each: len(each.state.losses))
    return {"drawn": still(each.state), "do": each.do}


def _try(each: Any) -> dict[str, str]:
    return {"do": each.do, "seen": each.seen(), "state": json.dumps(as_json(each.state), separators=(",", ":"))}


def as_json(state: State) -> dict[str, Any]:
    """Return a state as the page reads it: what is not as at first."""
    start = asdict(State(()))
    return {key: value for key, value in asdict(state).items() if value != start[key]}


def _settings() -> dict[str, Any]:
    start = {key: value for key, value in asdict(State(())).items() if key not in ("losses", "settings", "x")}
    return {
        "base": BASE,
        "first": FIRST,
        "ratios": RATIOS,
        "shuffle": SHUFFLE,
        "spread": SPREAD,
        "start": {"kind": "residual", **start},
    }


def _own(name: str) -> Markup:
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))


def _groups(losses: list[dict[str, Any]]) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Return the losses with their summaries, by what they are dragged over, then by problem."""
    groups: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for loss in sorted(losses, key=lambda loss: (loss["kind"] == "margin", loss["group"], loss["name"])):
        by_group = groups.setdefault(loss["kind"], {})
        by_group.setdefault(loss["group"], []).append(
            (loss["name"], declared_losses()[bound(loss["name"]).name].summary)
        )
    return groups


def _tables(losses: list[dict[str, Any]]) -> list[Table]:
    """Return what each loss picks at its defaults."""
    residual = [loss["name"] for loss in losses if loss["kind"] == "residual"]
    margin = [loss["name"] for loss in losses if loss["kind"] == "margin"]
    samples = [sample(**each) for each in SAMPLES.values()]
    constants = [[name, *(_told(best_constant(bound(name), each)) for each in samples)] for name in residual]
    probabilities = [
        [
            name,
            *(_told(best_probability(bound(name), **each)) for each in PLACES.values()),
            _told(best_probability(bound(name, 10), 0.09)),
        ]
        for name in margin
    ]
    tables = [
        Table(
            "The constant with the least mean loss over a sample: normal, with outliers, skewed.",
            ["loss", *SAMPLES],
            constants,
        ),
        Table(
            "The probability of class 1 with the least expected loss, where η is the true one: as it is, with labels "
            "flipped, with a weight on class 1 (at η 0.09), and with ten samples of class 0 to each of class 1 (at η "
            "0.09).",
            ["loss", *PLACES, "counts 10 : 1"],
            probabilities,
        ),
    ]
    return [table for table in (*tables, *map(_places, ("residual", "margin"), (residual, margin))) if table.rows]


def _places(over: str, names: list[str]) -> Table:
    """Return value and slope of each loss where the slider would stand."""
    rows = []
    for name in names:
        loss = bound(name)
        reach = 2.0 if loss.declaration.head == "cosine" else STANDS[-1]
        at = torch.tensor([x for x in STANDS if abs(x) <= reach], dtype=torch.float64)
        value, slope, _ = curves_at(loss, at, 1)
        found = zip(at.tolist(), value.tolist(), slope.tolist(), strict=True)
        told = {x: f"{_told(height)} ({_told(steep)})" for x, height, steep in found}
        rows.append([name, *(told.get(x, "") for x in STANDS)])
    of = "residual" if over == "residual" else "margin of the right class, 1"
    caption = f"Value and, in brackets, slope of each loss over the {of}; outputs that are cosines end at 2."
    return Table(caption, ["loss", *(f"{x:g}".replace("-", "−") for x in STANDS)], rows)


def _told(number: float) -> str:
    text = f"{number:.2f}" if abs(number) < 1e4 else f"{number:.2g}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")
