"""How a user's mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli import main

Expected = tuple[str, str, str]
"""Words that rule, cause and remedy hold."""


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str | Path], expected: Expected) -> str:
    """The command exits with 2, says nothing on stdout, and tells rule, cause and remedy with the expected words."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    start = err.index("error: ")
    assert start == 0 or err[start - 1] == "\n"
    told = [line.strip() for line in err[start:].removeprefix("error: ").splitlines()]
    assert len(told) == 3, err
    for line, words in zip(told, expected, strict=True):
        assert line and words.lower() in line.lower(), f"{words!r} is not in {line!r}"
    return err
