"""Documentation: relative links have a target, and code blocks can be parsed."""

from __future__ import annotations

import ast
import doctest
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")])
EXAMPLES = [page for page in PAGES if "\n>>> " in page.read_text(encoding="utf-8")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]\[]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(FENCE.sub("", text)))
    return {heading.replace(" ", "-") for heading in found}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links of a page that lead to no file or to no heading."""
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


def read_code(language: str, code: str) -> None:
    """Parse a code block; raises SyntaxError or ValueError if that fails."""
    if language == "python":
        examples = doctest.DocTestParser().get_examples(code)
        ast.parse("".join(example.source for example in examples) if examples else code)
    elif language == "toml":
        tomllib.loads(code)
    elif language == "json":
        json.loads(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_have_a_target(page: Path) -> None:
    assert not list(broken_links(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_blocks_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0, "a code block does not end"
    for language, code in FENCE.findall(text):
        read_code(language, code)


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_examples_print_what_the_page_shows(page: Path) -> None:
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_a_broken_link_and_a_broken_block_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b` c\n[a](#a-b-c) [b](#b) [c](gone.md) [d](page.md#a-b-c) [e](page.md#x)\n")
    assert list(broken_links(page)) == ["#b", "gone.md", "page.md#x"]
    with pytest.raises(SyntaxError):
        read_code("python", "x = = 1\n")
    with pytest.raises(ValueError):
        read_code("toml", "x = \n")
    read_code("python", ">>> x = 1\n>>> x\n1\n")
