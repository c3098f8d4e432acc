"""What functions and classes of lossbench say of themselves, read from the source text without importing them."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from lossbench.locate import locate

Defined = ast.FunctionDef | ast.ClassDef | ast.Assign


def settings_of(target: str) -> dict[str, str]:
    """Return the values that a target's settings may have, as `@takes(...)` declares them; {} if it declares none."""
    node = _defined(target)
    calls = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):  # name = takes(...)(function)
        calls = [node.value.func]
    return {
        str(keyword.arg): str(ast.literal_eval(keyword.value))
        for call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "takes"
        for keyword in call.keywords
    }


def attributes_of(target: str) -> dict[str, object]:
    """Return the attributes of a class that are plain values, its own before those of its bases of lossbench."""
    node, module = _defined(target), target.rpartition(".")[0]
    if not isinstance(node, ast.ClassDef):
        return {}
    found: dict[str, object] = {}
    for base in node.bases:
        found |= attributes_of(f"{module}.{base.id}") if isinstance(base, ast.Name) else {}
    for part in node.body:
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            value, name = part.value, part.targets[0].id
        elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value is not None:
            value, name = part.value, part.target.id
        else:
            continue
        if isinstance(value, ast.Constant):
            found[name] = value.value
    return found


def said_by(target: str, name: str, default: Any = None) -> Any:
    """Return what a class says of itself in an attribute; a user's class is imported for it, and inherits ours."""
    if target.startswith("lossbench."):
        return attributes_of(target).get(name, default)
    return getattr(locate(target), name, default)


def context_of(target: str) -> list[str]:
    """Return the keyword-only parameters without a default: what a function asks for by name."""
    node = _defined(target)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args:
        named = node.value.args[0]  # takes(...)(module.function)
        return context_of(f"lossbench.losses.{ast.unparse(named)}")
    if not isinstance(node, ast.FunctionDef):
        return []
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return [argument.arg for argument, default in pairs if default is None]


@cache
def _defined(target: str) -> Defined | None:
    """Find where a name of a module of lossbench is defined; imports of it from another one are followed."""
    module, _, name = target.rpartition(".")
    place = Path(__file__).parents[2].joinpath(*module.split("."))
    path = next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()), None)
    if path is None or not target.startswith("lossbench."):
        return None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found = next((each.name for each in node.names if (each.asname or each.name) == name), None)
            if found is not None:
                return _defined(f"{node.module}.{found}")
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return node
    return None
