"""Check of the message for a user's mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.cli import main

Expected = tuple[str, str, str]
"""Words that rule, cause and fix must contain."""


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str | Path], expected: Expected) -> str:
    """Check that a command exits with 2, prints nothing to stdout, and names rule, cause and fix."""
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    start = err.index("error: ")
    assert start == 0 or err[start - 1] == "\n"
    lines = [line.strip() for line in err[start:].removeprefix("error: ").splitlines()]
    assert len(lines) == 3, err
    for line, words in zip(lines, expected, strict=True):
        assert line and words.lower() in line.lower(), f"{words!r} is not in {line!r}"
    return err
