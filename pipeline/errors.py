"""The errors whose text is written for the person at the keyboard."""


class AdaprepError(Exception):
    """Something the user can mend. The message is the whole story: what was looked for, where, what to do."""


class BusyError(AdaprepError):
    """Another adaprep is at work in the same place: the same can be asked for again when it has finished.

    Parameters
    ----------
    what
        Who does what there, without a full stop.
    advice
        A sentence: what to do.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}. {advice}")
        self.what = what


class SizeError(AdaprepError):
    """A network does not take images of a size.

    Parameters
    ----------
    said
        What it said to them.
    takes
        A side that it takes, where one was found.
    option
        What says how large the images are.
    """

    def __init__(self, said: str, takes: int | None = None, option: str = "--resolution") -> None:
        self.known = f"{said} It takes {takes} x {takes}" if takes else said
        super().__init__(f"{self.known}: give {option} {takes}." if takes else said)


class DamagedError(AdaprepError):
    """A store of the workspace is damaged, and `adaprep verify --repair` may know what to do."""


class FileError(AdaprepError):
    """One input file cannot be used. The run goes on without it and lists it with this message."""
