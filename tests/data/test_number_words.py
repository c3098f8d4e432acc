"""Spelling of numbers, against lists of tricky cases and num2words where it is installed; and what is translated."""

import random

import pytest
import torch

from lossbench.data.number_words import LANGUAGES, LONGEST, all_pieces, spelled
from lossbench.data.sources.number_words import DIRECTIONS
from lossbench.data.sources.source import load_source

GOLDEN = {
    "en": {
        0: "zero", 10: "ten", 13: "thirteen", 15: "fifteen", 18: "eighteen", 21: "twenty-one", 40: "forty",
        80: "eighty", 100: "one hundred", 101: "one hundred and one", 999: "nine hundred and ninety-nine",
        1000: "one thousand", 1001: "one thousand and one", 1100: "one thousand one hundred",
        12_345: "twelve thousand three hundred and forty-five", 100_100: "one hundred thousand one hundred",
        900_021: "nine hundred thousand and twenty-one",
    },
    "de": {
        0: "null", 1: "eins", 11: "elf", 16: "sechzehn", 17: "siebzehn", 21: "einundzwanzig", 30: "dreißig",
        61: "einundsechzig", 70: "siebzig", 100: "einhundert", 101: "einhunderteins", 111: "einhundertelf",
        121: "einhunderteinundzwanzig", 1000: "eintausend", 1001: "eintausendeins", 1100: "eintausendeinhundert",
        21_000: "einundzwanzigtausend", 101_000: "einhunderteintausend", 201_001: "zweihunderteintausendeins",
        999_999: "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
    },
    "fr": {
        0: "zéro", 17: "dix-sept", 20: "vingt", 21: "vingt et un", 22: "vingt-deux", 31: "trente et un",
        61: "soixante et un", 70: "soixante-dix", 71: "soixante et onze", 77: "soixante-dix-sept",
        80: "quatre-vingts", 81: "quatre-vingt-un", 90: "quatre-vingt-dix", 91: "quatre-vingt-onze",
        99: "quatre-vingt-dix-neuf", 100: "cent", 101: "cent un", 180: "cent quatre-vingts", 200: "deux cents",
        201: "deux cent un", 280: "deux cent quatre-vingts", 1000: "mille", 1001: "mille un", 1100: "mille cent",
        1200: "mille deux cents", 2000: "deux mille", 21_000: "vingt et un mille", 71_000: "soixante et onze mille",
        80_000: "quatre-vingt mille", 80_080: "quatre-vingt mille quatre-vingts", 100_000: "cent mille",
        200_000: "deux cent mille", 200_100: "deux cent mille cent", 200_200: "deux cent mille deux cents",
        281_381: "deux cent quatre-vingt-un mille trois cent quatre-vingt-un",
    },
}  # fmt: skip


@pytest.mark.parametrize("language", GOLDEN)
def test_tricky_numbers(language):
    assert {number: "".join(spelled(number, language)) for number in GOLDEN[language]} == GOLDEN[language]


@pytest.mark.parametrize("language", GOLDEN)
def test_num2words_agrees(language):
    library = pytest.importorskip("num2words")
    numbers = [*range(2000), *random.Random(0).sample(range(2000, 1_000_000), 2000), *range(1000, 1_000_000, 1000)]
    for number in numbers:
        if language == "de" and number // 1000 % 100 == 1 and number >= 100_000:
            continue  # it writes "einhunderteinstausend"
        expected = library.num2words(number, lang=language).replace(",", "")
        assert "".join(spelled(number, language)) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_number_has_its_own_words_of_known_pieces(language):
    numbers = [*range(12_000), *range(100_000, 1_000_000, 997)]
    written = [spelled(number, language) for number in numbers]
    assert len({"".join(each) for each in written}) == len(numbers)
    assert {piece for each in written for piece in each} <= set(all_pieces())
    assert max(map(len, written)) <= LONGEST


def test_the_longest_number_fits():
    assert max(len(spelled(number, "en")) for number in (777_777, 999_999)) == LONGEST


@pytest.mark.parametrize(("number", "language", "match"), [(5, "es", "language=es"), (1_000_000, "en", "from 0 to")])
def test_what_can_not_be_spelled_is_told(number, language, match):
    with pytest.raises(ValueError, match=match):
        spelled(number, language)


@pytest.fixture(scope="module")
def source():
    return load_source("number_words", None, 0)


def read(source, inputs, target):
    """Return the direction and both texts of a sample."""
    pieces = source.shared["pieces"]
    texts = ("".join(pieces[token] for token in each.tolist() if token >= 0) for each in (inputs, target))
    return (source.class_names[int(inputs[0])], *texts)


def test_sizes_and_tokens(source):
    assert source.train_inputs.shape == (6000, 18) and source.train_target.shape == (6000, 17)
    assert source.test_inputs.shape == (900, 18) and source.train_inputs.dtype == torch.int64
    assert source.class_names[:3] == ("<padding>", "<start>", "<end>") and len(set(source.class_names)) == 102
    assert len(source.shared["pieces"]) == 102 and source.shared["pieces"][:9] == [""] * 9
    assert source.test_extras["long"].tolist() == [0] * 600 + [1] * 300
    assert not source.train_extras["long"].any() and source.train_extras["long"].shape == (6000,)
    ended = (source.train_target < 0).long().cummax(1)[0]
    assert torch.equal(source.train_target < 0, ended.bool())
    assert source.train_target[source.train_target >= 0].min() > 8  # words, no special tokens


def test_texts_are_translations_and_no_test_number_is_trained(source):
    words = {language: {} for language in LANGUAGES}
    for language in LANGUAGES:
        for number in range(1_000_00):
            words[language]["".join(spelled(number, language))] = number
    numbers = {}
    for part in ("train", "test"):
        found = []
        for inputs, target in zip(getattr(source, f"{part}_inputs"), getattr(source, f"{part}_target"), strict=True):
            direction, given, wanted = read(source, inputs, target)
            first, second = direction.split(">")
            number = words[first].get(given)
            assert number == words[second].get(wanted)  # both None for six digits
            found.append((direction, number))
        numbers[part] = found
    assert [number for _, number in numbers["test"]].count(None) == 300
    trained, tested = ({number for _, number in numbers[part]} - {None} for part in ("train", "test"))
    assert not trained & tested and len(tested) == 600 and min(tested) >= 100
    assert len(set(numbers["train"])) == 6000
    assert {direction for direction, _ in numbers["train"]} == {f"{one}>{other}" for one, other in DIRECTIONS}


def test_the_test_part_is_fixed_and_the_training_part_drawn(source):
    other = load_source("number_words", None, 1)
    assert torch.equal(other.test_inputs, source.test_inputs) and torch.equal(other.test_target, source.test_target)
    assert not torch.equal(other.train_inputs, source.train_inputs)
