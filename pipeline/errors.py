"""The errors whose text is written for the person at the keyboard."""


class AdaprepError(Exception):
    """Something the user can mend. The message is the whole story: what was looked for, where, what to do."""


class FileError(AdaprepError):
    """One input file cannot be used. The run goes on without it and lists it with this message."""
