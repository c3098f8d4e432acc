"""The pages of docs/losses: every loss with formula, parameters, source and curves, in the words of its own files.

`python -m lossbench.losses gallery=docs/losses` writes them. The text needs no torch; it comes from the YAML, the
decorator and the docstrings of each loss and its family, so that nothing is told in two places. The same input gives
the same bytes.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from lossbench.catalogue.facts import facts_of, hyperparameters, loss_names
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.losses.facts import LossFacts, entries_of, in_one_line, sections_of
from lossbench.tasks import own_tasks, task_named

COMMAND = "python -m lossbench.losses gallery=docs/losses"
CURVES_IN_A_PICTURE = 10
"""As many as there are colours."""


class Page(NamedTuple):
    """What stands on one page: the losses of some tasks that were made for a problem; None is any problem."""

    title: str
    use: str
    tasks: tuple[str, ...]
    problem: str | None

    @property
    def stem(self) -> str:
        """The name of its files."""
        return self.title.lower().replace(" ", "-")


def pages() -> list[Page]:
    """Return the pages that the tasks ask for; tasks that name the same page share it."""
    found: dict[str, Page] = {}
    for name, task in own_tasks().items():
        for page in task.pages:
            shared = found.get(page.title, Page(page.title, page.use, (), page.problem))
            found[page.title] = shared._replace(tasks=(*shared.tasks, name))
    return sorted(found.values())


def page_of(facts: LossFacts) -> Page:
    """Return the page of a loss: the problem of its task that it was made for.

    Raises
    ------
    ConfigError
        If there is none.

    """
    for page in pages():
        if facts.task in page.tasks and page.problem in (facts.problem, None):
            return page
    raise ConfigError(
        f"{facts.name}: the gallery has no page for task={facts.task} with problem={facts.problem!r}. "
        "Declare another problem, or add a page to the task in lossbench/tasks."
    )


class Described(NamedTuple):
    """A loss with all that its files say."""

    name: str
    facts: LossFacts
    comment: str
    parameters: dict[str, Any]
    search: dict[str, Any]


def write_gallery(folder: Path) -> list[Path]:
    """Write all pages and their pictures; return the paths.

    Parameters
    ----------
    folder : Path
        Where to write; it is made if there is none.

    Raises
    ------
    ConfigError
        If it can't be written, or there is no page for a loss.

    """
    texts = {folder / name: text for name, text in gallery_texts().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8", newline="\n")
        pictures = [_draw(folder / f"{stem}.svg", names) for stem, names in gallery_pictures().items()]
    except OSError as error:
        raise ConfigError(
            f"gallery={folder}: can't write there ({error.strerror}). Give a folder: {COMMAND}"
        ) from error
    return [*texts, *pictures]


def gallery_texts() -> dict[str, str]:
    """Return the Markdown of each page by the name of its file, without drawing."""
    shelves = _shelves()
    return {"index.md": _index(shelves), **{f"{page.stem}.md": _page(page, shelves[page]) for page in shelves}}


def gallery_pictures() -> dict[str, list[str]]:
    """Return the names of the losses of each picture by the name of its file, without the ending."""
    return {
        stem: [loss.name for loss in losses]
        for page, shelf in _shelves().items()
        for stem, losses in _pictures(page, shelf).items()
    }


def yaml_value(value: Any) -> str:
    """Write a parameter's value as in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def search_range(search: Mapping[str, Any]) -> str:
    """Say in words what `search` of a YAML gives for one parameter.

    Examples
    --------
    >>> search_range({"low": 0.1, "high": 10.0, "log": True})
    '0.1 to 10.0 (log scale)'

    """
    if "choices" in search:
        return "one of " + ", ".join(map(yaml_value, search["choices"]))
    scale = " (log scale)" if search.get("log") else ""
    return f"{search['low']} to {search['high']}{scale}" if search else ""


def _shelves() -> dict[Page, list[Described]]:
    shelves: dict[Page, list[Described]] = {page: [] for page in pages()}
    for loss in map(_described, loss_names()):
        shelves[page_of(loss.facts)].append(loss)
    return shelves


def _described(name: str) -> Described:
    from omegaconf import OmegaConf

    text = (CONF / "loss" / f"{name}.yaml").read_text(encoding="utf-8")
    node: Any = OmegaConf.to_container(OmegaConf.create(text))
    facts = facts_of(node["_target_"])
    if facts is None:
        raise ConfigError(f"{name}.yaml: {node['_target_']} has no @loss, so there is nothing to write of it.")
    comment = re.match(r"(?:#.*\n)*", text)
    words = comment.group().replace("#", "").split() if comment else []
    return Described(name, facts, " ".join(words), hyperparameters(node), node.get("search") or {})


