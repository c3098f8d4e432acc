"""`python -m lossbench.compare`: compare the runs under `output_dir`, or those of an MLflow store, in a report.

An option may be given with or without `compare.`: `select=best_val` is `compare.select=best_val`.
"""

import sys
import tempfile
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from lossbench import CONF, record
from lossbench.cells import compose_one, only_looks
from lossbench.compare import compare_records
from lossbench.compare.analysis import Options
from lossbench.compare.from_mlflow import read_mlflow
from lossbench.compare.records import comparisons, read_outputs
from lossbench.errors import ConfigError, DiskFull
from lossbench.intervals import takes
from lossbench.tracking.store import hide_credentials
from lossbench.values import check_comparing

READ = ("data", "source")
"""What is read; the other options under `compare` say how it is compared."""


def main() -> None:
    """Run the command; exit with 2 and one message if it can't work."""
    options = [*OmegaConf.load(CONF / "compare" / "default.yaml"), *READ]
    sys.argv[1:] = [f"compare.{word}" if word.partition("=")[0] in options else word for word in sys.argv[1:]]
    sys.argv[1:] = hide_credentials(sys.argv[1:])
    arguments = get_args_parser().parse_args()
    arguments.config_name = arguments.config_name or "comparison"
    try:
        if not only_looks(arguments):
            check_comparing(compose_one(arguments))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="comparison")
def run(config: DictConfig) -> None:
    """Compare what the config names; Hydra calls this, and would show a traceback for an error of the user."""
    try:
        with record.telling_a_full_disk(config.output_dir):
            compare(config)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except DiskFull as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


@takes(data="text or null", source="one of: mlflow, outputs")
def compare(config: DictConfig) -> None:
    """Print and write the comparisons."""
    chosen = {name: value for name, value in config.compare.items() if name not in READ}
    options = Options(**chosen, trust=tuple(config.trust))
    output_dir, data, source = Path(config.output_dir), config.compare.data, config.compare.source
    with tempfile.TemporaryDirectory() as downloads:
        if source == "mlflow":
            records, place = read_mlflow(config.tracking, data, Path(downloads)), f"in {config.tracking.uri}"
        else:
            records, place = read_outputs(output_dir), f"under {output_dir}/"
        found = comparisons(records, data)
        if not found:
            raise ConfigError(f"no runs{f' of data={data}' if data else ''} {place}.")
        _, errors = compare_records(found, output_dir, options)
    if errors:
        raise ConfigError("\nerror: ".join(map(str, errors)))


if __name__ == "__main__":
    main()
