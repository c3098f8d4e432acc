"""`python -m lossbench.play`: write the page for a lesson, on which losses are dragged."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lossbench.errors import ConfigError, nearest
from lossbench.records import files
from lossbench.running.stopping import stop_signals

USAGE = """\
python -m lossbench.play                      write play.html: all losses that
                                              can be dragged, and five lessons
python -m lossbench.play output=FILE.html     write it there
python -m lossbench.play loss=mse,mae,huber   only some losses

The page is one file and needs no network. A loss can be dragged if it depends
on one number: a residual, or the difference of two logits.

--help     this text
--version  the version of lossbench"""
KEYS = ("loss", "output")


class Asked(NamedTuple):
    """What a command asks for."""

    output: Path
    losses: tuple[str, ...]


def main() -> int:
    """Write what the command line asks for; return the exit code."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(USAGE)
        return 0
    asked = parse(sys.argv[1:])
    from lossbench.play.page import write_page

    with stop_signals(then=""), files.telling_a_full_disk(asked.output.parent):
        path = write_page(asked.output, asked.losses)
    print(f"{path} ({path.stat().st_size / 1000:.0f} kB). Open it in a browser.")
    return 0


def parse(words: Sequence[str]) -> Asked:
    """Read KEY=VALUE words.

    Raises
    ------
    ConfigError
        If a word is not known, or can't be.

    """
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            raise ConfigError(f"{word}: no such option. {nearest(word, ['--help', '--version'])}")
        if not equals or key not in KEYS:
            raise ConfigError(f"{word}: there is no key {key!r}. {nearest(key, KEYS)} Write KEY=VALUE.")
        if not value or key in given:
            raise ConfigError(f"{word}: {key} needs one value" + ("." if not value else ", and was given before."))
        given[key] = value
    names = tuple(name.strip() for name in given.get("loss", "").split(",") if name.strip())
    if "loss" in given and not names:
        raise ConfigError(f"loss={given['loss']}: give names of losses, such as loss=mse,mae.")
    output = Path(given.get("output", "play.html"))
    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"output={output}: the page is an HTML file. Give it that ending: output={output}.html")
    return Asked(output, names)
