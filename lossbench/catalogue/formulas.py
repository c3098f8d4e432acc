"""The losses that are a formula: whether it can be read, told without torch and before anything starts."""

from collections.abc import Mapping
from typing import Any

from lossbench.errors import ConfigError
from lossbench.losses.formula import VARIABLES, FormulaError, of_loss


def require_formula(target: str, parameters: Mapping[str, Any], key: str = "loss") -> None:
    """Raise a `ConfigError` if a loss is one by formula and its formula can't be read.

    Parameters
    ----------
    target : str
        The `_target_` of the loss.
    parameters : mapping
        Its parameters by name.
    key : str
        Where they are in the config.

    Examples
    --------
    >>> require_formula("lossbench.losses.expression", {"expression": "-log(p)"})
    >>> require_formula("lossbench.losses.expression", {"expression": "-log(q)"})
    Traceback (most recent call last):
    lossbench.errors.ConfigError: loss.expression='-log(q)', place 6: there is no 'q'. Allowed: abs, atan, c1, c2, c3, \
cosh, exp, log, max, min, p, relu, sigmoid, softplus, sqrt, tanh.

    """
    room, _, name = target.rpartition(".")
    text = parameters.get("expression")
    if room != "lossbench.losses" or name not in VARIABLES or not isinstance(text, str):
        return
    try:
        of_loss(name, text)
    except FormulaError as error:
        raise ConfigError(f"{key}.expression={error}") from error
