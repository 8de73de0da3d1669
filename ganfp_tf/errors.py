"""The one exception that a user's mistake becomes."""


class UserError(ValueError):
    """Something the user handed in cannot be used.

    The message says what was expected, what was found and what to do; the command line prints it
    without a traceback and exits with code 2.
    """
