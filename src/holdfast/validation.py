"""Checks of settings; each error names the setting by its flag."""

from __future__ import annotations

from math import inf

from holdfast.errors import UserError


def flag_name(name: str) -> str:
    """Return the flag of a setting: ``hidden_size`` -> ``--hidden-size``."""
    return "--" + name.replace("_", "-")


def invalid_setting(name: str, rule: str, value: object, example: object) -> UserError:
    """Return the error for a setting that breaks a rule, such as "at least 1"."""
    flag = flag_name(name)
    return UserError(f"{flag} must be {rule}.", f"It was {value}.", f"Give for example {flag} {example}.")


def check_at_least(name: str, value: float | None, least: float, example: object) -> None:
    """Refuse a value that is below ``least``, infinite or NaN; None (not given) passes.

    Raises:
        UserError: the value breaks the rule.
    """
    if value is not None and not least <= value < inf:
        raise invalid_setting(name, f"at least {least}", value, example)


def check_at_most(name: str, value: float | None, most: float, example: object) -> None:
    """Refuse a value above ``most``; None (not given) passes.

    Raises:
        UserError: the value is above.
    """
    if value is not None and value > most:
        raise invalid_setting(name, f"at most {most}", value, example)


def check_fraction(name: str, value: float, example: object = 0.2) -> None:
    """Refuse a value outside [0, 1).

    Raises:
        UserError: the value is outside.
    """
    if not 0 <= value < 1:
        raise invalid_setting(name, "in [0, 1)", value, example)
