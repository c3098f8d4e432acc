"""What a target of the user's own is taken for."""

import numpy as np
import pytest

from lossbench.data.files import DataError
from lossbench.data.own_columns import Column
from lossbench.data.own_targets import seen_as


def test_a_constant_target_is_told_before_its_task_is_guessed():
    with pytest.raises(DataError, match="the target 'y' is 3 in every row"):
        seen_as({"y": Column("number", np.array([3.0, 3.0, 3.0]))})
