"""The one exception that a user's mistake becomes, and a message that two rooms share."""


class UserError(ValueError):
    """Something the user handed in cannot be used.

    The message says what was expected, what was found and what to do; the command line prints it
    without a traceback and exits with code 2.
    """


NO_DATA = (
    "--data is empty: hand in a folder in the ImageCLEF 2023 or 2025 layout (with folders such as "
    "real_used, real_not_used, generated), or a CSV with the columns path, role, label, patient."
)
