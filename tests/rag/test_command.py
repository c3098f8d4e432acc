"""`python -m lossbench.rag` from the command line to its files."""

import csv
import json
import math
import signal
import sys
from dataclasses import fields

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy import stats

from lossbench.cli import rag
from lossbench.config.source import settings_of
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.rag import Case, Settings, differences, evaluate, measures_for, summaries
from lossbench.rag.asking import JudgeFailed
from lossbench.rag.endpoint import KEY
from tests.support.commands import WITHOUT_TORCH, Command, wait_for
from tests.support.judges import Scripted, agreeable, serving

SECRET = "sk-very-secret-0123456789"
ROW = {"contexts": ["Emma is by Austen.", "Bath."], "reference": "Austen. In 1815.", "answer": "Austen wrote it."}
PER_CASE = {
    "answer_correctness": 1, "answer_relevance": 1, "faithfulness": 2, "context_precision": 2, "context_recall": 1,
    "context_entity_recall": 2, "summarisation": 2, "aspect_critique": 1, "context_relevance": 1,
    "answer_faithfulness": 1, "answer_relevance_ares": 1,
}  # fmt: skip


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command in this process, in a folder of its own; return exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["lossbench.rag", *words])
        code = rag.main()
        return code, capsys.readouterr().out

    return command


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(count, **more):
    return [{"question": f"Question {number}?", **ROW, **more} for number in range(count)]


def written(tmp_path, name="a"):
    return json.loads((tmp_path / "outputs" / "rag" / name / "rag.json").read_text())


def test_yaml_and_settings_say_the_same():
    plain = OmegaConf.to_container(OmegaConf.load(CONF / "rag.yaml"))["rag"]
    assert Settings(**plain) == Settings()
    names = [field.name for field in fields(Settings)]
    assert list(plain) == names and sorted(settings_of("lossbench.rag.settings.Settings")) == sorted(names)


def test_without_a_judge_no_number_is_made_up(run, tmp_path):
    write(tmp_path / "a.jsonl", [{**row, "reference_contexts": ["Bath."]} for row in rows_of(3)])
    code, out = run("data.path=a.jsonl")
    assert code == 0
    for line in out.splitlines():
        for name in PER_CASE:
            if name in line.replace("answer_correctness_tokens", "").split():
                assert "needs" in line and not any(letter.isdigit() for letter in line.replace(" 0 ", "")), line
    found = written(tmp_path)
    assert {each["name"] for each in found["systems"]["a"]} == {
        "answer_similarity_lexical", "answer_correctness_tokens_lexical", "context_precision_ids", "context_recall_ids",
    }  # fmt: skip
    assert set(found["not_computed"].values()) == {"needs rag.judge"} and found["judge"] is None
    assert "lexical: likeness of letters" in out and not (tmp_path / "outputs/rag/judgements.jsonl").exists()


