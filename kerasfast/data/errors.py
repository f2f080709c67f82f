"""The error of a user's files."""


class DataError(ValueError):
    """A video, an annotation file or a record that cannot be used; the message names the file and what to do."""
