"""From files to regular series: what is found, what is told, what is refused."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from holdfast.data.series import Columns, Panel, read_panel
from holdfast.errors import UserError

Y = Columns(targets=("y",))


def panel(
    tmp_path: Path, text: str, columns: Columns = Y, name: str = "data.csv", **options: bool | str
) -> Panel:
    path = tmp_path / name
    path.write_text(text)
    return read_panel(path, columns, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_missing_values(tmp_path: Path, separator: str) -> None:
    rows = ["date,y", "2024-01-01,1.5", "2024-01-02,NA", "2024-01-03,", "2024-01-04,-2e3"]
    found = panel(tmp_path, "\n".join(rows).replace(",", separator))
    assert np.array_equal(
        found.series[0].values[:, 0], np.array([1.5, np.nan, np.nan, -2000], np.float32), equal_nan=True
    )
    assert "2 missing values in 'y'" in found.notes


@pytest.mark.parametrize(
    ("stamps", "code"),
    [
        (["2024-01-01 00:00:00", "2024-01-01 01:00:00", "2024-01-01 02:00:00"], "1h"),
        (["2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T00:30"], "15min"),
        (["1949-01", "1949-02", "1949-03"], "1mo"),
        (["31/01/2024", "01/02/2024", "02/02/2024"], "1d"),
        (["1990", "1991", "1992"], "1y"),
        (["2024-01-01 00:00+02:00", "2024-01-01 01:00+02:00", "2024-01-01 02:00+02:00"], "1h"),
    ],
)
def test_times_are_found_and_read(tmp_path: Path, stamps: list[str], code: str) -> None:
    found = panel(tmp_path, "\n".join(["date,y", *(f"{stamp},{k}" for k, stamp in enumerate(stamps))]))
    assert found.frequency.code == code
    assert any("'date'" in note for note in found.notes)


def test_zones_are_taken_to_utc(tmp_path: Path) -> None:
    found = panel(tmp_path, "date,y\n2024-01-01T00:00:00+02:00,1\n2024-01-01T01:00:00+02:00,2\n")
    assert found.series[0].times[0] == np.datetime64("2023-12-31T22:00")
    assert any("UTC" in note for note in found.notes)


def test_time_from_parts(tmp_path: Path) -> None:
    found = panel(tmp_path, "No,year,month,day,hour,y\n1,2010,1,1,0,3\n2,2010,1,1,1,4\n")
    assert found.series[0].times[1] == np.datetime64("2010-01-01T01:00") and found.frequency.code == "1h"


def test_missing_rows_are_inserted_and_told(tmp_path: Path) -> None:
    days = [f"2024-01-{d:02d},{d}" for d in range(1, 29) if d not in (10, 11)]
    found = panel(tmp_path, "\n".join(["date,y", *days]))
    assert len(found.series[0].times) == 28 and np.isnan(found.series[0].values[9:11, 0]).all()
    assert any(note.startswith("2 rows missing") and "2024-01-10" in note for note in found.notes)


def test_several_series_keep_their_rows(tmp_path: Path) -> None:
    text = "date,who,y\n2024-01-01,b,1\n2024-01-01,a,10\n2024-01-02,b,2\n2024-01-02,a,20\n"
    found = panel(tmp_path, text, Columns(targets=("y",), series="who"))
    assert [s.name for s in found.series] == ["b", "a"]
    assert found.series[1].values[:, 0].tolist() == [10, 20]


def test_rows_without_time_are_numbered(tmp_path: Path) -> None:
    found = panel(tmp_path, "y\n1\n2\n3\n")
    assert found.series[0].times.tolist() == [0, 1, 2] and found.frequency.code == "rows"


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    frame = pl.DataFrame({"date": ["2024-01-01", "2024-01-02", "2024-01-03"], "y": [1.0, None, 3.0]})
    frame.with_columns(pl.col("date").str.to_date()).write_parquet(tmp_path / "data.parquet")
    found = read_panel(tmp_path / "data.parquet", Y)
    assert np.array_equal(found.series[0].values[:, 0], np.array([1, np.nan, 3], np.float32), equal_nan=True)


def test_sorting_is_asked_for(tmp_path: Path) -> None:
    text = "date,y\n2024-01-02,2\n2024-01-01,1\n2024-01-03,3\n"
    with pytest.raises(UserError, match="--sort"):
        panel(tmp_path, text)
    assert panel(tmp_path, text, sort=True).series[0].values[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("date,y\n2024-01-01,1\n2024-01-01,2\n", "stands twice"),
        ("date,y\n2024-01-01,1\n2024-01-02,two\n", "Line 3 has 'two'"),
        ("date,y\n2024-01-01,1\n2024-01-02,2,5\n", "decimal point"),
        ("date,y\n2024-01-01,inf\n2024-01-02,1\n", "finite"),
        ("date,y\n2024-01-01,\n2024-01-02,\n", "All of them are missing"),
        ("date,y\n2024-01-01,1\n,2\n", "Line 3 has none"),
        ("date,y\n2024-01-01,1\nsoon,2\n", "Line 3 has 'soon'"),
        ("date,y\n03/04/2024,1\n04/04/2024,2\n", "day/month or month/day"),
        ("date,y\n2024-01-01 00:00+01:00,1\n2024-01-01 01:00,2\n", "carries none"),
        ("date,y\n2024-01-01,1\n", "at least 2 rows"),
        ("date,z\n2024-01-01,1\n2024-01-02,1\n", "'y' is not among"),
        ("year,month,day,y\n2024,2,30,1\n2024,3,1,2\n", "2024, 2, 30"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, words: str) -> None:
    if words == "decimal point":
        text = 'date,y\n2024-01-01,1\n2024-01-02,"2,5"\n'
    with pytest.raises(UserError, match=words):
        panel(tmp_path, text)


def test_a_column_has_one_role(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one role"):
        panel(tmp_path, "date,y\n2024-01-01,1\n2024-01-02,2\n", Columns(targets=("y",), past=("y",)))


def test_times_off_the_grid_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="grid of 1 hour"):
        panel(
            tmp_path, "date,y\n2024-01-01 00:00,1\n2024-01-01 00:30,2\n2024-01-01 01:00,3\n", frequency="1h"
        )
