"""Sequences of the probes against their definitions; IDX files; image datasets."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import math
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.vision.images import (
    TYPES,
    ImageSet,
    LabelledImages,
    bundled_digits,
    read_idx,
    read_images,
    split_images,
    synthetic_digits,
)
from holdfast.errors import UserError
from holdfast.experiments.probes import sequences

SEEDS = st.integers(0, 2**40)


# -- sequences -------------------------------------------------------------------------------------


@given(st.integers(2, 60), SEEDS)
def test_adding_marks_one_number_in_each_half_and_targets_their_sum(length: int, seed: int) -> None:
    inputs, sums = sequences.adding(6, length, sequences.generator(seed))
    assert inputs.shape == (length, 6, 2)
    for numbers, wanted in zip(inputs.unbind(1), sums.tolist(), strict=True):
        rows = numbers.tolist()
        marked = [step for step, (_, mark) in enumerate(rows) if mark == 1]
        assert [mark for _, mark in rows].count(0) == length - 2
        assert len(marked) == 2 and marked[0] < length // 2 <= marked[1]
        assert all(0 <= number < 1 for number, _ in rows)
        assert wanted == pytest.approx(sum(rows[step][0] for step in marked), abs=1e-6)


def test_sums_have_the_mean_and_variance_of_the_baseline() -> None:
    _, sums = sequences.adding(40_000, 7, sequences.generator(1))
    assert sums.mean().item() == pytest.approx(1, abs=0.01)
    assert (sums - 1).square().mean().item() == pytest.approx(1 / 6, abs=0.003)
    assert ((sums - 1).abs() < 0.04).double().mean().item() == pytest.approx(0.0784, abs=0.005)


@given(st.integers(1, 50), SEEDS)
def test_copy_targets_its_first_ten_symbols_after_the_delay(delay: int, seed: int) -> None:
    inputs, targets = sequences.copy(4, delay, sequences.generator(seed))
    assert inputs.shape == targets.shape == (delay + 20, 4)
    for sequence, wanted in zip(inputs.T.tolist(), targets.T.tolist(), strict=True):
        symbols = sequence[:10]
        assert all(0 <= symbol < 8 for symbol in symbols)
        assert sequence[10:] == [8] * (delay - 1) + [9] + [8] * 10
        assert wanted == [8] * (delay + 10) + symbols


def test_a_model_without_memory_has_the_entropy_of_the_baseline() -> None:
    _, targets = sequences.copy(3000, 30, sequences.generator(2))
    guess = torch.zeros(50, 9)
    guess[:40, 8] = 1  # blank until the target
    guess[40:, :8] = 1 / 8
    found = -guess.log().gather(1, targets).mean().item()
    assert found == pytest.approx(sequences.memoryless(30), abs=1e-6)
    share = (targets[-10:] == 3).double().mean().item()
    assert share == pytest.approx(1 / 8, abs=0.006)
    assert sequences.memoryless(30) == pytest.approx(10 * math.log(8) / 50)


@given(st.integers(20, 90), SEEDS)
def test_order_has_two_of_x_and_y_and_their_order_is_the_class(length: int, seed: int) -> None:
    inputs, classes = sequences.order(5, length, sequences.generator(seed))
    pairs = list(itertools.product((sequences.FIRST, sequences.SECOND), repeat=2))  # XX, XY, YX, YY
    for symbols, kind in zip(inputs.T.tolist(), classes.tolist(), strict=True):
        assert (symbols[0], symbols[-1]) == (sequences.BEGIN, sequences.END)
        at = [step for step, symbol in enumerate(symbols) if symbol in pairs[1]]
        assert len(at) == 2 and tuple(symbols[step] for step in at) == pairs[kind]
        assert length // 10 <= at[0] < 2 * length // 10 and 5 * length // 10 <= at[1] < 6 * length // 10
        assert all(0 <= s < 4 for step, s in enumerate(symbols) if step not in (0, length - 1, *at))


def test_the_four_orders_are_equally_likely() -> None:
    _, classes = sequences.order(8000, 20, sequences.generator(3))
    shares = np.bincount(classes.numpy(), minlength=4) / 8000
    assert np.allclose(shares, 1 / 4, atol=0.02)


def test_each_key_has_its_own_random_numbers() -> None:
    keys = [(), (0,), (1,), (0, 1), (1, 0), (0, 0, 1), (2, 0, 1), (2, 1, 0)]
    sampled = [tuple(torch.rand(4, generator=sequences.generator(*key)).tolist()) for key in keys]
    again = [tuple(torch.rand(4, generator=sequences.generator(*key)).tolist()) for key in keys]
    assert sampled == again
    assert len({*sampled}) == len(keys)


# -- IDX -------------------------------------------------------------------------------------------


def idx(values: np.ndarray, kind: int = 0x08) -> bytes:
    """Write the format by its description, with the standard library."""
    letters = {0x08: "B", 0x09: "b", 0x0B: "h", 0x0C: "i", 0x0D: "f", 0x0E: "d"}
    header = bytes([0, 0, kind, values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    return header + struct.pack(f">{values.size}{letters[kind]}", *values.ravel().tolist())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_type_of_number_is_read(tmp_path: Path, kind: int, compressed: bool) -> None:
    values = np.arange(24).reshape(2, 3, 4) * (1 if kind == 0x08 else -1)
    data = idx(values, kind)
    path = tmp_path / "values"
    path.write_bytes(gzip.compress(data) if compressed else data)
    found = read_idx(path)
    assert found.shape == (2, 3, 4) and found.dtype.isnative
    assert np.array_equal(found, values)


GOOD = idx(np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with no bytes"),
        (b"\x89PNG\r\n", "begins with 89 50 4e 47"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "begins with 00 00 07 01"),
        (bytes([0, 0, 8, 0]), "begins with 00 00 08 00"),
        (GOOD[:9], "ends inside its header, after 9 of 12 bytes"),
        (GOOD[:-1], "declares 2 x 3 numbers, 6 bytes, but 5 bytes follow"),
        (GOOD + b"x", "declares 2 x 3 numbers, 6 bytes, but 7 bytes follow"),
        (gzip.compress(GOOD, mtime=0)[:-9], "gzipped and damaged"),
        (gzip.compress(GOOD, mtime=0)[:-8] + b"12345678", "gzipped and damaged"),
        (b"\x1f\x8bnonsense that is long enough", "gzipped and damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "values"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        read_idx(path)


@given(st.binary(max_size=40), st.integers(0, len(GOOD)))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, more: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("idx") / "values"
    for data in (more, GOOD[:at] + more, gzip.compress(GOOD)[:at] + more):
        path.write_bytes(data)
        with contextlib.suppress(UserError):  # anything else fails the test
            assert read_idx(path).size * read_idx(path).itemsize <= 2 * len(GOOD) + 40


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_idx(tmp_path / "none")


# -- images ----------------------------------------------------------------------------------------


def some(count: int, rows: int = 2, columns: int = 3) -> LabelledImages:
    random = np.random.default_rng(5)
    return LabelledImages(random.integers(10, 21, (count, rows, columns)), np.arange(count) % 3 * 4)


def rows_of(split: LabelledImages) -> list[tuple[float, ...]]:
    return [(*image.ravel().tolist(), label) for image, label in zip(*split, strict=True)]


def test_a_dataset_without_a_test_split_is_cut_into_three() -> None:
    whole = some(50)
    found = split_images(whole)
    assert [len(split.labels) for split in (found.train, found.valid, found.test)] == [30, 10, 10]
    low, high = 10, 20  # of the pixels above
    scaled = LabelledImages(((whole.images - low) / (high - low)).astype(np.float32), whole.labels // 4)
    together = Counter(row for split in (found.train, found.valid, found.test) for row in rows_of(split))
    assert together == Counter(rows_of(scaled))
    assert found.classes == 3
    again = split_images(whole)
    assert np.array_equal(again.test.images, found.test.images)


def test_a_separate_test_set_is_used_whole() -> None:
    test = some(7)
    found = split_images(some(50), test)
    assert [len(split.labels) for split in (found.train, found.valid, found.test)] == [40, 10, 7]
    assert np.array_equal(found.test.labels * 4, test.labels)


def test_synthetic_digits_light_the_segments_of_a_display() -> None:
    images, labels = synthetic_digits()
    assert images.min() >= 0 and images.max() <= 1
    lit = [int((images[labels == digit] > 0.5).sum((1, 2)).max()) for digit in range(10)]
    bars, post, posts = 3 * 5, 3, 7  # 3 pixels between two bars; the right side has 9
    by_hand = [10 + 2 * posts, 9, bars + 2 * post, bars + 2 * post, 9 + 4 + 4, bars + 2 * post]
    by_hand += [bars + 3 * post, 9 + 4, bars + 4 * post, bars + 3 * post]
    assert lit == by_hand


def test_the_digits_of_scikit_learn_are_available() -> None:
    found: ImageSet = split_images(bundled_digits())
    assert [len(split.labels) for split in (found.train, found.valid, found.test)] == [1078, 359, 360]
    assert found.classes == 10 and found.train.images.shape[1:] == (8, 8)
    assert found.train.images.min() == 0 and found.train.images.max() == 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 4)), np.zeros(3), "are 3 x 4"),
        (np.zeros((0, 2, 2)), np.zeros(0), "are 0 x 2 x 2"),
        (np.zeros((3, 2, 2)), np.zeros(4), "4 of uint8; .* 3 images"),
        (np.zeros((3, 2, 2)), np.zeros((3, 1)), "3 x 1 of uint8"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, images: np.ndarray, labels: np.ndarray, message: str
) -> None:
    (tmp_path / "images").write_bytes(idx(images.astype(int)))
    (tmp_path / "labels").write_bytes(idx(labels.astype(int)))
    with pytest.raises(UserError, match=message):
        read_images(tmp_path / "images", tmp_path / "labels")


def test_labels_must_be_whole_numbers_and_pixels_numbers(tmp_path: Path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx(np.zeros((2, 2, 2), int)))
    labels.write_bytes(idx(np.zeros(2), 0x0D))
    with pytest.raises(UserError, match="2 of float32"):
        read_images(images, labels)
    images.write_bytes(idx(np.full((2, 2, 2), math.nan), 0x0E))
    with pytest.raises(UserError, match="finite pixels"):
        read_images(images, labels)


@pytest.mark.parametrize(
    ("whole", "test", "message"),
    [
        (some(12), None, "has 7 of 3"),
        (some(30)._replace(labels=np.zeros(30)), None, "has 18 of 1"),
        (some(30), some(30, 3), "They are 3 x 3, not 2 x 3"),
        (some(30), some(30)._replace(labels=np.full(30, 5)), "5 is not"),
    ],
)
def test_unusable_datasets_are_refused(
    whole: LabelledImages, test: LabelledImages | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        split_images(whole, test)
