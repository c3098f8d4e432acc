"""Text for LaTeX: escaped, measured before it is set, and broken where a name may be broken."""

import re
import unicodedata
from functools import lru_cache

_LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "≤": r"$\leq$", "≥": r"$\geq$",
    "<": "$<$", ">": "$>$", "“": "``", "”": "''", "−": "$-$", "[": "{[}", "]": "{]}", "|": r"\textbar{}",
    "→": r"$\to$", "×": r"$\times$", "…": r"\ldots{}", '"': "''",
}  # fmt: skip
_WIDTHS = {
    0.26: ".,: ;", 0.29: "ijlt|!/", 0.35: "frI()[]-'", 0.4: "s", 0.46: "acez", 0.58: "+=", 0.74: "w", 0.8: "m−±<>≤≥&",
    0.95: "MW%@",
}  # fmt: skip
_WIDTH = {letter: width for width, letters in _WIDTHS.items() for letter in letters}
"""Of letters in ems; others have that of a capital, 0.73, or of a small letter, 0.51."""
_LATIN = frozenset("ßøØæÆœŒłŁ")
_ACCENTS = frozenset(["0300", "0301", "0302", "0303", "0304", "0306", "0307", "0308", "030A", "030B", "030C", "0327"])
"""Letters beyond ASCII that LaTeX reads as they are: these, and letters with one of these accents."""
_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_CAPITALS = frozenset(["gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"])
"""The Greek capitals that have a command; the others look like Latin ones."""


def latex(text: str) -> str:
    r"""Escape a text for LaTeX; a Greek letter becomes its formula, what LaTeX can't set a question mark.

    Examples
    --------
    >>> latex("cross_entropy 95 % ± 0.1"), latex("β=2")
    ('cross\\_entropy 95 \\% $\\pm$ 0.1', '$\\beta$=2')

    """
    return "".join(_LATEX[letter] if letter in _LATEX else _letter(letter) for letter in text)


def flowing(text: str) -> str:
    r"""Escape a text that goes over lines: a long name may be broken, which LaTeX doesn't do by itself.

    Examples
    --------
    >>> flowing("ldam_drw")
    'ldam\\_\\allowbreak{}drw'

    """
    parts = re.split(r"((?<=\w)[_,=/+(](?=\w))", text)
    return "".join(latex(part) + r"\allowbreak{}" * (k % 2) for k, part in enumerate(parts))


def number(text: str) -> str:
    r"""Escape a cell of numbers: a hyphen before a digit is a minus.

    Examples
    --------
    >>> number("-0.1 [-0.3, 0.1]"), number("1e-05")
    ('$-$0.1 {[}$-$0.3, 0.1{]}', '1e-05')

    """
    return latex(re.sub(r"(?<![\w.)])-(?=\d)", "−", text))


@lru_cache(maxsize=10_000)  # a width is asked for in each way to part a table
def ems(text: str) -> float:
    """Estimate the width of a text in ems of its size, in Times and a little too wide.

    Examples
    --------
    >>> ems("focal")
    2.07

    """
    return round(sum((_WIDTH.get(letter, 0.73 if letter.isupper() else 0.51) for letter in text), 0.0), 6)


def lines_of(name: str, most: float) -> list[str]:
    """Break a name into lines of at most so many ems, where its parts end; a part that is longer anywhere.

    Parameters
    ----------
    name : str
        Not escaped.
    most : float
        The width of a line in ems, at least one letter.

    Examples
    --------
    >>> lines_of("label_smoothing(smoothing=0.1)", 9.0)
    ['label_smoothing', '(smoothing=0.1)']
    >>> lines_of("focal", 9.0)
    ['focal']

    """
    if ems(name) <= most:
        return [name]
    lines: list[str] = []
    line = ""
    for part in _parts(name):
        for piece in [part] if ems(part.rstrip()) <= most else part:
            if line and ems(line + piece.rstrip()) > most:
                lines.append(line.rstrip())
                line = ""
            line += piece
    return [*lines, line.rstrip()]


def wrapped(text: str, most: float) -> list[str]:
    """Break a text into lines of at most so many ems, at its spaces; a word that is longer as a name.

    Examples
    --------
    >>> wrapped("0.0673 [0.0645, 0.0702] (n=3)", 10.0)
    ['0.0673 [0.0645, 0.0702]', '(n=3)']

    """
    if ems(text) <= most:
        return [text]
    first, *words = [piece for word in text.split() for piece in lines_of(word, most)]
    lines = [first]
    for word in words:
        together = f"{lines[-1]} {word}"
        if ems(together) <= most:
            lines[-1] = together
        else:
            lines.append(word)
    return lines


def _parts(name: str) -> list[str]:
    """Cut a name behind `_ , = / -` and spaces, and before `(` and `+`."""
    return [part for part in re.split(r"(?<=[_,=/ -])(?=\S)|(?<=\S)(?=[(+])", name) if part]


def _letter(letter: str) -> str:
    base, _, mark = unicodedata.decomposition(letter).partition(" ")
    accented = mark in _ACCENTS and int(base, 16) < 128
    if letter.isascii() or accented or letter in _LATIN:
        return letter if letter.isprintable() else " "
    words = unicodedata.name(letter, "").split()
    if words[:1] != ["GREEK"] or words[-2:-1] != ["LETTER"]:
        return "?"
    greek = words[-1].replace("LAMDA", "LAMBDA").lower()
    if words[1] == "CAPITAL":
        return rf"$\{greek.capitalize()}$" if greek in _CAPITALS else "?"
    return rf"$\{greek}$" if greek in _GREEK else "?"
