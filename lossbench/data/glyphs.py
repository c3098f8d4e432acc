"""Characters drawn with the fonts that matplotlib ships, and how they come: turned, smaller, shifted, paler, noisy.

The characters are letters, digits and signs of money that all twelve faces of DejaVu have, without those that Unicode
makes of others (letters with accents). Of those that look alike the first is kept: in the order of their numbers, one
is left out if in any face the cosine of its drawing with that of a kept one is 0.92 or more, the ink in the middle,
shifted by at most a pixel. So Greek and Cyrillic capitals that look Latin are not there; 349 of 642 are left.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.data.augmentation import moved
from lossbench.data.corruptions import Array, Rng

DEJAVU = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
)  # fmt: skip
FACES = (*DEJAVU, "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta")
"""Files of matplotlib, without their ending."""
IN_ALL_FACES = (
    "$0123456789ACDEGHJKLMNPQRSTUVWXYZabcdfjkmnoqrstvwxyz£¤¥ÆÞßæðþıĸŊŋŒƒƕƛƪƫƺƾǀǁǂɐɔɕɖɚɛɜɝɞɟɠɤɦɧ"
    "ɨɫɬɮɰɱɲɴɶɷɸɹɺɻɼʀʁʂʅʆʇʈʉʋʌʍʎʏʐʑʓʔʕʖʗʘʚʛʞʟʣʤʦʧʨΞΦΨΩαβδζνξρςτφωϙϚϞϟϠϡЂЉЊЋЏДЖЛЧЩЪЫЮЯвжмфцчъыюя"
    "ђљњћѣҐґ€"
)
"""Characters that all faces have."""
IN_DEJAVU = (
    "ƁƄƆƋƍƎƏƑƔƖƜƝƢƣƦƧƨƩƮƱƷƸƼƿǝǶȜȝȤȥȴȵȸȹȻȼȿɀɁʩʪʫʬʭʮϗϺҒғҕҖҗҘҙҚқҤҥҫҬҭҲҳҺӇӋӌӶӷԴԵԶԷԸԹԻԾԿՀՁՃՆՇՈՉՊՋՎՒՔ"
    "Ֆբթխծձճմնչջփքֆ฿აბგდეზთკლმჟრსტფქღყჩცჭჯჰჱჲჳჴჵჶჸჹჺᴉᴔᴖᴗᴝᴞᴟᶅ₦₯₴₵₸₹ⱤⱮⱵⱶⱷⱾⱿꞋꞌꞐ"
)
"""Characters that only those of DejaVu have."""
ALL = tuple(sorted(IN_ALL_FACES + IN_DEJAVU))
SIZE = 20
"""Pixels a side of a picture. It is half as wide as a drawing: a step of LeNet takes half the time of 28 x 28."""
CANVAS, EM = 2 * SIZE, 30
"""Pixels a side of a drawing, and of the square in which a face is designed."""
TURN, SCALE, SHIFT = 12.0, (0.85, 1.1), 1.25
"""Degrees, at most; the range of sizes; pixels of a picture, at most, in each direction."""
INK, PAPER, NOISE = (0.5, 1.0), (0.0, 0.3), 0.15
"""The range of what a stroke adds to the paper, that of the paper, and the deviation of the noise of each pixel."""
CHUNK = 1024
"""Drawings that are moved at once: all of them would take hundreds of megabytes."""


def faces_of(characters: str) -> list[int]:
    """Return how many of `FACES` have each character; these are the first."""
    return [len(FACES) if each in IN_ALL_FACES else len(DEJAVU) for each in characters]


def drawings(face: str, characters: str) -> Array:
    """Draw characters in a face, the ink in the middle of each: uint8, (C, 40, 40).

    Examples
    --------
    >>> drawn = drawings("DejaVuSans", "Io")
    >>> drawn.shape, bool(drawn[0].any(1).sum() > drawn[1].any(1).sum())
    ((2, 40, 40), True)

    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    path = Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    font = ImageFont.truetype(path, EM, layout_engine=ImageFont.Layout.BASIC)
    drawn = np.zeros((len(characters), CANVAS, CANVAS), np.uint8)
    for place, character in enumerate(characters):
        left, top, right, bottom = map(int, font.getbbox(character))
        picture = Image.new("L", (CANVAS, CANVAS))
        middle = ((CANVAS - left - right) // 2, (CANVAS - top - bottom) // 2)
        ImageDraw.Draw(picture).text(middle, character, fill=255, font=font)
        drawn[place] = np.asarray(picture)
    return drawn


def pictures(characters: str, count: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Make `count` pictures of each character, in turn of each of its faces.

    Each drawing is turned, scaled and shifted, and put on paper: ink times the drawing, plus paper, plus noise. The
    draws are uniform, but for the noise, which is normal.

    Parameters
    ----------
    characters : str
        C of `ALL`.
    count : int
        Of each.
    rng : numpy.random.Generator
        Draws faces and all else.

    Returns
    -------
    pictures : Tensor of uint8, shape (C * count, 1, 20, 20)
        Those of one character beside each other.
    target : Tensor of int64, shape (C * count,)
        The place of the character among those that are given.

    """
    of_faces = torch.from_numpy(np.stack([drawings(face, characters) for face in FACES]))
    known = np.array(faces_of(characters))
    keys = rng.random((len(known), len(FACES))) + (np.arange(len(FACES)) >= known[:, None])  # those it lacks come last
    faces = np.take_along_axis(np.argsort(keys, 1), np.arange(count) % known[:, None], 1).reshape(-1)
    target = np.repeat(np.arange(len(known)), count)
    drawn = of_faces[torch.from_numpy(faces), torch.from_numpy(target)]
    n = len(target)
    turn, scale, shift = rng.uniform(-TURN, TURN, n), rng.uniform(*SCALE, n), rng.uniform(-SHIFT, SHIFT, (n, 2))
    ink, paper = (rng.uniform(*ends, (n, 1, 1)) for ends in (INK, PAPER))
    noise = NOISE * rng.standard_normal((n, SIZE, SIZE), np.float32)
    how = [torch.from_numpy(each).float() for each in (np.deg2rad(turn), scale, shift * 2 / SIZE)]
    halved = [
        F.avg_pool2d(moved(whole[:, None].float() / 255, *place), 2)
        for whole, *place in zip(*(each.split(CHUNK) for each in (drawn, *how)), strict=True)
    ]
    values = torch.cat(halved)[:, 0].numpy() * ink + paper + noise
    made = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return torch.from_numpy(made[:, None]), torch.from_numpy(target)
