"""The command and its page: one offline file, in a real browser where there is one."""

import json
import re
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lossbench.cli.play import main, parse
from lossbench.errors import ConfigError
from lossbench.play.lessons import LESSONS
from lossbench.play.page import page
from tests.support.browser import CHROMIUM, QUIET
from tests.support.commands import ROOT

pytestmark = pytest.mark.xdist_group("play")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install the system's package chromium")
OPTIONS = (*QUIET, "--virtual-time-budget=5000")
LISTEN = """<script>
window.complaints = [];
window.requestAnimationFrame = (draw) => setTimeout(draw, 5);  // a headless browser may draw no frame
addEventListener("error", (event) => complaints.push(event.message));
for (const kind of ["error", "warn"]) console[kind] = (...words) => complaints.push(words.join(" "));
</script>"""
PLAY = """<script>
{
const cells = (row, column) => document.querySelector("#numbers tbody").rows[row].cells[column].textContent;
const drawn = () => new Promise((done) => setTimeout(done, 30));
const said = {};
async function drag(id, from, to) {
  const picture = document.getElementById(id), box = picture.getBoundingClientRect();
  const at = (part) => ({ clientX: box.left + 40 + part * (box.width - 50), clientY: box.top + 50, buttons: 1 });
  picture.dispatchEvent(new PointerEvent("pointerdown", at(from)));
  picture.dispatchEvent(new PointerEvent("pointermove", at(to)));
  await drawn();
}
async function slide(selector, value) {
  const slider = document.querySelector(selector);
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await drawn();
}
async function play() { %s }
play().catch((error) => complaints.push(error.message)).then(() => {
  const told = document.createElement("pre");
  told.id = "told-to-test";
  told.textContent = JSON.stringify({ said, complaints });
  document.body.append(told);
});
}
</script>"""


def dumped(folder: Path, text: str, address: str = "", width: int = 1280) -> str:
    """Return what a browser makes of a page, after its scripts have run."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    window = [f"--window-size={width},1000", f"--user-data-dir={folder / 'browser'}"]
    command = [CHROMIUM, *OPTIONS, *window, "--dump-dom", f"file://{path}{address}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


def played(folder: Path, text: str, steps: str, address: str = "", width: int = 1280) -> dict:
    """Do steps on a page; return what they put into `said`, when nothing complained."""
    text = text.replace("<head>", "<head>" + LISTEN, 1).replace("</body>", PLAY % steps + "</body>", 1)
    html = dumped(folder, text, address, width)
    found = re.search(r'<pre id="told-to-test">(.*?)</pre>', html, re.DOTALL)
    assert found, html[:2000]
    told = json.loads(unescape(found[1]))
    assert told["complaints"] == []
    return told["said"]


def test_writes_one_file_and_says_how_large(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["play", "output=new/lesson.html", "loss=mse,mae"])
    assert main() == 0
    assert re.fullmatch(r"new/lesson\.html \(\d+ kB\)\. Open it in a browser\.\n", capsys.readouterr().out)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lesson.html"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lose=mse"], "there is no key 'lose'. Nearest: loss"),
        (["mse"], "there is no key 'mse'.*Write KEY=VALUE"),
        (["--output"], "no such option"),
        (["loss="], "loss needs one value"),
        (["loss=,"], "give names of losses"),
        (["loss=mse", "loss=mae"], "was given before"),
        (["output=page.pdf"], "output=page.pdf: the page is an HTML file"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)


def test_an_unknown_loss_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["play", "loss=hubber"])
    with pytest.raises(ConfigError, match="Nearest: huber"):
        main()
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["play", f"output={tmp_path}/file/play.html", "loss=mse"])
    with pytest.raises(ConfigError, match="can't write there"):
        main()


def test_it_is_one_small_file_that_asks_for_nothing(whole_page):
    assert len(whole_page.encode()) < 550_000
    assert not re.search(r"(src|href)=[\"'](?!data:)|url\((?!#)|@import|fetch\(|XMLHttp|import\(", whole_page)
    assert page(["mse", "focal"]) == page(["mse", "focal"])


def test_each_lesson_has_a_picture_that_needs_no_script(whole_page):
    sections = re.findall(r'<section class="lesson".*?</section>', whole_page, re.DOTALL)
    assert len(sections) == len(LESSONS) and all(each.count('class="stills"') == 1 for each in sections)
    outliers = sections[0]
    assert re.findall(r"(\w+) picks (−?[\d.]+)", outliers[: outliers.index("<figcaption")])[:2] == [
        ("mse", "0.59"), ("mae", "0.15"),
    ]  # fmt: skip
    assert "mse follows to 0.59; mae stays at 0.15" in outliers
    lines = re.findall(r'<polyline class="line" stroke="(#\w+)".*? points="([^"]*)"', outliers)
    assert len(lines) == 2 * 4 and len({color for color, _ in lines}) == 4
    (low, high) = (float(lines[1][1].split()[place].split(",")[1]) for place in (20, 0))  # mae at 0 and at -6
    assert low > high and 'class="stills"' not in page(["mse", "mae"]).partition("<main>")[2]
    assert page(["wing", "focal_r_l1"]).count('class="stills"') == 1


def test_its_scripts_are_short():
    for name in ("numbers.js", "page.js"):
        assert len((ROOT / "lossbench" / "play" / name).read_text(encoding="utf-8").splitlines()) < 400


class Words(HTMLParser):
    """What can be read of a page without its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.opened, self.ids = "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_data(self, data):
        if self.opened and self.opened[-1] not in ("script", "style"):
            self.words += data


