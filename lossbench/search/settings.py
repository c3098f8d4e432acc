"""What a search is asked for, and what must hold for it: read from configs, without torch or Optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omegaconf import OmegaConf

from lossbench.catalogue.facts import facts_of, loss_names, losses_for, yaml_of
from lossbench.config.cell import Cell, without
from lossbench.errors import ConfigError, nearest
from lossbench.losses.formula import VARIABLES
from lossbench.ranges import takes
from lossbench.tune.space import check_tuning


@takes(
    family="text or null",
    trials="int [1, inf)",
    seeds="list of 1+ int [0, inf)",
    batch="int [1, inf)",
    lr="dict",
    against="list of 1+ text or null",
    members="bool",
    proper="bool",
    formulas="bool",
    seed="int [0, inf)",
    name="text or null",
)
@dataclass(frozen=True)
class Settings:
    """What is searched and how, as in the node `search` of conf/searching.yaml.

    Parameters
    ----------
    family : str
        The name of a loss with a `search`.
    trials : int
        How many candidates are trained, for the family and for each loss that it is held against.
    seeds : list of int
        Training seeds by which candidates are judged.
    batch : int
        How many candidates are asked for at once.
    lr : mapping
        `low` and `high`, factors of the given learning rate between which it is searched.
    against : list of str or None
        The losses that it is held against; None: the advice on the data.
    members : bool
        Whether the first candidates are the losses that are known to be inside the family.
    proper : bool
        Whether to refuse candidates with the wrong minimiser.
    formulas : bool
        Whether the formula itself is searched, of a family that has one.
    seed : int
        Of the sampler.
    name : str or None
        Of the folder of the outcome.

    """

    family: str | None
    trials: int
    seeds: list[int]
    batch: int
    lr: Mapping[str, float]
    against: list[str] | None
    members: bool
    proper: bool
    formulas: bool
    seed: int
    name: str | None


def settings_of(cell: Cell) -> Settings:
    """Read the settings of a composed config.

    Raises
    ------
    ConfigError
        If it has no node `search`, no family is named, or one that is not known.

    """
    if "search" not in cell.config:
        raise ConfigError("the config has no node search. Its defaults list needs `searching` in place of `config`.")
    settings = Settings(**cell.resolved["search"])
    name = settings.name
    if name is not None and ("/" in name or name in (".", "..")):
        raise ConfigError(f"search.name={name}: allowed is the name of a folder, without / in it.")
    if len(set(settings.seeds)) < len(settings.seeds):
        raise ConfigError(f"search.seeds={settings.seeds}: give different seeds, such as 100,101.")
    return settings


def require_family(name: str | None, task: str) -> str:
    """Return the name of a family, if it is one and serves a task.

    Examples
    --------
    >>> require_family("poly1", "multiclass")
    'poly1'

    Raises
    ------
    ConfigError
        With the families that there are for the task.

    """
    known = families_for(task)
    if name is None:
        raise ConfigError(f"search.family=NAME is missing: a loss with a search. For task {task}: {', '.join(known)}.")
    if name not in loss_names():
        raise ConfigError(f"search.family={name}: there is no such loss. {nearest(name, known)}")
    if name not in losses_for(task):
        facts = facts_of(yaml_of(name)["_target_"])
        serves = "" if facts is None else f" It serves {facts.task}."
        raise ConfigError(f"search.family={name} does not serve data of task {task}.{serves} {nearest(name, known)}")
    if name not in known:
        raise ConfigError(
            f"search.family={name} is no family: nothing in it is searched, its YAML has no `search`. "
            f"{nearest(name, known)}"
        )
    return name


def require_formulas(settings: Settings) -> None:
    """Raise a `ConfigError` if formulas are to be searched in a family that has none."""
    if settings.formulas and settings.family not in VARIABLES:
        known = ", ".join(VARIABLES)
        raise ConfigError(f"search.formulas=true: {settings.family} has no formula. Families that have one: {known}.")


def families_for(task: str) -> list[str]:
    """Return the losses of a task whose YAML says what to search."""
    return [name for name in losses_for(task) if yaml_of(name).get("search")]


def contestant(cell: Cell, settings: Settings) -> Cell:
    """Return the cell of a contestant with what its search asks for as its node `tune`, and no node `search`.

    The search of a family and that of a known loss are the same then: as many trials, the same seeds and batches, no
    pruning.
    """
    config = without(cell.config, "search", "race")
    asked = {"trials": settings.trials, "seeds": list(settings.seeds), "lr": dict(settings.lr), "pruner": "none",
             "seed": settings.seed, "race": False, "batch": settings.batch}  # fmt: skip
    asked |= {"formulas": True} if settings.formulas else {}
    OmegaConf.update(config, "tune", OmegaConf.create(asked), merge=False)
    return Cell(config, cell.choices, cell.overrides)


def check_search(cells: Sequence[Cell], settings: Settings) -> None:
    """Check what the search asks of the cells of its comparison: those of `contestant`.

    Raises
    ------
    ConfigError
        With the key, its value and what is allowed.

    """
    compared = {cell.config.seed for cell in cells}
    if shared := sorted(compared & set(settings.seeds)):
        raise ConfigError(
            f"seed={','.join(map(str, shared))} is also in search.seeds={settings.seeds}. Losses that were chosen on a "
            "seed look better on it than they are: use other seeds in one of the two."
        )
    if cells[0].config.data.get("val_fraction") == 0:
        raise ConfigError(
            "data.val_fraction=0 leaves no validation part, but the search chooses by it. Allowed: (0, 1)."
        )
    try:
        check_tuning(list(cells))
    except ConfigError as error:
        raise ConfigError(str(error).replace("tune.", "search.").replace("tuning", "the search")) from error
    if len({cell.problem for cell in cells}) > 1:
        raise ConfigError("a search is on one problem. Give every key but seed one value.")
