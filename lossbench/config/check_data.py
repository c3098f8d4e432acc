"""Check the data of a config that are not lossbench's own, what parts and batches ask of data, and sides of images."""

from lossbench.catalogue.terms import asks_for
from lossbench.config.cell import Cell
from lossbench.config.own_code import OF_ALL_DATA, taken_by
from lossbench.data.shapes import declared_sources, require_groups, require_halves, require_parts
from lossbench.errors import ConfigError


def check_own_data(cell: Cell) -> None:
    """Check that data of the user take every option of theirs that was typed.

    What only came along from a YAML of ours is not theirs: it is in no record.

    Raises
    ------
    ConfigError
        If an option would change nothing.

    """
    data = cell.config.data
    if cell.is_in_memory or (taken := taken_by(str(data["_target_"]))) is None:
        return
    for line in cell.overrides:
        key = line.lstrip("+~").partition("=")[0]
        group, _, name = key.replace("data/", "data.").partition(".")
        if group == "data" and name and name.partition(".")[0] not in taken:
            raise ConfigError(
                f"{line}: data={cell.data} does not take it, so it would change nothing. It takes: "
                f"{', '.join(sorted(taken - set(OF_ALL_DATA))) or 'no options'}. Leave it out."
            )


def check_views(cell: Cell) -> None:
    """Check that a loss that compares two views of an image gets them.

    Raises
    ------
    ConfigError
        If the data give one.

    """
    data = cell.config.data
    compares = "views" in cell.task.axes and asks_for("index", cell.resolved["loss"], unknown=False)
    if compares and data.get("views", 1) == 1:
        raise ConfigError(
            f"loss={cell.loss} compares two views of the same image, but data.views=1 gives one. Use data.views=2."
        )


def check_sides(cell: Cell) -> None:
    """Check that a U-Net of lossbench can halve the images, where their sides are known before they are loaded.

    Raises
    ------
    ConfigError
        If it can't.

    """
    data, model = cell.config.data, cell.config.model
    if not cell.is_in_memory or str(model["_target_"]) != "lossbench.models.UNet":
        return
    shape = declared_sources()[data.source].shape or ((3, *data.size) if data.get("size") else ())
    if len(shape) == 3:
        require_halves(shape, len(model.channels))


def check_parts(cell: Cell) -> None:
    """Check that classes can be kept apart, images seen twice and classes drawn in groups, as far as it is known.

    Raises
    ------
    ConfigError
        If they can't.

    """
    data, sampler = cell.config.data, cell.config.sampler
    if not cell.is_in_memory:
        return
    asked = {"disjoint": data.get("disjoint", False), "views": data.get("views", 1)}
    require_parts(cell.task, data.source, **asked, augment=data.get("augment", False))
    if str(sampler["_target_"]) == "lossbench.data.sampling.pk":
        require_groups(sampler.get("samples", 4), data.batch_size)
