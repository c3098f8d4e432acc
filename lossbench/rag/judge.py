"""A judge that counts what it is asked, and remembers every reply in a file, so that nothing is asked twice."""

import hashlib
import inspect
import json
import threading
from dataclasses import dataclass
from pathlib import Path

from lossbench.errors import ConfigError
from lossbench.rag.asking import Judge, JudgeFailed
from lossbench.rag.embedders import located
from lossbench.rag.endpoint import Endpoint
from lossbench.rag.prompts import VERSION
from lossbench.rag.settings import Settings

IN_A_ROW = 5
"""Prompts without a reply, one after the other, after which no more are sent."""


@dataclass
class Counts:
    """What a judge was asked.

    Parameters
    ----------
    calls : int
        Prompts that were sent.
    retries : int
        Further requests for them.
    cached : int
        Prompts whose reply was known.
    failed : int
        Prompts without a reply.
    failure : str
        What the last of those ended with.

    """

    calls: int = 0
    retries: int = 0
    cached: int = 0
    failed: int = 0
    failure: str = ""


class Remembering:
    """A judge that counts and remembers.

    The file has a line of JSON for each reply: the key, and what was replied. It only grows, a line that a kill has cut
    off is passed over, and the next one begins on a line of its own. The key is the SHA-256 of the model, the version
    of the prompts, the prompt and the temperature: what is remembered holds for any data in which a prompt comes again.

    Parameters
    ----------
    judge : callable
        Prompt to reply.
    model : str
        What tells this judge from others.
    temperature : float or None
        At which it replies.
    path : Path or None
        The file; None: it remembers while it lives.

    Examples
    --------
    >>> judge = Remembering(lambda prompt: "yes")
    >>> judge("Is it?"), judge("Is it?"), judge.counts.calls, judge.counts.cached
    ('yes', 'yes', 1, 1)

    """

    def __init__(
        self, judge: Judge, model: str = "", temperature: float | None = None, path: Path | None = None
    ) -> None:
        self._judge, self._model, self._temperature, self._path = judge, model, temperature, path
        self._lock, self._in_a_row, self._counts = threading.Lock(), 0, Counts()
        self._known = {} if path is None else remembered(path)

    @property
    def counts(self) -> Counts:
        """What it was asked so far."""
        self._counts.retries = getattr(self._judge, "retries", 0)
        return self._counts

    def __call__(self, prompt: str) -> str:
        """Return the reply to a prompt.

        Raises
        ------
        JudgeFailed
            If there is none.
        ConfigError
            If there was none for the last `IN_A_ROW` prompts either.

        """
        key = key_of(self._model, prompt, self._temperature)
        with self._lock:
            if key in self._known:
                self._counts.cached += 1
                return self._known[key]
            self._counts.calls += 1
        try:
            reply = self._judge(prompt)
        except JudgeFailed as error:
            self._failed(error)
            raise
        except ConfigError:
            raise
        except Exception as error:  # of the user's own judge
            failed = JudgeFailed(f"the judge raised {type(error).__name__}: {error}")
            self._failed(failed)
            raise failed from error
        with self._lock:
            self._in_a_row = 0
            if key not in self._known:  # else another thread has asked the same: the first reply counts
                self._known[key] = reply
                self._keep(key, reply)
            return self._known[key]

    def _failed(self, error: JudgeFailed) -> None:
        with self._lock:
            self._counts.failed += 1
            self._counts.failure = str(error)
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                raise ConfigError(
                    f"rag.judge gave no reply {IN_A_ROW} times in a row. The last time: {error}. What it has judged is "
                    "kept: the same command again goes on from there."
                )

    def _keep(self, key: str, reply: str) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"key": key, "model": self._model, "prompts": VERSION, "reply": reply}, ensure_ascii=False)
        with self._path.open("ab") as file:
            file.write((_break_before(self._path) + line + "\n").encode("utf-8", "replace"))


def key_of(model: str, prompt: str, temperature: float | None) -> str:
    """Return the name under which a reply is remembered.

    Examples
    --------
    >>> key_of("m", "Is it?", 0) == key_of("m", "Is it?", 0.0), key_of("m", "Is it?", 0) == key_of("n", "Is it?", 0)
    (True, False)

    """
    warmth = None if temperature is None else float(temperature)
    return hashlib.sha256(json.dumps([model, VERSION, prompt, warmth]).encode()).hexdigest()


def remembered(path: Path) -> dict[str, str]:
    """Return the replies in a file by their keys; {} where there is none. Lines that can't be read are passed over."""
    known: dict[str, str] = {}
    if not path.is_file():
        return known
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
            key, reply = entry["key"], entry["reply"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(key, str) and isinstance(reply, str):
            known.setdefault(key, reply)
    return known


def judge_of(settings: Settings, path: Path | None = None) -> Remembering | None:
    """Return the judge that the config names, or None.

    Parameters
    ----------
    settings : Settings
        `judge` is the address of an endpoint or a `module.function`.
    path : Path or None
        Where replies are remembered.

    Raises
    ------
    ConfigError
        If the endpoint has no model, its address can't be, or the function isn't there.

    """
    name = settings.judge
    if name is None:
        if settings.model is not None:
            raise ConfigError(f"rag.model={settings.model}: who judges? Set rag.judge to the address of its endpoint.")
        return None
    if "/" in name:
        if settings.model is None:
            raise ConfigError("rag.judge is an endpoint, which needs the name of its model: rag.model=NAME.")
        endpoint = Endpoint(
            name, settings.model, settings.temperature, timeout=settings.timeout, retries=settings.retries
        )
        return Remembering(endpoint, settings.model, settings.temperature, path)
    function = located(name, "rag.judge")
    return Remembering(function, f"{name} {_source_of(function)} {settings.model or ''}".strip(), None, path)


def _source_of(function: object) -> str:
    """Hash the file of a function, so that nothing is remembered of an older one."""
    try:
        found = inspect.getsourcefile(inspect.unwrap(function))  # type: ignore[arg-type]
        return hashlib.sha256(Path(found or "").read_bytes()).hexdigest()[:16]
    except (TypeError, OSError):
        return ""


def _break_before(path: Path) -> str:
    """Return the line break that a file lacks at its end."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return ""
        file.seek(-1, 2)
        return "" if file.read(1) == b"\n" else "\n"
