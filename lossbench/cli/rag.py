"""`python -m lossbench.rag`: judge what systems with retrieval have answered.

An option may be given with or without `rag.`: `metrics=[faithfulness]` is `rag.metrics=[faithfulness]`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lossbench import __version__
from lossbench.cli.arguments import compose_and_log, look, read_arguments
from lossbench.config.compose import only_looks, put_user_code_on_path
from lossbench.config.source import settings_of
from lossbench.config.values import CONFIG, check_node
from lossbench.errors import ConfigError, first_line
from lossbench.locate import CONF
from lossbench.rag import report
from lossbench.rag.cases import Case, read_cases
from lossbench.rag.embedders import embedder_of
from lossbench.rag.evaluate import FAILED, UNPARSABLE, Cell, Measure, evaluate, measures_for
from lossbench.rag.judge import Remembering, judge_of
from lossbench.rag.prompts import VERSION
from lossbench.rag.settings import Settings
from lossbench.ranges import takes
from lossbench.records import files
from lossbench.running.stopping import stop_signals

GOES_ON = "What was judged is kept: the same command again goes on from there."
Systems = dict[str, list[Case]]
Results = dict[str, list[dict[str, Cell]]]


def main() -> int:
    """Evaluate what the command line names; return the exit code: 1 if the judge gave no reply somewhere."""
    own = [*OmegaConf.load(CONF / "rag.yaml").rag]
    arguments = read_arguments("rag", short=own, group="rag")
    put_user_code_on_path(arguments)
    for line in arguments.overrides:
        if line.startswith("data="):
            raise ConfigError(f"{line}: a file is given as data.path={line.removeprefix('data=')}.")
    if only_looks(arguments):
        return look(arguments)
    config = compose_and_log(arguments)
    settings, systems = read(config)
    folder = Path(config.output_dir) / "rag"
    with stop_signals(GOES_ON), files.telling_a_full_disk(folder):
        return evaluate_and_tell(systems, settings, folder)


@takes(path="text or list of 1+ text")
def read(config: DictConfig) -> tuple[Settings, Systems]:
    """Check the config and read the cases, before anything is asked or written.

    Raises
    ------
    ConfigError
        With the key or the row, and what is allowed.

    """
    own = OmegaConf.masked_copy(config, ["output_dir", "data", "rag"])
    try:
        plain = cast(dict[str, Any], OmegaConf.to_container(own, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(f"The config can't be resolved: {first_line(error)}") from error
    check_node("", {"output_dir": plain.get("output_dir")}, {"output_dir": CONFIG["output_dir"]})
    check_node("", {name: plain.get(name) for name in ("data", "rag")}, {"data": "dict", "rag": "dict"})
    if plain["data"].get("path") in (None, "???"):
        raise ConfigError("data.path is needed: data.path=FILE, or [FILE,FILE] for two systems; .jsonl or .csv.")
    check_node("data", plain["data"], settings_of("lossbench.cli.rag.read"))
    check_node("rag", plain["rag"], settings_of("lossbench.rag.settings.Settings"))
    given = plain["data"]["path"]
    paths = [Path(path) for path in ([given] if isinstance(given, str) else given)]
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise ConfigError(f"data.path={', '.join(map(str, paths))}: a file is a system; give each another name.")
    wanted = plain["rag"]["metrics"]
    settings = Settings(**{**plain["rag"], "metrics": [wanted] if isinstance(wanted, str) else wanted})
    return settings, {path.stem: read_cases(path) for path in paths}


def evaluate_and_tell(systems: Systems, settings: Settings, folder: Path) -> int:
    """Compute, print and write; return the exit code."""
    name = _name(settings, systems)
    files.check_writable(folder.parent)
    judge, embed = judge_of(settings, folder / "judgements.jsonl"), embedder_of(settings.embedder)
    cases = [case for each in systems.values() for case in each]
    measures, lacking = measures_for(cases, judge, embed, settings)
    rows = _evaluated(cases, measures, settings.parallel)
    results: Results = {}
    for system, each in systems.items():
        results[system], rows = rows[: len(each)], rows[len(each) :]
    form = cast(Literal["plain", "tuned"], settings.ppi)
    found = {
        system: report.summaries(each, results[system], measures, settings.confidence, form)
        for system, each in systems.items()
    }
    both = {system: (each, results[system]) for system, each in systems.items()}
    compared = report.differences(both, measures, settings.confidence)
    _print(found, compared, lacking, settings, judge)
    for system, each in systems.items():
        files.write_text(folder / name / f"{system}.csv", report.csv_of(each, results[system], measures))
    written = {
        "lossbench": __version__,
        "prompts": VERSION,
        "data": {system: {"cases": len(each)} for system, each in systems.items()},
        "settings": asdict(settings),
        "judge": None if judge is None else asdict(judge.counts),
        "systems": {system: [report.as_data(each) for each in summaries] for system, summaries in found.items()},
        "differences": [report.as_data(each) for each in compared],
        "not_computed": lacking,
    }
    files.write_text(folder / name / "rag.json", json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    print(f"Results: {folder / name / 'rag.json'}")
    failed = sum(cell == FAILED for each in results.values() for row in each for cell in row.values())
    if failed:
        last = f" The last time: {judge.counts.failure}." if judge else ""
        print(f"failed: the judge gave no reply for {failed} values.{last} {GOES_ON}", file=sys.stderr)
    cells = [cell for each in results.values() for row in each for cell in row.items()]
    known = {name for name, cell in cells if not isinstance(cell, str)}
    empty = sorted({name for name, cell in cells if cell == UNPARSABLE} - known)
    if empty:
        print(f"no reply of the judge could be read for: {', '.join(empty)}.", file=sys.stderr)
    return int(failed > 0 or bool(empty))


def _name(settings: Settings, systems: Systems) -> str:
    name = settings.name or "-".join(systems)
    if Path(name).name != name or name in ("judgements.jsonl", ".", ".."):
        raise ConfigError(f"rag.name={name}: allowed is the name of a folder, without / in it.")
    return name


def _evaluated(cases: Sequence[Case], measures: Sequence[Measure], parallel: int) -> list[dict[str, Cell]]:
    """Compute with a line of progress, where there is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return evaluate(cases, measures, parallel)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        line = progress.add_task("cases", total=len(cases))
        return evaluate(cases, measures, parallel, lambda: progress.advance(line))


