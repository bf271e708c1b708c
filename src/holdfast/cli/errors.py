"""Errors as text on stderr and an exit code: 2 for a user's mistake, 1 for a bug, 130 for Ctrl-C."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Literal, get_args, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from holdfast.errors import UserError, missing_library
from holdfast.validation import did_you_mean, unknown_choice

_USER, BUG, INTERRUPTED, _CLOSED = 2, 1, 130, 141
"""Exit codes: a user's mistake or a system error, a bug, Ctrl-C, a closed stdout (128 + SIGPIPE)."""

_EXTRAS = dict.fromkeys(("polars", "statsmodels", "sklearn", "matplotlib", "tensorboard"), "forecast") | {
    "tokenizers": "text",
    "sacrebleu": "text",
    **dict.fromkeys(("soundfile", "soxr", "kaldi_native_fbank", "jiwer", "rapidfuzz"), "speech"),
    **dict.fromkeys(("symusic", "miditok", "music21", "scipy"), "music"),
}
"""Import name of a library -> the extra that installs it."""

_NUMBERS = {int: "a whole number", float: "a number"}


def report(error: BaseException) -> int:
    """Print an error to stderr and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return _say("Interrupted.", code=INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not fail
        return _CLOSED
    known = _as_user_error(error)
    if known is not None:
        return _say(f"error: {known.rule}", f"       {known.got}", f"       {known.fix}", code=_USER)
    return _say(
        "".join(traceback.format_exception(error)),
        "This is a bug in Holdfast, not a mistake of yours.",
        "Please report it with the lines above, the command, and the output of: holdfast info",
        code=BUG,
    )


def notice(text: str) -> None:
    """Print a line to stderr."""
    _say(text, code=0)


def _say(*lines: str, code: int) -> int:
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
    return code


def _as_user_error(error: BaseException) -> UserError | None:
    if isinstance(error, UserError):
        return error
    if isinstance(error, CycloptsError):
        return _of_command_line(error)
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _out_of_memory(text)):
        return UserError(
            "The work must fit into memory.",
            f"There was not enough: {text.splitlines()[0]}." if text else "There was not enough.",
            "Give a smaller --batch-size, --hidden-size or --lookback, or a shorter file.",
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _EXTRAS:
        return missing_library(error, _EXTRAS[(error.name or "").partition(".")[0]])
    return _of_system(error) if isinstance(error, OSError) else None


def _out_of_memory(text: str) -> bool:
    return any(words in text for words in ("out of memory", "can't allocate memory", "not enough memory"))


def _of_system(error: OSError) -> UserError:
    place = f"{error.filename}: " if error.filename else ""
    fixes = {
        errno.ENOSPC: "Free some space, or give another folder with --out.",
        errno.EDQUOT: "Free some space, or give another folder with --out.",
        errno.ENOENT: "Check the name.",
    }
    return UserError(
        "Files and folders must be readable and writable.",
        f"The system refused: {place}{error.strerror or error}.",
        fixes.get(error.errno or 0, "Change the permissions, or give another file or folder."),
    )


# -- the command line --------------------------------------------------------------------------------------------


def _unknown(what: str, got: str, known: list[str], usage: str) -> UserError:
    """Return the error for an unknown command or task, with the nearest known one."""
    fix = did_you_mean(got, known, f"See {usage} --help.")
    return UserError(f"The {what} must be one of: {', '.join(known)}.", f"It was {got!r}.", fix)


def _of_command_line(error: CycloptsError) -> UserError:
    usage = " ".join(["holdfast", *(error.command_chain or ())])
    see, cause = f"See {usage} --help.", error.__cause__
    if isinstance(cause, UserError):
        return cause
    if isinstance(error, UnknownOptionError):
        flags = [name for argument in error.argument_collection for name in argument.names if name[0] == "-"]
        got = error.token.keyword or error.token.value
        rule = f"A flag of {usage} must be one that its --help lists."
        return UserError(rule, f"It was {got!r}.", did_you_mean(got, flags, see))
    if isinstance(error, CoercionError) and error.argument is not None:
        return _of_value(error)
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        rule = f"{name} must have a value." if name.startswith("-") else f"{usage} must have {name}."
        return UserError(rule, "None was given.", see)
    if isinstance(error, RepeatArgumentError):
        name = error.token.keyword or error.token.value
        return UserError(f"{name} must be given once.", "It was given again.", f"Keep one of them. {see}")
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(error.unused_tokens or [])
        return UserError(f"{usage} must have no further arguments.", f"Left over: {extra}.", see)
    return UserError(f"{usage} must be called as its --help shows.", str(error).strip(), see)


def _of_value(error: CoercionError) -> UserError:
    """Return the error for a value that is not of its flag's type."""
    assert error.argument is not None
    name = (error.token.keyword if error.token else None) or error.argument.name
    got = error.token.value if error.token else " ".join(token.value for token in error.argument.tokens)
    hint = error.argument.hint
    if get_origin(hint) is Literal:
        return unknown_choice(name, got, get_args(hint))
    if get_origin(hint) is tuple:
        kind = "numbers with commas between"
    else:
        kinds = [text for number, text in _NUMBERS.items() if number in (hint, *get_args(hint))]
        kind = kinds[0] if kinds else "of the type that --help shows"
    return UserError(f"{name} must be {kind}.", f"It was {got!r}.", f"See {name} in the --help.")


def check_names(tokens: list[str], commands: list[str], tasks: Mapping[str, list[str]]) -> None:
    """Refuse an unknown verb or task before the flags are parsed.

    Args:
        tokens: the command line.
        commands: the verbs, and the flags without a verb.
        tasks: the tasks of each verb that takes one.

    Raises:
        UserError: a name is unknown; the error suggests the nearest one.
    """
    if not tokens or (tokens[0] in commands and tokens[0].startswith("-")):
        return
    verb, *rest = tokens
    if verb not in commands:
        raise _unknown(
            "command", verb, sorted(name for name in commands if not name.startswith("-")), "holdfast"
        )
    known = tasks.get(verb)
    if known is None or rest[:1] in (["--help"], ["-h"]):
        return
    if not rest:
        raise UserError(
            f"holdfast {verb} must have a task.", "None was named.", f"Give one of: {', '.join(known)}."
        )
    every = tasks.get("train", [])
    if rest[0] not in known and rest[0] in every and set(known) < set(every):
        raise UserError(
            f"holdfast {verb} must be used with the task {' or '.join(known)}: it is for no other task.",
            f"It was {rest[0]!r}.",
            f"Use holdfast train {rest[0]} or holdfast compare {rest[0]}.",
        )
    if rest[0] not in known:
        raise _unknown("task", rest[0], known, f"holdfast {verb}")
