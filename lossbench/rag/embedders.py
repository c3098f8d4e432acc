"""What turns texts into vectors: letters alone, a small model that its package carries, or any function."""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossbench.errors import ConfigError, nearest
from lossbench.locate import locate

Floats = NDArray[np.float64]
Embedder = Callable[[Sequence[str]], Any]
"""n texts in, an array (n, d) out."""

OWN = ("lexical", "wordllama")
LEXICAL_SIZE = 2**16


def lexical(texts: Sequence[str]) -> Floats:
    """Embed texts by their letters: counts of runs of 3 to 5 characters inside words, hashed.

    Formula: v_j = 1 + log(number of runs with hash j), 0 if there are none; v / norm(v). Two texts are alike when they
    spell alike; that they mean the same, it can't see. So what is made from it is called lexical.

    Parameters
    ----------
    texts : sequence of str
        n texts; case doesn't count.

    Returns
    -------
    ndarray, shape (n, 65536), float64
        Rows of norm 1, or 0 for a text without letters.

    References
    ----------
    Cavnar and Trenkle 1994, "N-gram-based text categorization". Weinberger et al. 2009, "Feature hashing for large
    scale multitask learning", arXiv:0902.2206.

    Examples
    --------
    >>> one, other, strange = lexical(["A red house", "a red houses", "Stocks fell"])
    >>> bool(one @ other > 0.7), bool(one @ strange < 0.1)
    (True, True)

    """
    counts = _hashing().transform(texts).toarray()
    counts[counts > 0] = 1 + np.log(counts[counts > 0])
    norms = np.linalg.norm(counts, axis=1, keepdims=True)
    return np.asarray(counts / np.where(norms > 0, norms, 1.0), dtype=np.float64)


@cache
def _hashing() -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=LEXICAL_SIZE, norm=None, alternate_sign=False
    )


def wordllama() -> Embedder:
    """Return the small model of the package `wordllama`, which brings its weights: nothing is downloaded.

    A text is the mean of the vectors (256,) of its tokens: meaning without word order.

    Raises
    ------
    ConfigError
        If the package is not there.

    References
    ----------
    Miller 2024, "WordLlama: Recycled Token Embeddings from Large Language Models",
    https://github.com/dleemiller/WordLlama.

    """
    if find_spec("wordllama") is None:
        raise ConfigError("rag.embedder=wordllama needs a package: pip install 'lossbench[rag]'")
    package = import_module("wordllama")
    # It looks for its tokenizer in `tokenizer/`, but brings it in `tokenizers/`, where it would keep a download.
    folder = Path(str(package.__file__)).parent
    embed: Embedder = package.WordLlama.load(cache_dir=folder, disable_download=True).embed
    return lambda texts: embed(list(texts))


def embedder_of(name: str) -> Embedder:
    """Return an embedder by its name, or by the `module.function` of one.

    Raises
    ------
    ConfigError
        If there is none.

    Examples
    --------
    >>> embedder_of("lexical")(["a text"]).shape
    (1, 65536)

    """
    if name == "lexical":
        return lexical
    if name != "wordllama" and "." not in name:
        raise ConfigError(f"rag.embedder={name} is not known. {nearest(name, OWN)} Or module.function of yours.")
    found = wordllama() if name == "wordllama" else located(name, "rag.embedder")
    lock = threading.Lock()

    def one_at_a_time(texts: Sequence[str]) -> Any:
        with lock:  # few models may be called from several threads
            return found(list(texts))

    return one_at_a_time


def located(name: str, key: str) -> Callable[..., Any]:
    """Import the function that a key of the config names.

    Raises
    ------
    ConfigError
        If it isn't there, or can't be called.

    """
    try:
        found = locate(name)
    except ConfigError as error:
        raise ConfigError(str(error).replace("_target_=", f"{key}=", 1)) from error
    if not callable(found):
        raise ConfigError(f"{key}={name} is {type(found).__name__}, and can't be called. Name a function.")
    made: Callable[..., Any] = found
    return made


def cosines(embed: Embedder, text: str, others: Sequence[str]) -> Floats:
    """Return the cosines of a text and of others.

    Formula: (u . v) / (norm(u) norm(v)); 0 where either norm is 0, as of an empty text.

    Parameters
    ----------
    embed : callable
        Texts to vectors.
    text : str
        One text.
    others : sequence of str
        n texts.

    Returns
    -------
    ndarray, shape (n,), float64
        In [-1, 1].

    Raises
    ------
    ConfigError
        If the embedder does not give a finite vector for each text.

    Examples
    --------
    >>> cosines(lambda texts: [[len(text), 1.0] for text in texts], "a", ["b", "aaaaaaa"]).round(3).tolist()
    [1.0, 0.8]

    """
    given = [text, *others]
    vectors = np.asarray(embed(given), dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(given) or not np.isfinite(vectors).all():
        raise ConfigError(
            f"rag.embedder gave an array of shape {vectors.shape} for {len(given)} texts. Allowed are finite numbers "
            f"of shape ({len(given)}, d)."
        )
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(norms > 0, norms, 1.0)
    return np.asarray(np.clip(units[1:] @ units[0], -1, 1))
