"""Small grey images with labels: of IDX files, scikit-learn's digits, or drawn here.

Letters: N images, R rows, C columns, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from holdfast._typing import Array
from holdfast.data.vision.idx import read_idx
from holdfast.errors import UserError

_SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""The segments of each digit in a display of seven: a above, b and c right, d below, e and f left, g the middle."""

DRAWN, SIDE, HEIGHT, WIDTH = 4000, 12, 9, 5
"""How many digits are drawn, the rows and columns of an image, and those of a digit in it."""

_SPLIT = (0.6, 0.8)
"""Where the training part ends and where the validation part does, of images without a test set of their own."""


class LabelledImages(NamedTuple):
    """Images [N, R, C] and what each shows [N]."""

    images: Array
    labels: Array


@dataclass(frozen=True)
class ImageSet:
    """Three parts: images in [0, 1] (float32; darkest and lightest by the training part), labels from 0 to K - 1."""

    train: LabelledImages
    valid: LabelledImages
    test: LabelledImages
    classes: int


def synthetic_digits() -> LabelledImages:
    """Digits of seven segments, each at a place and in a grey of its own on noise; always the same ones.

    Example:
        >>> images, labels = synthetic_digits()
        >>> images.shape, sorted(set(labels.tolist())) == list(range(10))
        ((4000, 12, 12), True)
    """
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, DRAWN)
    images = random.uniform(0, 0.2, (DRAWN, SIDE, SIDE))
    shapes = np.stack([_shape(segments) for segments in _SEGMENTS])
    grey = random.uniform(0.6, 0.8, DRAWN)
    rows, columns = random.integers(0, SIDE - HEIGHT + 1, DRAWN), random.integers(0, SIDE - WIDTH + 1, DRAWN)
    for k in range(DRAWN):
        images[k, rows[k] : rows[k] + HEIGHT, columns[k] : columns[k] + WIDTH] += grey[k] * shapes[labels[k]]
    return LabelledImages(images, labels)


def _shape(segments: str) -> Array:
    """A digit [HEIGHT, WIDTH] of zeros and ones."""
    middle, right, below = HEIGHT // 2, WIDTH - 1, HEIGHT - 1
    places: dict[str, Any] = {
        "a": (0, slice(None)),
        "b": (slice(0, middle + 1), right),
        "c": (slice(middle, None), right),
        "d": (below, slice(None)),
        "e": (slice(middle, None), 0),
        "f": (slice(0, middle + 1), 0),
        "g": (middle, slice(None)),
    }
    found = np.zeros((HEIGHT, WIDTH))
    for segment in segments:
        found[places[segment]] = 1.0
    return found


def bundled_digits() -> LabelledImages:
    """The 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn (UCI, Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return LabelledImages(found.images, found.target)


def read_images(images: Path, labels: Path) -> LabelledImages:
    """Images and labels from two IDX files.

    Raises:
        UserError: a damaged file, images that are not rows and columns of pixels, or labels that do not fit.
    """
    pixels, shown = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or not pixels.size or not np.isfinite(pixels).all():
        raise UserError(
            "Images in IDX have three dimensions (images, rows, columns), none empty, and finite pixels.",
            f"Those in {images} are {' x '.join(map(str, pixels.shape))}.",
            "Convert them into grey, or give another file.",
        )
    if shown.shape != pixels.shape[:1] or shown.dtype.kind not in "iu":
        raise UserError(
            "Labels in IDX are one whole number for each image.",
            f"{labels} has {' x '.join(map(str, shown.shape))} of {shown.dtype}, {images} {len(pixels)} images.",
            "Give the file of labels that belongs to the images.",
        )
    return LabelledImages(pixels, shown)


def split_images(whole: LabelledImages, test: LabelledImages | None = None) -> ImageSet:
    """Images in three parts, in an order by chance that is always the same.

    Without a test set of their own 60 % are for training, 20 % for validation and 20 % for the test; with one, 80 %
    and 20 % for the first two.

    Raises:
        UserError: fewer than 10 images or 2 classes to train on, images of two sizes, or a label that is in a later
            part and not in the training part.
    """
    order = np.random.default_rng(0).permutation(len(whole.labels))
    first, second = (int(len(order) * share) for share in (_SPLIT if test is None else (_SPLIT[1], 1.0)))
    train, valid = _taken(whole, order[:first]), _taken(whole, order[first:second])
    rest = _taken(whole, order[second:]) if test is None else test
    classes = np.unique(train.labels)
    _check(train, (valid, rest), classes)
    low, high = float(train.images.min()), float(train.images.max())

    def scaled(part: LabelledImages) -> LabelledImages:
        pixels = (part.images.astype(np.float32) - low) / max(high - low, 1e-12)
        return LabelledImages(
            pixels.astype(np.float32), np.searchsorted(classes, part.labels).astype(np.int64)
        )

    return ImageSet(scaled(train), scaled(valid), scaled(rest), len(classes))


def _taken(whole: LabelledImages, rows: Array) -> LabelledImages:
    return LabelledImages(whole.images[rows], whole.labels[rows])


def _check(train: LabelledImages, others: tuple[LabelledImages, ...], classes: Array) -> None:
    if len(train.labels) < 10 or len(classes) < 2 or not all(len(part.labels) for part in others):
        raise UserError(
            "A probe takes at least 20 images of 2 classes.",
            f"The training part has {len(train.labels)} of {len(classes)}.",
            "Give more images.",
        )
    for part in others:
        if part.images.shape[1:] != train.images.shape[1:]:
            sizes = [" x ".join(map(str, images.shape[1:])) for images in (train.images, part.images)]
            rule = "The images of the test set have the size of the others."
            raise UserError(
                rule, f"They are {sizes[1]}, not {sizes[0]}.", "Give the set that belongs to them."
            )
        new = sorted({*part.labels.tolist()} - {*classes.tolist()})
        if new:
            raise UserError(
                "Every label of the validation and the test part is in the training part.",
                f"{new[0]} is not.",
                "Give more images, or the test set that belongs to them.",
            )
