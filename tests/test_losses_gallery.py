"""The gallery is whole and up to date. Its Markdown is read with markdown-it, which comes with rich."""

import re
from itertools import chain, pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from lossbench import CONF
from lossbench.catalogue import CURVED, LossFacts, declared_losses, hyperparameters, loss_names
from lossbench.errors import ConfigError
from lossbench.loss_curves import MAX_LOSSES
from lossbench.losses import gallery as gallery_module
from lossbench.losses.__main__ import answer, parse
from lossbench.losses.gallery import COMMAND, gallery_pictures, gallery_texts

WRITTEN = Path(__file__).parent.parent / "docs" / "losses"
REBUILD = f"docs/losses is not what the losses say now. In the project's folder run: {COMMAND}"


@pytest.fixture(scope="module")
def texts():
    return gallery_texts()


@pytest.fixture(scope="module")
def sections(texts):
    """The text below each second-level heading; a name that comes twice has two."""
    parts = re.split(r"^## (\w+)\n", "\n".join(texts.values()), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_written_pages_are_those_of_now(texts):
    written = {path.name: path.read_text(encoding="utf-8") for path in WRITTEN.glob("*.md")}
    stale = sorted(name for name in texts | written if texts.get(name) != written.get(name))
    assert not stale, f"{REBUILD}. Differing: {', '.join(stale)}; delete those that the command no longer writes."


def test_the_pictures_are_there_and_no_others():
    pictures = {path.name for path in WRITTEN.glob("*.svg")}
    assert pictures == {f"{stem}.svg" for stem in gallery_pictures()}, REBUILD
    assert sum(path.stat().st_size for path in WRITTEN.iterdir()) < 1_500_000


def test_every_loss_stands_once_and_is_drawn_once(sections):
    assert sorted(name for name, _ in sections) == loss_names()
    drawn = list(gallery_pictures().values())
    assert sorted(chain(*drawn)) == [name for name in loss_names() if declared_losses()[name].task in CURVED]
    assert max(map(len, drawn)) <= MAX_LOSSES


@pytest.mark.parametrize("name", loss_names())
def test_a_loss_stands_with_all_that_it_says(sections, name):
    text, facts = dict(sections)[name], declared_losses()[name]
    plain = re.sub(r"\[(\S+)\]\(https://[^)]*\)", r"\1", text)
    assert facts.summary in plain and f"```text\n{facts.formula}" in plain and f"source: {facts.source}\n" in plain
    yaml = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
    rows = {cells[0]: cells for cells in table_rows(text)}
    parameters = hyperparameters(yaml).keys()
    assert rows.keys() == parameters | set(facts.needs)
    for parameter in parameters:
        _, default, allowed, searched, meaning = rows[parameter]
        assert OmegaConf.create(f"x: {default}").x == yaml[parameter] and allowed == facts.ranges.get(parameter, "")
        assert bool(searched) == (parameter in yaml.get("search", {})) and meaning


def table_rows(text):
    tokens = MarkdownIt().enable("table").parse(text)
    cells = [after.content.strip("`") for token, after in pairwise(tokens) if token.type == "td_open"]
    return [cells[start : start + 5] for start in range(0, len(cells), 5)]


def test_docstrings_are_not_taken_for_markup(texts):
    plain = {"text", "softbreak", "code_inline", "link_open", "link_close", "image"}
    for name, text in texts.items():
        tokens = MarkdownIt().enable("table").parse(text)
        kinds = {child.type for token in tokens for child in token.children or []}
        assert kinds <= plain and not [token for token in tokens if token.type == "html_block"], name


def test_links_lead_somewhere(texts):
    pictures = gallery_pictures()
    for name, text in texts.items():
        for page, anchor in re.findall(r"\]\(([\w-]+\.(?:md|svg))?(?:#(\w+))?\)", text):
            if page.endswith(".svg"):
                assert page.removesuffix(".svg") in pictures
            else:
                assert not anchor or f"\n## {anchor}\n" in texts[page or name]


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("Owen 2007; Laina et al. 2016, arXiv:1606.00373", "https://arxiv.org/abs/1606.00373"),
        ("Cox 1958, doi:10.1111/j.2517-6161.1958.tb00292.x", "https://doi.org/10.1111/j.2517-6161.1958.tb00292.x"),
        ("Lee and Mangasarian 2001, doi:10.1023/A:1011215321374", "https://doi.org/10.1023/A:1011215321374"),
    ],
)
def test_a_source_is_linked_whole(texts, source, address):
    text, _, identifier = source.rpartition(" ")
    assert f"- source: {text} [{identifier}]({address})\n" in "\n".join(texts.values())


@pytest.fixture
def two_pictures(monkeypatch):
    """Draw two losses only, one of them with numbers at random."""
    monkeypatch.setattr(gallery_module, "gallery_pictures", lambda: {"few-1": ["mse"], "few-2": ["peer_loss"]})


def test_writes_the_same_bytes_again(two_pictures, tmp_path, capsys):
    folders = [tmp_path / "one" / "new", tmp_path / "two"]
    for folder in folders:
        assert answer(parse([f"gallery={folder}"])) == 0
        assert capsys.readouterr().out.split() == [
            str(folder / name) for name in [*gallery_texts(), "few-1.svg", "few-2.svg"]
        ]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    assert b"<svg" in (folders[0] / "few-1.svg").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gallery="], "gallery needs one value"),
        (["gallery=FILE"], "gallery=FILE: can't write there"),
        (["gallery=new", "focal"], "one thing at a time"),
        (["gallery=new", "plot=focal"], "one thing at a time"),
        (["gallery=new", "task=binary"], "task=binary does not go with gallery. Allowed: nothing else."),
        (["gallery=new", "--config-dir", "."], "only the losses of lossbench"),
        (["galery=new"], "no key 'galery'. Nearest: gallery"),
    ],
)
def test_what_can_not_work_is_said(two_pictures, monkeypatch, tmp_path, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    with pytest.raises(ConfigError) as told:
        answer(parse(words))
    assert said in str(told.value) and not (tmp_path / "new").exists()


def test_a_problem_without_a_page_is_an_error_to_mend(monkeypatch):
    facts = LossFacts("fair", "imbalance", "multiclass", "softmax", "Me 2026", problem="fairness")
    monkeypatch.setattr(gallery_module, "facts_of", lambda target: facts)
    with pytest.raises(ConfigError, match=r"no page for task=multiclass with problem='fairness'.*PAGES"):
        gallery_texts()
