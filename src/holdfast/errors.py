"""The one error for a user's mistake: it states the rule, what came instead, and what to do."""


class UserError(ValueError):
    """A mistake in what the user gave (a file, a column, a flag), told in three sentences.

    The command line prints the message without a traceback and exits with code 2.

    Args:
        rule: what must hold, e.g. ``"The target column must be in the file."``
        got: what came instead, e.g. ``"'tmep' is not among: date, temp, rain."``
        fix: what to do, e.g. ``"Did you mean 'temp'?"``

    Example:
        >>> str(UserError("A horizon is at least 1 step.", "It was 0.", "Give --horizon 1 or more."))
        'A horizon is at least 1 step. It was 0. Give --horizon 1 or more.'
    """

    def __init__(self, rule: str, got: str, fix: str) -> None:
        self.rule, self.got, self.fix = rule, got, fix
        super().__init__(f"{rule} {got} {fix}")


class DivergenceError(UserError):
    """The loss of a training run, or the metric that it is validated by, is no longer finite."""


def missing_library(error: ModuleNotFoundError, extra: str) -> UserError:
    """The error for a library of an extra that is not installed."""
    return UserError(
        f"This needs the libraries of the extra {extra!r}.",
        f"{error.name} is not installed.",
        f"Run: pip install 'holdfast[{extra}]'.",
    )


def damaged(file: object, got: str) -> UserError:
    """Return the error for a file of a run folder that is not as training wrote it."""
    fix = "Copy the run folder again, or train again."
    return UserError(f"{file} must be as training wrote it.", got, fix)
