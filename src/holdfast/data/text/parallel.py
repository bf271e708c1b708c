"""Sentence pairs from two parallel files, a tab-separated table, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np

from holdfast.data.tabular.records import json_object
from holdfast.data.text.text_files import TextFiles
from holdfast.errors import UserError
from holdfast.files import listed, missing_file


@dataclass(frozen=True)
class SentencePairs:
    """Sentences [N] and their translations [N], in the order of the file."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.sources, self.targets, strict=True)

    def __getitem__(self, chosen: Iterable[int]) -> SentencePairs:
        """Return the pairs at these indices."""
        numbers = list(chosen)
        return SentencePairs(tuple(self.sources[i] for i in numbers), tuple(self.targets[i] for i in numbers))

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> SentencePairs:
        """Collect single pairs."""
        rows = list(pairs)
        return cls(tuple(source for source, _ in rows), tuple(target for _, target in rows))

    @property
    def digest(self) -> str:
        """The SHA-256 of all sentences."""
        digest = sha256()
        for sentence in chain(self.sources, ["\n"], self.targets):
            digest.update(f"{sentence}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


@dataclass(frozen=True)
class ParallelFormat:
    """How a file stores its sentence pairs.

    Attributes:
        pair: the endings of two parallel files, such as ``"de-en"``; the path is then their common
            prefix.
        source, target: field names (JSON lines, or a table with a header) or column numbers from 1
            (a table without one). None: the fields ``source`` and ``target``, or the columns 1 and
            2.
        encoding: encoding of the files.
    """

    pair: str | None = None
    source: str | None = None
    target: str | None = None
    encoding: str = "utf-8"

    def read(self, path: Path) -> tuple[SentencePairs, tuple[str, ...]]:
        """Read the pairs whose two sides both have text; also return notes for the user.

        Raises:
            UserError: a file is missing or malformed.
        """
        if self.pair is None and not path.exists():
            raise _missing(path)
        if self.pair is not None:
            pairs = _parallel(path, self.pair, self.encoding)
        elif path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
            pairs = _json_lines(path, self.source or "source", self.target or "target", self.encoding)
        else:
            pairs = _table(path, self.source or "1", self.target or "2", self.encoding)
        whole = SentencePairs.of((s, t) for s, t in pairs if s and t)
        if not len(whole):
            rule = "A file of translations must hold sentence pairs."
            raise UserError(rule, f"{path} holds none.", "Give a file with text on both sides.")
        left_out = len(pairs) - len(whole)
        lacking = "1 pair lacks a side and is" if left_out == 1 else f"{left_out:,} pairs lack a side and are"
        return whole, (f"{path.name}: {lacking} left out",) if left_out else ()


def read_lines(path: Path, encoding: str) -> list[str]:
    """Return the lines of a file, without white space around them.

    Raises:
        UserError: as :class:`holdfast.data.text.text_files.TextFiles`; or the path is a folder.
    """
    if path.is_dir():
        raise UserError("The sentences must be in a file.", f"{path} is a folder.", "Name a file in it.")
    text = "".join(TextFiles.of(path, encoding).chunks())
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def language_pair(pair: str) -> tuple[str, str]:
    """Parse a pair of endings: ``"de-en"`` -> ``("de", "en")``.

    Raises:
        UserError: the text is not a pair.
    """
    source, dash, target = pair.partition("-")
    if not (source and dash and target) or source == target or "/" in pair:
        raise UserError(
            "--pair must be two file endings with a dash between them.",
            f"It was {pair!r}.",
            "Give for example --pair de-en for train.de and train.en.",
        )
    return source, target


def _missing(path: Path) -> UserError:
    endings = sorted(p.suffix[1:] for p in path.parent.glob(f"{path.name}.*")) if path.name else []
    if len(endings) != 2:
        return missing_file(path, "file of pairs")
    files = " and ".join(f"{path.name}.{ending}" for ending in endings)
    fix = f"Give --pair {'-'.join(endings)} for the parallel files {files}."
    return UserError("The file of pairs must exist.", f"There is no {path}.", fix)


def _parallel(prefix: Path, pair: str, encoding: str) -> SentencePairs:
    files = [prefix.with_name(f"{prefix.name}.{side}") for side in language_pair(pair)]
    missing = [path for path in files if not path.exists()]
    if missing:
        others = sorted({p.name for p in prefix.parent.glob(f"{prefix.stem}*")}) if prefix.name else []
        fix = (
            f"Leave the ending off: {prefix.with_suffix('')}."
            if prefix.suffix[1:] in language_pair(pair)
            else f"Choose from the files there: {listed(others)}."
            if others
            else "Give the common part of both names, such as data/train."
        )
        raise UserError(
            f"With --pair {pair}, the files {files[0].name} and {files[1].name} must exist.",
            f"There is no {missing[0]}.",
            fix,
        )
    source, target = (read_lines(path, encoding) for path in files)
    if len(source) != len(target):
        raise UserError(
            "Parallel files must have the same number of lines: line N of one translates line N of the other.",
            f"{files[0]} has {len(source):,} lines and {files[1]} has {len(target):,}.",
            "Take both from the same release, or add the line that one of them lacks.",
        )
    return SentencePairs(tuple(source), tuple(target))


def _table(path: Path, source: str, target: str, encoding: str) -> SentencePairs:
    """Read two columns of a tab-separated table; named columns need a header."""
    rows = [line.split("\t") for line in read_lines(path, encoding)]
    first = next((number for number, row in enumerate(rows) if any(row)), None)
    if first is None:
        return SentencePairs((), ())
    if len(rows[first]) < 2:
        raise UserError(
            "A table of translations must have columns separated by tabs.",
            f"Line {first + 1} of {path} has only one column.",
            "Separate the two sentences by a tab, or give --pair de-en for two parallel files.",
        )
    named = not (source.isdigit() and target.isdigit())
    places = [_place(path, rows[first], name) for name in (source, target)]
    if places[0] == places[1]:
        raise UserError(
            "Source and target must be different columns.",
            f"Both were column {places[0] + 1} of {path}.",
            "Name two columns with --source-field and --target-field.",
        )
    for number, row in enumerate(rows, 1):
        if len(row) <= max(places) and any(row):
            raise UserError(
                f"Every line of {path} must have at least {max(places) + 1} columns separated by tabs.",
                f"Line {number} has {len(row)}.",
                "Correct or remove that line.",
            )
    filled = [row for row in rows[first + named :] if any(row)]
    return SentencePairs.of((row[places[0]].strip(), row[places[1]].strip()) for row in filled)


def _place(path: Path, header: Sequence[str], name: str) -> int:
    if name.isdigit():
        if not 1 <= int(name) <= max(len(header), 1):
            raise UserError(
                f"A column number must be from 1 to {len(header)} here.",
                f"It was {name} for {path}.",
                "Choose other numbers with --source-field and --target-field.",
            )
        return int(name) - 1
    if name not in header:
        raise UserError(
            "A field must be a name in the table's first line, or the number of a column.",
            f"{name!r} is not one of them: {listed(header)}.",
            "Give for example --source-field 1 --target-field 2.",
        )
    return header.index(name)


def _json_lines(path: Path, source: str, target: str, encoding: str) -> SentencePairs:
    def pair(number: int, line: str) -> tuple[str, str]:
        values = json_object(path, number, line)
        for name in (source, target):
            if not isinstance(values.get(name), str):
                got = f"has {name} = {values[name]!r}" if name in values else f"has no {name!r}"
                raise UserError(
                    f"Every line of {path} must have the texts {source!r} and {target!r}.",
                    f"Line {number} {got}.",
                    "Correct that line, or name the fields with --source-field and --target-field.",
                )
        return " ".join(values[source].split()), " ".join(values[target].split())

    return SentencePairs.of(pair(n, line) for n, line in enumerate(read_lines(path, encoding), 1) if line)


# -- splitting ---------------------------------------------------------------------------------------------------


def sentence_groups(pairs: SentencePairs) -> np.ndarray:
    """Return a group number for each pair [N]; pairs that share a sentence are in one group."""
    parents = list(range(len(pairs)))
    first: dict[tuple[int, str], int] = {}
    for number, both in enumerate(pairs):
        for side in enumerate(both):
            parents[_root(parents, number)] = _root(parents, first.setdefault(side, number))
    return np.array([_root(parents, number) for number in range(len(pairs))], np.int64)


def _root(parents: list[int], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


def split_pairs(pairs: SentencePairs, counts: Sequence[int], seed: int) -> list[SentencePairs]:
    """Sample splits with a number of distinct target sentences each; the other pairs come first.

    Pairs that share a sentence go to the same split. A group larger than what a split still needs
    goes to the rest, so a split gets exactly its number unless only large groups are left.

    Args:
        pairs: all pairs.
        counts: distinct target sentences of each split.
        seed: seed of the sampling.
    """
    number = sentence_groups(pairs)
    members: dict[int, list[int]] = {}
    for at, group in enumerate(number.tolist()):
        members.setdefault(group, []).append(at)
    order = np.random.default_rng(seed).permutation(sorted(members)).tolist()
    splits: list[list[int]] = [[] for _ in (None, *counts)]
    needs = [0, *counts]
    for group in order:
        size = len({pairs.targets[i] for i in members[group]})
        chosen = next((k for k in range(1, len(needs)) if size <= needs[k]), 0)
        needs[chosen] -= size
        splits[chosen] += members[group]
    return [pairs[sorted(split)] for split in splits]
