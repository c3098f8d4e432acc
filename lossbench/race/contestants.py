"""Who races against whom, on which seeds, and what must hold for it: read from configs, without torch."""

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from omegaconf import OmegaConf

from lossbench.compare.numbers.comparisons import labels
from lossbench.config.cell import Cell, without
from lossbench.errors import ConfigError
from lossbench.race.decide import Rules
from lossbench.records.provenance import digest

NOT_OF_A_RUN = ("race", "tune")
"""Nodes of the command that no run has, so that the runs are those of a sweep."""


@dataclass(frozen=True)
class Contest:
    """The losses that race on one problem.

    Parameters
    ----------
    contestants : dict
        A cell of each loss by its label; its seed is any.
    seeds : list of int
        In the order in which they are given out.
    rules : Rules
        How it is run.
    avoided : frozenset of int
        Seeds that are not given out.

    """

    contestants: dict[str, Cell]
    seeds: list[int]
    rules: Rules
    avoided: frozenset[int] = frozenset()
    _made: dict[tuple[str, int], Cell] = field(default_factory=dict, repr=False, compare=False)

    @property
    def any_cell(self) -> Cell:
        """A cell of it."""
        return next(iter(self.contestants.values()))

    @property
    def metric(self) -> str:
        """What the losses are judged by."""
        return str(self.any_cell.config.compare.metric or self.any_cell.task.columns[0])

    @property
    def key(self) -> str:
        """The hash of what makes it this race: the losses with all settings, the seeds, by what and at which level.

        The budget and the steps are not in it: with more seeds a race goes on.
        """
        begun = list(self.seeds)
        while len(begun) > 1 and begun[-1] == _next_seed(begun[:-1], self.avoided):  # they follow, however many
            begun.pop()
        losses = sorted(_without_seed(cell) for cell in self.contestants.values())
        judged = [self.metric, str(self.any_cell.config.compare.select), self.rules.margin, self.rules.alpha]
        ahead = sorted(seed for seed in self.avoided if seed > max(begun))
        return digest({"losses": losses, "seeds": begun, "judged": judged} | ({"avoided": ahead} if ahead else {}))

    def cell(self, label: str, seed: int) -> Cell:
        """Return the run of a loss on a seed, as a sweep would make it."""
        if (label, seed) not in self._made:
            like = self.contestants[label]
            config = copy.deepcopy(like.config)
            config.seed = seed
            own = (line for line in like.overrides if not line.startswith(("seed=", *(f"{n}." for n in NOT_OF_A_RUN))))
            self._made[label, seed] = Cell(config, like.choices, (*own, f"seed={seed}"))
        return self._made[label, seed]


def contests(cells: Sequence[Cell], rules: Rules, avoided: Iterable[int] = ()) -> list[Contest]:
    """Sort the cells of a command into races, one for each problem, in their order; no race uses the avoided seeds."""
    given = list(dict.fromkeys(int(cell.config.seed) for cell in cells))
    barred = frozenset(avoided)
    problems: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in (_as_of_a_sweep(cell, rules.margin) for cell in cells):
        problems[cell.problem].setdefault(_without_seed(cell), cell)
    found = []
    for contestants in problems.values():
        own = list(contestants.values())
        names = _distinct(labels([cell.record("missing") for cell in own]))
        higher = own[0].task.higher_is_better(str(own[0].config.compare.metric or own[0].task.columns[0]))
        found.append(
            Contest(
                dict(zip(names, own, strict=True)),
                race_seeds(given, rules.max_seeds, barred),
                Rules(**{**vars(rules), "higher_is_better": higher}),
                barred,
            )
        )
    return found


def rules_of(cell: Cell) -> Rules:
    """Read the node `race` of a config."""
    return Rules(**OmegaConf.to_container(cell.config.race, resolve=True))  # type: ignore[arg-type]


def race_seeds(given: Sequence[int], count: int, avoided: Collection[int] = ()) -> list[int]:
    """Return the seeds of a race: those that are given, then those that follow the largest of them.

    Examples
    --------
    >>> race_seeds([0], 4), race_seeds([7, 3], 4, avoided=[8])
    ([0, 1, 2, 3], [7, 3, 9, 10])

    """
    seeds = list(given)
    while len(seeds) < count:
        seeds.append(_next_seed(seeds, avoided))
    return seeds[:count]


def _next_seed(seeds: Sequence[int], avoided: Collection[int]) -> int:
    following = max(seeds) + 1
    while following in avoided:
        following += 1
    return following


def check_race(cells: Sequence[Cell]) -> None:
    """Check what a race asks of the cells that it begins with.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    first = cells[0]
    if "race" not in first.config:
        raise ConfigError("the config has no node race. Its defaults list needs `racing` in place of `config`.")
    if len({digest(cell.resolved["race"]) for cell in cells}) > 1:
        raise ConfigError("race.KEY=A,B: a race has one set of rules. Give each key of race one value.")
    rules = rules_of(first)
    seeds = {cell.config.seed for cell in cells}
    if len(seeds) > rules.max_seeds:
        raise ConfigError(
            f"seed: {len(seeds)} seeds are given, but race.max_seeds={rules.max_seeds}. Give fewer, or more."
        )
    if first.config.rerun:
        raise ConfigError("rerun=true: a race goes on from the runs that are there. Use another output_dir.")
    if (launcher := first.choices.get("hydra/launcher", "basic")) != "basic":
        raise ConfigError(f"hydra/launcher={launcher}: a race decides after each round what runs next. Use basic.")
    for contest in contests(cells, rules):
        if len(contest.contestants) < 2:
            (label,) = contest.contestants
            raise ConfigError(
                f"loss={label}: a race needs at least two losses on the same problem (data={contest.any_cell.data}). "
                "Give some: loss=A,B."
            )


def _as_of_a_sweep(cell: Cell, margin: float | None) -> Cell:
    """Return the cell that a sweep has of the same run; its comparison has the margin of the race."""
    config = without(cell.config, *NOT_OF_A_RUN)
    if config.compare.margin is None:
        OmegaConf.update(config, "compare.margin", margin)
    return Cell(config, {group: name for group, name in cell.choices.items() if group != "race"}, cell.overrides)


def _without_seed(cell: Cell) -> str:
    config = copy.deepcopy(cell.config)
    config.seed = 0
    return Cell(config, cell.choices).key


def _distinct(names: list[str]) -> list[str]:
    """Tell names that are the same apart by a number."""
    return [name if names.count(name) == 1 else f"{name}#{names[: i + 1].count(name)}" for i, name in enumerate(names)]