def _print(
    found: dict[str, list[report.Summary]], compared: list[report.Difference], lacking: dict[str, str],
    settings: Settings, judge: Remembering | None,
) -> None:  # fmt: skip
    console = Console()
    for system, summaries in found.items():
        console.print(report.table_of(system, summaries, lacking))
    if compared:
        console.print(report.table_of_differences(compared))
    lines = [f"Intervals are {kind}, over cases." for kind in _kinds(found)]
    if compared:
        lines.append("Differences are paired by question; each interval holds by itself.")
    if any("_lexical" in each.name for summaries in found.values() for each in summaries):
        lines.append("_lexical: likeness of letters, not of meaning. rag.embedder= takes a model.")
    powered = (each for every in found.values() for each in every if each.name.endswith("_ppi") and each.note)
    lines += [f"{each.name}: {each.note}." for each in powered]
    if judge is not None:
        counts = judge.counts
        lines.append(
            f"Judge {settings.model or settings.judge}: {counts.calls} calls, {counts.retries} retries, "
            f"{counts.cached} cached, {counts.failed} failed; {_unparsable(found)} values unparsable."
        )
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _kinds(found: dict[str, list[report.Summary]]) -> list[str]:
    plain = (each for summaries in found.values() for each in summaries if not each.name.endswith("_ppi"))
    return sorted({each.kind for each in plain if each.kind})


def _unparsable(found: dict[str, list[report.Summary]]) -> int:
    return sum(each.without.get("unparsable", 0) for summaries in found.values() for each in summaries)
