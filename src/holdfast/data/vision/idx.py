"""IDX files, the format of MNIST and its like: an array of numbers behind a short header; also compressed by gzip.

Two zero bytes, a byte for the type, one for the number of dimensions, each dimension in four bytes, then the numbers;
all of them with the highest byte first (http://yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The byte for the type -> numpy's name of it."""

_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> Array:
    """The array in a file, in this machine's order of bytes.

    Raises:
        UserError: the file cannot be read, is no IDX file, or has more or fewer numbers than its header says.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "labels.idx"
        >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx(file)
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    data = _bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES or not data[3]:
        raise _damaged(path, f"It begins with the bytes {data[:4].hex(' ') or 'of none'}.")
    kind, dimensions = np.dtype(TYPES[data[2]]), data[3]
    begin = 4 + 4 * dimensions
    if len(data) < begin:
        raise _damaged(path, f"It ends within its header, after {len(data)} of {begin} bytes.")
    shape = struct.unpack(f">{dimensions}I", data[4:begin])
    expected, found = math.prod(shape) * kind.itemsize, len(data) - begin
    if expected != found:
        size = " x ".join(map(str, shape))
        raise _damaged(
            path, f"Its header says {size} numbers, {expected:,} bytes, and {found:,} bytes follow."
        )
    try:
        return np.frombuffer(data, kind, offset=begin).reshape(shape).astype(kind.newbyteorder("="))
    except ValueError as error:
        raise _damaged(
            path, f"Its header says {dimensions} dimensions, which is not possible: {error}."
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise _damaged(path, f"It is compressed by gzip, and damaged: {error}.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{path} must be readable.", f"The system says: {reason}.", "Check the name."
        ) from error


def _damaged(path: Path, got: str) -> UserError:
    return UserError(
        f"{path} must be a whole IDX file, such as train-images-idx3-ubyte.gz of MNIST.",
        got,
        "Copy the file again, or convert the images into IDX.",
    )
