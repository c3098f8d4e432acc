"""The help texts that come with CPython, cut into passages: what `help()` shows of topics, built-ins and modules.

They need no file and no network. Each version of Python has its own texts, so a record says the version and the hash.
"""

import builtins
import hashlib
import importlib
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from lossbench.data.files import DataError

MODULES = (
    "argparse", "array", "bisect", "calendar", "collections", "configparser", "contextlib", "copy", "csv",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "fnmatch", "fractions", "functools", "heapq", "inspect",
    "io", "itertools", "json", "logging", "math", "operator", "pathlib", "pickle", "pprint", "queue", "random", "re",
    "shutil", "statistics", "string", "subprocess", "tempfile", "textwrap", "threading", "traceback", "unittest",
    "urllib.parse", "weakref", "zipfile",
)  # fmt: skip
"""The modules whose docstrings are read: they are there on every system, and importing them does nothing else."""
FEWEST, ENOUGH, MOST = 20, 60, 150
"""Words: a shorter passage is left out, one of enough takes no more paragraphs, and none makes it longer than most."""
HEADING = 9
"""Words: a shorter paragraph may be one."""
_UNDERLINE = re.compile(r"([*=\-~^#\"])\1{2,}")


class Passage(NamedTuple):
    """A few paragraphs of one text.

    `key` is what `help()` is asked for: a topic ("with"), a built-in ("str.split") or a name in a module
    ("itertools.chain"); `title` is the heading of the topic, or the key.
    """

    key: str
    title: str
    text: str


@cache
def passages() -> tuple[Passage, ...]:
    """Return the passages of this Python: topics, then built-ins, then modules, each in the order of its text.

    A paragraph of 20 words that several texts have, as long topics repeat short ones, is kept in the first alone;
    topics come by their length.

    Raises
    ------
    DataError
        If this Python comes without its topics.

    Examples
    --------
    >>> [each.title for each in passages() if each.key == "with"][0]
    'The "with" statement'

    """
    seen: set[str] = set()
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some names only warn that they are old
        texts = [*_topics(), *_docstrings()]
    for key, title, paragraphs in texts:
        own = [each for each in paragraphs if each not in seen]
        seen.update(each for each in own if len(each.split()) >= FEWEST)
        made += [Passage(key, title, text) for text in _cut(own)]
    return tuple(made)


def hash_of(texts: Iterable[str]) -> str:
    """Return the SHA-256 of texts in their order.

    Examples
    --------
    >>> hash_of(["a"])[:8], hash_of(["a", ""])[:8]
    ('ffe9aaea', 'ea6fde9e')

    """
    made = hashlib.sha256()
    for text in texts:
        made.update(text.encode() + b"\0")
    return made.hexdigest()


def paragraphs_of(text: str) -> list[str]:
    r"""Return the paragraphs of a text, each on one line, without the lines that only underline a heading.

    Examples
    --------
    >>> paragraphs_of("Lambdas\n*******\n\nOne\n  two.\n\n\nThree.")
    ['Lambdas', 'One two.', 'Three.']

    """
    found = []
    for block in re.split(r"\n[ \t]*\n", text.expandtabs()):
        lines = [line for line in block.split("\n") if not _UNDERLINE.fullmatch(line.strip())]
        found.append(" ".join(" ".join(lines).split()))
    return [each for each in found if each]


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text: they end with a full stop, before a space and no small letter.

    Examples
    --------
    >>> sentences_of("See e.g. this. It ends: here. 3 are left")
    ['See e.g. this.', 'It ends: here.', '3 are left']

    """
    return [each.strip() for each in re.split(r"(?<=[.!?])\s+(?![a-z])", text) if each.strip()]


def _cut(paragraphs: list[str]) -> Iterator[str]:
    """Put paragraphs together until there are enough words; a longer paragraph is cut at the ends of its sentences.

    A heading or a signature at the end goes to the next passage, which it is about.
    """
    kept: list[str] = []
    for part in (part for each in paragraphs for part in _parts(each)):
        if _words(kept) >= ENOUGH or _words([*kept, part]) > MOST:
            last = len(kept)
            while last and _words(kept[last - 1 : last]) < HEADING and not kept[last - 1].endswith((".", ":")):
                last -= 1
            if _words(kept[:last]) >= FEWEST:
                yield "\n".join(kept[:last])
                kept = kept[last:]
        kept.append(part)
    if _words(kept) >= FEWEST:
        yield "\n".join(kept)


def _words(paragraphs: list[str]) -> int:
    return sum(len(each.split()) for each in paragraphs)


def _parts(paragraph: str) -> list[str]:
    if len(paragraph.split()) <= MOST:
        return [paragraph]
    parts: list[str] = []
    for sentence in sentences_of(paragraph):
        if parts and len(parts[-1].split()) + len(sentence.split()) <= MOST:
            parts[-1] += " " + sentence
        else:
            parts.append(sentence)
    return parts


def topic_names() -> frozenset[str]:
    """Return the names of the topics, which some built-ins have, too.

    Examples
    --------
    >>> sorted({"with", "if", "sorted"} & topic_names())
    ['if', 'with']

    """
    return frozenset(_all_topics())


def _all_topics() -> dict[str, str]:
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise DataError(
            "data: this Python has no help texts (pydoc_data.topics can't be imported). Install its full standard "
            "library, or use other data."
        ) from error
    return topics


def _topics() -> list[tuple[str, str, list[str]]]:
    """Return key, heading and paragraphs of each topic, the shortest first."""
    topics = _all_topics()
    found = []
    for key in sorted(topics, key=lambda key: (len(topics[key]), key)):
        heading, *rest = paragraphs_of(topics[key]) or [key]
        found.append((key, heading, rest))
    return found


def _docstrings() -> Iterator[tuple[str, str, list[str]]]:
    """Return name twice and paragraphs of each docstring; those of a class come before those of its methods."""
    for name, each in _of_module(builtins):
        yield name, name, each
    for module in MODULES:
        try:
            imported = importlib.import_module(module)
        except ImportError:  # a Python that is built without it, or a later one that has no such module
            continue
        yield module, module, paragraphs_of(_docstring(imported))
        for name, each in _of_module(imported):
            yield f"{module}.{name}", f"{module}.{name}", each


def _of_module(module: Any) -> Iterator[tuple[str, list[str]]]:
    """Return what a module itself defines: what others put there, as `site` does, is not its own."""
    for name, each in sorted(vars(module).items(), key=lambda item: item[0]):
        own = getattr(each, "__module__", None)
        public = name in getattr(module, "__all__", ()) or (isinstance(own, str) and own == module.__name__)
        if name.startswith("_") or not public or not (inspect.isclass(each) or inspect.isroutine(each)):
            continue
        yield name, paragraphs_of(_docstring(each))
        for inner, member in sorted(vars(each).items(), key=lambda item: item[0]) if inspect.isclass(each) else ():
            if not inner.startswith("_") and (inspect.isroutine(member) or isinstance(member, property)):
                yield f"{name}.{inner}", paragraphs_of(_docstring(member))


def _docstring(each: Any) -> str:
    text = getattr(each, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) else ""