def test_an_endpoint_judges_all_and_a_second_run_asks_nothing(run, tmp_path):
    write(tmp_path / "a.jsonl", rows_of(4, summary="s", text="tt"))
    with serving() as served:
        words = ("data.path=a.jsonl", f"judge={served.url}", "model=m", "rag.parallel=3")
        code, out = run(*words)
        first, files = written(tmp_path), sorted(path for path in tmp_path.rglob("*") if path.is_file())
        lacks = "needs context_ids or contexts and reference_ids or reference_contexts"
        assert code == 0 and first["not_computed"] == {"context_precision_ids": lacks, "context_recall_ids": lacks}
        assert first["judge"]["calls"] == len(served.requests)
        asked = first["judge"]["calls"] + first["judge"]["cached"]
        assert asked == 4 * sum(PER_CASE.values()), "as many as the docs say"
        code, out = run(*words)
    again = written(tmp_path)
    assert code == 0 and (again["judge"]["calls"], again["judge"]["cached"]) == (0, asked)
    assert again["systems"] == first["systems"] and "0 calls" in out
    for path in files:
        assert SECRET not in path.read_text(), path
    with (tmp_path / "outputs/rag/a/a.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["question"] for row in table] == [f"Question {number}?" for number in range(4)]
    assert {row["faithfulness"] for row in table} == {"1.0"}


def test_calls_for_each_metric():
    case = Case("Q?", **ROW, summary="s", text="tt")
    for name, calls in PER_CASE.items():
        prompts = []

        def judge(prompt, prompts=prompts):
            prompts.append(prompt)
            return agreeable(prompt)

        ready, _ = measures_for([case], judge, settings=Settings(metrics=[name]))
        evaluate([case], ready)
        assert len(prompts) == calls, name


def test_garbage_is_counted_and_is_no_zero(run, tmp_path):
    write(tmp_path / "a.jsonl", rows_of(3))
    acts = [
        {"reply": "garbage"},
        {"reply": "more garbage"},
        {"reply": '{"verdict": true}'},
        {"reply": '{"verdict": false}'},
    ]
    with serving(*acts) as served:
        words = ("data.path=a.jsonl", f"judge={served.url}", "model=m", "parallel=1", "metrics=answer_relevance_ares")
        code, out = run(*words)
        assert run(*words)[1].count("1 unparsable") == 1 and len(served.requests) == 4
    (found,) = written(tmp_path)["systems"]["a"]
    assert (code, found["mean"], found["n"], found["without"]) == (0, 0.5, 2, {"unparsable": 1})
    assert "1 unparsable" in out and "1 values unparsable" in out
    assert "unparsable" in (tmp_path / "outputs/rag/a/a.csv").read_text()


def test_what_failed_is_told_and_asked_again(run, tmp_path, capsys):
    write(tmp_path / "a.jsonl", rows_of(3))
    with serving({}, {"status": 400, "raw": f"no: {SECRET}"}) as served:
        words = ("data.path=a.jsonl", f"judge={served.url}", "model=m", "parallel=1", "metrics=[context_relevance]")
        sys.argv[1:] = words
        assert rag.main() == 1
        streams = capsys.readouterr()
        assert "failed: the judge gave no reply for 1 values. The last time: HTTP 400" in streams.err
        assert SECRET not in streams.err + streams.out + (tmp_path / "outputs/rag/a/rag.json").read_text()
        code, out = run(*words)
        assert code == 0 and len(served.requests) == 4 and "1 calls" in out


def test_a_wrong_key_ends_it_before_the_next_case(run, tmp_path):
    write(tmp_path / "a.jsonl", rows_of(30))
    with serving(*[{"status": 401, "raw": SECRET}] * 99) as served:
        with pytest.raises(ConfigError, match=KEY) as error:
            run("data.path=a.jsonl", f"judge={served.url}", "model=m", "parallel=2")
        assert SECRET not in str(error.value) and len(served.requests) <= 4
    assert not (tmp_path / "outputs/rag/a").exists()


def test_ctrl_c_keeps_what_was_judged(run, tmp_path):
    write(tmp_path / "a.jsonl", rows_of(12))
    words = ("metrics=[context_relevance]", "parallel=2", "model=m", "data.path=a.jsonl")
    settings = {
        "cwd": tmp_path,
        "module": "lossbench.rag",
        "loaded": WITHOUT_TORCH,
        KEY: SECRET,
        "NO_PROXY": "127.0.0.1",
    }
    with serving(*[{"slow": 0.15}] * 12) as served:
        command = Command(*words, f"judge={served.url}", **settings)
        wait_for(lambda: len(served.requests) >= 5)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(60)
        assert command.returncode == 130 and "stopped by SIGINT. What was judged is kept" in err
        kept = len((tmp_path / "outputs/rag/judgements.jsonl").read_bytes().splitlines())
        before = len(served.requests)
        assert 2 <= kept < 12 and not (tmp_path / "outputs/rag/a").exists()
        served.acts.clear()
        code, more = run(*words, f"judge={served.url}")
        assert code == 0 and len(served.requests) - before == 12 - kept
    for text in (out, err, more, *(path.read_text() for path in tmp_path.rglob("*.*") if path.is_file())):
        assert SECRET not in text


def test_two_systems_are_paired_by_question(run, tmp_path):
    wanted = ["a b c d", "a b", "b c d", "x y"]
    systems = {"old": ["a b", "a", "x", "x"], "new": ["a b c", "a b", "b", "q"]}
    for name, said in systems.items():
        rows = [
            {"question": f"{n}", "answer": a, "reference": r} for n, (a, r) in enumerate(zip(said, wanted, strict=True))
        ]
        write(tmp_path / f"{name}.jsonl", rows[:: 1 if name == "old" else -1])
    (tmp_path / "mine.py").write_text("def embed(texts):\n    return [[1.0]] * len(texts)\n")
    code, out = run(
        "data.path=[old.jsonl,new.jsonl]", "embedder=mine.embed", "metrics=[answer_correctness_tokens]",
        "correctness_weight=1", "name=both",
    )  # fmt: skip
    found = written(tmp_path, "both")
    (difference,) = found["differences"]
    old, new = [2 * 1 / (1 + 3), 0, 0, 2 / 3], [2 * 2 / (2 + 3), 1, 2 / 4, 0]  # the article a doesn't count
    step = np.subtract(new, old)
    expected = stats.ttest_1samp(step, 0).confidence_interval()
    assert difference["mean"] == pytest.approx(step.mean()) and difference["n"] == 4 and code == 0
    assert (difference["low"], difference["high"]) == pytest.approx((expected.low, expected.high))
    assert (difference["system"], difference["baseline"]) == ("new", "old") and "new - old" in out
    assert (tmp_path / "outputs/rag/both/old.csv").is_file() and (tmp_path / "outputs/rag/both/new.csv").is_file()


def test_a_question_that_comes_twice_can_not_be_paired():
    cases, rows = [Case("a", place="f:1"), Case("a", place="f:2")], [{}, {}]
    with pytest.raises(ConfigError, match=r"f:2: question='a' comes twice"):
        differences({"x": (cases, rows), "y": (cases, rows)}, [])
    named = [Case("a", id="1"), Case("a", id="2")]
    assert differences({"x": (named, rows), "y": (named, rows)}, []) == []


def test_labels_of_people_correct_the_judge():
    labels = [True, False, True, None, None, None]
    cases = [Case(str(n), contexts=("c",), label_context_relevance=label) for n, label in enumerate(labels)]
    judge = Scripted(contexts_relevant=[{"verdict": bool(v)} for v in (1, 1, 1, 1, 0, 1)])
    ready, _ = measures_for(cases, judge, settings=Settings(metrics=["context_relevance"]))
    raw, corrected = summaries(cases, evaluate(cases, ready), ready)
    assert (raw.name, raw.mean, raw.n) == ("context_relevance", pytest.approx(5 / 6), 6)
    assert (corrected.name, corrected.mean, corrected.n) == ("context_relevance_ppi", pytest.approx(2 / 3 - 1 / 3), 3)
    assert corrected.kind == "95% PPI, 3 labelled and 3 judged"
    assert [each.name for each in summaries(cases[2:], [{"context_relevance": 1.0}] * 4, ready)] == [
        "context_relevance"
    ]


def test_means_are_over_cases_with_a_value():
    cases = [Case(str(n), reference="r", answer="x", contexts=("c",) if n else None) for n in range(5)]
    claims = iter(['{"claims": ["a"]}', "garbage", "garbage", '{"claims": []}', "fails"])

    def judge(prompt):
        if "verdicts" in prompt:
            return '{"verdicts": [true]}'
        if (said := next(claims)) == "fails":
            raise JudgeFailed("it did")
        return said

    ready, _ = measures_for(cases, judge, settings=Settings(metrics=["faithfulness"]))
    (found,) = summaries(cases, evaluate(cases, ready), ready)
    assert found.without == {"unparsable": 1, "failed": 1, "undefined": 1, "not given": 1}
    assert (found.mean, found.n) == (1.0, 1) and math.isnan(found.low)
    (nothing,) = summaries(cases[:1], evaluate(cases[:1], ready), ready)
    assert math.isnan(nothing.mean) and nothing.n == 0


def test_what_a_judge_of_ones_own_raises_is_passed_on():
    def judge(prompt):
        raise ZeroDivisionError

    cases = [Case(str(number), contexts=("c",)) for number in range(9)]
    ready, _ = measures_for(cases, judge, settings=Settings(metrics=["context_relevance"]))
    with pytest.raises(ZeroDivisionError):
        evaluate(cases, ready, parallel=3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "data.path is needed"),
        (["data=a.jsonl"], "data.path=a.jsonl"),
        (["data.path=no.jsonl"], "no such file"),
        (
            ["data.path=a.jsonl", "metrics=[faithfulness]"],
            r"rag.metrics=faithfulness: it needs rag.judge. Set rag.judge",
        ),
        (["data.path=a.jsonl", "metrics=[context_recall_ids]"], "needs context_ids or contexts and reference_ids"),
        (["data.path=a.jsonl", "metrics=[faithfulnes]"], "Nearest: faithfulness"),
        (["data.path=a.jsonl", "rag.metrcs=[faithfulness]"], "Nearest: metrics"),
        (["data.path=a.jsonl", "strictness=2"], "rag.strictness=2"),
        (["data.path=a.jsonl", "parallel=0"], r"rag.parallel=0 .*\[1, 64\]"),
        (["data.path=a.jsonl", "confidence=1"], "rag.confidence=1"),
        (["data.path=a.jsonl", "ppi=fancy"], "Allowed: plain, tuned"),
        (["data.path=a.jsonl", "rag.aspects.polite=3"], "rag.aspects.polite=3|no key"),
        (["data.path=a.jsonl", "+rag.aspects.polite=3"], "rag.aspects.polite=3"),
        (["data.path=a.jsonl", "judge=math.sin", "rag.aspects=null"], "rag.aspects"),
        (["data.path=a.jsonl", "name=../elsewhere"], "rag.name"),
        (["data.path=[a.jsonl,b/a.jsonl]"], "another name"),
        (["data.path=a.jsonl", "judge=http://localhost"], "rag.model=NAME"),
        (["data.path=a.jsonl", "judge=http://me:pass@localhost", "model=m"], KEY),
        (["-m", "data.path=a.jsonl"], "--multirun"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(run, tmp_path, words, told):
    write(tmp_path / "a.jsonl", rows_of(2))
    with pytest.raises(ConfigError, match=told):
        run(*words)
    assert not (tmp_path / "outputs").exists()


def test_a_metric_that_no_reply_gave_a_value_is_a_failure(run, tmp_path):
    write(tmp_path / "a.jsonl", rows_of(2))
    with serving(*[{"reply": "garbage"}] * 4) as served:
        words = ("data.path=a.jsonl", f"judge={served.url}", "model=m", "parallel=1", "metrics=answer_relevance_ares")
        code, out = run(*words)
    assert code == 1 and "2 values unparsable" in out
