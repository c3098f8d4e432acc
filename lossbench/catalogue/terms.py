"""Losses that are made of others: what a config says of their terms and what these must share, read without torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossbench.catalogue.facts import default_parameters, facts_of, loss_names
from lossbench.errors import ConfigError, nearest

SHARED = ("task", "head", "reduction")
"""What all terms of a sum must declare alike: they judge the same outputs, and the batch is reduced once."""

Node = dict[str, Any]
"""A loss as its YAML gives it: `_target_` and hyper-parameters."""


def term_nodes(terms: Any) -> dict[str, Node]:
    """Return the node of each term by its key, "0", "1" and so on, in the order of these numbers.

    Parameters
    ----------
    terms : mapping or sequence
        For each term the name of a loss, or a mapping: {"name": "focal", "gamma": 1.0}, or for a loss that is not in
        `conf/loss` {"_target_": "my_module.my_loss"} with its parameters.

    Raises
    ------
    ConfigError
        If there is no term, a key is no number, or there is no such loss or parameter.

    Examples
    --------
    >>> term_nodes(["focal", {"name": "gce", "q": 0.5}])["1"]
    {'_target_': 'lossbench.losses.gce', 'q': 0.5}

    """
    numbered = dict(enumerate(terms)) if isinstance(terms, list | tuple) else terms
    if not isinstance(numbered, Mapping) or not numbered:
        raise ConfigError(f"loss.terms={terms}: give a loss to each number from 0, such as loss.terms.0=focal.")
    named = next((key for key in numbered if not str(key).isdecimal()), None)
    if named is not None:
        raise ConfigError(f"loss.terms.{named}: a term has a number: +loss.terms.{len(numbered) - 1}=NAME.")
    return {str(key): node_of(f"loss.terms.{key}", numbered[key]) for key in sorted(numbered, key=int)}


def node_of(key: str, term: Any, may_be_sum: bool = False) -> Node:
    """Return the node of a term in the notation of `term_nodes`; see there for the errors."""
    given = dict(term) if isinstance(term, Mapping) else {"name": term}
    name = given.pop("name", None)
    if "_target_" in given:
        return given
    if name not in loss_names():
        own = "One of your own is {_target_: my_module.my_loss}."
        raise ConfigError(f"{key}={name}: no such loss. {nearest(str(name), loss_names())} {own}")
    defaults = default_parameters(name)
    facts = facts_of(defaults["_target_"])
    if facts is not None and facts.is_made_of_parts:
        raise ConfigError(f"{key}={name}: it is the loss of several tasks, not of one. Give the loss of one here.")
    if facts is not None and facts.is_made_of_others and not may_be_sum:
        raise ConfigError(f"{key}={name}: a sum is no term of another sum. Give its terms and weights here.")
    known = [parameter for parameter in defaults if parameter != "_target_"]
    for parameter in given:
        if parameter not in known:
            hint = nearest(str(parameter), known) if known else "It has none."
            raise ConfigError(f"{key}: {name} has no parameter {parameter!r}. {hint}")
    return {**defaults, **given}


def targets(loss: Mapping[str, Any]) -> list[str]:
    """Return the `_target_` of a loss, or of each of its terms."""
    facts = facts_of(loss["_target_"])
    if facts is None or not facts.is_made_of_others:
        return [str(loss["_target_"])]
    return [str(node["_target_"]) for node in term_nodes(loss["terms"]).values()]


def asks_for(name: str, loss: Mapping[str, Any], unknown: bool = True) -> bool:
    """Tell whether a loss, or a term of it, asks for some context; `unknown` is said of one that is not lossbench's."""
    known = [facts_of(target) for target in targets(loss)]
    return any(unknown if facts is None else name in facts.needs for facts in known)


def title(key: str, node: Node) -> str:
    """Name a term as a command sets it: "loss.terms.0=focal"."""
    return f"loss.terms.{key}={node['_target_'].rpartition('.')[2]}"


def require_weights(nodes: Mapping[str, Node], weights: Any) -> None:
    """Raise a `ConfigError` unless each term has its weight."""
    if not isinstance(weights, list | tuple) or len(weights) != len(nodes):
        named, ones = ", ".join(title(*item) for item in nodes.items()), ",".join(["1.0"] * len(nodes))
        raise ConfigError(
            f"loss.weights={weights} does not fit {len(nodes)} terms ({named}). "
            f"Give each its weight: 'loss.weights=[{ones}]'."
        )
    if not any(weights):
        raise ConfigError(f"loss.weights={weights}: all are 0, so that nothing is learned. One must be above 0.")


def require_agreement(said: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` unless all terms declare alike what they must share.

    Parameters
    ----------
    said : mapping
        The declaration, or the facts, of each term by its title.

    """
    (first, its), *others = said.items()
    for other, theirs in others:
        for what in SHARED:
            one, another = getattr(its, what), getattr(theirs, what)
            if one != another:
                raise ConfigError(
                    f"{first} and {other} can't be added: the {what} of one is {one}, of the other {another}. "
                    f"The terms of a sum must have the same {', '.join(SHARED[:-1])} and {SHARED[-1]}."
                )


def in_words(terms: Any, weights: Sequence[float]) -> str:
    """Write a sum as people do.

    Examples
    --------
    >>> in_words({"0": "cross_entropy", "1": {"name": "focal", "gamma": 1.0}}, [1.0, 0.5])
    'cross_entropy + 0.5 focal(gamma=1)'

    """
    numbered = dict(enumerate(terms)) if isinstance(terms, list | tuple) else terms
    shown = [_in_words(numbered[key]) for key in sorted(numbered, key=int)]
    factors = ["" if weight == 1 else f"{weight:g} " for weight in weights]
    return " + ".join(factor + term for factor, term in zip(factors, shown, strict=True))


def _in_words(term: Any) -> str:
    if not isinstance(term, Mapping):
        return str(term)
    own = {key: value for key, value in term.items() if key not in ("name", "_target_")}
    parameters = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in own.items()]
    shown = ", ".join(parameters)
    return str(term.get("name") or term["_target_"]).rpartition(".")[2] + (f"({shown})" if shown else "")
