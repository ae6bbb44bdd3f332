"""Tables as people keep them: decimal commas, units, dates, identifiers, encodings, compressed files."""

import gzip
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltrees.tables import Table, TableEncoder, encode_target, read_table
from sltrees.tables._dates import DATE_FORMATS, as_days, date_format_of
from sltrees.tables._delimiters import find_delimiter
from sltrees.tables._numbers import FORMATS, NumberFormat, is_like_a_number, readings


def read(text, header="auto", **options):
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    return read_table(io.BytesIO(data), header, **options)


def table(**columns):
    return Table(list(columns), [list(cells) for cells in columns.values()])


def repeated(values, n=60):
    return [values[k % len(values)] for k in range(n)]


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("cells", "numbers", "words"),
    [
        (["51,260.00", "1,200.5", "7"], [51260.0, 1200.5, 7.0], "commas between thousands"),
        (["14,12", "-3,1", "7"], [14.12, -3.1, 7.0], "decimal commas"),
        (["1.234,5", "12"], [1234.5, 12.0], "decimal commas and points between thousands"),
        (["1 234.5", "12"], [1234.5, 12.0], "spaces between thousands"),
        (["1\u202f234,5", "12"], [1234.5, 12.0], "decimal commas and spaces between thousands"),
        (["1\u2019234.5", "12"], [1234.5, 12.0], "apostrophes between thousands"),
        (["$14.12", "-$3", "$ 1,000.00"], [14.12, -3.0, 1000.0], "commas between thousands and the unit '$'"),
        (["14,12 €", "\u22123 €"], [14.12, -3.0], "decimal commas and the unit '€'"),
        (["12.3 kg", "3 kg", "5"], [12.3, 3.0, 5.0], "the unit 'kg'"),
        (["5%", "7 %"], [5.0, 7.0], "the unit '%'"),
        (["0,125", "5,678"], [0.125, 5.678], "decimal commas"),  # no group begins with 0
        (["1,234", "12,345"], [1234.0, 12345.0], "commas between thousands"),
        (["1.234", "5.678"], [1.234, 5.678], ""),
    ],
)
def test_numbers_in_local_formats_are_read_and_said(cells, numbers, words):
    encoder = TableEncoder().fit(table(a=repeated(cells)))
    np.testing.assert_array_equal(encoder.transform(table(a=cells))[:, 0], numbers)
    assert encoder.report[1:] == ([f"a: numbers with {words}, such as {cells[0]!r} as {numbers[0]:.15g}"] * bool(words))


@given(
    number=st.integers(-(10**12), 10**12),
    digits=st.integers(0, 4),
    signs=st.sampled_from(FORMATS),
    unit=st.sampled_from(["", "kg", "%", "km/h"]),
)
def test_what_is_written_in_a_format_is_read_in_it(number, digits, signs, unit):
    decimal, thousands = signs
    text = f"{abs(number) // 10**digits:,}".replace(",", thousands)
    text += decimal + f"{abs(number) % 10**digits:0{digits}}" if digits else ""
    text = ("-" if number < 0 else "") + text + unit
    found = NumberFormat(decimal, thousands, unit).read(text)
    assert math.isclose(found, number / 10**digits, rel_tol=1e-15)
    assert is_like_a_number(text, with_units=True)


@pytest.mark.parametrize("text", ["", "x", "1,2,3", "1.2.3", "12,34.5", "0,123.4", "1e400", "inf", "1_000", "12 kg 3"])
def test_what_is_a_number_in_no_format(text):
    assert all(NumberFormat(*signs, "kg").read(text) is None for signs in FORMATS)


def test_other_columns_say_which_sign_is_decimal():
    both = table(a=repeated(["1.234", "2.345"]), b=repeated(["1,5", "2,25"]))
    np.testing.assert_array_equal(TableEncoder().fit_transform(both)[:2], [[1234.0, 1.5], [2345.0, 2.25]])
    points = table(a=repeated(["1,234", "2,345"]), b=repeated(["1.5", "2.25"]))
    np.testing.assert_array_equal(TableEncoder().fit_transform(points)[:2], [[1234.0, 1.5], [2345.0, 2.25]])
    semicolons = read("a;b\n" + "1,234;x\n2,345;y\n" * 30)
    assert TableEncoder().fit_transform(semicolons)[0, 0] == 1.234


