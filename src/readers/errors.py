"""The error of data that cannot be read."""

from lcfcn.errors import UserError


class DataError(UserError):
    """A data set that is unknown, incomplete or damaged, told in one line that names the file."""
