"""Small grey images with labels: from IDX files, scikit-learn's digits, or synthetic digits.

Letters: N images, R rows, C columns, K classes.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from holdfast._json import JsonObject
from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.files import unreadable

_SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""Segments of each digit of a seven-segment display: a top, b and c right, d bottom, e and f left,
g middle."""

_COUNT, _SIDE, _HEIGHT, _WIDTH = 4000, 12, 9, 5
"""Number of synthetic digits, rows and columns of an image, and rows and columns of a digit in it."""

_SPLIT = (0.6, 0.8)
"""Where the training split and the validation split end, for images without a separate test set."""


class LabelledImages(NamedTuple):
    """Images [N, R, C] and their labels [N]."""

    images: Array
    labels: Array


@dataclass(frozen=True)
class ImageSet:
    """Three splits: float32 images, scaled to [0, 1] by the training split, and labels."""

    train: LabelledImages
    valid: LabelledImages
    test: LabelledImages
    classes: int


def synthetic_digits() -> LabelledImages:
    """Return seven-segment digits on noise, at random places and in random greys; always the same.

    Example:
        >>> images, labels = synthetic_digits()
        >>> images.shape, sorted(set(labels.tolist())) == list(range(10))
        ((4000, 12, 12), True)
    """
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, _COUNT)
    images = random.uniform(0, 0.2, (_COUNT, _SIDE, _SIDE))
    shapes = np.stack([_shape(segments) for segments in _SEGMENTS])
    grey = random.uniform(0.6, 0.8, _COUNT)
    rows, columns = (
        random.integers(0, _SIDE - _HEIGHT + 1, _COUNT),
        random.integers(0, _SIDE - _WIDTH + 1, _COUNT),
    )
    for k in range(_COUNT):
        images[k, rows[k] : rows[k] + _HEIGHT, columns[k] : columns[k] + _WIDTH] += (
            grey[k] * shapes[labels[k]]
        )
    return LabelledImages(images, labels)


def _shape(segments: str) -> Array:
    """Return a digit [rows, columns] of zeros and ones."""
    middle, right, below = _HEIGHT // 2, _WIDTH - 1, _HEIGHT - 1
    places: JsonObject = {
        "a": (0, slice(None)),
        "b": (slice(0, middle + 1), right),
        "c": (slice(middle, None), right),
        "d": (below, slice(None)),
        "e": (slice(middle, None), 0),
        "f": (slice(0, middle + 1), 0),
        "g": (middle, slice(None)),
    }
    found = np.zeros((_HEIGHT, _WIDTH))
    for segment in segments:
        found[places[segment]] = 1.0
    return found