def _pictures(page: Page, losses: list[Described]) -> dict[str, list[Described]]:
    """Share the losses of a page out evenly; those of several outputs have no curve."""
    if not all(task_named(name).curves for name in page.tasks):
        return {}
    count = ceil(len(losses) / CURVES_IN_A_PICTURE)
    size = ceil(len(losses) / max(count, 1))
    return {f"{page.stem}-{number + 1}": losses[number * size : (number + 1) * size] for number in range(count)}


def _draw(path: Path, names: list[str]) -> Path:
    import matplotlib
    import torch

    from lossbench.catalogue.binding import load_loss
    from lossbench.catalogue.curves import draw_loss_curves
    from lossbench.catalogue.loss_picture import TWO_CLASSES

    losses = {name: load_loss(name, **TWO_CLASSES) for name in names}
    style = {"svg.hashsalt": path.stem, "svg.fonttype": "none", "path.simplify_threshold": 0.3}  # the same, and small
    with tempfile.TemporaryDirectory() as drawn, matplotlib.rc_context(style), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # some losses draw pairs at random
        _, svg = draw_loss_curves(losses, Path(drawn) / path.stem)
        path.write_bytes(svg.read_bytes())
    return path


def _index(shelves: Mapping[Page, list[Described]]) -> str:
    count = sum(map(len, shelves.values()))
    rows = []
    for page, losses in shelves.items():
        names = ", ".join(f"[{loss.name}]({page.stem}.md#{loss.name})" for loss in losses)
        rows.append([f"[{page.title}]({page.stem}.md)", str(len(losses)), page.use, names])
    paragraphs = [
        "# The losses",
        f"{count} losses, each on the page of the problem it was made for. `python -m lossbench loss=NAME` trains with "
        "one, `python -m lossbench -m loss=NAME,NAME seed=0,1,2` compares some, and `python -m lossbench.losses NAME` "
        "prints one whole, with shapes and an example.",
        _table(["problem", "losses", "when", "names"], rows),
        f"Written by `{COMMAND}` from `conf/loss` and the docstrings: change those, then run it again.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _page(page: Page, losses: list[Described]) -> str:
    pictures = [
        f"![Value, slope and curvature of {', '.join(loss.name for loss in drawn)}]({stem}.svg)"
        for stem, drawn in _pictures(page, losses).items()
    ]
    paragraphs = [
        f"# {page.title}",
        page.use,
        " · ".join(f"[{loss.name}](#{loss.name})" for loss in losses),
        *pictures,
        *(part for loss in losses for part in _loss(loss)),
        f"[All losses](index.md). Written by `{COMMAND}`.",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _loss(loss: Described) -> list[str]:
    facts = loss.facts
    own = sections_of(facts.docstring)
    told = {key: "\n".join(side[key] for side in (facts.shared, own) if key in side) for key in (*facts.shared, *own)}
    summary, formula, *remarks = own[""].split("\n\n")
    rows, arguments = _parameter_rows(loss, told.get("Parameters", ""))
    table = [_table(["parameter", "default", "allowed", "searched", "meaning"], rows)] if rows else []
    notes = {
        f"`conf/loss/{loss.name}.yaml`": loss.comment,
        "task": f"{facts.task}; link: {facts.link}; head: {facts.head}; batch reduced by: {facts.reduction}",
        "made for": facts.problem,
        "coupled": "the value of a sample depends on the other samples of its batch" if facts.coupled else "",
        "constant in the gradient": facts.detached,
        "arguments": in_one_line(arguments),
        "returns": in_one_line(told.get("Returns", "")),
        "raises": in_one_line(told.get("Raises", "")),
        "source": _linked(facts.source),
    }
    bullets = "\n".join(f"- {key}: {value}" for key, value in notes.items() if value)
    return [f"## {loss.name}", summary, f"```text\n{formula.removeprefix('Formula: ')}\n```", *remarks, *table, bullets]


def _parameter_rows(loss: Described, section: str) -> tuple[list[list[str]], str]:
    """Join YAML and declaration with the section "Parameters"; return what it says of other arguments as well."""
    rows = {name: ["from the run", "", ""] for name in loss.facts.needs}
    for name, value in loss.parameters.items():
        searched = search_range(loss.search.get(name, {}))
        rows[name] = [f"`{yaml_value(value)}`", loss.facts.ranges.get(name, ""), searched]
    entries = {tuple(names.split(", ")): text for names, text in entries_of(section).items()}
    meanings = {name: " ".join(text.partition("\n")[2].split()) for names, text in entries.items() for name in names}
    arguments = {name: text for names, text in entries.items() for name in names}
    others = dict.fromkeys(arguments[name] for name in loss.facts.arguments if name in arguments)
    return [[f"`{name}`", *cells, meanings.get(name, "")] for name, cells in rows.items()], "\n".join(others)


def _linked(source: str) -> str:
    source = re.sub(r"arXiv:([\d.]+)", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi:([^\s;,)]+)", r"[doi:\1](https://doi.org/\1)", source)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