def test_lessons_and_tables_are_read_without_javascript(whole_page):
    read = Words(whole_page)
    assert len(read.ids) == len(set(read.ids))
    words = " ".join(read.words.split())
    for lesson in LESSONS:
        for text in (lesson.about, lesson.home, *(part for each in lesson.tries for part in (each.do, each.seen()))):
            assert text in words
    cells, places = {}, {}
    for name, row in re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', whole_page):
        (places if name in cells else cells)[name] = re.findall(r"<td>(.*?)</td>", row)
    assert cells["mse"] == ["0.00", "0.50", "1.98", "0.26"] and cells["mae"][3] == "0.00"
    assert cells["cross_entropy"] == ["0.80", "0.68", "0.09", "0.50", "0.09"]
    assert cells["balanced_softmax"][4] == "0.50"
    assert places.keys() == cells.keys()
    assert places["mse"][3] == "1.00 (−2.00)" and places["huber"][8] == "1.50 (1.00)"
    assert places["cross_entropy"][5] == "0.69 (−0.50)" and places["ldam"][:2] == ["", ""]


def test_a_page_of_few_losses_has_the_lessons_that_fit():
    text = page(["mse", "mae"])
    assert "Asymmetry: five minutes" in text and "Noise: five minutes" not in text
    assert "What is predicted" not in text and len(text) < 80_000
    assert "five minutes" not in page(["wing"])


@in_browser
def test_the_page_of_an_address_shows_its_numbers(whole_page, tmp_path):
    state = {"losses": "mse,mae,quantile", "x": "2", "share": "0.1", "set.quantile": "0.9"}
    html = dumped(tmp_path, whole_page, f"#{urlencode(state)}")
    body = re.search(r'<table id="numbers">.*?<tbody>(.*?)</tbody>', html, re.DOTALL)[1]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]
    assert rows == [["4", "4", "2", "0.50"], ["2", "1", "0", "0.15"], ["1.8", "0.9", "0", "2.81"]]
    assert "q = 0.9" in body and html.partition("<main>")[2].count("<polyline") == 4 * 3


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_dragging_changes_the_numbers(whole_page, tmp_path, width):
    said = played(
        tmp_path,
        whole_page,
        """
        await drawn();
        said.before = [cells(0, 1), cells(0, 2)];
        await drag("curve-value", 0.5, 0.75);
        said.dragged = [cells(0, 1), cells(0, 2), document.getElementById("x-name").nextSibling.value];
        await slide('[data-key="x"]', -2);
        said.slid = [cells(0, 1), cells(0, 2)];
        await slide('[data-key="share"]', 0.1);
        said.outliers = [cells(0, 4), cells(1, 4)];
        await slide('#numbers input', 0);
        said.setting = [document.querySelector("#numbers output").textContent, cells(2, 1)];
        said.wide = document.documentElement.scrollWidth;
        """,
        width=width,
    )
    assert said["before"] == ["1", "2"] and said["dragged"] == ["9", "6", "3"] and said["slid"] == ["4", "−4"]
    assert said["outliers"] == ["0.50", "0.15"]
    assert said["setting"] == ["delta = 0.2", "0.38"]
    assert said["wide"] <= max(width, 500)  # no browser window is narrower than 500


@in_browser
def test_a_lesson_sets_the_page(whole_page, tmp_path):
    said = played(
        tmp_path,
        whole_page,
        """
        for (const id of ["outliers", "asymmetry", "imbalance", "noise", "calibration"]) {
          document.querySelector(`[data-lesson="lesson-${id}"]`).click();
          for (const button of document.querySelectorAll(`#lesson-${id} [data-state]`)) {
            button.click();
            await drawn();
            const rows = [...document.querySelector("#numbers tbody").rows];
            (said[id] ??= []).push(rows.map((row) => row.cells[4].textContent));
          }
        }
        said.shown = [...document.querySelectorAll(".lesson:not([hidden])")].map((lesson) => lesson.id);
        await drag("best-1", 0.5, 0.3);
        said.eta = [cells(0, 4), cells(0, 5)];
        document.querySelector('[data-loss="brier"]').click();
        await drawn();
        said.chosen = cells(3, 0).trim();
        """,
    )
    assert said["outliers"][1][0] == "0.50" and said["asymmetry"][0] == ["0.26", "0.00"]
    assert said["imbalance"][2] == ["0.09", "0.50", "0.50"]
    assert said["noise"][1] == ["0.74", "0.97", "→ 1"] and said["calibration"][2] == ["0.80", "0.77"]
    assert said["shown"] == ["lesson-calibration"]
    assert said["eta"] == ["0.30", "0 kept"] and said["chosen"] == "brier"


@in_browser
@pytest.mark.parametrize(
    "address",
    [
        "losses=nothing,dice",
        "losses=mse&x=abc&share=9&ratio=7&kind=odd&set.mse=3&set.<b>=1",
        "losses=gce,mse&set.gce=0.123&right=5&eta=NaN",
        "%E0%A4%A",
    ],
)
def test_an_address_that_makes_no_sense_harms_nothing(whole_page, tmp_path, address):
    said = played(tmp_path, whole_page, "await drawn(); said.cell = cells(0, 1);", f"#{address}")
    assert re.fullmatch(r"[−\d.]+", said["cell"])
