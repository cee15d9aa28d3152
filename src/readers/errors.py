"""The error of data that cannot be read."""

from lcfcn.errors import UserError


class DataError(UserError):
    """A data set is unknown, incomplete or damaged. The message is one line and names the file."""
