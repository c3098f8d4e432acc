"""What a search leaves: the loss that was found, as YAML, and a page on how it was found and what it is worth."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

from lossbench.catalogue.curves import draw_loss_curves, drawn_over
from lossbench.catalogue.facts import facts_of
from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.compare.numbers.statistics import PairedDifference, paired_difference
from lossbench.config.cell import Cell
from lossbench.locate import CONF
from lossbench.losses.formula import VARIABLES, in_python, of_loss
from lossbench.records import files, record
from lossbench.search.grammar import simplified
from lossbench.search.relatives import bound, nearest_relatives, relatives_of
from lossbench.search.settings import Settings
from lossbench.search.study import Found, node_of, score, values_of_trial
from lossbench.tune.space import study_name, tuned_cell

NAME = "searched"
"""What the loss that was found is called."""
SHOWN = 2
"""How many relatives are drawn beside it."""


def folder_of(found: Found, settings: Settings) -> Path:
    """Return the folder of the outcome."""
    return Path(found.cell.config.output_dir) / "searched" / (settings.name or study_name(found.cell))


def write_outcome(found: Found, settings: Settings) -> Path:
    """Write `loss/searched.yaml`, with which `--config-dir` knows the loss that was found; return the folder."""
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
    return folder


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
    """Return the cells of the comparison, each with the values that were found for it; the family's as `searched`."""
    chosen = []
    for cell in cells:
        of_cell = found[study_name(cell)]
        made = tuned_cell(cell, of_cell.values)
        if cell.loss == settings.family:
            OmegaConf.update(made.config, "loss", OmegaConf.create(node_of(of_cell)), merge=False)
            made = Cell(made.config, {**made.choices, "loss": NAME})
        chosen.append(made)
    return chosen


def write_search(
    folder: Path, searched: Found, rivals: Sequence[Found], chosen: Sequence[Cell], settings: Settings
) -> None:
    """Write `search.md` and the picture of the loss beside its nearest relatives.

    Parameters
    ----------
    folder : Path
        Where.
    searched : Found
        The search in the family.
    rivals : sequence of Found
        Those in known losses.
    chosen : sequence of Cell
        The runs of the comparison, as `compared_cells` returns them.
    settings : Settings
        Of the search.

    """
    node = node_of(searched)
    known = {**relatives_of(node), **{f"{each.cell.loss} as found": node_of(each) for each in rivals}}
    near = nearest_relatives(node, known)
    if near and drawn_over(bound(node)):
        losses = {NAME: bound(node), **{name: bound(known[name]) for name in list(near)[:SHOWN]}}
        draw_loss_curves(losses, folder / "curves")
    worths = worth_of(searched, rivals, chosen)
    problem = as_file_name(f"{searched.cell.data}-{chosen[0].problem[:8]}")
    sections = [
        f"# A loss for {searched.cell.data}, found in the family {settings.family}",
        _what(searched, node),
        "## What it is worth\n\n" + _worth(searched, worths),
        f"The comparison on fresh seeds: [report](../../comparisons/{problem}/report.html).",
        "## Its nearest relatives\n\n" + _relatives(near),
        "## What it cost\n\n"
        + "\n".join(f"- {_title(each, settings)}: {cost_of(each)}" for each in (searched, *rivals)),
        f"## All candidates of {settings.family}\n\n" + _candidates(searched),
    ]
    files.write_text(folder / "search.md", "\n\n".join(sections) + "\n")
    data = {
        "data": searched.cell.data,
        "family": settings.family,
        "metric": searched.cell.monitor,
        "higher_is_better": searched.higher,
        "parameters": {name: value for name, value in node.items() if not name.startswith("_")},
        "lr": searched.values["optimizer.lr"],
        "search_seeds": settings.seeds,
        "costs": {each.cell.loss: _costs(each) for each in (searched, *rivals)},
        "distances": near,
        "rivals": [asdict(each) for each in worths],
        "conclusion": conclusion(worths),
    }
    files.write_text(folder / "search.json", json.dumps(data, indent=2) + "\n")


def _what(found: Found, node: Mapping[str, Any]) -> str:
    formula = "\n\n".join(formulas_of(node)) + "\n\n"
    values = ", ".join(f"{name} = {_short(value)}" for name, value in node.items() if not name.startswith("_"))
    return f"{formula}with {values}; optimizer.lr = {_short(found.values['optimizer.lr'])}.\n\n![](curves.png)"


@dataclass(frozen=True)
class Worth:
    """What the loss that was found is worth beside a rival: its value less the rival's, in the metric of the search.

    Parameters
    ----------
    rival : str
        The known loss.
    lead : float
        Of the best candidate over the rival's best trial, on the seeds of the search.
    val, test : PairedDifference or None
        On fresh seeds; None if there are no such runs.
    said : str
        How the test part comes out: "better", "worse", "not told apart", "not known".

    """

    rival: str
    lead: float
    val: PairedDifference | None
    test: PairedDifference | None
    said: str


