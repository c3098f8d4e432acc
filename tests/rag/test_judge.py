"""An endpoint that misbehaves, the key that nobody sees, and a memory that nothing breaks."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from lossbench.errors import ConfigError
from lossbench.rag import endpoint
from lossbench.rag.asking import JudgeFailed
from lossbench.rag.endpoint import KEY, Endpoint, completions
from lossbench.rag.judge import IN_A_ROW, Remembering, judge_of, key_of, remembered
from lossbench.rag.prompts import prompt
from lossbench.rag.settings import Settings
from tests.support.judges import serving

SECRET = "sk-very-secret-0123456789"
PROMPT = prompt("entities", text="Ada")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEY, SECRET)


def asked(served, *, retries=2, timeout=5.0, backoff=0.01):
    return Endpoint(served.url, "m", 0.5, timeout=timeout, retries=retries, backoff=backoff)


def test_a_request_is_what_the_custom_is():
    with serving({"reply": "fine"}) as served:
        assert asked(served)(PROMPT) == "fine"
    ((path, headers, body, _),) = served.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}" and headers["Content-Type"] == "application/json"
    assert body == {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "temperature": 0.5}


def test_without_a_key_or_a_temperature_none_is_sent(monkeypatch):
    monkeypatch.delenv(KEY)
    with serving() as served:
        Endpoint(served.url, "m", None)(PROMPT)
    assert "Authorization" not in served.requests[0][1] and "temperature" not in served.requests[0][2]


@pytest.mark.parametrize(
    "act",
    [
        {"status": 429},
        {"status": 408},
        {"status": 500, "raw": "<html>"},
        {"status": 503},
        {"cut": True},
        {"raw": "garbage"},
        {"slow": 0.6},
        {"drip": 0.02},
    ],
    ids=str,
)
def test_what_may_go_better_is_tried_again(act):
    with serving(act, {"reply": "fine"}) as served:
        judge = asked(served, timeout=0.3)
        assert judge(PROMPT) == "fine"
    assert len(served.requests) == 2 and judge.retries == 1


@pytest.mark.parametrize(("said", "least"), [("0.4", 0.4), ("date", 0.3), ("nonsense", 0.0), ("-3", 0.0)])
def test_retry_after_is_honoured(said, least):
    if said == "date":  # whole seconds: between 1 and 2 from now
        said = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=1.5), usegmt=True)
    with serving({"status": 429, "headers": {"Retry-After": said}}) as served:
        asked(served)(PROMPT)
    waited = served.requests[1][3] - served.requests[0][3]
    assert least <= waited < least + 2


def test_who_asks_to_wait_for_long_has_failed():
    with (
        serving({"status": 429, "headers": {"Retry-After": "3600"}}) as served,
        pytest.raises(JudgeFailed, match="3600 s"),
    ):
        asked(served)(PROMPT)
    assert len(served.requests) == 1


def test_backing_off_doubles(monkeypatch):
    waits = []
    monkeypatch.setattr(endpoint.time, "sleep", waits.append)
    with serving(*[{"status": 500}] * 9) as served, pytest.raises(JudgeFailed, match=r"HTTP 500.*after 9 tries"):
        asked(served, retries=8, backoff=1.0)(PROMPT)
    waits = [wait for wait in waits if wait]  # the endpoint sleeps, too
    assert len(waits) == 8
    for number, wait in enumerate(waits):
        assert min(2**number, 60) / 2 <= wait <= min(2**number, 60)


@pytest.mark.parametrize(
    "act", [{"status": 400, "raw": "too long"}, {"status": 422}, {"raw": '{"choices": []}'}, {"raw": "[1]"}]
)
def test_what_would_not_go_better_is_not_tried_again(act):
    with serving(act) as served, pytest.raises(JudgeFailed):
        asked(served)(PROMPT)
    assert len(served.requests) == 1


@pytest.mark.parametrize(("status", "told"), [(401, KEY), (403, KEY), (404, "rag.model")])
def test_what_no_prompt_would_mend_ends_it(status, told):
    with serving({"status": status, "raw": "no"}) as served, pytest.raises(ConfigError, match=told):
        asked(served)(PROMPT)
    assert len(served.requests) == 1


def test_no_redirection_is_followed():
    with serving() as elsewhere, serving({"status": 307, "headers": {"Location": elsewhere.url}}) as served:
        with pytest.raises(JudgeFailed, match="307"):
            asked(served)(PROMPT)
        assert elsewhere.requests == []


@pytest.mark.parametrize("status", [400, 401, 500])
def test_no_message_has_the_key(status):
    acts = [{"status": status, "raw": f"your key {SECRET} is bad"}] * 3
    with serving(*acts) as served, pytest.raises((JudgeFailed, ConfigError)) as error:
        asked(served)(PROMPT)
    assert SECRET not in str(error.value) and "***" in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("bad", ["sk-a\nsk-b", "sk a", "schlüssel"])
def test_a_key_that_can_not_be_sent_is_not_told(monkeypatch, bad):
    monkeypatch.setenv(KEY, bad)
    with pytest.raises(ConfigError, match=KEY) as error:
        Endpoint("http://localhost/v1", "m")
    assert bad not in str(error.value)


@pytest.mark.parametrize(
    "url", [f"http://me:{SECRET}@host/v1", f"https://host/v1?api_key={SECRET}", f"http://{SECRET}@h"]
)
def test_a_key_in_the_address_is_refused_and_not_told(url):
    with pytest.raises(ConfigError, match=KEY) as error:
        completions(url)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("url", ["ftp://host", "http://", "localhost://8000"])
def test_an_address_that_is_none(url):
    with pytest.raises(ConfigError, match="allowed is an address"):
        completions(url)


def test_nothing_is_asked_twice(tmp_path):
    path = tmp_path / "deep" / "judgements.jsonl"
    with serving(judge=lambda text: f"to {text} é") as served:
        settings = Settings(judge=served.url, model="m")
        judge = judge_of(settings, path)
        assert [judge(text) for text in ("a", "b", "a")] == ["to a é", "to b é", "to a é"]
        assert (judge.counts.calls, judge.counts.cached) == (2, 1)
        again = judge_of(settings, path)
        assert [again(text) for text in ("b", "a")] == ["to b é", "to a é"]
        assert (again.counts.calls, again.counts.cached, len(served.requests)) == (0, 2, 2)
        judge_of(Settings(judge=served.url, model="m", temperature=1), path)("a")
        judge_of(Settings(judge=served.url, model="n"), path)("a")
        assert len(served.requests) == 4, "another temperature or model judges anew"
    assert SECRET not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("tail", [b'{"key": "x", "rep', b"\xff\xfe", b"null", b'{"key": 1, "reply": 2}'])
def test_a_line_that_is_cut_off_is_passed_over(tmp_path, tail):
    path = tmp_path / "judgements.jsonl"
    Remembering(str.upper, "m", path=path)("a")
    with path.open("ab") as file:
        file.write(tail)
    judge = Remembering(str.upper, "m", path=path)
    assert judge("a") == "A" and judge.counts.calls == 0
    assert judge("b") == "B"
    assert remembered(path) == {key_of("m", "a", None): "A", key_of("m", "b", None): "B"}


def test_threads_write_whole_lines_and_the_first_reply_counts(tmp_path):
    path, numbers = tmp_path / "judgements.jsonl", iter(range(10**6))

    def slow(text):
        time.sleep(0.002)
        return f"{next(numbers)} {text * 500}"

    judge = Remembering(slow, "m", path=path)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(judge, [f"p{number % 20}" for number in range(80)]))
    assert len(set(replies)) == 20 == len(path.read_bytes().splitlines())
    assert sorted(remembered(path).values()) == sorted(set(replies))


def test_what_failed_is_asked_again_and_not_for_ever(tmp_path):
    with serving(*[{"status": 400}] * (IN_A_ROW - 1), {}, *[{"status": 400}] * IN_A_ROW) as served:
        judge = judge_of(Settings(judge=served.url, model="m"), tmp_path / "j")
        for _ in range(IN_A_ROW - 1):
            with pytest.raises(JudgeFailed):
                judge(PROMPT)
        judge(PROMPT)
        assert (judge.counts.calls, judge.counts.failed) == (IN_A_ROW, IN_A_ROW - 1)
        for number in range(IN_A_ROW - 1):
            with pytest.raises(JudgeFailed):
                judge(f"{PROMPT} {number}")
        with pytest.raises(ConfigError, match=f"{IN_A_ROW} times in a row.*HTTP 400"):
            judge(f"{PROMPT} last")


def test_nobody_answers():
    with pytest.raises(JudgeFailed, match="after 2 tries"):
        Endpoint("http://127.0.0.1:9/v1", "m", retries=1, backoff=0.01)(PROMPT)


def test_a_function_is_remembered_until_its_file_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "judge_of_test.py").write_text("def judge(prompt):\n    return 'one'\n")
    settings = Settings(judge="judge_of_test.judge")
    assert judge_of(settings, tmp_path / "j")("a") == "one"
    assert judge_of(settings, tmp_path / "j").counts.calls == 0
    (tmp_path / "judge_of_test.py").write_text("def judge(prompt):\n    return 'two'\n")
    changed = judge_of(settings, tmp_path / "j")
    changed("a")
    assert changed.counts.calls == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"judge": "http://localhost"}, "rag.model=NAME"),
        ({"judge": "localhost:8000/v1", "model": "m"}, "an address such as"),
        ({"model": "m"}, "Set rag.judge"),
        ({"judge": "no_such_module.judge"}, "rag.judge=no_such_module.judge"),
    ],
)
def test_a_judge_that_can_not_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        judge_of(Settings(**settings))
    assert judge_of(Settings()) is None


def test_a_judge_of_the_user_that_raises_gives_no_reply():
    def broken(_prompt):
        raise KeyError("model")

    judge = Remembering(broken, "m")
    for number in range(IN_A_ROW - 1):
        with pytest.raises(JudgeFailed, match="the judge raised KeyError: 'model'"):
            judge(f"p{number}")
    with pytest.raises(ConfigError, match=f"{IN_A_ROW} times in a row"):
        judge("last")
