"""A question to a judge, and its reply as JSON of the form that was asked for."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from lossbench.rag.prompts import AGAIN

Judge = Callable[[str], str]
"""A prompt in, a reply out. It may be called from several threads."""
Read = TypeVar("Read")

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Unparsable(Exception):
    """Two replies of a judge were not of the form that was asked for: the case has no value."""


class JudgeFailed(Exception):
    """A judge gave no reply: the case has no value."""


def ask(judge: Judge, text: str, read: Callable[[dict[str, Any]], Read]) -> Read:
    """Ask a judge, once more if its reply can't be read, and return what was read.

    Parameters
    ----------
    judge : callable
        Prompt to reply.
    text : str
        The prompt; a second one has `AGAIN` behind it, so that no memory of replies answers it.
    read : callable
        Takes what it needs out of the JSON object; ValueError, KeyError and TypeError mean that it isn't there.

    Raises
    ------
    Unparsable
        If the second reply can't be read either.

    Examples
    --------
    >>> ask(lambda prompt: 'Sure! {"verdict": "yes"}', "Is it?", verdict)
    True

    """
    for each in (text, text + AGAIN):
        try:
            return read(json_in(judge(each)))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    raise Unparsable


def json_in(reply: str) -> dict[str, Any]:
    """Return the JSON object of a reply, which may stand in a fence or behind words; of several the last.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> json_in('It is ```json {"claims": []}``` as you see.')
    {'claims': []}

    """
    found: dict[str, Any] | None = None
    start = reply.find("{")
    while start >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(reply, start)
        except ValueError:
            end = start + 1
        start = reply.find("{", end)
    if found is None:
        raise ValueError("the reply has no JSON object")
    return found


def verdict(said: dict[str, Any]) -> bool:
    """Read {"verdict": true}."""
    return truth(said["verdict"])


def verdicts(count: int) -> Callable[[dict[str, Any]], list[bool]]:
    """Return what reads {"verdicts": [...]} with as many verdicts as were asked for."""

    def read(said: dict[str, Any]) -> list[bool]:
        if not isinstance(said["verdicts"], list) or len(said["verdicts"]) != count:
            raise ValueError(f"{count} verdicts were asked for")
        return [truth(each) for each in said["verdicts"]]

    return read


def texts(name: str) -> Callable[[dict[str, Any]], list[str]]:
    """Return what reads {name: ["...", ...]}; empty texts are left out."""

    def read(said: dict[str, Any]) -> list[str]:
        if not isinstance(said[name], list) or not all(isinstance(each, str) for each in said[name]):
            raise ValueError(f"{name} must be a list of texts")
        return [encodable(each).strip() for each in said[name] if each.strip()]

    return read


def encodable(text: str) -> str:
    """Return a text without halves of a character, such as of an emoji that was cut through: no file takes them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def truth(said: object) -> bool:
    """Read a verdict: true or false, also as yes or no, or 1 or 0.

    Raises
    ------
    ValueError
        If it is none of them.

    Examples
    --------
    >>> truth(True), truth("No"), truth(1)
    (True, False, True)

    """
    word = str(said).strip().lower()
    if word not in _WORDS:
        raise ValueError(f"{said!r} is no verdict")
    return _WORDS[word]
