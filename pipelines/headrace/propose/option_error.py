"""Define the error of an option of `headrace init` that does not fit the table."""

from headrace.errors import EXIT_BAD_RECIPE, HeadraceError


class OptionError(HeadraceError):
    """A bad option, such as a label that is no column; nothing was written."""

    exit_code = EXIT_BAD_RECIPE
