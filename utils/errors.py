"""The error that bad input raises."""


class UsageError(Exception):
    """Bad input; its text is the one line that the user sees."""
