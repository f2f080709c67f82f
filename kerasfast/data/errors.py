"""The errors of a user's files."""


class DataError(ValueError):
    """A video, an annotation file or a record that cannot be used; the message names the file and what to do."""


class TruncatedVideoError(DataError):
    """A video that ends before its header says."""


class RepeatedIdError(DataError):
    """An annotation file that lists a video twice."""
