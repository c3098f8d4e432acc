"""What the runs of a comparison are called: by their loss and what tells it from others, or by their variant."""

from collections import defaultdict
from typing import Any

from lossbench.catalogue.facts import default_parameters, facts_of, hyperparameters, loss_names
from lossbench.catalogue.terms import in_words
from lossbench.config.axes import AXES, additions, after, axes_of
from lossbench.records.schema import Record, task_of
from lossbench.tasks import task_named

SUM = "sum"
"""The parameter that stands for the terms and weights of a loss made of others."""


def labels(records: list[Record]) -> list[str]:
    """Name each run by its variant; without one by its loss, what is combined with it, and what tells it from others.

    That is head and parameters in which runs of that loss differ. A run without a name takes that of its method, if
    other runs of the method have one: it was made before the method was named. Where one method has several names, in
    different sweeps, or a name would be the label of something else, none is used.

    Examples
    --------
    >>> focal = {"loss": "focal", "weighting": "none", "head": "linear", "config": {"loss": {"gamma": 1.0}}}
    >>> stronger = {**focal, "config": {"loss": {"gamma": 2.0}}}
    >>> labels([focal, stronger]), labels([focal, {**stronger, "variant": "strong"}])
    (['focal(gamma=1)', 'focal(gamma=2)'], ['focal(gamma=1)', 'strong'])

    """
    plain = plain_labels(records)
    methods = _methods(records)
    given: dict[str, set[str]] = defaultdict(set)
    for entry, method in zip(records, methods, strict=True):
        if entry.get("variant"):
            given[method].add(str(entry["variant"]))
    names = {method: next(iter(found)) for method, found in given.items() if len(found) == 1}
    named = list(plain)
    for name in set(names.values()):
        members = [number for number, method in enumerate(methods) if names.get(method) == name]
        for number, label in zip(members, _told_apart(name, records, methods, members), strict=True):
            named[number] = label
    stands_for: dict[str, set[str]] = defaultdict(set)
    for label, method in zip(named, methods, strict=True):
        stands_for[label].add(method if label not in plain else "")
    known = set(loss_names())
    clear = [
        len(stands_for[label]) == 1 and (label not in known or label == entry["loss"])
        for label, entry in zip(named, records, strict=True)
    ]
    return [label if fine else usual for label, fine, usual in zip(named, clear, plain, strict=True)]


def _methods(records: list[Record]) -> list[str]:
    """Return what tells the method of each run from others, whatever else is in the comparison.

    Where one seed has several runs of a method under different names, something tells them apart that is not known
    here: then the names do.
    """
    methods = [_method(entry) for entry in records]
    names: dict[tuple[str, Any], set[Any]] = defaultdict(set)
    for entry, method in zip(records, methods, strict=True):
        names[method, entry.get("seed")].add(entry.get("variant"))
    apart = {method for (method, _), found in names.items() if len(found - {None}) > 1}
    return [
        f"{method} {entry.get('variant')}" if method in apart else method
        for entry, method in zip(records, methods, strict=True)
    ]


def _method(entry: Record) -> str:
    known = {name: value for name, value in _parameters(entry).items() if name not in ("head", "teacher")}
    config = entry["config"]
    more = {"head": (config.get("model") or {}).get("head"), "teacher": config.get("teacher")}
    return repr([entry["loss"], axes_of(entry), after(entry.get("warm_start")), sorted(known.items(), key=repr), more])


def _told_apart(name: str, records: list[Record], methods: list[str], members: list[int]) -> list[str]:
    """Write a name as it is; if something was swept beside the variants, with what tells its methods apart."""
    if len({methods[number] for number in members}) == 1:
        return [name] * len(members)
    own = plain_labels([records[number] for number in members])
    losses = {records[number]["loss"] for number in members}
    return [name + label.removeprefix(next(iter(losses))) if len(losses) == 1 else f"{name}({label})" for label in own]


