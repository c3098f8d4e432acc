"""What the losses say of themselves, read without importing torch.

The facts stand once, in the decorator, signature and docstring of each loss. Here they are read from the source text,
so that checks, errors and listings answer at once; a test compares them with the imported losses.
"""

import ast
import importlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lossbench import CONF
from lossbench.errors import ConfigError, nearest
from lossbench.shapes import ALSO_SERVES

RUN_CONTEXT = frozenset(
    {"class_counts", "num_classes", "max_epochs", "num_samples", "num_features", "run_context", "train_size"}
)
"""Context that holds for a whole run: `index` is below `num_samples`, of which `train_size` are trained on.

`run_context` is all of it, for a loss that is made of others.
"""
STEP_CONTEXT = frozenset(
    {
        *("epoch", "features", "index", "inputs"),
        *("alignment", "input_lengths", "target_lengths"),  # of sequences
        *("log_variance", "mean"),  # of codes
        "signal_to_noise",  # of what is denoised
        "teacher_logits",  # of distillation
        *("gradient_norm", "player", "real_gradient_norm"),  # of adversaries
    }
)
"""Context that changes from step to step."""
NOT_PARAMETERS = ("_target_", "_partial_", "defaults", "search")
"""The keys of a loss's YAML that are no hyper-parameters."""

SERVES = {
    "regression": {"regression"},
    "binary": {"binary", "multiclass"},
    "multiclass": {"multiclass"},
    "multilabel": {"multilabel"},
    "distributional": {"distributional"},
    "count": {"count", "regression"},
    "sequence": {"sequence"},
    "generation": {"generation"},
}
"""The tasks of losses that can train each task of data: two classes may also be trained with two logits, counts as any
number is."""

CURVED = ("binary", "multiclass", "regression")
"""The tasks whose losses can be drawn as curves: over a margin, or over a residual."""

_FAMILIES = Path(__file__).parent / "losses"


@dataclass(frozen=True)
class LossFacts:
    """What a loss of the catalogue says of itself."""

    name: str
    family: str
    task: str
    link: str
    source: str
    problem: str = ""
    head: str = "linear"
    reduction: str = "mean"
    learner: str = "supervised"
    outputs: int | str = 1
    ranges: dict[str, str] = field(default_factory=dict)
    coupled: bool = False
    detached: str = ""
    needs: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict, compare=False)  # as written, so from source text alone
    memory: bool = False
    docstring: str = ""

    @property
    def is_made_of_others(self) -> bool:
        """Whether it binds other losses, its terms."""
        return "run_context" in self.needs

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.docstring.partition("\n")[0]

    @property
    def formula(self) -> str:
        """The line of the docstring that starts with "Formula:"."""
        lines = (line.strip() for line in self.docstring.splitlines())
        return next((line.removeprefix("Formula:").strip() for line in lines if line.startswith("Formula:")), "")


