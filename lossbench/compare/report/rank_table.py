"""The table of mean ranks over the seeds of one data set."""

from lossbench.compare.numbers.analysis import Analysis
from lossbench.compare.numbers.seed_ranks import SeedRanks, seed_ranks
from lossbench.compare.report.formatting import listed, words
from lossbench.compare.report.tables import Table, groups_of
from lossbench.words import counted


def seed_ranks_table(analysis: Analysis) -> Table:
    """Make the table of the mean rank of each loss on each metric of the tables that has a better way.

    It has no rows where there are fewer than two losses or two seeds to rank.
    """
    found = {name: ranked for name in analysis.tabled if (ranked := seed_ranks(analysis, name)) is not None}
    labels = [label for label in analysis.order if any(label in ranked.ranks for ranked in found.values())]
    best = {name: min(ranked.ranks.values()) for name, ranked in found.items()}
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for label in labels:
        row = [label]
        for name, ranked in found.items():
            rank = ranked.ranks.get(label)
            if rank is not None and rank == best[name]:
                bold.add((len(rows), len(row)))
            row.append("–" if rank is None else f"{rank:.2f}")
        rows.append(row)
    left_out = [label for label in analysis.order if label not in labels]
    title = f"{analysis.comparison.title}: mean rank of each loss over {_seeds(found)}"
    heading = ["loss", *map(words, found)]
    return Table(
        _caption(analysis, found, left_out), heading, rows, bold, "ranks", title, ("", *groups_of(analysis, found))
    )


def _seeds(found: dict[str, SeedRanks]) -> str:
    most = max((ranked.n for ranked in found.values()), default=0)
    return counted(most, "seed")


def _caption(analysis: Analysis, found: dict[str, SeedRanks], left_out: list[str]) -> str:
    text = (
        f"{analysis.comparison.title}: test set, {analysis.epoch}; mean rank over {_seeds(found)} (1 is best; ties "
        "share their mean rank) among the losses that have a value under every seed. It describes these runs; what "
        "is shown to differ is what the tests of the differences say"
    )
    return f"{text}. Not ranked: {listed(left_out, most=9)}." if left_out else f"{text}."
