"""Numbers below a million spelled in English, German and French, in pieces that joined without anything are the text.

Spaces, hyphens and the "and" of a language are pieces. German is one word; its "ein" is "eins" only at the very end.
English is British: "and" before what follows the hundreds, or the thousands where there are none. French follows the
rules before the reform of 1990: hyphens only below a hundred, none around "et"; "cent" and "quatre-vingt" have an s
where they are multiplied and nothing follows, not even "mille".
"""

from collections.abc import Callable

from lossbench.errors import nearest

_ENGLISH = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_ENGLISH_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_GERMAN = [
    "null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf",
    "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
]  # fmt: skip
_GERMAN_TENS = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
_FRENCH = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
]  # fmt: skip
_FRENCH_TENS = ["vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt"]
LIMIT = 1_000_000
LONGEST = 17
"""The most pieces of a number."""


def spelled(number: int, language: str) -> list[str]:
    """Return the pieces of a number in words; `"".join` of them is the text.

    Parameters
    ----------
    number : int
        From 0 to 999,999.
    language : str
        "en", "de" or "fr".

    Raises
    ------
    ValueError
        If there is no such language, or the number is not in this range.

    Examples
    --------
    >>> spelled(21, "de")
    ['ein', 'und', 'zwanzig']
    >>> ["".join(spelled(1080, language)) for language in LANGUAGES]
    ['one thousand and eighty', 'eintausendachtzig', 'mille quatre-vingts']
    >>> "".join(spelled(200_201, "fr")), "".join(spelled(101_101, "de"))
    ('deux cent mille deux cent un', 'einhunderteintausendeinhunderteins')

    """
    if language not in LANGUAGES:
        raise ValueError(f"language={language}: {nearest(language, LANGUAGES)}")
    if not 0 <= number < LIMIT:
        raise ValueError(f"number={number}: it must be from 0 to {LIMIT - 1}.")
    return LANGUAGES[language](number)


def all_pieces() -> list[str]:
    """Return all pieces of all languages, each once."""
    parts = [
        *_ENGLISH, *_ENGLISH_TENS, "hundred", "thousand", " ", "-", " and ",
        *_GERMAN, *_GERMAN_TENS, "s", "und", "hundert", "tausend",
        *_FRENCH, *_FRENCH_TENS, " et ", "cent", "mille",
    ]  # fmt: skip
    return list(dict.fromkeys(parts))


def _english(number: int) -> list[str]:
    if number < 20:
        return [_ENGLISH[number]]
    if number < 100:
        tens, ones = divmod(number, 10)
        return [_ENGLISH_TENS[tens - 2], *(["-", _ENGLISH[ones]] if ones else [])]
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    many, rest = divmod(number, size)
    joined = [" and " if rest < 100 else " ", *_english(rest)] if rest else []
    return [*_english(many), " ", name, *joined]


def _german(number: int) -> list[str]:
    pieces = _german_before(number)
    return [*pieces, "s"] if pieces[-1] == "ein" else pieces


def _german_before(number: int) -> list[str]:
    """Spell a number as it stands before another word: with "ein" at its end."""
    if number < 20:
        return [_GERMAN[number]]
    if number < 100:
        tens, ones = divmod(number, 10)
        return [*([_GERMAN[ones], "und"] if ones else []), _GERMAN_TENS[tens - 2]]
    size, name = (1000, "tausend") if number >= 1000 else (100, "hundert")
    many, rest = divmod(number, size)
    return [*_german_before(many), name, *(_german_before(rest) if rest else [])]


def _french(number: int) -> list[str]:
    pieces = _french_before(number)
    multiplied = len(pieces) > 1 and pieces[-1] == "cent" and number % 1000 != 100
    return [*pieces, "s"] if multiplied or pieces[-1] == "quatre-vingt" else pieces


def _french_before(number: int) -> list[str]:
    """Spell a number as it stands before "mille": without the s of a plural."""
    if number < 20:
        return [_FRENCH[number]]
    if number < 100:
        tens = _FRENCH_TENS[number // 10 - 2]
        ones = number % 20 if number >= 60 else number % 10
        with_et = ones in (1, 11) and number < 80
        return [tens, *([" et " if with_et else "-", _FRENCH[ones]] if ones else [])]
    size, name = (1000, "mille") if number >= 1000 else (100, "cent")
    many, rest = divmod(number, size)
    return [
        *([*_french_before(many), " "] if many > 1 else []),
        name,
        *([" ", *_french_before(rest)] if rest else []),
    ]


LANGUAGES: dict[str, Callable[[int], list[str]]] = {"en": _english, "de": _german, "fr": _french}
