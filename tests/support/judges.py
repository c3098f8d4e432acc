"""Judges for tests: one that replies by the kind of prompt, and an endpoint that does as it is told."""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lossbench.rag.prompts import PROMPTS


def kind_of(prompt: str) -> str:
    """Return which kind of prompt it is."""
    return next(kind for kind, (task, _) in PROMPTS.items() if prompt.startswith(task))


def inputs_of(prompt: str) -> dict:
    """Return the texts that a prompt has."""
    return json.JSONDecoder().raw_decode(prompt.split("\n\nInput: ")[1])[0]


class Scripted:
    """A judge that replies by kind, with what it was given, in turn where that is a list; it keeps what was asked."""

    def __init__(self, **replies) -> None:
        self.replies = {kind.replace("_", " "): reply for kind, reply in replies.items()}
        self.asked: list[tuple[str, dict]] = []

    def __call__(self, prompt: str) -> str:
        kind = kind_of(prompt)
        self.asked.append((kind, inputs_of(prompt)))
        reply = self.replies[kind]
        if isinstance(reply, list):
            reply = reply.pop(0)
        return reply if isinstance(reply, str) else json.dumps(reply)

    @property
    def counts(self) -> Counter:
        return Counter(kind for kind, _ in self.asked)


def agreeable(prompt: str) -> str:
    """Reply to every prompt, and say yes."""
    inputs = inputs_of(prompt)
    count = len(inputs.get("claims") or inputs.get("sentences") or inputs.get("questions") or [])
    lists = {name: ["x"] for name in ("claims", "questions", "entities", "shared", "added", "missing")}
    return json.dumps({"verdict": True, "verdicts": [True] * count, "noncommittal": False, **lists})


class Served:
    """What an endpoint does: the acts of its script in turn, then whatever is asked, by `judge`."""

    def __init__(self, judge=agreeable, *acts) -> None:
        self.judge, self.acts, self.requests, self.lock = judge, list(acts), [], threading.Lock()
        self.url = ""

    def act(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self.lock:
            self.requests.append((handler.path, dict(handler.headers), json.loads(body), time.monotonic()))
            act = self.acts.pop(0) if self.acts else {}
        time.sleep(act.get("slow", 0))
        prompt = json.loads(body)["messages"][0]["content"]
        valid = {"choices": [{"message": {"role": "assistant", "content": act.get("reply") or self.judge(prompt)}}]}
        raw = act.get("raw", json.dumps(valid)).encode()
        handler.send_response(act.get("status", 200))
        for name, value in act.get("headers", {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        if "drip" in act:
            for place in range(len(raw)):
                handler.wfile.write(raw[place : place + 1])
                handler.wfile.flush()
                time.sleep(act["drip"])
            return
        handler.wfile.write(raw[: len(raw) // 2] if act.get("cut") else raw)


@contextmanager
def serving(*acts, judge=agreeable):
    """Serve an endpoint while the block runs.

    An act is a dict: `status`, `headers`, `raw` (the body), `reply` (its content), `slow` (seconds before it), `drip`
    (seconds for each byte), `cut` (half of the body is sent).
    """
    served = Served(judge, *acts)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked may have gone
                served.act(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
