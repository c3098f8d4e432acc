"""Data in a page: as JSON that its script reads."""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup


def as_script(data: Mapping[str, Any]) -> Markup:
    r"""Write data as JSON that can stand in a script element: no name of a run ends it or begins another.

    Examples
    --------
    >>> print(as_script({"loss": "</script><b>"}))
    {"loss":"\u003c/script\u003e\u003cb\u003e"}

    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)