def worth_of(searched: Found, rivals: Sequence[Found], chosen: Sequence[Cell]) -> list[Worth]:
    """Return what a found loss is worth beside each rival, first beside the one with the best validation score."""
    ordered = sorted(rivals, key=lambda each: score(each.best), reverse=searched.higher)
    monitor, higher = searched.cell.monitor, searched.higher
    mine = values_of(chosen, NAME, monitor)
    found = []
    for each in ordered:
        other = values_of(chosen, each.cell.loss, monitor)
        val, test = (_difference(mine, other, part, higher) for part in ("val", "test"))
        lead = score(searched.best) - score(each.best)
        found.append(Worth(each.cell.loss, lead, val, test, said_of(test, higher)))
    return found


def conclusion(worths: Sequence[Worth]) -> str:
    """Say in a sentence what has come of a search."""
    worse = [each.rival for each in worths if each.said == "worse"]
    if worse:
        return f"The loss that was found is worse than {', '.join(worse)}: the search has fooled itself."
    first = worths[0]
    if first.said == "better":
        return f"The search found a loss that is better than {first.rival} on this problem."
    return f"Nothing better than {first.rival} was found, as far as these seeds can tell."


def _worth(searched: Found, worths: Sequence[Worth]) -> str:
    """Say how the lead on the search's own seeds survived on fresh ones, against each rival."""
    better = "higher" if searched.higher else "lower"
    lines = [
        f"`searched` less each rival in {searched.cell.monitor} ({better} is better). "
        "The lead of the search is that of the best candidate over the rival's best trial, on the seeds that both were "
        "chosen by; on fresh seeds it is what is left of it, with a 95 % interval over the seeds. First the rival with "
        "the best validation score.",
        "",
        "| rival | validation, search seeds | validation, fresh seeds | test, fresh seeds | so on the test part |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {each.rival} | {each.lead:+.4f} | {_told(each.val)} | {_told(each.test)} | {each.said} |"
            for each in worths
        ),
    ]
    return "\n".join([*lines, "", conclusion(worths)])


def values_of(chosen: Sequence[Cell], loss: str, metric: str) -> dict[int, dict[str, float]]:
    """Return by seed the metric of a loss on each part, at the best validation epoch, of the runs that have it."""
    values = {}
    for cell in chosen:
        metrics = ((record.read(cell.path) or {}).get("metrics") or {}).get("best_val") or {}
        own = {part: metrics[f"{part}/{metric}"] for part in ("val", "test") if f"{part}/{metric}" in metrics}
        if cell.loss == loss and own:
            values[int(cell.config.seed)] = own
    return values


def _difference(
    mine: Mapping[int, Mapping[str, float]], other: Mapping[int, Mapping[str, float]], part: str, higher: bool
) -> PairedDifference | None:
    seeds = [seed for seed in mine if seed in other and part in mine[seed] and part in other[seed]]
    if not seeds:
        return None
    pairs = [[each[seed][part] for seed in seeds] for each in (mine, other)]
    return paired_difference(*pairs, higher_is_better=higher)


def said_of(found: PairedDifference | None, higher: bool) -> str:
    """Say in a word how a paired difference has come out: "better", "worse", "not told apart" or "not known"."""
    if found is None or (math.isnan(found.low) and found.n < 2):
        return "not known"
    if math.isnan(found.low) or found.low <= 0 <= found.high:
        return "not told apart"
    return "better" if (found.low > 0) == higher else "worse"


def _told(found: PairedDifference | None) -> str:
    if found is None:
        return "–"
    bounds = "" if math.isnan(found.low) else f" [{found.low:+.4f}, {found.high:+.4f}]"
    return f"{found.mean:+.4f}{bounds}"


def _relatives(near: Mapping[str, float]) -> str:
    if not near:
        return "None that can be drawn over the same number."
    told = "\n".join(f"- {name}: {apart:.3f}" for name, apart in near.items())
    return (
        "Half the mean difference of the slopes over the margin of two classes from -6 to 6, or the residual from -5 "
        "to 5, each slope divided by its mean size: 0 is the same loss but for factor and constant, 1 has nothing in "
        f"common. Known losses are at their defaults.\n\n{told}"
    )


def _candidates(found: Found) -> str:
    names = list(found.values)
    rows = sorted(enumerate(found.trials), key=lambda each: (("refused" in each[1].user_attrs), _rank(each[1], found)))
    shown = [name.removeprefix("loss.") for name in names]
    head = f"| number | {' | '.join(shown)} | val/{found.cell.monitor} |\n|---|{'---:|' * len(names)}---|"
    lines = [
        f"| {number + 1} | {' | '.join(_short(values_of_trial(trial)[name]) for name in names)} | {_ended(trial)} |"
        for number, trial in rows
    ]
    spread = [score(trial) for trial in found.trained if math.isfinite(score(trial))]
    told = f"Mean of those that did not diverge: {fmean(spread):.4f}.\n\n" if spread else ""
    return told + "\n".join([head, *lines])


def _rank(trial: FrozenTrial, found: Found) -> float:
    return -score(trial) if found.higher else score(trial)


def _ended(trial: FrozenTrial) -> str:
    if "refused" in trial.user_attrs:
        return f"refused: {trial.user_attrs['refused']}".replace("|", "/")
    return f"{score(trial):.4f}" if math.isfinite(score(trial)) else "diverged"


def _title(found: Found, settings: Settings) -> str:
    return f"{settings.family} (the family)" if found.cell.loss == settings.family else found.cell.loss


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
