"""`python -m lossbench.compare`: print and write the tables of the runs under `output_dir`.

An option may be given with or without `compare.`: `select=best_val` is `compare.select=best_val`.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from lossbench import CONF, record
from lossbench.compare import write_tables
from lossbench.compare.records import comparisons
from lossbench.errors import ConfigError


def main() -> None:
    """Run the command; exit with 2 and one message if it can't work."""
    options = OmegaConf.load(CONF / "compare" / "default.yaml")
    sys.argv[1:] = [f"compare.{word}" if word.partition("=")[0] in options else word for word in sys.argv[1:]]
    try:
        compare()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="comparison")
def compare(config: DictConfig) -> None:
    """Print and write the tables."""
    output_dir = Path(config.output_dir)
    found = comparisons((entry for _, entry in record.read_all(output_dir)), config.data)
    if not found:
        print(f"error: no runs{f' of data={config.data}' if config.data else ''} under {output_dir}/.", file=sys.stderr)
        sys.exit(2)
    write_tables(found, output_dir, config.compare.metric, config.compare.select)


if __name__ == "__main__":
    main()