def test_signs_may_be_said():
    cells = table(a=repeated(["1,234", "2,345"]))
    assert TableEncoder(decimal=",").fit_transform(cells)[0, 0] == 1.234
    assert TableEncoder(thousands=",").fit_transform(cells)[0, 0] == 1234.0
    assert TableEncoder(decimal=",", thousands=".").fit_transform(table(a=repeated(["1.234", "5"])))[0, 0] == 1234.0
    for wrong in ({"decimal": ",", "thousands": ","}, {"decimal": ";"}, {"thousands": "x"}):
        with pytest.raises(ValueError, match=r"decimal must be '\.' or ',', and thousands another sign"):
            TableEncoder(**wrong)


def test_units_that_differ_are_words():
    assert readings(["12 kg", "300 g", "5 lb"]).n_numbers == 0
    assert TableEncoder().fit(table(a=repeated(["12 kg", "300 g"]))).columns_[0].kind == "categorical"


@pytest.mark.parametrize("stray", ["inf", "12.3 kg", "n.d."])
def test_a_stray_cell_in_a_column_of_numbers_is_missing_and_said(stray):
    cells = [f"{k / 7:.3f}" for k in range(200)]
    cells[41] = stray
    encoder = TableEncoder()
    X = encoder.fit_transform(table(a=cells))
    assert X.shape == (200, 1)
    assert X[41, 0] == encoder.columns_[0].median
    assert f"a: 1 value that is no number ({stray!r} on line 42), taken as missing" in encoder.report
    # there were such in training, so that there may be some later
    assert encoder.transform(table(a=["x"]))[0, 0] == encoder.columns_[0].median
    assert encoder.transform_report[0] == "a: 1 value that is no number ('x' on line 1), taken as missing"


def test_numbers_among_many_different_words_are_numbers_and_codes_are_words():
    many = table(a=[*map(str, range(100, 160)), *["n.d."] * 40])
    encoder = TableEncoder().fit(many)
    assert encoder.feature_names_out == ["a", "a=NA"]
    assert TableEncoder().fit(table(a=repeated(["1", "2", "3", "A"]))).columns_[0].kind == "categorical"


def test_many_missing_numbers_are_flagged():
    cells = ["" if k % 10 == 0 else str(k % 7) for k in range(100)]
    encoder = TableEncoder()
    X = encoder.fit_transform(table(a=cells))
    assert encoder.feature_names_out == ["a", "a=NA"]
    np.testing.assert_array_equal(X[:, 1], [k % 10 == 0 for k in range(100)])
    np.testing.assert_array_equal(encoder.transform(table(a=["", "5"])), [[3.0, 1.0], [5.0, 0.0]])


# ---------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("text", "date_format", "days"),
    [
        ("1970-01-01", "iso", 0.0),
        ("2024-02-29", "iso", 19782.0),
        ("1970-01-02T12:00:00Z", "iso", 1.5),
        ("1970-01-02 12:00+06:00", "iso", 1.25),
        ("1970/1/2", "%Y/%m/%d", 1.0),
        ("2.1.1970", "%d.%m.%Y", 1.0),
        ("1/2/1970", "%m/%d/%Y", 1.0),
        ("31/1/1970 6:00", "%d/%m/%Y", 30.25),
        ("2 Jan 1970", "%d %b %Y", 1.0),
        ("January 2, 1970", "%B %d, %Y", 1.0),
        ("Feb 1, 1970 00:00:00.5", "%b %d, %Y", 31.0 + 0.5 / 86400),
    ],
)
def test_dates_are_days(text, date_format, days):
    assert as_days(text, date_format) == pytest.approx(days, abs=1e-12)
    assert as_days(text, date_format_of([text])) == as_days(text, date_format)


@pytest.mark.parametrize(
    "text", ["", "x", "12", "2024-13-01", "2024-02-30", "31/31/2024", "2 Foo 1970", "1970-01-01 25:00"]
)
def test_what_is_no_date(text):
    assert all(as_days(text, date_format) is None for date_format in DATE_FORMATS)


