"""Checks of settings; each error names the setting by its flag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from math import inf

from holdfast.errors import UserError

_CHOICES_CUTOFF = 0.35
"""Least similarity of a suggested choice: among so few, even a poor guess helps."""


def flag_name(name: str) -> str:
    """Return the flag of a setting: ``hidden_size`` -> ``--hidden-size``."""
    return "--" + name.replace("_", "-")


def invalid_setting(name: str, rule: str, value: object, example: object) -> UserError:
    """Return the error for a setting that breaks a rule, such as "at least 1"."""
    flag = flag_name(name)
    return UserError(f"{flag} must be {rule}.", f"It was {value}.", f"Give for example {flag} {example}.")


def did_you_mean(got: str, known: Iterable[str], otherwise: str, cutoff: float = 0.6) -> str:
    """Return "Did you mean ...?" with the most similar known name, or else another fix.

    Args:
        got: the unknown name.
        known: the known names.
        otherwise: the other fix.
        cutoff: least similarity, from 0 to 1.

    Example:
        >>> did_you_mean("gruu", ("rnn", "gru", "lstm"), "Give one of these.")
        "Did you mean 'gru'?"
    """
    near = get_close_matches(got, list(known), 1, cutoff)
    return f"Did you mean {near[0]!r}?" if near else otherwise


def unknown_choice(flag: str, got: str, choices: Sequence[str]) -> UserError:
    """Return the error for a value that is none of a flag's choices, with the most similar one."""
    fix = did_you_mean(got, choices, f"Give for example {flag} {choices[0]}.", _CHOICES_CUTOFF)
    return UserError(f"{flag} must be one of {', '.join(choices)}.", f"It was {got!r}.", fix)


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


def check_sizes(settings: object, *names: str) -> None:
    """Refuse settings that are below 1; the error gives the default as an example.

    Raises:
        UserError: a value is below 1, infinite or NaN.
    """
    for name in names:
        check_at_least(name, getattr(settings, name), 1, getattr(type(settings), name) or 128)


def check_fractions(settings: object, *names: str) -> None:
    """Refuse settings that are outside [0, 1).

    Raises:
        UserError: a value is outside.
    """
    for name in names:
        check_fraction(name, getattr(settings, name))
