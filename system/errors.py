"""The error that a file which cannot be used raises."""


class FileError(Exception):
    """A file is missing, damaged or something else; its text is one line that names it."""
