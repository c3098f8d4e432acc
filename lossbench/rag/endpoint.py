"""A judge behind an address: the chat completions that OpenAI has made the custom, with patience where it helps.

The key of an API is read from the environment, sent to this address alone, and is in no message, file or log.
"""

import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from lossbench.errors import ConfigError
from lossbench.rag.asking import JudgeFailed

KEY = "LOSSBENCH_JUDGE_KEY"
"""The variable of the environment with the key of the API; none is sent without it."""
NO_USE = {
    401: f"set the environment variable {KEY} to a key that it takes",
    403: f"the key in {KEY} may not use it",
    404: "check the address in rag.judge, and that it serves rag.model",
}
"""Answers after which no other prompt would fare better, and what to do."""
LONGEST_WAIT = 600.0
"""Seconds that an endpoint may ask to wait; one that asks for more counts as failed."""
LONGEST_BACKOFF = 60.0


class Endpoint:
    """A judge behind an address.

    429, 408, 5xx, a timeout and a reply that is cut off are tried again: after what Retry-After says, else after
    1, 2, 4 ... seconds, at most 60, each shortened by up to a half at random so that threads don't come together. Other
    answers are not, and nothing is followed to another address.

    Parameters
    ----------
    url : str
        Such as http://localhost:8000/v1; "/chat/completions" is added where it is missing.
    model : str
        The name of the model.
    temperature : float or None
        None leaves it to the endpoint.
    timeout : float
        Seconds for a whole reply.
    retries : int
        Further tries.
    backoff : float
        Seconds before the first of them.

    Raises
    ------
    ConfigError
        If the address can't be, has a key in it, or the key in the environment can't be sent.

    """

    def __init__(
        self, url: str, model: str, temperature: float | None = 0.0, *, timeout: float = 60.0, retries: int = 5,
        backoff: float = 1.0,
    ) -> None:  # fmt: skip
        self.url, self._key = completions(url), _key()
        self._model, self._temperature = model, temperature
        self._timeout, self._tries, self._backoff = timeout, retries + 1, backoff
        self._opener = urllib.request.build_opener(_StaysHere)
        self.retries, self._lock = 0, threading.Lock()

    def __call__(self, prompt: str) -> str:
        """Return the reply to a prompt.

        Raises
        ------
        JudgeFailed
            If there is none after all tries.
        ConfigError
            If there can't be one for any prompt: the key or the address is wrong.

        """
        said = ""
        for number in range(self._tries):
            if number:
                with self._lock:
                    self.retries += 1
            try:
                return self._reply(prompt)
            except _TryAgain as again:
                said = self._hidden(str(again))
                wait = min(self._backoff * 2**number, LONGEST_BACKOFF) * random.SystemRandom().uniform(0.5, 1)
                wait = wait if again.wait is None else again.wait
                if wait > LONGEST_WAIT:
                    raise JudgeFailed(f"{said}, and it asks to wait {wait:.0f} s") from None
                if number + 1 < self._tries:
                    time.sleep(wait)
        raise JudgeFailed(f"{said}, after {self._tries} tries")

    def _reply(self, prompt: str) -> str:
        body: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": prompt}]}
        if self._temperature is not None:
            body["temperature"] = self._temperature
        request = urllib.request.Request(self.url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                raw = _whole(response, time.monotonic() + self._timeout)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, HTTPException) as error:
            raise _TryAgain(f"{type(error).__name__}: {error}") from None
        return _content(raw)

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        try:
            more = error.read(2000).decode("utf-8", "replace").strip()[:200]
        except (OSError, HTTPException):
            more = ""
        said = self._hidden(f"HTTP {error.code} {error.reason}{': ' + more if more else ''}")
        if error.code in NO_USE:
            return ConfigError(f"rag.judge={self.url}: {said}. What to do: {NO_USE[error.code]}.")
        if error.code in (408, 429) or error.code >= 500:
            return _TryAgain(said, _seconds(error.headers.get("Retry-After")))
        return JudgeFailed(said)

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


class _TryAgain(Exception):
    """A request that may go better; `wait` is what the endpoint asks for, in seconds."""

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would take the prompt, and perhaps the key, to another address."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def completions(url: str) -> str:
    """Return the address of the chat completions of an endpoint.

    Raises
    ------
    ConfigError
        If it is none of http or https, or has a key or a password in it, which would be recorded.

    Examples
    --------
    >>> completions("http://localhost:8000/v1/"), completions("https://example.org/v1/chat/completions?version=2")
    ('http://localhost:8000/v1/chat/completions', 'https://example.org/v1/chat/completions?version=2')

    """
    parts = urlsplit(url)
    if parts.username is not None or any(
        word in name.lower() for name in parse_qs(parts.query) for word in ("key", "token", "secret")
    ):
        raise ConfigError(f"rag.judge has a key or a password in its address. Leave it out, and set {KEY} instead.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"rag.judge={url}: allowed is an address such as http://localhost:8000/v1.")
    path = parts.path.rstrip("/")
    path += "" if path.endswith("/chat/completions") else "/chat/completions"
    return urlunsplit(parts._replace(path=path, fragment=""))


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:  # http.client would say so with the key in its words
        raise ConfigError(f"{KEY} has a character that no key may have, such as a space or a line break inside it.")
    return key


def _whole(response: Any, deadline: float) -> bytes:
    """Read a reply piece by piece, since a timeout holds for each piece alone."""
    pieces = []
    while piece := response.read1(2**16):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError("the reply did not end in time")
    return b"".join(pieces)


def _content(raw: bytes) -> str:
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        raise _TryAgain("the reply is cut off, or not JSON") from None
    try:
        content = said["choices"][0]["message"]["content"]
    except (LookupError, TypeError):
        content = None
    if not isinstance(content, str):
        raise JudgeFailed("the reply has no choices[0].message.content")
    return content


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=timezone.utc)
    return max(0.0, (then - datetime.now(timezone.utc)).total_seconds())
