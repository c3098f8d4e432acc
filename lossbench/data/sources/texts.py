"""The help texts of Python to be classified, and to be continued letter by letter."""

import platform
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.data.corruptions import stratified_subset
from lossbench.data.hashed_ngrams import VOCABULARY, hashed_ngrams
from lossbench.data.help_corpus import hash_of, passages, topic_names
from lossbench.data.sources.source import FIXED, Source, source
from lossbench.ranges import takes
from lossbench.seeding import numpy_stream

GROUPS = {
    "statements": (
        "assert", "assignment", "augassign", "async", "await", "break", "class", "compound", "context-managers",
        "continue", "del", "else", "exceptions", "for", "function", "global", "if", "import", "nonlocal", "pass",
        "raise", "return", "try", "while", "with", "yield",
    ),
    "expressions": (
        "atom-identifiers", "atom-literals", "attribute-references", "binary", "bitwise", "booleans", "calls",
        "comparisons", "conversions", "exprlists", "floating", "id-classes", "identifiers", "imaginary", "in",
        "integers", "lambda", "lists", "numbers", "operator-summary", "power", "shifting", "slicings", "subscriptions",
        "truth", "unary",
    ),
    "special methods": (
        "attribute-access", "callable-types", "customization", "numeric-types", "sequence-types", "specialattrs",
        "specialnames",
    ),
    "types": (
        "bltin-code-objects", "bltin-ellipsis-object", "bltin-null-object", "bltin-type-objects", "dynamic-features",
        "execmodel", "naming", "objects", "types", "typesfunctions", "typesmethods", "typesmodules",
    ),
    "strings": ("formatstrings", "re", "str", "string", "string-methods", "strings", "textwrap"),
    "bytes": ("array", "bytearray", "bytes", "memoryview"),
    "containers": (
        "collections", "dict", "frozenset", "heapq", "itertools", "list", "set", "tuple", "typesmapping", "typesseq",
        "typesseq-mutable",
    ),
    "numbers": ("complex", "decimal", "float", "fractions", "int", "math", "random", "statistics"),
    "debugging": ("debugger", "logging", "traceback", "unittest"),
    "files": ("fnmatch", "io", "pathlib", "pickle", "shutil", "tempfile", "zipfile"),
    "formats": ("argparse", "calendar", "configparser", "csv", "datetime", "json", "pprint", "urllib"),
    "processes": ("queue", "subprocess", "threading"),
    "introspection": (
        "contextlib", "copy", "dataclasses", "enum", "functools", "inspect", "operator", "weakref",
    ),
}  # fmt: skip
"""What a passage is about, by the topic, the built-in or the module that it is from; what is not named is left out."""
LENGTH = 256
"""The most tokens of a passage."""
TEST = 300
"""Passages of the test part."""
HELD_OUT = 0.12
"""Share of the letters, in whole topics, that is tested on."""
RARE = 20
"""A character that the training topics have fewer times is the class `?`."""


@source(shape=(256,), serves=("multiclass",), of_python=True)
@takes(vocabulary="int [2, inf)")
def help_classes(root: Path, seed: int, *, vocabulary: int = VOCABULARY) -> Source:
    """Tell what a passage of the help texts of this Python is about, of 13 groups of topics and modules.

    A passage is read without its title. The 300 test passages are drawn from each group in proportion, the same under
    every seed; other passages of the same topic may be in the training part, the same text is not.

    Parameters
    ----------
    root, seed
        Not looked at.
    vocabulary : int
        Numbers of tokens, the padding included.

    """
    group_of = {each: name for name, members in GROUPS.items() for each in members}
    grouped = {each.text: group_of.get(each.key.partition(".")[0]) for each in passages()}
    texts = [text for text, group in grouped.items() if group is not None]
    names = [name for name in GROUPS if name in grouped.values()]
    labels = np.array([names.index(str(grouped[text])) for text in texts])
    test = stratified_subset(labels, min(TEST, len(texts) // 4), numpy_stream(FIXED, "help_classes", "test"))
    train = np.setdiff1d(np.arange(len(texts)), test)
    trained = [texts[row] for row in train]
    tokens = hashed_ngrams(texts, LENGTH, vocabulary=vocabulary, documents=trained)
    return Source(
        task="multiclass",
        train_inputs=tokens[train],
        train_target=torch.from_numpy(labels[train]),
        test_inputs=tokens[test],
        test_target=torch.from_numpy(labels[test]),
        mean=torch.zeros(1),
        std=torch.ones(1),
        class_names=tuple(names),
        shared={"vocabulary": vocabulary, **_version(texts)},
    )


@source(shape=(), serves=("text",), of_python=True)
@takes(length="int [2, inf)")
def help_chars(root: Path, seed: int, *, length: int = 64) -> Source:
    """Foretell each character of the topics of this Python's help texts from those before it, in windows.

    Whole topics, drawn once for every seed, are the test part. Windows follow each other without overlap and never go
    from one topic to another; what is left at the end of a topic is not used. Class 0 is the padding, which does not
    occur, class 1 is `?` and each rare character.

    Parameters
    ----------
    root, seed
        Not looked at.
    length : int
        Characters T of a window.

    """
    texts: dict[str, str] = {}
    topics = topic_names()
    for each in passages():
        if each.key in topics:
            texts[each.key] = texts.get(each.key, f"{each.title}\n") + each.text + "\n"
    tested = _held_out({key: len(text) for key, text in texts.items()})
    counts = Counter("".join(text for key, text in texts.items() if key not in tested))
    names = ("<padding>", "?", *sorted(each for each, count in counts.items() if count >= RARE and each != "?"))
    numbers = {name: number for number, name in enumerate(names)}
    parts: dict[str, Any] = {}
    for part in ("train", "test"):
        read = [text for key, text in texts.items() if (key in tested) == (part == "test")]
        windows = torch.cat([_windows([numbers.get(each, 1) for each in text], length) for text in read])
        parts[f"{part}_inputs"], parts[f"{part}_target"] = windows[:, :-1].clone(), windows[:, 1:].clone()
    shared = {"held_out": sorted(tested), "pieces": names, **_version(list(texts.values()))}
    return Source("text", mean=torch.zeros(1), std=torch.ones(1), class_names=names, shared=shared, **parts)


def _held_out(sizes: dict[str, int]) -> set[str]:
    """Draw whole topics until they have their share of the letters; one that alone has more is never drawn."""
    wanted = HELD_OUT * sum(sizes.values())
    drawn: set[str] = set()
    for row in numpy_stream(FIXED, "help_chars", "test").permutation(len(sizes)):
        key = sorted(sizes)[row]
        if sum(sizes[each] for each in drawn) < wanted and sizes[key] < wanted:
            drawn.add(key)
    return drawn


def _windows(characters: list[int], length: int) -> Tensor:
    """Return windows (N, length + 1), each of which begins with the last character of the one before."""
    count = max(0, (len(characters) - 1) // length)
    places = torch.arange(count)[:, None] * length + torch.arange(length + 1)
    return torch.tensor(characters)[places]


def _version(texts: list[str]) -> dict[str, str]:
    return {"python": platform.python_version(), "hash": hash_of(texts)}
