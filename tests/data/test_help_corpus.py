"""The help texts of Python: passages, queries and questions, and what sources make of them."""

import subprocess
import sys
from collections import Counter

import pytest
import torch

from lossbench.data import help_corpus
from lossbench.data.files import DataError
from lossbench.data.hashed_ngrams import grams_of, hashed, hashed_ngrams, word_tokens
from lossbench.data.help_corpus import hash_of, paragraphs_of, passages, sentences_of, topic_names
from lossbench.data.help_queries import HELD_OUT, help_search
from lossbench.data.help_questions import QUESTIONS
from lossbench.data.sources.source import load_source

KNOWN = sys.version_info[:2] in ((3, 10), (3, 11), (3, 12), (3, 13))
"""The versions whose texts the questions were written for."""


@pytest.fixture(scope="module")
def search():
    return help_search()


def test_passages_are_many_and_neither_short_nor_long():
    words = [len(each.text.split()) for each in passages()]
    assert 800 <= len(words) <= 2000
    assert min(words) >= 20
    assert sum(count > 150 for count in words) <= 0.01 * len(words)  # a table without sentences
    assert 50 <= sum(words) / len(words) <= 100


def test_passages_are_the_same_in_another_process():
    told = subprocess.run(
        [sys.executable, "-c", "from lossbench.data.help_corpus import *; print(hash_of(e.text for e in passages()))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == hash_of(each.text for each in passages())


def test_a_long_paragraph_is_kept_once():
    known = Counter(part for each in passages() for part in each.text.split("\n") if len(part.split()) >= 20)
    parted = {part for each in passages() for part in sentences_of(each.text)}  # of paragraphs that were cut
    assert not [part for part, count in known.items() if count > 1 and part not in parted]


def test_a_python_without_topics_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="this Python has no help texts"):
        topic_names()


def test_a_module_that_a_python_lacks_is_passed_over(monkeypatch):
    monkeypatch.setattr(help_corpus, "MODULES", ("no_such_module", "bisect"))
    assert {name.partition(".")[0] for name, *_ in help_corpus._docstrings()} >= {"bisect", "str"}


def test_a_signature_goes_to_the_passage_that_it_is_about():
    long = "word " * 70 + "ends."
    assert list(help_corpus._cut([long, "str.join(iterable)", long])) == [long, f"str.join(iterable)\n{long}"]


def test_paragraphs_and_sentences():
    assert paragraphs_of("Calls\n=====\n\n   a\n   b\n \n\n\nc") == ["Calls", "a b", "c"]
    assert sentences_of("One (e.g. this). Two! 'Three'?") == ["One (e.g. this).", "Two!", "'Three'?"]


def test_questions_find_their_passages(search):
    assert len(QUESTIONS) == len({question for question, *_ in QUESTIONS}) == search.asked + search.missing
    assert search.asked >= (95 if KNOWN else 50)
    phrases = {question: phrase for question, _, phrase in QUESTIONS}
    for query in search.test[: search.asked]:
        [answer] = [number for number, grade in query.grades.items() if grade == 2]
        assert phrases[query.text] in search.texts[answer]


def test_no_test_query_is_trained_and_no_query_is_a_copy(search):
    trained = {query.text.casefold() for query in search.train}
    assert len(trained) == len(search.train)
    assert not trained & {query.text.casefold() for query in search.test}
    titles = {each.title for each in passages()}
    asked = [query for query in (*search.train, *search.test[search.asked :]) if query.text not in titles]
    assert len(asked) >= 700
    for query in asked:
        [answer] = [number for number, grade in query.grades.items() if grade == 2]
        assert query.text not in search.texts[answer].partition("\n")[2]


def test_held_out_passages_are_asked_for_by_titles_alone_in_training(search):
    titles = {each.title for each in passages()}
    held_out = {next(iter(query.grades)) for query in search.test[search.asked :]}
    assert len(held_out) == len(search.test) - search.asked == HELD_OUT
    assert not held_out & {next(iter(query.grades)) for query in search.train if query.text not in titles}


def test_grades_are_of_one_text(search):
    found = passages()
    for query in (*search.train, *search.test):
        best = next(number for number, grade in query.grades.items() if grade == 2)
        assert sorted(query.grades.values(), reverse=True) == [2, *[1] * (len(query.grades) - 1)]
        assert len(query.grades) <= 8
        assert {found[number].title for number in query.grades} == {found[best].title}


def test_help_topics_has_what_searching_needs(search, tmp_path):
    source = load_source("help_topics", tmp_path, 0)
    passages_, shared = source.shared["passages"], source.shared
    assert source.train_inputs.dtype == source.train_target.dtype == passages_.dtype == torch.int64
    assert passages_.shape == (len(shared["texts"]), 256) and shared["texts"] == search.texts
    assert int(passages_.max()) < shared["vocabulary"] == 8192 and int(passages_.min()) == 0
    for part in ("train", "test"):
        inputs, target = getattr(source, f"{part}_inputs"), getattr(source, f"{part}_target")
        grades, scores = getattr(source, f"{part}_extras")["grades"], shared[f"bm25_{part}"]
        assert len(inputs) == len(target) == len(shared[f"queries_{part}"]) == len(scores)
        assert scores.shape[1] == len(passages_) and scores.dtype == torch.float32
        assert torch.equal(grades > 0, target >= 0) and (target[:, 0] >= 0).all() and (grades[:, 0] == 2).all()
        assert (inputs != 0).any(1).all()
    other = load_source("help_topics", tmp_path, 1)
    assert torch.equal(other.train_inputs, source.train_inputs) and other.shared["hash"] == shared["hash"]


def test_bm25_alone_does_not_solve_the_search(search, tmp_path):
    scores = load_source("help_topics", tmp_path, 0).shared["bm25_test"]
    best = torch.tensor([next(iter(query.grades)) for query in search.test])
    above = (scores > scores.gather(1, best[:, None])).sum(1)
    found = (above < 10).float()
    assert 0.4 < found[: search.asked].mean() < 0.9
    assert 0.4 < found[search.asked :].mean() < 0.9


def test_help_classes(tmp_path):
    source = load_source("help_classes", tmp_path, 0)
    train, test = ({tuple(row) for row in each.tolist()} for each in (source.train_inputs, source.test_inputs))
    assert source.train_inputs.dtype == torch.int64 and source.train_inputs.shape[1] == 256
    assert len(source.test_target) == 300 and not train & test
    counts = torch.bincount(source.train_target, minlength=len(source.class_names))
    assert len(counts) == 13 and counts.min() >= 30 and counts.max() <= 0.2 * counts.sum()
    assert torch.equal(source.test_inputs, load_source("help_classes", tmp_path, 1).test_inputs)


def test_help_chars(tmp_path):
    source = load_source("help_chars", tmp_path, 0)
    assert source.train_inputs.dtype == source.train_target.dtype == torch.int64
    assert source.train_inputs.shape[1] == 64 and len(source.train_inputs) >= 3000 and len(source.test_inputs) >= 300
    assert source.class_names[:2] == ("<padding>", "?") and len(set(source.class_names)) == len(source.class_names)
    assert torch.equal(source.train_inputs[:, 1:], source.train_target[:, :-1])
    for each in (source.train_inputs, source.test_target):
        assert int(each.min()) >= 1 and int(each.max()) < len(source.class_names)
    rare = torch.cat([source.train_target, source.test_target]) == 1
    assert 0 < rare.float().mean() < 0.01
    longer = load_source("help_chars", tmp_path, 1, length=128)
    assert longer.shared["held_out"] == source.shared["held_out"] and longer.train_inputs.shape[1] == 128
    text = "".join(source.class_names[token] for token in source.train_inputs[:200].flatten().tolist())
    assert "statement" in text


def test_the_record_says_which_python_the_texts_are_from():
    from lossbench.data import DataModule

    module = DataModule(source="help_classes", task="multiclass")
    module.setup()
    said = module.facts()["shared"]
    assert said == {"python": ".".join(map(str, sys.version_info[:3])), "hash": module.shared["hash"]}
    assert next(iter(module.train_dataloader())).inputs.dtype == torch.int64


def test_words_and_grams():
    assert word_tokens("__init__ of a_b, Größe 3.5") == ["init", "of", "a_b", "größe", "3", "5"]
    assert grams_of("a a") == ["<a>"]
    assert grams_of("the there")[:6] == ["<the>", "<th", "the", "he>", "<there>", "her"]


def test_hashes_are_those_of_any_machine():
    assert [hashed(each) for each in ("<python>", "<py", "<größe>")] == [7631, 7281, 1493]
    assert {hashed(str(number), vocabulary=5) for number in range(100)} == {1, 2, 3, 4}


def test_what_many_documents_have_is_left_out_first():
    texts = ["the cat", "the dog", "the cow"]
    assert (hashed_ngrams(texts, 12) != 0).sum(1).tolist() == [8, 8, 8]
    own = [[hashed(gram) for gram in grams_of(word)] for word in ("cat", "dog", "cow")]
    assert hashed_ngrams(texts, 4).tolist() == own
    the = [hashed(gram) for gram in grams_of("the")]
    assert hashed_ngrams(["the cat"], 4, documents=["cat", "cat"]).tolist() == [the]
