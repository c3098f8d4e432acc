"""`python -m lossbench.compare`: compare the runs under `output_dir`, or those of an MLflow store, in a report.

An option may be given with or without `compare.`: `select=best_val` is `compare.select=best_val`.
"""

import gc
import tempfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lossbench.cli.arguments import compose_and_log, look, read_arguments
from lossbench.compare.numbers.comparisons import comparisons, read_outputs
from lossbench.compare.numbers.options import Options
from lossbench.compare.present import compare_records
from lossbench.config.compose import only_looks
from lossbench.config.values import check_comparing
from lossbench.errors import ConfigError, nearest
from lossbench.locate import CONF
from lossbench.ranges import takes
from lossbench.records import files
from lossbench.running.stopping import stop_signals
from lossbench.tracking.moved import find_moved_files
from lossbench.tracking.read import read_mlflow
from lossbench.tracking.store import database_of

READ = ("data", "source")
"""What is read; the other options under `compare` say how it is compared."""


def main() -> int:
    """Compare what the command line names."""
    own = [*OmegaConf.load(CONF / "compare" / "default.yaml"), *READ]
    arguments = read_arguments("comparison", short=own, group="compare")
    if only_looks(arguments):
        return look(arguments)
    config = compose_and_log(arguments)
    check_comparing(config)
    with stop_signals(), files.telling_a_full_disk(config.output_dir):
        compare(config)
    gc.freeze()  # the process ends: nothing is to be freed one by one
    return 0


@takes(data="text or null", source="one of: mlflow, outputs")
def compare(config: DictConfig) -> None:
    """Print and write the comparisons."""
    chosen = {name: value for name, value in config.compare.items() if name not in READ}
    options = Options(**chosen, trust=tuple(config.trust))
    output_dir, data, source = Path(config.output_dir), config.compare.data, config.compare.source
    with tempfile.TemporaryDirectory() as downloads:
        if source == "mlflow":
            find_moved_files(database_of(str(config.tracking.uri)), output_dir)
            records, place = read_mlflow(config.tracking, data, Path(downloads)), f"in {config.tracking.uri}"
        else:
            records, place = read_outputs(output_dir), f"under {output_dir}/"
        found = comparisons(records, data)
        if not found:
            there = {entry["choices"]["data"] for entry in read_outputs(output_dir)} if source == "outputs" else set()
            told = f" {nearest(data, there)}" if data and there else ""
            raise ConfigError(f"no runs{f' of data={data}' if data else ''} {place}.{told}")
        _, errors = compare_records(found, output_dir, options)
    if errors:
        raise ConfigError("\nerror: ".join(map(str, errors)))
