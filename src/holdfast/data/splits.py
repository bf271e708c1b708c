"""The sizes of the training, validation and test splits."""

from __future__ import annotations

from holdfast.config import fractions

OwnFiles = tuple[bool, bool]
"""Whether the validation and the test split each have their own file."""


def split_fractions(split: str, own: OwnFiles) -> tuple[float, float, float]:
    """Return the fractions of the training file for the training, validation and test split.

    A split with its own file takes nothing: its fraction goes to training.

    Example:
        >>> split_fractions("0.5/0.25/0.25", (True, False))
        (0.75, 0.0, 0.25)
    """
    train, *others = fractions(split)
    valid, test = (0.0 if has else share for has, share in zip(own, others, strict=True))
    return train + sum(others) - valid - test, valid, test


def split_notes(own: OwnFiles, tested: bool) -> tuple[str, ...]:
    """Return a note if one split has its own file and the other is cut from the training file.

    ``tested`` says whether there is a test split.
    """
    if all(own) or not any(own) or (own[0] and not tested):
        return ()
    name, flag = ("test", "--test") if own[0] else ("validation", "--valid")
    return (f"the {name} split is cut from the training file; {flag} gives it its own file",)
