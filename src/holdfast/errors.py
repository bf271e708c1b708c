"""The errors that Holdfast raises for what a user can mend.

::

    ValueError
    └── UserError               a file, a column or a setting breaks a rule
        ├── DivergenceError     the loss or the monitored metric is no longer finite
        └── RowError            one row of a table breaks a rule (data/tabular/table.py)
"""


class UserError(ValueError):
    """A mistake in what the user gave (a file, a column, a flag), reported in three sentences.

    The command line prints the message without a traceback and exits with code 2.

    Args:
        rule: what must hold, e.g. ``"The target column must be in the file."``
        got: what came instead, e.g. ``"'tmep' is not among: date, temp, rain."``
        fix: what the user can do; begins with a verb, e.g. ``"Name one of these with --target."``

    Example:
        >>> str(UserError("A horizon must be at least 1 step.", "It was 0.", "Give --horizon 1 or more."))
        'A horizon must be at least 1 step. It was 0. Give --horizon 1 or more.'
    """

    def __init__(self, rule: str, got: str, fix: str) -> None:
        self.rule, self.got, self.fix = rule, got, fix
        super().__init__(f"{rule} {got} {fix}")


class DivergenceError(UserError):
    """The training loss or the monitored validation metric is no longer finite."""


def missing_library(error: ModuleNotFoundError, extra: str) -> UserError:
    """Return the error for a library that one of Holdfast's extras installs."""
    return UserError(
        f"The extra {extra!r} must be installed.",
        f"The library {error.name} is missing.",
        f"Run: pip install 'holdfast[{extra}]'.",
    )


def damaged(file: object, got: str) -> UserError:
    """Return the error for a file of a run folder that is not as training wrote it."""
    fix = "Copy the run folder again, or train again."
    return UserError(f"{file} must be as training wrote it.", got, fix)
