"""Write the part of docs/choosing.md below its marker: the survey's pairing, and the rules of `lossbench.advise`.

python scripts/choosing_page.py
"""

from collections.abc import Iterable
from pathlib import Path

from lossbench.advise.pairing import PROBLEMS, TASKS, Pairing
from lossbench.advise.rule import Rule
from lossbench.advise.rules import RULES

PAGE = Path(__file__).parent.parent / "docs" / "choosing.md"
MARKER = "<!-- below: written by scripts/choosing_page.py from lossbench/advise -->"
PAIRED = ("task or problem", "losses", "metrics", "the survey's caution", "beyond the survey")
RULED = ("problem", "when", "losses, most promising first", "judge by", "don't judge by", "source")


def main() -> None:
    """Write the page anew, what is above the marker excepted."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return the text of a page with what belongs below its marker."""
    above, marker, _ = text.partition(MARKER)
    if not marker:
        raise SystemExit(f"{PAGE} has no line {MARKER}")
    parts = [
        "## The survey's pairing",
        _table(PAIRED, [*_paired("Task", TASKS), *_paired("Problem", PROBLEMS)]),
        "## Problems that are found in data",
        _table(RULED, [_ruled(rule) for rule in RULES if rule.when]),
        "\n".join(line for rule in RULES if rule.when and rule.because for line in _told(rule)),
        "## Tasks",
        _table(RULED, [_ruled(rule) for rule in RULES if not rule.when]),
        "\n".join(line for rule in RULES if not rule.when and rule.because for line in _told(rule)),
    ]
    return f"{above}{MARKER}\n\n" + "\n\n".join(parts) + "\n"


def _paired(kind: str, rows: Iterable[Pairing]) -> list[tuple[str, ...]]:
    return [(f"{kind}: {row.what}", row.losses, row.metrics, row.caution, row.beyond) for row in rows]


def _ruled(rule: Rule) -> tuple[str, ...]:
    when = "; ".join(f"`{name}` {comparison} {bound:g}" for name, comparison, bound in rule.when)
    tasks = ", ".join(f"`{name}`" for name in rule.tasks)
    return (
        rule.problem,
        f"{tasks}: {when}" if when else tasks,
        ", ".join(f"`{name}`" for name in rule.losses),
        ", ".join(f"`{name}`" for name in rule.metrics),
        "; ".join(f"`{name}`: {why}" for name, why in rule.misleading),
        rule.source,
    )


def _told(rule: Rule) -> list[str]:
    """Return what is said of a rule beside its row."""
    cautions = [f" {line}" for line in rule.axes]
    otherwise = [f" For {what}: `{line}`." for what, line in rule.otherwise]
    lead = f"- **{rule.problem}**: {rule.because}. It may cost: {rule.may_cost}."
    return [lead + "".join([*cautions, *otherwise])]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