def test_a_column_of_dates_becomes_days_and_turns():
    cells = [f"2024-{k % 12 + 1:02}-{k % 28 + 1:02}" for k in range(84)]
    encoder = TableEncoder()
    X = encoder.fit_transform(table(when=cells))
    assert encoder.report == ["1 column to learn from: 0 numeric, 0 categorical, 1 date; 5 features"] + [
        "when: dates, made into days, year and week"
    ]
    assert encoder.feature_names_out == ["when"] + [
        f"when: {part} of the {turn}" for turn in ("year", "week") for part in ("sine", "cosine")
    ]
    assert X[0, 0] == as_days(cells[0], "iso")
    np.testing.assert_allclose(X[:, 1] ** 2 + X[:, 2] ** 2, 1.0)
    later = encoder.transform(table(when=["2031-05-05", "NA"]))  # never seen, and a date all the same
    assert later[0, 0] > X[:, 0].max()
    assert encoder.transform_report == ["when: 1 value missing, taken as the date in the middle"]
    with pytest.raises(ValueError, match="line 1: column 'when' must hold dates, as in training, got 'soon'"):
        encoder.transform(table(when=["soon"]))
    times = TableEncoder().fit(table(when=[f"2024-01-{k % 28 + 1:02} {k % 24}:30" for k in range(60)]))
    assert len(times.feature_names_out) == 7


def test_months_and_days_that_may_be_the_other_way_round_are_said():
    encoder = TableEncoder().fit(table(when=repeated(["1/2/2024", "3/4/2024"])))
    assert encoder.report[1].endswith("; months are taken to stand first")
    assert "months" not in TableEncoder().fit(table(when=repeated(["1/2/2024", "13/4/2024"]))).report[1]


# ---------------------------------------------------------------------- identifiers, weights, columns left out


def test_columns_that_number_rows_are_left_out_and_said():
    values = [f"{k * k % 17}.5" for k in range(60)]
    for name, cells in {
        "id": [str(k) for k in range(60)],
        "PassengerId": [str(7 * k % 61) for k in range(60)],  # in no order
        "customer_id": [str(1000 - k) for k in range(60)],
    }.items():
        encoder = TableEncoder().fit(table(**{name: cells, "a": values}))
        assert encoder.feature_names_out == ["a"]
        assert f"{name}: left out: it numbers the rows" in encoder.report
        assert encoder.identifiers_of(table(**{name: cells, "a": values})) == {name: cells}
    headless = TableEncoder().fit(read("".join(f"{k},{value}\n" for k, value in enumerate(values))))
    assert headless.feature_names_out == ["column 2"]


def test_columns_that_may_number_rows_are_said_and_kept():
    encoder = TableEncoder().fit(table(day=[str(k) for k in range(60)], a=repeated(["1.5", "2.5"])))
    assert encoder.feature_names_out == ["day", "a"]
    assert "day: whole numbers that only grow: if they name the rows, leave the column out (--drop)" in encoder.report
    alone = TableEncoder().fit(table(id=[str(k) for k in range(60)]))
    assert alone.feature_names_out == ["id"]
    assert alone.report[1] == "id: numbers the rows, but there is nothing else to learn from"


def test_what_is_said_of_columns_counts():
    columns = {
        "a": repeated(["1", "2"]),
        "b": repeated(["3", "4"]),
        "c": repeated(["x", "y"]),
        "w": repeated(["1", "0.5"]),
    }
    encoder = TableEncoder(drop=["1"], categorical=["b"], identifiers=["c"], weight="w").fit(table(**columns))
    assert encoder.feature_names_out == ["b=3", "b=4"]
    assert encoder.identifiers_of(table(**columns)) == {"c": columns["c"]}
    np.testing.assert_array_equal(encoder.weights_of(table(**columns)), repeated([1.0, 0.5]))
    assert encoder.weights_of(table(b=["3"])) is None
    for line in ("a: left out: it was asked for", "c: left out: it names the rows", "w: weights of rows"):
        assert line in encoder.report
    with pytest.raises(ValueError, match="line 2: the weight 'w' must be a number, at least 0, got '-1'"):
        encoder.weights_of(table(b=["3", "4"], w=["1", "-1"]))
    with pytest.raises(ValueError, match="has no column 'z'"):
        TableEncoder(drop=["z"]).fit(table(**columns))


# ---------------------------------------------------------------------- many different words


