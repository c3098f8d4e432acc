"""What is told of a race: a line for each look, and the folder `races/<data>-<problem>-<key>` with the whole of it."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossbench.compare.numbers.comparisons import as_file_name
from lossbench.compare.numbers.far_runs import far_runs
from lossbench.compare.numbers.sequential import RESERVE
from lossbench.compare.report.formatting import told_far, words
from lossbench.compare.report.writers import markdown
from lossbench.race.contestants import Contest
from lossbench.race.decide import Decision, Look, Race, Values
from lossbench.race.fixed import POWER, fixed_seeds
from lossbench.records import files


def told_at_start(contest: Contest) -> str:
    """Say what races by which rules."""
    rules = contest.rules
    margin = "" if rules.margin is None else f", margin {rules.margin:g}"
    planned = "" if rules.planned in (None, rules.max_seeds) else f" (it began with race.max_seeds={rules.planned})"
    return (
        f"lossbench: a race of {', '.join(contest.contestants)} on {contest.any_cell.data} by {words(contest.metric)}: "
        f"{rules.first} seeds each, then {'one' if rules.step == 1 else rules.step} at a time, at most "
        f"{rules.max_seeds}{planned}{margin}; results go to {folder_of(contest)}/"
    )


def folder_of(contest: Contest) -> Path:
    """Return where the report of a race is: a folder of its own, or the one where an earlier version began it."""
    cell = contest.any_cell
    races, problem = Path(cell.config.output_dir) / "races", f"{cell.data}-{cell.problem[:8]}"
    own = races / as_file_name(f"{problem}-{contest.key[:8]}")
    earlier = races / as_file_name(problem)
    return own if own.exists() or not _is_same_race(_read(earlier), contest) else earlier


def as_it_began(contest: Contest) -> Contest:
    """Return a race with the looks that it planned when it began: now, or when its losses first raced on these seeds.

    Its intervals are made for these looks. With those of another plan, what was decided could change, and the chance
    of errors would be that of two races.
    """
    found = _read(folder_of(contest))
    if not _is_same_race(found, contest):
        return replace(contest, rules=replace(contest.rules, planned=contest.rules.max_seeds))
    begun = found["rules"]
    planned = begun.get("planned") or begun["max_seeds"]
    return replace(contest, rules=replace(contest.rules, first=begun["first"], step=begun["step"], planned=planned))


def _read(folder: Path) -> dict[str, Any]:
    """Read the race of a folder, {} if there is none."""
    path = folder / "race.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _is_same_race(found: dict[str, Any], contest: Contest) -> bool:
    """Whether a race that was written is this one; an earlier version wrote no key."""
    if not found or "key" in found:
        return found.get("key") == contest.key
    pairs = (pair for had in found["seeds"].values() for pair in zip(had, contest.seeds, strict=False))
    same_losses = set(found["seeds"]) == set(contest.contestants)
    same_rules = all(found["rules"].get(name) == getattr(contest.rules, name) for name in ("margin", "alpha"))
    return found["metric"] == contest.metric and same_losses and same_rules and all(a == b for a, b in pairs)


def told(found: Race, values: Values, contest: Contest, since: int = 0) -> Iterator[str]:
    """Yield a line for each look, and at the end what is known, and what makes it less sure."""
    for look in found.looks[since:]:
        yield told_look(look)
    if not found.missing and found.looks:
        yield conclusion(found, contest)
        if warning := skewed(found, values, contest):
            yield warning


def told_look(look: Look) -> str:
    """Say in a line what a look has found."""
    others = [label for label in look.running if label != look.best]
    parts = [f"{look.n} seeds: {look.best} leads" if look.best else f"{look.n} seeds"]
    if others:
        parts.append(f"open: {', '.join(others)}")
    parts += [f"out: {told_decision(decision)}" for decision in look.left]
    parts += [f"in again: {', '.join(look.back)}"] if look.back else []
    return "; ".join(parts)


def told_decision(decision: Decision) -> str:
    """Say why a loss left.

    Examples
    --------
    >>> told_decision(Decision("mse", "worse", "huber", 6, -0.31, -0.08))
    'mse, worse than huber by 0.08 to 0.31'
    >>> told_decision(Decision("mse", "equivalent", "huber", 9, -0.008, 0.004))
    'mse, equivalent to huber (better by -0.008 to 0.004)'

    """
    if decision.fate == "diverged":
        return f"{decision.loss}, which has no number on every seed (a run diverged)"
    if decision.fate == "worse":
        return f"{decision.loss}, worse than {decision.than} by {-decision.high:.3g} to {-decision.low:.3g}"
    return f"{decision.loss}, equivalent to {decision.than} (better by {decision.low:.3g} to {decision.high:.3g})"


def conclusion(found: Race, contest: Contest) -> str:
    """Say what is known at the end of a race."""
    n, rules = found.looks[-1].n, contest.rules
    if not found.best:
        return f"No loss has a number on every one of {n} seeds, so nothing is known."
    if not found.is_known:
        still = ", ".join(found.undecided)
        within_plan = rules.planned is not None and rules.max_seeds < rules.planned
        left = "" if within_plan else f", with what is left of race.alpha: {100 * RESERVE:g} % of it"
        if found.gave_up:
            return (
                f"Open after {n} seeds: {found.best} has the best mean, but {still} may be as good or better. By what "
                f"was seen the chance that {rules.max_seeds} seeds (race.max_seeds) would decide it is below "
                f"{100 * rules.futility:g} % (race.futility; 0 spends them all the same)."
            )
        return (
            f"Open after {n} seeds, which is race.max_seeds: {found.best} has the best mean, but {still} may be as "
            f"good or better. A larger race.max_seeds goes on from here{left}."
        )
    same = [label for label, decision in found.out.items() if decision.fate == "equivalent"]
    diverged = [label for label, decision in found.out.items() if decision.fate == "diverged"]
    worse = [label for label in contest.contestants if label not in (found.best, *same, *diverged)]
    less = [label for label in worse if label in found.running]
    parts = [f"{', '.join(worse)}: worse"] if worse else []
    parts += [f"of which by more than the margin or not is open for {', '.join(less)}"] if less and rules.margin else []
    parts += [f"{', '.join(same)}: equivalent"] if same else []
    parts += [f"{', '.join(diverged)}: diverged"] if diverged else []
    return f"The best is known after {n} seeds: {found.best} ({'; '.join(parts)})."


def skewed(found: Race, values: Values, contest: Contest) -> str:
    """Warn where runs are far from the others of their loss; "" where there is nothing to warn of."""
    had = {
        label: {s: values[label][s] for s in contest.seeds[:n] if s in values[label]} for label, n in found.ran.items()
    }
    far = far_runs(had)
    if not far:
        return ""
    return (
        f"{told_far(far, found.ran)} Where one loss now and then fails and another never does, races were wrong in up "
        f"to 17 % (docs/race.md), not in {100 * contest.rules.alpha:g} %."
    )


def cost(found: Race, contest: Contest, fixed_design: Mapping[str, Any] | None) -> str:
    """Say what the race cost, and what the same answer would have cost without looking."""
    taken = f"The race took {found.runs} runs; {len(contest.contestants) * contest.rules.max_seeds} were allowed."
    if fixed_design is None:
        return taken
    return (
        f"{taken} Tests at the end of a fixed number of seeds, with the same guarantee and a chance of "
        f"{100 * POWER:g} % for the hardest of these decisions, would have taken about {fixed_design['runs']} "
        f"({fixed_design['seeds']} seeds of each loss), if the differences seen here are the true ones."
    )


def write_race(found: Race, values: Values, contest: Contest, picture: bool) -> None:
    """Write `race.json` and `race.md`, and at the end of a race its picture."""
    folder, data = folder_of(contest), as_data(found, values, contest)
    files.write_text(folder / "race.json", json.dumps(_finite(data), indent=2) + "\n")
    files.write_text(folder / "race.md", as_markdown(found, contest, data))
    if picture:
        from lossbench.race.picture import draw_race

        draw_race(found, contest, folder)
        print(f"Race: {folder / 'race.md'}")


def as_data(found: Race, values: Values, contest: Contest) -> dict[str, Any]:
    """Return all of a race as plain data."""
    over = not found.missing
    n = fixed_seeds(found, values, contest.seeds, contest.rules) if over else None
    return {
        "data": contest.any_cell.data,
        "problem": contest.any_cell.problem,
        "key": contest.key,
        "metric": contest.metric,
        "rules": vars(contest.rules),
        "over": over,
        "best": found.best,
        "best_is_known": found.is_known,
        "gave_up": found.gave_up,
        "undecided": found.undecided,
        "out": [vars(decision) for decision in found.out.values()],
        "runs": found.runs,
        "warning": skewed(found, values, contest) or None,
        "seeds": {label: contest.seeds[:count] for label, count in found.ran.items()},
        "fixed_design": None if n is None else {"seeds": n, "runs": n * len(contest.contestants), "power": POWER},
        "looks": [{**vars(look), "left": [vars(decision) for decision in look.left]} for look in found.looks],
    }


def as_markdown(found: Race, contest: Contest, data: Mapping[str, Any]) -> str:
    """Write a race, and what `as_data` has of it, for people: what is known, who left when and why, what it cost."""
    rules = contest.rules
    shown = conclusion(found, contest) if not found.missing else "The race goes on."
    rows = [
        f"| {markdown(label)} | {found.ran[label]} | {markdown(_state(label, found))} |"
        for label in contest.contestants
    ]
    how = (
        f"Judged by {words(contest.metric)}. Looking after every seed costs no certainty: of all such races, a loss is "
        f"wrongly called worse in at most {100 * rules.alpha:g} %"
        + (f", and wrongly called equivalent (margin {rules.margin:g}) in as few." if rules.margin else ".")
        + " Differences are over the seeds that both losses have had, and taken for normal, as by a t test."
    )
    parts = [
        f"# A race on {markdown(contest.any_cell.data)}", markdown(shown), markdown(data["warning"] or ""),
        "\n".join(["| loss | seeds | |", "|---|---:|---|", *rows]), cost(found, contest, data["fixed_design"]), how,
        "![The race](race.png)", "## Looks", "\n".join(f"- {markdown(told_look(look))}" for look in found.looks),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _state(label: str, found: Race) -> str:
    if label in found.out:
        decision = found.out[label]
        return f"out after {decision.n} seeds: {told_decision(decision).removeprefix(label).lstrip(', ')}"
    if label == found.best:
        return "the best" if found.is_known else "has the best mean"
    low, high = found.looks[-1].against_best.get(label, (-math.inf, math.inf)) if found.looks else (-math.inf, math.inf)
    return f"{'open' if label in found.undecided else 'worse'}: better than {found.best} by {low:.3g} to {high:.3g}"


def _finite(node: Any) -> Any:
    """Return data that JSON can hold: an interval without an end has null there."""
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node