@cache
def declared_losses() -> dict[str, LossFacts]:
    """Return the facts of every loss that lossbench defines, by the name of its function."""
    facts = {}
    for path in sorted(_FAMILIES.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (declaration := _declaration(node)) is not None:
                facts[node.name] = LossFacts(
                    name=node.name,
                    family=path.stem,
                    needs=_needs(node),
                    annotations=_annotations(node),
                    memory=_remembers(node, classes),
                    docstring=ast.get_docstring(node) or "",
                    **declaration,
                )
    return facts


def facts_of(target: str) -> LossFacts | None:
    """Return the facts of the loss that a `_target_` names, or None if it is not one of lossbench's own."""
    package, _, name = target.rpartition(".")
    return declared_losses().get(name) if package.startswith("lossbench.losses") else None


def own_choices(group: str) -> list[str]:
    """Return the names of the YAML files of a group that lossbench brings."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def loss_names() -> list[str]:
    """Return the names of the losses that lossbench brings."""
    return own_choices("loss")


def losses_for(task: str) -> list[str]:
    """Return the names of the losses that serve a task of data."""
    targets = {name: facts_of(default_parameters(name)["_target_"]) for name in loss_names()}
    return [name for name, facts in targets.items() if facts is not None and facts.task in SERVES[task]]


def data_for(task: str) -> list[str]:
    """Return the names of the uncorrupted data that lossbench brings that serve a task."""
    serving = "|".join([task, *(own for own, others in ALSO_SERVES.items() if task in others)])
    texts = {name: (CONF / "data" / f"{name}.yaml").read_text(encoding="utf-8") for name in own_choices("data")}
    return [name for name, text in texts.items() if re.search(rf"^  task: .*\b({serving})\b", text, re.MULTILINE)]


def default_parameters(name: str) -> dict[str, Any]:
    """Read `conf/loss/NAME.yaml`: `_target_` and the default hyper-parameters.

    Raises
    ------
    ConfigError
        If there is no such file.

    """
    from omegaconf import OmegaConf

    path = CONF / "loss" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"loss={name}: no such loss. {nearest(name, loss_names())}")
    node: Any = OmegaConf.to_container(OmegaConf.load(path))
    return {key: value for key, value in node.items() if key == "_target_" or key not in NOT_PARAMETERS}


def hyperparameters(node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a loss's config node: all but what Hydra and the tuning read."""
    return {str(key): node[key] for key in node if key not in NOT_PARAMETERS}


def targets_in(node: Any) -> set[str]:
    """Return every `_target_` that a config names, however deep."""
    if isinstance(node, Mapping):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*(targets_in(value) for value in node.values()))
    return set().union(*(targets_in(value) for value in node)) if isinstance(node, list | tuple) else set()


def strangers(node: Any, group: str, trusted: Collection[str]) -> list[str]:
    """Return what a config from the files of a run names that must not be imported: files are data, never code.

    Parameters
    ----------
    node : mapping
        The part of a group of the config that was read from a file.
    group : str
        "loss" or "model": what the YAML files of lossbench name in it is ours.
    trusted : collection of str
        Targets that the user has named in this command.

    """
    ours = {_target_of(CONF / group / f"{choice}.yaml") for choice in own_choices(group)}
    return sorted(targets_in(node) - ours - set(trusted))


def _target_of(path: Path) -> str:
    found = re.search(r"^_target_: (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def locate(target: str) -> Any:
    """Import what a `_target_` names.

    Raises
    ------
    ConfigError
        If the module or the name in it does not exist; the cause is told.

    """
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"_target_={target}: importing {module_name or target!r} failed: {type(error).__name__}: {error}. "
            "A module of yours is found in the current folder, in the folder of --config-dir, or when installed."
        ) from error
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(f"_target_={target}: {module_name} has no {name!r}. {nearest(name, public)}")
    return getattr(module, name)


def _declaration(node: ast.FunctionDef | ast.ClassDef) -> dict[str, Any] | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "loss":
            return {
                keyword.arg: keyword.value.id
                if isinstance(keyword.value, ast.Name)
                else ast.literal_eval(keyword.value)
                for keyword in decorator.keywords
                if keyword.arg is not None
            }
    return None


def _needs(node: ast.FunctionDef | ast.ClassDef) -> tuple[str, ...]:
    return tuple(argument.arg for argument, default in _keywords(node) if default is None)


def _annotations(node: ast.FunctionDef | ast.ClassDef) -> dict[str, str]:
    """Return the annotation of each hyper-parameter."""
    found = ((argument.arg, argument.annotation) for argument, default in _keywords(node) if default is not None)
    return {name: ast.unparse(annotation) for name, annotation in found if annotation is not None}


def _keywords(node: ast.FunctionDef | ast.ClassDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield the keyword-only arguments of a loss, and their defaults."""
    functions = (
        [node] if isinstance(node, ast.FunctionDef) else [f for f in node.body if isinstance(f, ast.FunctionDef)]
    )
    for function in functions:
        if function.name in (node.name, "__init__", "forward"):
            yield from zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)


def _remembers(node: ast.AST, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Tell whether a class, or one of the same file that it derives from, keeps a buffer from step to step."""
    if not isinstance(node, ast.ClassDef):
        return False
    own = any(isinstance(part, ast.Attribute) and part.attr == "register_buffer" for part in ast.walk(node))
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return own or any(_remembers(base, classes) for base in bases)
