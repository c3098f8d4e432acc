"""What can end a command or a run: a mistake that the user can mend, a signal, a loss that diverges."""

import difflib
from collections.abc import Iterable


class ConfigError(Exception):
    """Something in the command, a config file or the data folder can't work; the message says what to do.

    It is shown as one message, before any training, with exit code 2.
    """


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which choices there are, the nearest one first: "Nearest: focal. Allowed: bce, focal, ...".

    Examples
    --------
    >>> nearest("focl", ["bce", "focal"])
    'Nearest: focal. Allowed: bce, focal.'

    """
    known = sorted(choices)
    longer = [choice for choice in known if word and choice.startswith(word)]
    close = longer or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return (f"Nearest: {close[0]}. " if close else "") + f"Allowed: {', '.join(known)}."


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


GOES_ON = "The same command again goes on from where it was."


class Killed(BaseException):
    """Ctrl-C or SIGTERM: the run is recorded as killed and the command ends with the shell's exit code for it.

    `then` says what the same command does when it is given again.
    """

    def __init__(self, signal_number: int, then: str = GOES_ON) -> None:
        super().__init__(f"signal {signal_number}")
        self.exit_code, self.then = 128 + signal_number, then


class Detached(BaseException):
    """A command has sent off its runs and leaves; the message says how they are collected."""


class DiskFull(Exception):
    """A file could not be written since its disk is full; the message says what to do, the exit code is 1."""

    def __init__(self, place: object) -> None:
        super().__init__(str(place))  # what goes from process to process

    def __str__(self) -> str:
        """Say what to do."""
        return f"the disk of {self.args[0]} is full. Free some space; the same command then goes on."


class Diverged(Exception):
    """The loss became nan or infinite; a result, not a failure."""

    def __init__(self, epoch: int, step: int, value: float) -> None:
        super().__init__(f"the loss became {value} in epoch {epoch}, step {step}")
        self.epoch, self.step = epoch, step


class TakenOver(Exception):
    """The process of a run has shown no sign for so long that another one has taken the run over."""

    def __init__(self, folder: object) -> None:
        super().__init__(f"{folder}: this process was silent for so long that another one has taken the run over")
