"""The hook of mkdocs.yml: what makes a site of files that are written to be read in the repository (`make docs`).

Pages of the top folder join those of docs/, and links to them follow; the notebook becomes a page; the navigation is
README's table of pages, in its order; a list is indented as Python-Markdown asks for, whatever its marker's width.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the top folder, and what they are called in the site."""
LINK = re.compile(r"\]\((?!\w+:)([^)#]*)(#[^)]*)?\)")
MARKER = re.compile(r"( *)([-*+]|\d+\.)( +)(?=\S)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation."""
    config.nav = navigation((ROOT / "README.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere or are no Markdown."""
    for name, page in MOVED.items():
        files.append(File.generated(config, page, content=links_from_top((ROOT / name).read_text(encoding="utf-8"))))
    for notebook in (ROOT / "docs").glob("*.ipynb"):
        content = page_of_notebook(json.loads(notebook.read_text(encoding="utf-8")), notebook.name)
        files.append(File.generated(config, f"{notebook.stem}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Let links of a page of docs/ lead to what the site calls it, and indent lists."""
    top = "../" * page.file.src_uri.count("/")
    for name, new in MOVED.items():
        markdown = markdown.replace(f"]({top}../{name}", f"]({top}{new}")
    return indented(markdown)


def navigation(readme: str) -> list[Any]:
    r"""Return the pages of README's table, in its order, with their titles; the losses are a section of their own.

    Examples
    --------
    >>> navigation("| page | what |\n|---|---|\n| [Data](docs/data.md) | sets; [more](docs/more.md) |")
    [{'Start': 'index.md'}, {'Data': 'data.md'}, {'More': 'more.md'}]

    """
    rows = "\n".join(line for line in readme.splitlines() if line.startswith("| ["))
    found: dict[str, str] = {}
    for title, target in re.findall(r"\[([^]]+)\]\(([^)#]+)\)", rows):
        found.setdefault(site_path(target), title)
    losses = sorted(path.name for path in (ROOT / "docs" / "losses").glob("*.md") if path.name != "index.md")
    nav: list[Any] = [{"Start": "index.md"}]
    for target, title in found.items():
        under = ["losses/index.md", *(f"losses/{name}" for name in losses)]
        nav.append({title[0].upper() + title[1:]: under if target == under[0] else target})
    return nav


def site_path(target: str) -> str:
    """Return what a file, named from the top folder, is called in the site.

    Examples
    --------
    >>> site_path("docs/losses/index.md"), site_path("CONTRIBUTING.md"), site_path("docs/first_steps.ipynb")
    ('losses/index.md', 'contributing.md', 'first_steps.md')

    """
    return MOVED.get(target, target.removeprefix("docs/").replace(".ipynb", ".md"))


def links_from_top(text: str) -> str:
    """Return a page of the top folder with its links as from docs/."""
    return LINK.sub(lambda found: f"]({site_path(found[1])}{found[2] or ''})", text)


def page_of_notebook(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook as Markdown: its texts, its code, and what that printed and drew."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(
                    f"![What the code above draws](data:image/png;base64,{''.join(data['image/png']).strip()})"
                )
            elif said := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                parts.append(f"```text\n{said}\n```")
    return "\n\n".join([*parts, f"[This page as a notebook]({name})"]) + "\n"


def indented(text: str) -> str:
    r"""Indent what belongs to an item of a list by four spaces for each level, and let it begin a list.

    Examples
    --------
    >>> print(indented("1. one\n   more\n   - two\n\n     still two\nafter"))
    1. one
        more
        - two
    <BLANKLINE>
            still two
    after

    """
    lines, widths, fenced, broken = list[str](), list[int](), False, True
    for line in text.split("\n"):
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        if not fenced and stripped:
            while widths and indent < widths[-1]:
                widths.pop()
        under = widths[-1] if widths else 0
        marker = None if fenced or indent - under >= 4 else MARKER.match(line)
        if marker and broken and lines and lines[-1]:
            lines.append("")  # else Python-Markdown takes it for more of the paragraph above
        broken = not marker and (broken or not stripped)
        lines.append(" " * 4 * len(widths) + line[min(under, indent) :] if stripped else "")
        if stripped.startswith("```"):
            fenced = not fenced
        elif marker:
            widths.append(marker.end())
    return "\n".join(lines)