def bundled_digits() -> LabelledImages:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels (UCI, Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return LabelledImages(found.images, found.target)


def read_images(images: Path, labels: Path) -> LabelledImages:
    """Read images and labels from two IDX files.

    Raises:
        UserError: a file is damaged, the images are not rows and columns of pixels, or the labels
            do not fit.
    """
    pixels, shown = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or not pixels.size or not np.isfinite(pixels).all():
        raise UserError(
            "IDX images must have three dimensions (images, rows, columns), none empty, and finite pixels.",
            f"Those in {images} are {' x '.join(map(str, pixels.shape))}.",
            "Convert them to grey, or give another file.",
        )
    if shown.shape != pixels.shape[:1] or shown.dtype.kind not in "iu":
        raise UserError(
            "IDX labels must be one whole number for each image.",
            f"{labels} has {' x '.join(map(str, shown.shape))} of {shown.dtype}; {images} has {len(pixels)} images.",
            "Give the labels that belong to the images.",
        )
    return LabelledImages(pixels, shown)


def split_images(whole: LabelledImages, test: LabelledImages | None = None) -> ImageSet:
    """Split images into training, validation and test, in a random order that is always the same.

    Without a separate test set: 60% training, 20% validation, 20% test. With one: 80% training,
    20% validation.

    Raises:
        UserError: there are fewer than 10 training images or 2 classes, the sizes differ, or a
            label of a later split is not in the training split.
    """
    order = np.random.default_rng(0).permutation(len(whole.labels))
    first, second = (int(len(order) * share) for share in (_SPLIT if test is None else (_SPLIT[1], 1.0)))
    train, valid = _subset(whole, order[:first]), _subset(whole, order[first:second])
    rest = _subset(whole, order[second:]) if test is None else test
    classes = np.unique(train.labels)
    _check(train, (valid, rest), classes)
    low, high = float(train.images.min()), float(train.images.max())

    def scaled(split: LabelledImages) -> LabelledImages:
        pixels = (split.images.astype(np.float32) - low) / max(high - low, 1e-12)
        return LabelledImages(
            pixels.astype(np.float32), np.searchsorted(classes, split.labels).astype(np.int64)
        )

    return ImageSet(scaled(train), scaled(valid), scaled(rest), len(classes))


def _subset(whole: LabelledImages, rows: Array) -> LabelledImages:
    return LabelledImages(whole.images[rows], whole.labels[rows])


def _check(train: LabelledImages, others: tuple[LabelledImages, ...], classes: Array) -> None:
    if len(train.labels) < 10 or len(classes) < 2 or not all(len(split.labels) for split in others):
        raise UserError(
            "A probe must have at least 20 images of 2 classes.",
            f"The training split has {len(train.labels)} of {len(classes)}.",
            "Give more images.",
        )
    for split in others:
        if split.images.shape[1:] != train.images.shape[1:]:
            sizes = [" x ".join(map(str, images.shape[1:])) for images in (train.images, split.images)]
            rule = "The test images must have the size of the training images."
            raise UserError(
                rule, f"They are {sizes[1]}, not {sizes[0]}.", "Give the test set of the same dataset."
            )
        new = sorted({*split.labels.tolist()} - {*classes.tolist()})
        if new:
            raise UserError(
                "Every label of the validation and test split must be in the training split.",
                f"{new[0]} is not.",
                "Give more images, or the test set of the same dataset.",
            )


# -- IDX files ----------------------------------------------------------------------------------------------------

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Type byte -> numpy's dtype."""

_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> Array:
    """Read the array of an IDX file (MNIST's: http://yann.lecun.com/exdb/mnist), gzipped or not.

    The header is two zero bytes, a type byte, the number of dimensions, and each dimension in four
    bytes; the numbers follow. All are big-endian; the result has the byte order of this machine.

    Raises:
        UserError: the file is unreadable or not IDX, or its size does not match its header.

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
        raise _damaged(path, f"It begins with {data[:4].hex(' ') or 'no bytes'}.")
    kind, dimensions = np.dtype(TYPES[data[2]]), data[3]
    begin = 4 + 4 * dimensions
    if len(data) < begin:
        raise _damaged(path, f"It ends inside its header, after {len(data)} of {begin} bytes.")
    shape = struct.unpack(f">{dimensions}I", data[4:begin])
    expected, found = math.prod(shape) * kind.itemsize, len(data) - begin
    if expected != found:
        size = " x ".join(map(str, shape))
        raise _damaged(
            path, f"Its header declares {size} numbers, {expected:,} bytes, but {found:,} bytes follow."
        )
    try:
        return np.frombuffer(data, kind, offset=begin).reshape(shape).astype(kind.newbyteorder("="))
    except ValueError as error:
        raise _damaged(
            path, f"Its header declares {dimensions} dimensions, which is impossible: {error}."
        ) from error


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise _damaged(path, f"It is gzipped and damaged: {error}.") from error
    except OSError as error:
        raise unreadable(path, error, "Check the name.") from error


def _damaged(path: Path, got: str) -> UserError:
    return UserError(
        f"{path} must be a complete IDX file, such as train-images-idx3-ubyte.gz of MNIST.",
        got,
        "Copy the file again, or convert the images to IDX.",
    )
