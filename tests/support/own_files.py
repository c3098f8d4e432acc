"""Data of a user's own file, built as a command does."""

from hydra import compose, initialize_config_dir

from lossbench.locate import CONF


def module(*overrides):
    """Build the data of a command, whose task may be found by a look at the file."""
    from lossbench.config.cell import cell_of
    from lossbench.running.build import build_data

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_data(cell_of(compose("config", list(overrides), return_hydra_config=True)).config.data)
