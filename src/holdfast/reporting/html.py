"""Reports: sentences, tables and plots in one HTML file that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from holdfast.files import write_atomic

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } tr.own { font-weight: 600; background: #eef5f8 }
table.prose td, table.prose th { text-align: left; vertical-align: top; white-space: pre-wrap }
.table { overflow-x: auto; margin-bottom: 1rem } img { max-width: 100% }
"""


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        title: heading.
        words: paragraphs.
        table: rows of text, the header first.
        own: first cells of the rows that are the model's.
        pictures: PNG files.
        prose: the cells are texts, shown with their line ends.
    """

    title: str
    words: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    own: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    prose: bool = False


def metric_table(named: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """Return name -> metric -> value as rows of text with a header; a missing metric is empty."""
    metrics = list(dict.fromkeys(metric for values in named.values() for metric in values))
    rows = [
        [name, *(f"{values[m]:.4g}" if m in values else "" for m in metrics)]
        for name, values in named.items()
    ]
    return [["", *metrics], *rows]


def write_report(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the report, with its plots inside it, and return its path."""
    body = "\n".join(_section(section) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} - Holdfast</title>"
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"
    )
    write_atomic(path, page)
    return path


def _section(section: Section) -> str:
    words = "\n".join(f"<p>{escape(text)}</p>" for text in section.words)
    pictures = "\n".join(_picture(path) for path in section.pictures)
    return f"<h2>{escape(section.title)}</h2>\n{words}\n{_table(section)}\n{pictures}"


def _table(section: Section) -> str:
    if not section.table:
        return ""
    header, *rows = section.table
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = [
        f'<tr class="{"own" if row[0] in section.own else ""}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    ]
    kind = ' class="prose"' if section.prose else ""
    body = "\n".join(lines)
    return f'<div class="table"><table{kind}><tr>{head}</tr>\n{body}</table></div>'


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(path.stem.replace("_", " "))}" src="data:image/png;base64,{data}">'
