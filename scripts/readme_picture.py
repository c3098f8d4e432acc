"""Make what README opens with: the picture of the report of `make demo`, and its verdict.

    python scripts/readme_picture.py                  # runs the demo, then writes docs/images/report.png and README.md
    python scripts/readme_picture.py outputs=FOLDER   # of a demo that has run

Needs Chromium (`chromium`, `chromium-browser` or `google-chrome`, or CHROMIUM=PATH), which draws the differences and
the numbers of report.html at 1280 pixels as they are, without what stands above and below: the verdict is in README's
text. Pillow cuts the empty rest off and reduces the colours, so that the file stays under 200 kB.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from PIL import Image, ImageChops

from lossbench import compare
from lossbench.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import demo  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "report.png"
WIDTH, HEIGHT, MARGIN = 1280, 1600, 16
SHOWN = ("Differences to", "Numbers")
"""How the headings of the sections begin that are drawn; without them, the first screen is."""
MOST_BYTES = 200_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
QUOTE = re.compile(r"(?:^> .*\n)+", re.MULTILINE)


def main() -> int:
    """Run the demo if it has not run, draw its report and write its verdict into README."""
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory() as made:
        outputs = Path(given.get("outputs", f"{made}/outputs"))
        if "outputs" not in given:
            subprocess.run([sys.executable, *demo.COMMAND, f"output_dir={outputs}"], cwd=ROOT, check=True)
        (report,) = outputs.glob("comparisons/digits_imb-*/report.html")
        (compared,) = compare(outputs, data="digits_imb")
        draw(report, PICTURE)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(QUOTE.sub(lambda _: quoted(compared.verdict), text, count=1), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1000:.0f} kB; and the verdict in README.md")
    return 0


def draw(page: Path, picture: Path) -> None:
    """Draw a report, in as many colours as fit into the size.

    Raises
    ------
    ConfigError
        If there is no browser, or it draws nothing.

    """
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ConfigError(f"no browser to draw the report: none of {', '.join(BROWSERS)}. Name it: CHROMIUM=PATH.")
    with tempfile.TemporaryDirectory() as folder:
        shot, alone = Path(folder) / "shot.png", Path(folder) / "report.html"
        alone.write_text(only_shown(page.read_text(encoding="utf-8")), encoding="utf-8")
        size = (f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={folder}/profile", f"--screenshot={shot}")
        subprocess.run([browser, *QUIET, *size, alone.as_uri()], check=False, timeout=120, capture_output=True)
        if not shot.is_file():
            raise ConfigError(f"{browser} drew nothing of {page}.")
        drawn = Image.open(shot).convert("RGB")
    last = ImageChops.difference(drawn, Image.new("RGB", drawn.size, drawn.getpixel((0, 0)))).getbbox()
    drawn = drawn.crop((0, 0, WIDTH, min(HEIGHT, last[3] + MARGIN))) if last else drawn
    picture.parent.mkdir(parents=True, exist_ok=True)
    for colours in (256, 128, 64, 32, 16):
        drawn.quantize(colours, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size <= MOST_BYTES:
            return


def only_shown(page: str) -> str:
    """Return a report in which only some of its sections are seen; one without them as it is."""
    found = [re.search(rf'<section id="(\w+)">\s*<h2>{heading}', page) for heading in SHOWN]
    ids = [each[1] for each in found if each]
    others = "".join(f":not(#{name})" for name in ids)
    hidden = (
        f"header, nav, footer, .controls, section{others}, details, section p, figcaption {{"
        "display: none !important} section {border: 0 !important; margin-top: 0 !important}"
    )
    return page.replace("</head>", f"<style>{hidden}</style></head>", 1) if ids else page


def quoted(verdict: str) -> str:
    """Return a verdict as a quotation of Markdown, in lines of 120 characters.

    Examples
    --------
    >>> print(quoted("focal is best."), end="")
    > focal is best.

    """
    lines = textwrap.wrap(" ".join(verdict.split()), 118, break_long_words=False, break_on_hyphens=False)
    return "".join(f"> {line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
