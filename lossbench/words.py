"""How a number and its noun are written."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number and its noun: "1 seed", "5 seeds".

    Examples
    --------
    >>> counted(1, "loss", "losses"), counted(2, "loss", "losses"), counted(3, "seed")
    ('1 loss', '2 losses', '3 seeds')

    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
