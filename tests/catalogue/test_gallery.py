"""The gallery is whole and up to date. Its Markdown is read with markdown-it, which comes with rich."""

import re
from itertools import chain, pairwise

import pytest
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from lossbench.catalogue import gallery as gallery_module
from lossbench.catalogue.facts import hyperparameters, loss_names
from lossbench.catalogue.gallery import COMMAND, gallery_pictures, gallery_texts
from lossbench.catalogue.loss_picture import MAX_LOSSES
from lossbench.cli.losses import answer, parse
from lossbench.errors import ConfigError
from lossbench.locate import CONF
from lossbench.losses.facts import LossFacts, declared_losses
from lossbench.tasks import task_named
from tests.support.commands import ROOT

pytestmark = pytest.mark.xdist_group("gallery")

WRITTEN = ROOT / "docs" / "losses"
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
    assert sum(path.stat().st_size for path in WRITTEN.iterdir()) < 2_000_000


def test_every_loss_stands_once_and_is_drawn_once(sections):
    assert sorted(name for name, _ in sections) == loss_names()
    drawn = list(gallery_pictures().values())
    assert sorted(chain(*drawn)) == [name for name in loss_names() if task_named(declared_losses()[name].task).curves]
    assert max(map(len, drawn)) <= MAX_LOSSES


def test_the_table_of_a_loss_has_its_parameters_as_they_are_in_its_yaml(sections):
    for name, text in sections:
        yaml = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
        rows = {cells[0]: cells for cells in table_rows(text)}
        facts, parameters = declared_losses()[name], hyperparameters(yaml).keys()
        assert rows.keys() == parameters | set(facts.needs), name
        for parameter in parameters:
            _, default, allowed, searched, meaning = rows[parameter]
            said = f"{name}: {parameter}"
            assert OmegaConf.create(f"x: {default}").x == yaml[parameter], said
            assert allowed == facts.ranges.get(parameter, ""), said
            assert bool(searched) == (parameter in yaml.get("search", {})) and meaning, said


def test_a_loss_stands_with_summary_formula_and_source(sections):
    text = dict(sections)["focal"]
    for part in ("(1 - p_y)^gamma", "arxiv.org/abs/1708.02002", "source: Lin et al. 2017"):
        assert part in text
    assert all("```text\n" in text and "\n- source: " in text for _, text in sections)


def test_a_loss_stands_with_what_its_family_says_of_it(sections):
    text = dict(sections)
    said = "- arguments: logits : Tensor (..., K), floating point. target : Tensor (...), integer class indices.\n"
    limits = "- returns: Tensor (...), values from 0, at most the cross-entropy.\n"
    assert said in text["focal"] and limits in text["focal"], "what is shared, and what a loss says in its place"
    assert "logits : Tensor (..., K)" in text["ovr_bce"] and "logits : Tensor (...)," in text["binary_focal"]
    names = [name for name in text if "\n- arguments: " not in text[name]]
    assert set(names) <= {"weighted_sum", "dice_ce", "dense_ghm_c", "ghm_c", "ovr_ghm_c", "aucm"}, (
        "classes that say it under Returns"
    )
    assert all("\n- returns: " in part for part in text.values())


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
    ("name", "address"),
    [
        ("focal", "https://arxiv.org/abs/1708.02002"),
        ("bce", "https://doi.org/10.1111/j.2517-6161.1958.tb00292.x"),
        ("hinge", "https://doi.org/10.1007/BF00994018"),
    ],
)
def test_a_source_is_linked_whole(sections, name, address):
    text, _, identifier = declared_losses()[name].source.rpartition(" ")
    assert f"- source: {text} [{identifier}]({address})\n" in dict(sections)[name]


def test_each_of_several_sources_is_linked(sections):
    text = dict(sections)["squared_hinge"]
    assert '[doi:10.1023/A:1011215321374](https://doi.org/10.1023/A:1011215321374); Zhang 2004, "' in text


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
    with pytest.raises(ConfigError, match=r"no page for task=multiclass with problem='fairness'.*a page to the task"):
        gallery_texts()
