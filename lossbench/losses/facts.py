"""What the losses say of themselves, read without importing torch.

The facts stand once, in the decorator, signature and docstring of each loss. Here they are read from the source text,
so that checks, errors and listings answer at once; a test compares them with the imported losses.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

RUN_CONTEXT = frozenset(
    {
        "class_counts", "num_classes", "max_epochs", "num_samples", "num_features", "train_size",
        "bind_terms", "bind_parts", "parts",
    }
)  # fmt: skip
"""Context that holds for a whole run: `index` is below `num_samples`, of which `train_size` are trained on.

`num_features` is the width of embeddings, where those are what is learned.

`bind_terms` is for a loss that is made of others; `parts`, the tasks of one network, and `bind_parts` for one that is
made of a loss for each of them.
"""
_FAMILIES = Path(__file__).parent


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
    outputs: int | str = 1
    ranges: dict[str, str] = field(default_factory=dict)
    coupled: bool = False
    detached: str = ""
    shapes: str = ""
    broadcasts: bool = False
    needs: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict, compare=False)  # as written, so from source text alone
    memory: bool = False
    terms: tuple[str, ...] = ()
    docstring: str = ""
    arguments: tuple[str, ...] = field(default=(), compare=False)  # outputs and target, as they are called
    shared: dict[str, str] = field(default_factory=dict, compare=False)  # sections of the family's docstring

    @property
    def is_made_of_others(self) -> bool:
        """Whether it binds other losses, its terms."""
        return "bind_terms" in self.needs

    @property
    def is_made_of_parts(self) -> bool:
        """Whether it binds a loss for each of several tasks."""
        return "bind_parts" in self.needs

    @property
    def has_several_terms(self) -> bool:
        """Whether it adds terms up, which can be combined in other ways."""
        return self.is_made_of_others or self.is_made_of_parts or bool(self.terms)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.docstring.partition("\n")[0]

    @property
    def formula(self) -> str:
        """The line of the docstring that starts with "Formula:"."""
        lines = (line.strip() for line in self.docstring.splitlines())
        return next((line.removeprefix("Formula:").strip() for line in lines if line.startswith("Formula:")), "")


def sections_of(docstring: str) -> dict[str, str]:
    """Return the text of each NumPy-style section; what stands above the first has the name ""."""
    above, *told = re.split(r"\n\n(\w+)\n-+\n", docstring)
    return {"": above, **dict(zip(told[::2], told[1::2], strict=True))}


def entries_of(section: str) -> dict[str, str]:
    """Return each entry of a section, its indented lines too, by what stands before " : "."""
    entries = re.findall(r"^\S.*(?:\n    .*)*", section, re.MULTILINE)
    return {entry.partition("\n")[0].partition(" : ")[0]: entry for entry in entries}


def in_one_line(section: str) -> str:
    r"""Write the entries of a section in one line.

    Examples
    --------
    >>> in_one_line("logits : Tensor (..., K)\n    Floating point.\ntarget : Tensor (...)\n    Class indices.")
    'logits : Tensor (..., K), floating point. target : Tensor (...), class indices.'

    """
    parts = [entry.partition("\n") for entry in entries_of(section).values()]
    said = [(what, " ".join(meaning.split())) for what, _, meaning in parts]
    return " ".join(f"{what}, {_lowered(meaning)}" if meaning else f"{what}." for what, meaning in said)


def _lowered(text: str) -> str:
    return text[0].lower() + text[1:] if text[1].islower() or text[1] == " " else text


@cache
def declared_losses() -> dict[str, LossFacts]:
    """Return the facts of every loss that lossbench defines, by the name of its function."""
    facts = {}
    for path in sorted(_FAMILIES.glob("*.py")):
        family = ast.parse(path.read_text(encoding="utf-8"))
        body, head = family.body, sections_of(ast.get_docstring(family) or "")
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (declaration := _declaration(node)) is not None:
                facts[node.name] = LossFacts(
                    name=node.name,
                    family=path.stem,
                    needs=_needs(node),
                    annotations=_annotations(node),
                    memory=_remembers(node, classes),
                    terms=_terms(node),
                    docstring=ast.get_docstring(node) or "",
                    arguments=_arguments(node),
                    shared=_shared(node, head),
                    **declaration,
                )
    return facts


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


def _terms(node: ast.FunctionDef | ast.ClassDef) -> tuple[str, ...]:
    """Return the names of the terms of a loss that is declared by `adds`."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)]
    named = [each.args for each in calls if isinstance(each.func, ast.Name) and each.func.id == "adds"]
    return tuple(str(ast.literal_eval(name)) for names in named for name in names)


def _needs(node: ast.FunctionDef | ast.ClassDef) -> tuple[str, ...]:
    return tuple(argument.arg for argument, default in _keywords(node) if default is None)


def _arguments(node: ast.FunctionDef | ast.ClassDef) -> tuple[str, ...]:
    names = [argument.arg for function in _calls(node) for argument in function.args.args]
    return tuple(name for name in names if name != "self")


def _annotations(node: ast.FunctionDef | ast.ClassDef) -> dict[str, str]:
    """Return the annotation of each hyper-parameter."""
    found = ((argument.arg, argument.annotation) for argument, default in _keywords(node) if default is not None)
    return {name: ast.unparse(annotation) for name, annotation in found if annotation is not None}


def _shared(node: ast.FunctionDef | ast.ClassDef, head: Mapping[str, str]) -> dict[str, str]:
    """Return what the family's docstring says of a loss: the sections, and arguments, that its own leaves out."""
    own = sections_of(ast.get_docstring(node) or "")
    described = {name for names in entries_of(own.get("Parameters", "")) for name in names.split(", ")}
    left = {*_arguments(node), *_needs(node)} - described
    entries = [text for names, text in entries_of(head.get("Parameters", "")).items() if left & {*names.split(", ")}]
    rest = {name: text for name, text in head.items() if name and name not in own and name != "Parameters"}
    return {**({"Parameters": "\n".join(entries)} if entries else {}), **rest}


def _keywords(node: ast.FunctionDef | ast.ClassDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield the keyword-only arguments of a loss, and their defaults."""
    for function in _calls(node):
        yield from zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)


def _calls(node: ast.FunctionDef | ast.ClassDef) -> list[ast.FunctionDef]:
    """Return the functions that take the arguments of a loss."""
    if isinstance(node, ast.FunctionDef):
        return [node]
    return [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name in ("__init__", "forward")]


def _remembers(node: ast.AST, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Tell whether a class, or one of the same file that it derives from, keeps a buffer from step to step."""
    if not isinstance(node, ast.ClassDef):
        return False
    own = any(isinstance(part, ast.Attribute) and part.attr == "register_buffer" for part in ast.walk(node))
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return own or any(_remembers(base, classes) for base in bases)