def plain_labels(records: list[Record], whole: bool = False) -> list[str]:
    """Name each run by its loss and what is combined with it, and by what differs; `whole` also by what is not usual.

    Parameters
    ----------
    records : list of dict
        Records of one problem.
    whole : bool
        Whether parameters that have other values than in the YAML of the loss are said even if all runs share them.

    """
    settings: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for entry in records:
        for name, value in _parameters(entry).items():
            settings[_owner(entry, name)].add(_shown(value))
    names, known = [], set(loss_names())
    lacked = _lacked_by_some(records)
    for entry in records:
        own = _parameters(entry)
        unsaid = set(hyperparameters(entry["config"]["loss"])) if whole and _is_own(entry) else set()
        usual = default_parameters(entry["loss"]) if whole and entry["loss"] in known else own
        differing = [
            name for name in own
            if len(settings[_owner(entry, name)]) > 1 or own[name] != usual.get(name, own[name])
            or name in unsaid or (entry["loss"], name) in lacked
        ]  # fmt: skip
        shown = ", ".join(f"{name}={_shown(own[name])}" for name in differing if name != SUM)
        if SUM in own:  # the name of the loss does not say what it adds
            shown = f"{own[SUM]}, {shown}" if shown else own[SUM]
        own_name = entry["loss"] + additions(entry) + (f"({shown})" if shown else "")
        names.append(own_name + after(entry.get("warm_start")))
    return names


def _is_own(entry: Record) -> bool:
    """Tell whether the loss is the user's: what its parameters are where nothing is given, only its code says."""
    return facts_of(entry["config"]["loss"].get("_target_", "")) is None


def _lacked_by_some(records: list[Record]) -> set[tuple[str, str]]:
    """Return the parameters of the user's losses that some of their runs are given and others not, with the loss."""
    given: dict[str, list[set[str]]] = defaultdict(list)
    for entry in filter(_is_own, records):
        given[entry["loss"]].append(set(hyperparameters(entry["config"]["loss"])))
    return {
        (loss, name) for loss, each in given.items() for name in set[str]().union(*each) - each[0].intersection(*each)
    }


def is_as_usual(entry: Record) -> bool:
    """Tell whether a run has the parameters that the YAML of its loss has; of a user's loss that is not known."""
    if entry["loss"] not in loss_names():
        return False
    own, usual = _parameters(entry), default_parameters(entry["loss"])
    return all(name in own and own[name] == value for name, value in usual.items() if name != "_target_")


def meanings(entries: dict[str, dict[int, Record]]) -> dict[str, str]:
    """Return what each label that is a name stands for: the loss, what is combined with it, and its parameters.

    Parameters
    ----------
    entries : dict
        The records of a comparison, by label and seed.

    """
    firsts = {label: next(iter(of_label.values())) for label, of_label in entries.items()}
    plain, whole = (plain_labels(list(firsts.values()), each) for each in (False, True))
    of_labels = zip(firsts, plain, whole, strict=True)
    return {label: meant for label, usual, meant in of_labels if label not in (usual, meant)}


def _owner(entry: Record, name: str) -> tuple[str, str, str]:
    """Return whose parameter it is: that of a loss, or of what is combined with it, which the label names as well."""
    return entry["loss"], axes_of(entry).get(name.partition(".")[0], ""), name


def _parameters(entry: Record) -> dict[str, Any]:
    loss = hyperparameters(entry["config"]["loss"])
    facts = facts_of(entry["config"]["loss"].get("_target_", ""))
    if facts is not None and facts.is_made_of_others:
        loss[SUM] = in_words(loss.pop("terms"), loss.pop("weights"))
    elif facts is not None and facts.is_made_of_parts:
        loss = _of_parts(entry, loss.get("terms") or {}, loss.get("weights") or {})
    axes = {
        f"{axis}.{name}": value
        for axis in AXES
        for name, value in entry["config"].get(axis, {}).items()
        if name != "kind" and not name.startswith("_")
    }
    head = {"head": entry["head"]} if "head" in entry else {}
    learner = entry["config"].get("learner") or {}
    scheduled = {name: learner[name] for name in ("scheduled_sampling",) if name in learner}
    teacher = entry.get("teacher")
    taught = {"teacher": f"{teacher['name']}-{teacher['key'][:8]}"} if teacher else {}
    return {**loss, **axes, **scheduled, **head, **taught}


def _of_parts(entry: Record, terms: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    """Return the loss and the weight of each of several tasks, the usual ones where nothing is said."""
    found: dict[str, Any] = {}
    for part, task in task_of(entry).parts.items():
        plain = task_named(task).baseline
        found[part] = plain if terms.get(part) is None else in_words([terms[part]], [1.0])
        found[f"weights.{part}"] = 1.0 if weights.get(part) is None else float(weights[part])
    return found


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
