"""What a search leaves: the loss that was found, as YAML, and a page on how it was found and what it is worth."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

from lossbench.catalogue.curves import draw_loss_curves, drawn_over
from lossbench.catalogue.facts import facts_of
from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.compare.report.searched import FILE, NAME, RELATIVES, conclusion, worths_of, worths_table
from lossbench.compare.report.tables import Table
from lossbench.compare.report.writers import markdown_table
from lossbench.config.cell import Cell
from lossbench.locate import CONF
from lossbench.losses.formula import VARIABLES, in_python, of_loss
from lossbench.records import files, record
from lossbench.search.grammar import simplified
from lossbench.search.relatives import bound, nearest_relatives, relatives_of
from lossbench.search.settings import Settings
from lossbench.search.study import Found, node_of, score, values_of_trial
from lossbench.tune.space import study_name, tuned_cell

SHOWN = 2
"""How many relatives are drawn beside it."""


def folder_of(found: Found, settings: Settings) -> Path:
    """Return the folder of the outcome."""
    return Path(found.cell.config.output_dir) / "searched" / (settings.name or study_name(found.cell))


def write_outcome(found: Found, rivals: Sequence[Found], settings: Settings) -> Path:
    """Write what a search has found, and return the folder.

    `loss/searched.yaml` makes the loss known to `--config-dir`; of `search.json` and the picture of the loss beside its
    nearest relatives the report of a comparison tells.
    """
    folder, family = folder_of(found, settings), str(settings.family)
    node = node_of(found)
    yaml: Any = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{family}.yaml"))
    defaults = {"defaults": yaml["defaults"]} if "defaults" in yaml else {}
    lines = [
        f"Found by lossbench.search in the family {family}.",
        *(f"Formula: {line}" for line in formulas_of(node)),
        f"For {found.cell.data}, by val/{found.cell.monitor} on seeds {', '.join(map(str, settings.seeds))}: "
        f"{score(found.best):.4f}, with optimizer.lr={found.values['optimizer.lr']:.4g}.",
        cost_of(found),
        f"Use: python -m lossbench --config-dir {folder} loss={NAME} data={found.cell.data} "
        f"optimizer.lr={found.values['optimizer.lr']:.4g}",
    ]
    text = "".join(f"# {line}\n" for line in lines) + OmegaConf.to_yaml(OmegaConf.create({**defaults, **node}))
    files.write_text(folder / "loss" / f"{NAME}.yaml", text)
    known = {**relatives_of(node), **{f"{each.cell.loss} as found": node_of(each) for each in rivals}}
    near = nearest_relatives(node, known)
    if near and drawn_over(bound(node)):
        losses = {NAME: bound(node), **{name: bound(known[name]) for name in list(near)[:SHOWN]}}
        draw_loss_curves(losses, folder / "curves")
    candidates = _candidates(found)
    ordered = sorted(rivals, key=lambda each: score(each.best), reverse=found.higher)
    _write_data(folder, {
        "data": found.cell.data,
        "family": family,
        "metric": found.cell.monitor,
        "higher_is_better": found.higher,
        "loss": node,
        "lr": found.values["optimizer.lr"],
        "search_seeds": settings.seeds,
        "cost": cost_of(found),
        "costs": {each.cell.loss: _costs(each) for each in (found, *rivals)},
        "distances": near,
        "leads": {each.cell.loss: score(found.best) - score(each.best) for each in ordered},
        "candidates": {"heading": candidates.heading, "rows": candidates.rows},
    })  # fmt: skip
    return folder


def _write_data(folder: Path, data: Mapping[str, Any]) -> None:
    files.write_text(folder / FILE, json.dumps(data, indent=2) + "\n")


def formulas_of(node: Mapping[str, Any]) -> list[str]:
    """Return the formula of a loss; where that is a parameter, as it is, simplified, and as Python.

    Examples
    --------
    >>> formulas_of({"_target_": "lossbench.losses.expression", "expression": "1*(1 - p) - log(p)"})
    ['1*(1 - p) - log(p)', '1 - p - log(p)', '1 * (1 - p) - torch.log(p)']

    """
    name, text = str(node["_target_"]).rpartition(".")[2], node.get("expression")
    if name in VARIABLES and isinstance(text, str):
        return list(dict.fromkeys((text, simplified(text, VARIABLES[name]), in_python(of_loss(name, text)))))
    facts = facts_of(str(node["_target_"]))
    return [facts.formula] if facts is not None and facts.formula else []


def cost_of(found: Found) -> str:
    """Say what a search has cost."""
    cost = _costs(found)
    whole = cost["seconds"] + cost["seconds_beside"]
    share = f", of it {cost['seconds_beside'] / whole:.0%} beside training" if whole else ""
    return (
        f"Cost: {cost['trained']} trials, of which {cost['diverged']} diverged, {cost['refused']} candidates refused "
        f"before training, {whole:.0f} seconds{share}."
    )


def _costs(found: Found) -> dict[str, Any]:
    return {
        "trained": len(found.trained),
        "diverged": sum(not math.isfinite(score(trial)) for trial in found.trained),
        "refused": len(found.refused),
        "seconds": found.seconds,
        "seconds_beside": found.beside,
    }


def compared_cells(cells: Sequence[Cell], found: Mapping[str, Found], settings: Settings) -> list[Cell]:
    """Return the cells of the comparison, each with the values that were found for it; the family's as `searched`.

    The rivals come first, so that one of them is what the others are held against.
    """
    chosen = []
    for cell in cells:
        of_cell = found[study_name(cell)]
        made = tuned_cell(cell, of_cell.values)
        if cell.loss == settings.family:
            OmegaConf.update(made.config, "loss", OmegaConf.create(node_of(of_cell)), merge=False)
            made = Cell(made.config, {**made.choices, "loss": NAME})
        chosen.append(made)
    return sorted(chosen, key=lambda cell: cell.loss == NAME)


def write_search(
    folder: Path, searched: Found, rivals: Sequence[Found], chosen: Sequence[Cell], settings: Settings
) -> None:
    """Write `search.md`, and into `search.json` what the loss is worth on fresh seeds.

    Parameters
    ----------
    folder : Path
        Where `write_outcome` has written.
    searched : Found
        The search in the family.
    rivals : sequence of Found
        Those in known losses.
    chosen : sequence of Cell
        The runs of the comparison, as `compared_cells` returns them.
    settings : Settings
        Of the search.

    """
    node, metric, higher = node_of(searched), searched.cell.monitor, searched.higher
    data = json.loads((folder / FILE).read_text(encoding="utf-8"))
    entries = [entry for cell in chosen if (entry := record.read(cell.path)) is not None]
    worths = worths_of(entries, data["leads"], metric, higher)
    problem = as_file_name(f"{searched.cell.data}-{chosen[0].problem[:8]}")
    table, candidates = worths_table(worths, metric, higher), _candidates(searched)
    sections = [
        f"# A loss for {searched.cell.data}, found in the family {settings.family}",
        _what(searched, node),
        f"## What it is worth\n\n{table.caption}\n\n{markdown_table(table)}\n\n{conclusion(worths)}",
        f"The comparison on fresh seeds: [report](../../comparisons/{problem}/report.html).",
        "## Its nearest relatives\n\n" + _relatives(data["distances"]),
        "## What it cost\n\n"
        + "\n".join(f"- {_title(each, settings)}: {cost_of(each)}" for each in (searched, *rivals)),
        f"## All candidates of {settings.family}\n\n{candidates.caption}\n\n{markdown_table(candidates)}",
    ]
    files.write_text(folder / "search.md", "\n\n".join(sections) + "\n")
    found = {"rivals": [asdict(each) for each in worths], "conclusion": conclusion(worths)}
    _write_data(folder, {**data, **found})


def _what(found: Found, node: Mapping[str, Any]) -> str:
    formula = "\n\n".join(formulas_of(node)) + "\n\n"
    values = ", ".join(f"{name} = {_short(value)}" for name, value in node.items() if not name.startswith("_"))
    return f"{formula}with {values}; optimizer.lr = {_short(found.values['optimizer.lr'])}.\n\n![](curves.png)"


def _relatives(near: Mapping[str, float]) -> str:
    if not near:
        return "None that can be drawn over the same number."
    told = "\n".join(f"- {name}: {apart:.3f}" for name, apart in near.items())
    return f"{RELATIVES}\n\n{told}"


def _candidates(found: Found) -> Table:
    names = list(found.values)
    rows = sorted(enumerate(found.trials), key=lambda each: (("refused" in each[1].user_attrs), _rank(each[1], found)))
    heading = ["number", *(name.removeprefix("loss.") for name in names), f"val/{found.cell.monitor}"]
    spread = [score(trial) for trial in found.trained if math.isfinite(score(trial))]
    told = [
        [str(number + 1), *(_short(values_of_trial(trial)[name]) for name in names), _ended(trial)]
        for number, trial in rows
    ]
    return Table(f"Mean of those that did not diverge: {fmean(spread):.4f}." if spread else "", heading, told, set())


def _rank(trial: FrozenTrial, found: Found) -> float:
    return -score(trial) if found.higher else score(trial)


def _ended(trial: FrozenTrial) -> str:
    if "refused" in trial.user_attrs:
        return f"refused: {trial.user_attrs['refused']}"
    return f"{score(trial):.4f}" if math.isfinite(score(trial)) else "diverged"


def _title(found: Found, settings: Settings) -> str:
    return f"{settings.family} (the family)" if found.cell.loss == settings.family else found.cell.loss


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
