"""Whether bytes are a MIDI file as the standard (RP-001) has it; on others the library that reads them may crash."""

from __future__ import annotations

from holdfast.errors import UserError

HEADER, TRACK = b"MThd", b"MTrk"
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
"""Upper half of a status byte -> data bytes behind it."""
META, SYSEX, END, TEMPO = 0xFF, (0xF0, 0xF7), 0x2F, 0x51


class _DamagedError(Exception):
    """What is wrong with the bytes, as a clause."""


def check_midi(data: bytes, name: str) -> None:
    """Refuse what is no whole MIDI file in ticks per beat, and tempos of 0.

    Raises:
        UserError: with the name, and what is wrong.

    Example:
        >>> check_midi(b"RIFF....WAVE", "a.mid")
        Traceback (most recent call last):
            ...
        holdfast.errors.UserError: a.mid must be a MIDI file. It does not begin with MThd, ...
    """
    try:
        at = _header(data)
        for number in range(1, int.from_bytes(data[10:12], "big") + 1):
            at = _chunk(data, at, number)
    except (_DamagedError, IndexError) as error:
        cause = str(error) if isinstance(error, _DamagedError) else "it ends in the middle of an event"
        raise UserError(
            f"{name} must be a MIDI file.",
            f"{cause[0].upper()}{cause[1:]}.",
            "Export it again, or leave it out.",
        ) from error


def _header(data: bytes) -> int:
    """Where the first track begins."""
    if not data:
        raise _DamagedError("it is empty")
    if data[:4] != HEADER:
        raise _DamagedError("it does not begin with MThd, as MIDI files do")
    length, kind, division = (int.from_bytes(data[a:b], "big") for a, b in ((4, 8), (8, 10), (12, 14)))
    if len(data) < 14 or length < 6 or kind > 2:
        raise _DamagedError("its header is damaged")
    if division == 0 or division >= 1 << 15:
        raise _DamagedError("its times are not in ticks per beat")
    return 8 + length


def _chunk(data: bytes, at: int, number: int) -> int:
    """Where the chunk after a track begins; other chunks before it are passed over."""
    while at < len(data) and data[at : at + 4] != TRACK:
        if not data[at : at + 4].isalnum():
            raise _DamagedError(f"track {number} does not begin with MTrk")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    length = int.from_bytes(data[at + 4 : at + 8], "big")
    if at + 8 + length > len(data):
        raise _DamagedError(f"it ends before its track {number} does")
    _events(data[at + 8 : at + 8 + length], number)
    return at + 8 + length


def _events(track: bytes, number: int) -> None:
    """Walk over a track's events to its end."""
    at = status = 0
    while at < len(track):
        _, at = _number(track, at)
        if track[at] >= 0x80:
            status, at = track[at], at + 1
        elif not status:
            raise _DamagedError(f"track {number} has data without a kind of event")
        if status == META:
            kind, (length, at) = track[at], _number(track, at + 1)
            _meta(kind, track[at : at + length], length, number)
            if kind == END:
                return
            at, status = at + length, 0
        elif status in SYSEX:
            length, at = _number(track, at)
            at, status = at + length, 0
        elif status >> 4 not in _DATA_BYTES:
            raise _DamagedError(f"track {number} has an unknown kind of event")
        else:
            behind = at + _DATA_BYTES[status >> 4]
            if any(track[i] >= 0x80 for i in range(at, behind)):
                raise _DamagedError(f"track {number} has an event with wrong data")
            at = behind
    raise _DamagedError(f"track {number} has no end")


def _meta(kind: int, content: bytes, length: int, number: int) -> None:
    if len(content) < length:
        raise _DamagedError(f"track {number} has an event that is cut off")
    if kind == TEMPO and (length != 3 or not any(content)):
        raise _DamagedError(f"track {number} sets a tempo of 0")


def _number(track: bytes, at: int) -> tuple[int, int]:
    """A number of up to four bytes of seven bits, and what comes behind it."""
    value = 0
    for place in range(at, at + 4):
        value = value << 7 | track[place] & 0x7F
        if track[place] < 0x80:
            return value, place + 1
    raise _DamagedError("a number in it is too long")
