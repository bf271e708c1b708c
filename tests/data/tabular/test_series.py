"""From files to regular series: inference, notes, refusals."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from holdfast.data.tabular.series import Columns, Panel, read_panel
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


def test_time_zones_are_converted_to_utc(tmp_path: Path) -> None:
    found = panel(tmp_path, "date,y\n2024-01-01T00:00:00+02:00,1\n2024-01-01T01:00:00+02:00,2\n")
    assert found.series[0].times[0] == np.datetime64("2023-12-31T22:00")
    assert any("UTC" in note for note in found.notes)


def test_a_time_is_built_from_parts(tmp_path: Path) -> None:
    found = panel(tmp_path, "No,year,month,day,hour,y\n1,2010,1,1,0,3\n2,2010,1,1,1,4\n")
    assert found.series[0].times[1] == np.datetime64("2010-01-01T01:00") and found.frequency.code == "1h"


def test_missing_rows_are_inserted_and_reported(tmp_path: Path) -> None:
    days = [f"2024-01-{d:02d},{d}" for d in range(1, 29) if d not in (10, 11)]
    found = panel(tmp_path, "\n".join(["date,y", *days]))
    assert len(found.series[0].times) == 28 and np.isnan(found.series[0].values[9:11, 0]).all()
    assert any(note.startswith("2 missing rows") and "2024-01-10" in note for note in found.notes)


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


def test_rows_out_of_order_need_the_sort_flag(tmp_path: Path) -> None:
    text = "date,y\n2024-01-02,2\n2024-01-01,1\n2024-01-03,3\n"
    with pytest.raises(UserError, match="--sort"):
        panel(tmp_path, text)
    found = panel(tmp_path, text, sort=True)
    assert found.series[0].values[:, 0].tolist() == [1, 2, 3]
    assert "rows were sorted by time" in found.notes


def test_rows_in_order_get_no_note_on_sorting(tmp_path: Path) -> None:
    found = panel(tmp_path, "date,y\n2024-01-01,2\n2024-01-02,1\n", sort=True)
    assert "rows were sorted by time" not in found.notes


def test_series_one_after_the_other_need_their_column(tmp_path: Path) -> None:
    """Such rows are neither sorted nor unique: the error names the cause first."""
    text = "date,who,y\n2024-01-01,a,1\n2024-01-02,a,2\n2024-01-01,b,1\n2024-01-02,b,2\n"
    with pytest.raises(UserError, match=r"occurs twice.*--series"):
        panel(tmp_path, text)
    with pytest.raises(UserError, match="occurs 3 times"):
        panel(tmp_path, "date,y\n" + "2024-01-01,1\n" * 3)


def test_each_series_numbers_its_rows(tmp_path: Path) -> None:
    found = panel(tmp_path, "who,y\na,1\nb,2\na,3\nb,4\n", Columns(targets=("y",), series="who"))
    assert [s.times.tolist() for s in found.series] == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("stamps", "first", "step"),
    [
        (["01/02/2024", "12/02/2024", "23/02/2024"], "2024-02-01", "11 days"),  # by the third value
        (["02/01/2024", "02/12/2024", "02/23/2024"], "2024-02-01", "11 days"),
        (["02/29/2024 10:00:00", "02/29/2024 10:00:30"], "2024-02-29T10:00:00", "30 seconds"),
        (["01/01/2024", "02/02/2024"], "2024-01-01", "32 days"),  # the same day either way
        (["31.01.2024 10:00:00", "31.01.2024 11:00:00"], "2024-01-31T10:00:00", "1 hour"),
        (["20240131", "20240201"], "2024-01-31", "1 day"),
        (["2024-01-01T00:00Z", "2024-01-01T01:00:00+00:00"], "2024-01-01", "1 hour"),
    ],
)
def test_other_ways_to_write_a_time(tmp_path: Path, stamps: list[str], first: str, step: str) -> None:
    found = panel(tmp_path, "\n".join(["date,y", *(f"{stamp},{k}" for k, stamp in enumerate(stamps))]))
    assert found.series[0].times[0] == np.datetime64(first) and str(found.frequency) == step


@pytest.mark.parametrize("stamp", ["13/02/24", "24-01-13", "13.02.24"])
def test_a_year_has_four_digits(tmp_path: Path, stamp: str) -> None:
    text = f"date,y\n{stamp},1\n{stamp},2\n"
    assert "'date' holds no dates" in panel(tmp_path, text).notes[0]
    with pytest.raises(UserError, match=f"Line 2 has '{stamp}'"):
        panel(tmp_path, text, Columns(targets=("y",), time="date"))


def test_a_date_is_preferred_to_its_parts(tmp_path: Path) -> None:
    text = "year,month,day,date,y\n2024,1,1,2024-01-01 05:00,1\n2024,1,1,2024-01-01 06:00,2\n"
    assert panel(tmp_path, text).columns.time == "date"


def test_the_better_name_is_chosen_and_the_other_reported(tmp_path: Path) -> None:
    found = panel(tmp_path, "issued,date,y\n2024-01-05,2024-01-01,1\n2024-01-05,2024-01-02,2\n")
    assert found.columns.time == "date" and "also possible: issued" in found.notes[0]


def test_months_are_built_from_parts(tmp_path: Path) -> None:
    text = "Year,Month,y\n2023,12,1\n2024,1,2\n2024,2,3\n"
    for named in (None, "Month, Year"):
        found = panel(tmp_path, text, Columns(targets=("y",), time=named))
        assert found.columns.time == "Year,Month" and found.frequency.code == "1mo"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.5, 2.0], "has '1.5'"),
        ([[1], [2]], "Row 1 has"),
        ([time(1), time(2)], "Row 1 has '01:00:00'"),
        ([timedelta(hours=1), timedelta(hours=2)], "Row 1 has"),
    ],
)
def test_a_time_of_another_type(tmp_path: Path, values: list[object], words: str) -> None:
    pl.DataFrame({"t": values, "y": [1, 2]}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(UserError, match=words):
        read_panel(tmp_path / "data.parquet", Columns(targets=("y",), time="t"))


def test_a_time_zone_in_a_parquet_file_is_converted_to_utc(tmp_path: Path) -> None:
    hours = pl.Series([datetime(2024, 1, 1, 5), datetime(2024, 1, 1, 6)]).dt.replace_time_zone(
        "Europe/Berlin"
    )
    pl.DataFrame({"t": hours, "y": [1, 2]}).write_parquet(tmp_path / "data.parquet")
    found = read_panel(tmp_path / "data.parquet", Y)
    assert found.series[0].times[0] == np.datetime64("2024-01-01T04:00")
    assert any("Berlin" in note and "UTC" in note for note in found.notes)


def test_one_wrong_year_does_not_fill_the_memory(tmp_path: Path) -> None:
    text = (
        "date,y\n" + "".join(f"2024-01-01 00:00:{s:02d},1\n" for s in range(60)) + "9999-01-01 00:00:00,1\n"
    )
    assert panel(tmp_path, text).frequency.code == "rows"
    with pytest.raises(UserError, match=r"9999-01-01 00:00:00 a row every 1 second makes 251,.* has 61\."):
        panel(tmp_path, text, frequency="1s")


def test_gaps_of_a_requested_step_are_filled(tmp_path: Path) -> None:
    found = panel(tmp_path, "date,y\n2024-01-01,1\n2024-01-02,2\n2024-01-31,3\n", frequency="1d")
    assert len(found.series[0].times) == 31 and "28 missing rows" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("name", "target", "rows", "code"),
    [
        ("beijing-pm25/pollution.csv", "pm2.5", 43824, "1h"),
        ("ett/ETTh1.csv", "OT", 17420, "1h"),
        ("classic-univariate/airline-passengers.csv", "Passengers", 144, "1mo"),
        ("classic-univariate/daily-min-temperatures.csv", "Temp", 3652, "1d"),  # 3650 + two 31 Dec
        ("stocks-sp500/AAPL.csv", "close", 1259, "rows"),
    ],
)
def test_real_files(shared_data: Callable[[str], Path], name: str, target: str, rows: int, code: str) -> None:
    found = read_panel(shared_data(name), Columns(targets=(target,)))
    assert (len(found.series[0].times), found.frequency.code) == (rows, code)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("date,y\n2024-01-01,1\n2024-01-01,2\n", "occurs twice"),
        ("date,y\n2024-01-01,1\n2024-01-02,two\n", "Line 3 has 'two'"),
        ("date,y\n2024-01-01,1\n2024-01-02,2,5\n", "decimal point"),
        ("date,y\n2024-01-01,inf\n2024-01-02,1\n", "finite"),
        ("date,y\n2024-01-01,\n2024-01-02,\n", "All of them are missing"),
        ("date,y\n2024-01-01,1\n,2\n", "Line 3 has none"),
        ("date,y\n2024-01-01,1\nsoon,2\n", "Line 3 has 'soon'"),
        ("date,y\n13/04/2024,1\n04/04/2024,2\n31/31/2024,3\n", "Line 4 has '31/31/2024'"),
        ("date,y\n2024-01-01,1\n2024-01-02,1e39\n", "Line 3 has 1e39"),
        ("date,y\n2024-01-01T00:00Z,1\n99:00Z,2\n", "Line 3 has '99:00Z'"),
        ("year,month,y\n2024,1,1\n2024,1.5,2\n", "Line 3 has 2024, 1.5"),
        ("date,y\n03/04/2024,1\n04/04/2024,2\n", "day/month or month/day"),
        ("date,y\n2024-01-01 00:00+01:00,1\n2024-01-01 01:00,2\n", "has none"),
        ("date,y\n2024-01-01,1\n", "at least 2 rows"),
        ("date,z\n2024-01-01,1\n2024-01-02,1\n", "'y' is not one of them"),
        ("year,month,day,y\n2024,2,30,1\n2024,3,1,2\n", "2024, 2, 30"),
    ],
)
def test_mistakes_are_reported(tmp_path: Path, text: str, words: str) -> None:
    if words == "decimal point":
        text = 'date,y\n2024-01-01,1\n2024-01-02,"2,5"\n'
    with pytest.raises(UserError, match=words):
        panel(tmp_path, text)


def test_a_column_has_one_role(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one role"):
        panel(tmp_path, "date,y\n2024-01-01,1\n2024-01-02,2\n", Columns(targets=("y",), past=("y",)))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (Columns(targets=()), "--target"),
        (Columns(targets=("date",)), "one role"),
        (Columns(targets=("y",), known=("y",)), "one role"),
        (Columns(targets=("y",), series="y"), "one role"),
        (Columns(targets=("y",), series="name"), "series column must be"),
        (Columns(targets=("y",), time="tme"), "time column must be"),
        (Columns(targets=("y",), time="date,y"), "year, month, day"),
        (Columns(targets=("y",), time="year,month"), "'year' is not one of them"),
        (Columns(targets=("y",), series="who"), "Line 3 does not"),
    ],
)
def test_columns_that_do_not_fit(tmp_path: Path, columns: Columns, words: str) -> None:
    with pytest.raises(UserError, match=words):
        panel(tmp_path, "date,who,y\n2024-01-01,a,1\n2024-01-02, ,2\n", columns)


def test_times_off_the_requested_grid(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="grid of 1 hour"):
        panel(
            tmp_path, "date,y\n2024-01-01 00:00,1\n2024-01-01 00:30,2\n2024-01-01 01:00,3\n", frequency="1h"
        )


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("date,y\n2024-01-01,1\n\n \n2024-01-02,two\n", "Line 5 has 'two'"),
        ('date,note,y\n2024-01-01,"a\nb",1\nsoon,"",2\n', "Line 4 has 'soon'"),
        ('date,note,y\n2024-01-01,"a\n\nb",1\n\n2024-01-02,"\n",two\n', "Line 6 has 'two'"),
    ],
)
def test_lines_are_counted_as_an_editor_does(tmp_path: Path, text: str, got: str) -> None:
    """Blank lines between rows are skipped, and a quoted field may hold line breaks."""
    with pytest.raises(UserError, match=got):
        panel(tmp_path, text)


def test_blank_lines_are_not_rows(tmp_path: Path) -> None:
    found = panel(tmp_path, "date,y\n2024-01-01,1\n\n2024-01-02,2\n\n\n2024-01-03,3\n")
    assert found.series[0].values[:, 0].tolist() == [1, 2, 3]


def test_a_parquet_file_has_rows_and_no_lines(tmp_path: Path) -> None:
    pl.DataFrame({"y": ["1", "two"]}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(UserError, match="Row 2 has 'two'"):
        read_panel(tmp_path / "data.parquet", Columns(targets=("y",)))


def test_midnights_in_a_time_zone_are_dates(tmp_path: Path) -> None:
    """The end of March, when clocks in Berlin go forward."""
    days = pl.datetime_range(datetime(2021, 3, 20), datetime(2021, 4, 5), "1d", eager=True)
    pl.DataFrame({"t": days.dt.replace_time_zone("Europe/Berlin"), "y": range(17)}).write_parquet(
        tmp_path / "data.parquet"
    )
    stamps = [f"2021-03-{d}T00:00:00{'+01:00' if d < 29 else '+02:00'}" for d in range(20, 32)]
    for found in (
        read_panel(tmp_path / "data.parquet", Y),
        panel(tmp_path, "\n".join(["date,y", *(f"{stamp},1" for stamp in stamps)])),
    ):
        assert found.frequency.code == "1d" and found.series[0].times[0] == np.datetime64("2021-03-20")


def test_an_open_quote_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Quotes in .* begins at line 3"):
        panel(tmp_path, 'date,y\n2024-01-01,1\n2024-01-02,"1\n2024-01-03,2\n')