def test_many_different_words_are_encoded_by_targets_without_the_row():
    rng = np.random.default_rng(0)
    towns = rng.integers(40, size=400)
    y = towns / 40 + 0.01 * rng.standard_normal(400)
    training = table(town=[f"town {k}" for k in towns])
    encoder = TableEncoder()
    X = encoder.fit_transform(training, None, y[:, None])
    assert encoder.feature_names_out == ["town: mean target"]
    assert "town: 40 different words, taken as the mean of the target with each" in encoder.report
    assert np.corrcoef(X[:, 0], y)[0, 1] > 0.95
    assert not np.array_equal(X, encoder.transform(training))
    noise = rng.standard_normal(400)  # rows do not see their own targets
    assert abs(np.corrcoef(TableEncoder().fit_transform(training, None, noise[:, None])[:, 0], noise)[0, 1]) < 0.2
    assert encoder.transform(table(town=["elsewhere"]))[0, 0] == pytest.approx(y.mean())
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    np.testing.assert_array_equal(again.transform(training), encoder.transform(training))
    assert len(TableEncoder().fit(training).feature_names_out) == 40  # without targets


# ---------------------------------------------------------------------- targets


def test_none_is_a_class_among_words_and_missing_among_numbers():
    target = encode_target(table(y=repeated(["None", "a", "b", ""])), "y")
    assert target.values.tolist() == ["None", "a", "b"] * 15
    assert target.notes == ["y: 'None' taken as a class, not as missing"]
    assert encode_target(table(y=["None", "1", "0"]), "y").values.tolist() == [1, 0]


def test_targets_in_local_formats_are_numbers():
    for cells, first in (("14,12", 14.12), ("$14.12", 14.12), ("1,014.12", 1014.12)):
        target = encode_target(table(y=repeated([cells, "3"])), "y")
        assert (target.task, target.values[0]) == ("regression", first)
        assert target.notes[0].startswith("y: numbers with ")


def test_a_target_of_nearly_all_different_words_is_refused():
    words = [f"{k}-{k}" for k in range(100)]
    with pytest.raises(
        ValueError, match=r"100 different words in 100 rows.*is the decimal sign a comma \(--decimal ,\)"
    ):
        encode_target(table(y=words), "y")
    assert encode_target(table(y=words), "y", "classification").task == "classification"
    numbers = [f"{k}.5" for k in range(100)]
    numbers[7] = "12.3 kg"
    with pytest.raises(ValueError, match="line 8: the target 'y' holds numbers, but also 1 value that is none"):
        encode_target(table(y=numbers), "y")


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("51.26,green;new,14.12\n3.1,red;old,5.0\n", ","),
        ("1,5;2,5\n3,5;4,5\n", ";"),
        ("name;city, state\nann;Austin, TX\nbob;Dallas, TX\n", ";"),
        ("a,b\n1,2\n3\n4,5\n", ","),
        ("a;b c\n1;2024-01-02\n", ";"),
        ("size\n5,0\n", "\t"),  # one column
    ],
)
def test_the_delimiter_is_what_fits_best(text, delimiter):
    assert find_delimiter(text) == delimiter


def test_compressed_files_are_read():
    assert read(gzip.compress(b"a,b\n1,2\n")).cells == [["1"], ["2"]]
    with pytest.raises(ValueError, match="table begins as a gzip file, but cannot be unpacked"):
        read(gzip.compress(b"a,b\n1,2\n")[:-5])


def test_encodings_may_be_said():
    assert read("größe,b\n1,2\n".encode("latin-1"), encoding="latin-1").columns == ["größe", "b"]
    assert read("a,b\n1,2\n".encode("utf-16"), encoding="utf-16").columns == ["a", "b"]
    assert read(b"\xef\xbb\xbfa,b\n1,2\n", encoding="UTF8").columns == ["a", "b"]
    with pytest.raises(ValueError, match=r"is 0xf6, which is not; .* --encoding latin-1 or cp1252"):
        read("größe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="table is not text in ascii"):
        read("größe,b\n1,2\n".encode(), encoding="ascii")
    for wrong in ("klingon", "base64"):
        with pytest.raises(ValueError, match=f"encoding must be one that Python knows, .* got '{wrong}'"):
            read("a\n1\n", encoding=wrong)


def test_a_first_row_of_local_numbers_is_no_header():
    for text in ("$5,red\n$7,blue\n", "12 kg,red\n13 kg,blue\n", "2024-01-05,red\n2024-01-06,blue\n"):
        assert not read(text).has_header
    assert read("1st floor,colour\n3,red\n4,blue\n").has_header
