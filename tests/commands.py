"""Run commands in this process, and check what they print."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest

from holdfast.cli import main

Expected = tuple[str, str, str]
"""Words that rule, cause and fix must contain."""


def call(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> tuple[str, str]:
    """Run a command, check its exit code, and return its stdout and stderr."""
    capsys.readouterr()
    found = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert found == code, err
    return out, err


def give_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Let the next command read these bytes from stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def damaged_copy(run: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """Copy a run into a folder, with one file replaced, or removed if ``content`` is None."""
    copy = Path(shutil.copytree(run, folder / "copy", dirs_exist_ok=True))
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    return copy


def merged(usual: list[str], flags: list[str]) -> list[str]:
    """Return flags, and those of the usual flag-value pairs that they do not replace."""
    pairs = [usual[i : i + 2] for i in range(0, len(usual), 2)]
    return [*flags, *(word for pair in pairs if pair[0] not in flags for word in pair)]


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str | Path], expected: Expected) -> str:
    """Check that a command exits with 2, keeps stdout empty, and names rule, cause and fix."""
    out, err = call(capsys, *arguments, code=2)
    assert out == "" and "Traceback" not in err, err
    start = err.index("error: ")
    assert start == 0 or err[start - 1] == "\n"
    lines = [line.strip() for line in err[start:].removeprefix("error: ").splitlines()]
    assert len(lines) == 3, err
    for line, words in zip(lines, expected, strict=True):
        assert line and words.lower() in line.lower(), f"{words!r} is not in {line!r}"
    return err
