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


class DamagedError(AdaprepError):
    """A store of the workspace is damaged, and `adaprep verify --repair` may know what to do."""


class FileError(AdaprepError):
    """One input file cannot be used. The run goes on without it and lists it with this message."""
