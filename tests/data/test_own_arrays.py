"""Arrays of the user's own, from .npz and .pt."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from lossbench.data.own_arrays import prepare
from lossbench.data.own_parts import wanted_of
from lossbench.errors import ConfigError
from tests.support.own_files import module

ROWS = 60


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    y = rng.integers(1, 4, ROWS)
    return {"X": rng.normal(size=(ROWS, 3)) + y[:, None] * [100, 1, 1], "y": y}


@pytest.fixture
def saved(tmp_path):
    def save(arrays, name="a.npz"):
        if name.endswith(".npz"):
            np.savez(tmp_path / name, **arrays)
        else:
            torch.save({key: torch.as_tensor(each) for key, each in arrays.items()}, tmp_path / name)
        return str(tmp_path / name)

    return save


def of_arrays(path, task="multiclass", **keys):
    return prepare(wanted_of({"path": path, **keys}, task))


def test_npz_and_pt_give_the_same(arrays, saved):
    first, other = of_arrays(saved(arrays)), of_arrays(saved(arrays, "a.pt"))
    for one, two in zip(first.inputs, other.inputs, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first.targets[0].names == ("1", "2", "3") and first.inputs[0].dtype == np.float32
    np.testing.assert_allclose(first.inputs[0].mean(0), 0, atol=1e-6)
    nearest = np.argmin(np.abs(first.inputs[1][:, :1] - np.unique(first.inputs[0][:, 0].round(0))[:3]), 1)
    assert accuracy_score(first.targets[1].values, nearest) == 1


def test_arrays_have_a_test_part_of_their_own(arrays, saved):
    parts = {"X_test": arrays["X"][:7], "y_test": arrays["y"][:7], "g": np.arange(ROWS), "g_test": np.arange(7) + 100}
    made = of_arrays(saved({**arrays, **parts}), group="g")
    assert [len(each) for each in made.inputs] == [ROWS, 7]
    np.testing.assert_array_equal(made.targets[1].values, arrays["y"][:7] - 1)
    loaded = module("data=arrays", f"data.path={saved({**arrays, **parts})}")
    assert loaded.task.name == "multiclass" and loaded.facts()["arrays"]["rows"] == {"train": ROWS, "test": 7}


def test_images_of_bytes_stay_bytes(saved):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (ROWS, 3, 4, 4), dtype=np.uint8)
    loaded = module("data=arrays", f"data.path={saved({'X': images, 'y': np.arange(ROWS) % 2})}")
    samples = loaded.train_dataloader().samples
    assert samples.inputs.dtype == torch.uint8 and loaded.input_shape == [3, 4, 4]
    inputs = torch.cat([batch.inputs for batch in loaded.train_dataloader()])
    assert inputs.mean().abs() < 0.1 and (inputs.std() - 1).abs() < 0.1
    grey = module("data=arrays", f"data.path={saved({'X': images[:, 0], 'y': np.arange(ROWS) / 7}, 'grey.npz')}")
    assert (grey.input_shape, grey.task.name) == ([1, 4, 4], "regression")


def test_channels_that_come_last_are_put_first_and_told(saved):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (ROWS, 5, 6, 3), dtype=np.uint8)
    first = of_arrays(saved({"X": images.transpose(0, 3, 1, 2), "y": np.arange(ROWS) % 2}, "first.npz"))
    test = {"X_test": images[:9], "y_test": np.arange(9) % 2}
    last = of_arrays(saved({"X": images, "y": np.arange(ROWS) % 2}, "last.npz"))
    np.testing.assert_array_equal(last.inputs[0], first.inputs[0])
    np.testing.assert_array_equal(last.mean, first.mean)
    assert any("channels last: they are put before the pixels" in line for line in last.told)
    assert not any("channels" in line for line in first.told)
    parted = of_arrays(saved({"X": images / 255, "y": np.arange(ROWS) % 2, **test, "X_test": images[:9] / 255}))
    assert [each.shape[1:] for each in parted.inputs] == [(3, 5, 6)] * 2


BAD_ARRAYS = {
    "no y": ({"y": None}, "it has no y"),
    "lengths": ({"y": np.arange(3)}, "a sample of each belongs together"),
    "infinite": ({"X": np.full((ROWS, 3), np.inf)}, r"X\[0, 0\] is inf: sample 0"),
    "nan": ({"X": np.where(np.eye(ROWS, 3, -5) > 0, np.nan, 1.0)}, r"X\[5, 0\] is nan"),
    "texts": ({"X": np.full((ROWS, 3), "a")}, "It is to hold numbers"),
    "objects": ({"X": np.array([{}] * ROWS, dtype=object)}, "can't be read without running code"),
    "no y_test": ({"X_test": np.ones((2, 3))}, "it has no y_test"),
    "other shape": ({"X_test": np.ones((2, 4)), "y_test": np.ones(2)}, "X_test of"),
    "other class": ({"X_test": np.ones((2, 3)), "y_test": np.array([1, 9])}, "'9' in row 2, a class"),
    "none": ({"X": np.ones((0, 3)), "y": np.ones(0)}, "X has no samples"),
}


@pytest.mark.parametrize(("changes", "told"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_arrays_that_cannot_be_learned_are_refused(arrays, saved, changes, told):
    given = {name: each for name, each in {**arrays, **changes}.items() if each is not None}
    with pytest.raises(ConfigError, match=told):
        of_arrays(saved(given))


def test_files_that_run_code_are_refused(tmp_path, saved, arrays):
    class Runs:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"X": Runs(), "y": torch.ones(3)}, tmp_path / "evil.pt")
    with pytest.raises(ConfigError, match="without running code"):
        of_arrays(str(tmp_path / "evil.pt"))
    torch.save([torch.ones(3)], tmp_path / "list.pt")
    with pytest.raises(ConfigError, match="It is to hold a dict"):
        of_arrays(str(tmp_path / "list.pt"))
    with pytest.raises(ConfigError, match="there is no array w"):
        of_arrays(saved(arrays), weight="w")
    for wrong in (-1.0, np.nan):
        weights = np.where(np.arange(ROWS) == 7, wrong, 1.0)
        with pytest.raises(ConfigError, match=r"data\.weight=w is .* in row .*: weights are numbers from 0"):
            of_arrays(saved({**arrays, "w": weights}), weight="w")
