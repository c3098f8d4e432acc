"""The page for a lesson as a browser reads it: its data, and its JavaScript in node."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from types import SimpleNamespace

from lossbench.play.measure import State
from tests.support.commands import ROOT

NODE = shutil.which("node")
ASKED = """
const numbers = require(process.argv[1]);
const { data, states } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const columns = data.columns.map(numbers.readNumbers);
const losses = new Map(data.losses.map((loss) => [loss.name, loss]));
const answers = states.map((state) => Object.fromEntries(state.losses.map((name) => {
  const loss = losses.get(name);
  const stop = name in state.settings ? loss.stops.indexOf(state.settings[name]) : loss.stop;
  if (stop < 0) throw new Error(`${name} has no stop ${state.settings[name]}`);
  const curve = (right) => numbers.curveOf(columns, loss, stop, data.ratios.indexOf(state.ratio), right);
  const here = curve(state.right);
  const at = (panel) => numbers.onLine(here, here[panel], state.x);
  const points = numbers.samplePoints(data.base, data.shuffle, data.spread, state);
  const best = loss.kind === "residual"
    ? numbers.bestConstant(here, points)
    : numbers.probabilityOf(loss, numbers.bestLogit(curve(1), curve(0), state));
  return [name, { value: at("value"), slope: at("slope"), curvature: at("curvature"), best, points }];
})));
console.log(JSON.stringify(answers));
"""


def data_in(page: str) -> dict:
    """Return the data that lie in a page."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


def asked_of(page: str, states: list[State]) -> list[SimpleNamespace]:
    """Return what the page's JavaScript says of each state, as `measured` does; `points` is its sample."""
    given = json.dumps({"data": data_in(page), "states": [asdict(state) for state in states]})
    script = str(ROOT / "lossbench" / "play" / "numbers.js")
    done = subprocess.run(
        [NODE, "-e", ASKED, script], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [
        SimpleNamespace(**{name: SimpleNamespace(**told) for name, told in answer.items()})
        for answer in json.loads(done.stdout)
    ]
