"""Characters in many faces: that they are all there, look unlike, and come the same way under the same seed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from lossbench.data import DataModule
from lossbench.data.glyphs import ALL, CANVAS, FACES, drawings, faces_of, pictures
from lossbench.data.sources.source import load_source


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return load_source("glyphs", tmp_path_factory.mktemp("root"), 0)


def test_each_face_has_its_characters_and_shows_them_whole():
    counts = np.array(faces_of("".join(ALL)))
    assert len(ALL) == len(set(ALL)) == 349 and set(counts) == {12, 16}
    for place, face in enumerate(FACES):
        characters = [each for each, count in zip(ALL, counts, strict=True) if count > place]
        known = FT2Font(f"{get_data_path()}/fonts/ttf/{face}.ttf").get_charmap()
        assert not {*map(ord, characters)} - known.keys()
        drawn = drawings(face, "".join(characters))
        assert drawn.max((1, 2)).min() > 200 and drawn.any((1, 2)).all()


def test_no_two_characters_look_alike_in_any_face():
    for place, face in enumerate(FACES):
        characters = "".join(each for each in ALL if faces_of(each)[0] > place)
        drawn = torch.from_numpy(drawings(face, characters)).float()
        plain, worst = F.normalize(drawn.flatten(1)), torch.zeros(())
        for shift in [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1)]:
            shifted = F.normalize(torch.roll(drawn, shift, (1, 2)).flatten(1))
            worst = torch.maximum(worst, (plain @ shifted.T).fill_diagonal_(0).max())
        assert worst < 0.93  # 0.92 with the fonts and FreeType that they were chosen with


def test_pictures_are_of_all_faces_of_a_character():
    made, target = pictures("Aჵ", 16, np.random.default_rng(0))
    assert made.shape == (32, 1, CANVAS // 2, CANVAS // 2) and made.dtype == torch.uint8
    assert target.tolist() == [0] * 16 + [1] * 16
    again, _ = pictures("Aჵ", 16, np.random.default_rng(0))
    assert torch.equal(made, again)
    assert len(made.flatten(1).unique(dim=0)) == 32


def test_classes_of_the_parts_are_others_and_the_test_part_is_the_same_under_every_seed(source, tmp_path):
    other = load_source("glyphs", tmp_path, 1)
    assert torch.equal(source.test_inputs, other.test_inputs) and torch.equal(source.test_target, other.test_target)
    assert source.class_names == other.class_names and not torch.equal(source.train_inputs, other.train_inputs)
    assert source.train_target.unique().tolist() == list(range(233))
    assert source.test_target.unique().tolist() == list(range(233, 349))
    counts = torch.bincount(torch.cat([source.train_target, source.test_target]))
    assert (counts == 20).all()  # so that runs of several seeds have batches of the same sizes, and stack


def test_raw_pixels_are_neither_perfect_nor_chance(source):
    pixels = F.normalize(source.test_inputs.flatten(1).float())
    nearest = (pixels @ pixels.T).fill_diagonal_(-2).argmax(1)
    share = float((source.test_target[nearest] == source.test_target).float().mean())
    assert 0.25 < share < 0.6


def test_the_module_has_them_for_embeddings():
    module = DataModule("glyphs", "embedding", disjoint=True, run_seed=3)
    module.setup()
    assert module.facts()["classes"] == {"train": 210, "val": 23, "test": 116}
    assert module.num_classes == 210 and module.train_class_counts == [20] * 210
    names = dict(zip(module.evaluation_loaders, (23, 116), strict=True))
    assert {name: len(loader.samples.target.unique()) for name, loader in module.evaluation_loaders.items()} == names
