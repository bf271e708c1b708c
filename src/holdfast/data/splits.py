"""Which file the validation and the test part come from."""

from __future__ import annotations

from holdfast.config import fractions

OwnFiles = tuple[bool, bool]
"""Whether the validation and the test part have a file of their own."""


def split_fractions(split: str, own: OwnFiles) -> tuple[float, float, float]:
    """Training, validation and test part of the training file: what has its own file leaves its share to training.

    Example:
        >>> split_fractions("0.5/0.25/0.25", (True, False))
        (0.75, 0.0, 0.25)
    """
    train, *others = fractions(split)
    valid, test = (0.0 if has else share for has, share in zip(own, others, strict=True))
    return train + sum(others) - valid - test, valid, test


def split_notes(own: OwnFiles, tested: bool) -> tuple[str, ...]:
    """What is told where one of the two has a file of its own and the other one is cut from the training file.

    ``tested`` says whether there is a test part.
    """
    if all(own) or not any(own) or (own[0] and not tested):
        return ()
    name, flag = ("test", "--test") if own[0] else ("validation", "--valid")
    return (f"the {name} part is cut from the training file; {flag} gives it a file of its own",)
