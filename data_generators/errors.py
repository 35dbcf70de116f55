"""The error that bad or missing data raises."""


class DataError(Exception):
    """Data that is missing, damaged or too small; its text is the one line a user sees."""
