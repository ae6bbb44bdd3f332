"""Tables: reading CSV files, deciding what columns are, and turning them into numbers."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltrees.tables import (
    MISSING,
    Table,
    TableEncoder,
    as_number,
    detect_task,
    encode_target,
    is_missing,
    read_table,
)


def read(text, header="auto", **options):
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    return read_table(io.BytesIO(data), header, **options)


def table(**columns):
    return Table(list(columns), [list(cells) for cells in columns.values()])


# ---------------------------------------------------------------------- cells


def test_words_for_missing_values_in_any_case_and_with_spaces():
    for word in MISSING:
        assert is_missing(word)
        assert is_missing(f" {word.upper()} ")
    for text in ("0", "no", "nothing", "-", ".", "missing", "nano"):
        assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("-1.5e3", -1500.0), (" 2 ", 2.0), ("+.5", 0.5), ("1e-400", 0.0)],
)
def test_numbers_are_read(text, number):
    assert as_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "1,5", "1 000", "1_000", "inf", "-inf", "nan", "1e400", "0x10", "5%", "1.2.3"]
)
def test_what_is_no_finite_number_is_none(text):
    assert as_number(text) is None


# ---------------------------------------------------------------------- reading


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_byte_order_marks(delimiter, end, last, mark):
    lines = ["size colour", "1 red", "2 grün"]
    text = end.join(lines).replace(" ", delimiter) + (end if last else "")
    result = read(mark + text.encode("utf-8"))
    assert result.columns == ["size", "colour"]
    assert result.cells == [["1", "2"], ["red", "grün"]]
    assert result.lines == [2, 3]
    assert result.has_header
    assert result.n_rows == 2


def test_a_semicolon_wins_over_decimal_commas():
    result = read("1,5;2,5\n3,5;4,5\n")
    assert result.cells == [["1,5", "3,5"], ["2,5", "4,5"]]
    assert not result.has_header


def test_a_delimiter_may_be_given():
    result = read("a,b\nx;y,z\n", delimiter=",")
    assert result.cells == [["x;y"], ["z"]]
    with pytest.raises(ValueError, match=r"delimiter must be one of .*, got ':'"):
        read("a:b\n1:2\n", delimiter=":")


def test_quoted_fields_hold_delimiters_line_ends_and_quotes():
    result = read('name,text\n"a, b","line 1\nline 2"\n"c ""d""", "e"\n5" pipe,f\n')
    assert result.cells == [["a, b", 'c "d"', '5" pipe'], ["line 1\nline 2", "e", "f"]]
    assert result.lines == [2, 4, 5]


def test_white_space_around_cells_is_dropped():
    result = read(" a , b \n 1 ,  x y \n")
    assert result.columns == ["a", "b"]
    assert result.cells == [["1"], ["x y"]]


def test_blank_lines_are_passed_over_and_lines_stay_those_of_the_file():
    result = read("a,b\n\n1,2\n   \n\n3,4\n\n")
    assert result.cells == [["1", "3"], ["2", "4"]]
    assert result.lines == [3, 6]


def test_one_column():
    assert read("a\n1\n2\n").cells == [["1", "2"]]
    assert read('a\n1\n""\n2\n').cells == [["1", "", "2"]]
    assert read("5").cells == [["5"]]


@pytest.mark.parametrize(
    ("text", "has_header"),
    [
        ("a,b\n1,2\n", True),
        ("a,b\nx,2\n", True),
        ("1,2\n3,4\n", False),
        ("a,2\nb,3\n", False),  # a number in the first row
        ("2019,2020\n1,2\n", False),
        ("NA,b\n1,x\n", True),
        (",b\n1,x\n", True),  # no number in the first row, one below
        ("a,b\nc,d\n", True),  # all text, all different
        ("a,b\nc,d\na,e\n", False),  # "a" is a value of its column
        ("a,b\nb,c\nc,d\n", True),  # "b" is one of another column only
        ("a,a\nb,c\n", False),  # not all different
        (",b\nc,d\n", False),  # an empty one
    ],
)
def test_a_header_is_detected_by_the_rule(text, has_header):
    result = read(text)
    assert result.has_header is has_header
    assert result.n_rows == len(text.splitlines()) - has_header
    if not has_header:
        assert result.columns == ["column 1", "column 2"]


def test_a_header_may_be_asked_for_or_refused():
    assert read("2019,2020\n1,2\n", True).columns == ["2019", "2020"]
    assert read("a,b\n1,2\n", False).cells == [["a", "1"], ["b", "2"]]
    assert read(",b\n1,2\n", True).columns == ["column 1", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table is empty: it has no row"),
        ("\n\n", "table is empty"),
        (b"\xef\xbb\xbf", "table is empty"),
        ("\na,b\n", r"table has a header \(line 2\) but no row of data"),
        ("a,b\n1,2\n3\n4,5\n", "table, line 3: 1 field, but line 1 has 2"),
        ("a,b\n1,2\n3,4,5\n", "table, line 3: 3 fields, but line 1 has 2"),
        ('a,b\n"x\ny",2\n3,4,5\n', "table, line 4: 3 fields, but line 1 has 2"),
        ("a,b,a\n1,2,3\n", "line 1: names of columns must be unique, but columns 1 and 3 are both called 'a'"),
        ("column 2,\n1,2\n", "columns 1 and 2 are both called 'column 2'"),
        ('a,b\n1,"2\n3,4\n', "table, line 2: the record that begins here is not CSV: unexpected end of data"),
        ('a,b\n1,"2"x\n', "table, line 2: the record that begins here is not CSV"),
        (b"a,b\n1,caf\xe9\n", r"table must be UTF-8, but byte 9 \(line 2\) is 0xe9"),
        (b"\xef\xbb\xbfa,b\n1,caf\xe9\n", r"table must be UTF-8, but byte 12 \(line 2\) is 0xe9"),
        ("a,b\n1,2\n".encode("utf-16"), "must be UTF-8, but byte 0 begins a byte-order mark of UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"must be text, but byte 1 \(line 1\) is 0"),
        ("é,\0\n".encode(), r"must be text, but byte 3 \(line 1\) is 0"),
        ("a\n" + "x" * 200_000, "line 2: the record that begins here is not CSV: field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line_or_the_byte(text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="header must be 'auto', True or False, got 'yes'"):
        read("a\n1\n", "yes")
    with pytest.raises(TypeError, match="binary mode, got StringIO"):
        read_table(io.StringIO("a\n1\n"))


def test_a_path_and_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    assert read_table(path).source == str(path)
    assert read_table(str(path)).cells == [["1"], ["2"]]
    with open(path, "rb") as file:
        assert read_table(file).source == str(path)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "other.csv")


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    result = read_table("-")
    assert result.source == "standard input"
    assert result.columns == ["a", "b"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@st.composite
def grids(draw, texts):
    n_columns = draw(st.integers(1, 4))
    row = st.lists(texts, min_size=n_columns, max_size=n_columns)
    return draw(st.lists(row, min_size=1, max_size=8))


def written(rows, delimiter, quoting=csv.QUOTE_MINIMAL):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(rows)
    return file.getvalue()


@given(rows=grids(TEXTS), delimiter=st.sampled_from(",;\t|"), mark=st.booleans())
def test_what_the_csv_module_writes_is_read_back(rows, delimiter, mark):
    text = written(rows, delimiter, csv.QUOTE_ALL)
    result = read(("\ufeff" if mark else "") + text, False, delimiter=delimiter)
    stripped = [[cell.strip() for cell in row] for row in rows]
    assert [list(row) for row in zip(*result.cells, strict=True)] == stripped
    expected = [1]
    for row in rows:
        expected.append(expected[-1] + len(list(io.StringIO(written([row], delimiter, csv.QUOTE_ALL), newline=""))))
    assert result.lines == expected[:-1]


PLAIN = st.text("abcxyz019.- ", min_size=1, max_size=6)


@given(rows=grids(PLAIN), delimiter=st.sampled_from(",;\t|"))
def test_the_delimiter_of_plain_cells_is_found(rows, delimiter):
    rows = [[f"<{cell}>" for cell in row] for row in rows]
    result = read(written(rows, delimiter), False)
    assert [list(row) for row in zip(*result.cells, strict=True)] == rows


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_clear_error(data):
    try:
        result = read(data)
    except ValueError as error:
        assert str(error).startswith("table")  # noqa: PT017
    else:
        assert result.n_rows >= 1
        assert all(len(column) == result.n_rows for column in result.cells)


# ---------------------------------------------------------------------- tables


def test_a_table_finds_columns_by_name_first_and_then_by_position():
    numbers = Table(["2", "a"], [["x"], ["y"]])
    assert numbers.position("2") == 0
    assert numbers.position("a") == 1
    assert numbers.position("1") == 0
    for name in ("3", "0", "-1", "b", "²", "1" * 5000):
        with pytest.raises(ValueError, match=r"has no column .*; its columns are '2', 'a'"):
            numbers.position(name)


def test_a_table_must_be_rectangular_and_its_names_unique():
    with pytest.raises(ValueError, match="1 names for 2 columns"):
        Table(["a"], [["1"], ["2"]])
    with pytest.raises(ValueError, match="names of columns must be unique"):
        Table(["a", "a"], [["1"], ["2"]])
    with pytest.raises(ValueError, match="column 'b' has 2 rows, not 1"):
        Table(["a", "b"], [["1"], ["2", "3"]])


def test_selected_rows_keep_their_lines():
    part = read("a,b\n1,x\n2,y\n3,z\n").select([2, 0])
    assert part.cells == [["3", "1"], ["z", "x"]]
    assert part.lines == [4, 2]


# ---------------------------------------------------------------------- encoding


def test_columns_of_every_kind():
    training = table(
        size=["1", "2", "", "4"],
        colour=["red", "blue", "red", "NA"],
        name=["ann", "bob", "eve", "joe"],
        notes=["", "NA", "?", "null"],
        same=["7", "7", "7", "7"],
        word=["w", "w", "w", "w"],
        y=["1", "0", "1", "0"],
    )
    encoder = TableEncoder().fit(training, "y")
    assert encoder.feature_names_out == ["size", "colour=blue", "colour=red", "colour=NA", "same", "word=w"]
    assert encoder.target == "y"
    expected = [
        [1.0, 0.0, 1.0, 0.0, 7.0, 1.0],
        [2.0, 1.0, 0.0, 0.0, 7.0, 1.0],
        [2.0, 0.0, 1.0, 0.0, 7.0, 1.0],
        [4.0, 0.0, 0.0, 1.0, 7.0, 1.0],
    ]
    X = encoder.transform(training)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X, expected)
    assert encoder.report == [
        "4 columns to learn from: 2 numeric, 2 categorical; 6 features",
        "size: 1 value missing, taken as the median 2",
        "colour: 1 value missing, taken as a category of their own",
        "name: left out: no value occurs twice",
        "notes: left out: all values are missing",
    ]
    assert encoder.transform_report == ["size: 1 value missing, taken as 2"]


def test_a_target_that_is_missing_at_prediction_and_columns_in_another_order():
    encoder = TableEncoder().fit(table(a=["1", "2"], b=["3", "4"], y=["0", "1"]), "y")
    np.testing.assert_array_equal(encoder.transform(table(b=["5"], extra=["x"], a=["6"])), [[6.0, 5.0]])
    assert encoder.transform_report == ["columns that were not there in training are passed over: 'extra'"]
    encoder.transform(table(a=["1"], b=["2"], y=["nonsense"]))
    assert encoder.transform_report == []


def test_left_out_columns_need_not_be_there_at_prediction():
    encoder = TableEncoder().fit(table(a=["1", "2"], name=["x", "y"]))
    np.testing.assert_array_equal(encoder.transform(table(a=["3"])), [[3.0]])


def test_absent_columns_are_named():
    encoder = TableEncoder().fit(table(a=["1", "2"], b=["3", "4"], c=["5", "6"]))
    with pytest.raises(ValueError, match=r"table lacks columns that were there in training: 'a', 'c'$"):
        encoder.transform(table(b=["1"]))
    with pytest.raises(ValueError, match="'a', 'b', 'c'; is its first row no header"):
        encoder.transform(read("1,2,3\n4,5,6\n", True))


def test_unseen_and_missing_values_at_prediction_are_zeros_and_counted():
    encoder = TableEncoder().fit(table(colour=["red", "red", "blue"]))
    X = encoder.transform(table(colour=["green", "red", "", "green", "Red"]))
    np.testing.assert_array_equal(X, [[0, 0], [0, 1], [0, 0], [0, 0], [0, 0]])
    assert encoder.transform_report == [
        "colour: 3 values not seen in training ('green', 'Red'), taken as none of those seen",
        "colour: 1 value missing, taken as none of those seen in training",
    ]


def test_a_word_in_a_column_of_numbers_at_prediction_is_an_error_with_its_line():
    encoder = TableEncoder().fit(read("a,b\n1,2\n3,4\n"))
    with pytest.raises(
        ValueError, match="table, line 3: column 'b' must hold a finite number, as in training, got 'x'"
    ):
        encoder.transform(read("a,b\n1,2\n3,x\n"))


def test_a_word_among_numbers_in_training_is_said():
    encoder = TableEncoder().fit(read("a,b\n1,0\n1,0\n2,0\nx,0\n2,0\n"))
    assert encoder.report[1] == "a: taken as words, not numbers, because of 'x' on line 5"
    commas = TableEncoder().fit(read("a;b\n1,5;0\n1,5;0\n"))
    assert commas.report[1] == "a: numbers with decimal commas, such as '1,5' as 1.5"
    words = TableEncoder().fit(table(a=["x", "x", "1"]))
    assert len(words.report) == 1


@pytest.mark.parametrize(
    ("cells", "median"),
    [
        (["1"], 1.0),
        (["3", "1", ""], 2.0),
        (["3", "1", "2"], 2.0),
        (["1.7e308", "1.7e308"], 1.7e308),
        (["-1.7e308", "1.7e308"], 0.0),
        (["1.6e308", "1.7e308"], 1.65e308),
        (["5e-324", "5e-324"], 5e-324),
    ],
)
def test_the_median_of_training_stands_for_missing_numbers(cells, median):
    encoder = TableEncoder().fit(table(a=cells))
    assert encoder.transform(table(a=["NA"]))[0, 0] == pytest.approx(median, rel=1e-15)


def test_positions_count_where_there_is_no_header():
    encoder = TableEncoder().fit(read("1,5,x\n2,6,y\n3,7,x\n", False), "2")
    assert encoder.feature_names_out == ["column 1", "column 3=x", "column 3=y"]
    expected = [[9.0, 0.0, 1.0]]
    np.testing.assert_array_equal(encoder.transform(read("9,0,y\n", False)), expected)
    np.testing.assert_array_equal(encoder.transform(read("9,y\n", False)), expected)  # without the target
    np.testing.assert_array_equal(encoder.transform(read("p,q\n9,y\n", True)), expected)
    with pytest.raises(ValueError, match="must have the 3, or 2 columns of the training data, got 4"):
        encoder.transform(read("9,0,y,1\n", False))
    named = TableEncoder().fit(read("a,b\n1,2\n3,4\n"))
    np.testing.assert_array_equal(named.transform(read("5,6\n")), [[5.0, 6.0]])
    with pytest.raises(ValueError, match="must have the 2 columns of the training data, got 1"):
        named.transform(read("5\n"))


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(ValueError, match="no column to learn from"):
        TableEncoder().fit(table(y=["1", "2"]), "y")
    with pytest.raises(ValueError, match="no column to learn from; a: left out: no value occurs twice"):
        TableEncoder().fit(table(a=["x", "z"], y=["1", "2"]), "y")
    with pytest.raises(ValueError, match="has no column 'z'"):
        TableEncoder().fit(table(a=["1"]), "z")


def test_an_encoder_that_has_seen_nothing_says_so():
    for use in (
        lambda encoder: encoder.transform(table(a=["1"])),
        lambda encoder: encoder.feature_names_out,
        lambda encoder: encoder.target,
        TableEncoder.to_dict,
    ):
        with pytest.raises(RuntimeError, match="call fit"):
            use(TableEncoder())


def test_a_fit_that_fails_changes_nothing():
    encoder = TableEncoder().fit(table(a=["1"]))
    with pytest.raises(ValueError, match="no column"):
        encoder.fit(table(b=["1"]), "b")
    assert encoder.feature_names_out == ["a"]


# ---------------------------------------------------------------------- state


def rich_encoder():
    training = table(
        a=["1", "2", ""], b=["x", "y", "x"], c=["x", "x", ""], d=["p", "q", "r"], e=["", "", ""], y=["1", "2", "3"]
    )
    return TableEncoder().fit(training, "y")


def test_state_survives_json():
    encoder = rich_encoder()
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict(), allow_nan=False)))
    assert again.columns_ == encoder.columns_
    assert again.target == "y"
    assert again.to_dict() == encoder.to_dict()
    new = table(c=["", "x"], b=["z", "y"], a=["", "5"])
    np.testing.assert_array_equal(again.transform(new), encoder.transform(new))
    assert again.transform_report == encoder.transform_report


def changed(path, value):
    state = rich_encoder().to_dict()
    place = state
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return state


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        "x",
        {},
        changed(["format"], 3),
        changed(["format"], True),
        changed(["format"], KeyError),
        changed(["more"], 1),
        changed(["has_header"], 1),
        changed(["columns"], {}),
        changed(["columns"], []),
        changed(["columns", 0], None),
        changed(["columns", 0, "kind"], "magic"),
        changed(["columns", 0, "kind"], ["numeric"]),
        changed(["columns", 0, "name"], 1),
        changed(["columns", 0, "name"], "b"),
        changed(["columns", 0, "median"], "1"),
        changed(["columns", 0, "median"], float("nan")),
        changed(["columns", 0, "median"], float("inf")),
        changed(["columns", 0, "median"], True),
        changed(["columns", 0, "median"], KeyError),
        changed(["columns", 0, "more"], 1),
        changed(["columns", 1, "categories"], []),
        changed(["columns", 1, "categories"], "xy"),
        changed(["columns", 1, "categories"], [1, 2]),
        changed(["columns", 1, "categories"], ["y", "x"]),
        changed(["columns", 1, "categories"], ["x", "x"]),
        changed(["columns", 1, "categories"], ["", "x"]),
        changed(["columns", 1, "missing_category"], 0),
        changed(["columns", 3, "reason"], None),
        changed(["columns", 0], {"kind": "target", "name": "z"}),
        {"format": 1, "has_header": True, "columns": [{"kind": "target", "name": "y"}]},
    ],
    ids=str,
)
def test_a_state_that_no_encoder_can_have_is_refused(state):
    with pytest.raises(ValueError, match="not the state of a table encoder"):
        TableEncoder.from_dict(state)


CELLS = st.one_of(st.sampled_from(["", "NA", "red", "blue", "1", "2.5", "-3e2"]), TEXTS.map(str.strip))


@given(training=grids(CELLS), new=st.lists(CELLS, min_size=4, max_size=4))
def test_any_table_is_encoded_in_finite_numbers_or_refused(training, new):
    names = [f"c{position}" for position in range(len(training[0]))]
    first = Table(names, [list(column) for column in zip(*training, strict=True)])
    try:
        encoder = TableEncoder().fit(first)
    except ValueError as error:
        assert "no column to learn from" in str(error)  # noqa: PT017
        return
    X = encoder.transform(first)
    assert X.shape == (len(training), len(encoder.feature_names_out))
    assert np.isfinite(X).all()
    again = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    np.testing.assert_array_equal(again.transform(first), X)
    # each present or counted category gives exactly one 1
    start = 0
    for column in encoder.columns_:
        width = len(column.feature_names)
        if column.kind == "categorical":
            np.testing.assert_array_equal(X[:, start : start + width].sum(axis=1), 1.0)
        start += width
    try:
        encoded = encoder.transform(Table(names, [[cell] for cell in new[: len(names)]]))
    except ValueError as error:
        assert "must hold a finite number" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(encoded).all()


# ---------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (["a", "b", "a"], "classification", "the target holds words, such as 'a', in 2 different values"),
        (["1", "2", "x"], "classification", "the target holds words, such as 'x', in 3 different values"),
        (["True", "False"], "classification", "words"),
        (["0", "1"], "classification", "the target holds 2 different whole numbers, no more than 2"),
        (["0", "1.0", "", "1"], "classification", "the target holds 2 different whole numbers"),
        (["0", "1", "2"], "regression", "the target holds 3 different whole numbers, more than 2"),
        (
            [str(i % 3) for i in range(9)],
            "classification",
            "the target holds 3 different whole numbers, no more than 3",
        ),
        ([str(i % 4) for i in range(9)], "regression", "the target holds 4 different whole numbers, more than 3"),
        ([str(i % 20) for i in range(1000)], "classification", "20 different"),
        ([str(i % 21) for i in range(1000)], "regression", "21 different whole numbers, more than 20"),
        (["0.5", "1.5"] * 50, "regression", "the target holds numbers, not all of them whole"),
        (["7"], "classification", "the target holds 1 different whole number"),
    ],
)
def test_the_task_is_detected_by_the_rule(values, task, reason):
    detected, why = detect_task(values)
    assert detected == task
    assert reason in why


def test_a_target_without_values_has_no_task():
    for values in ([], ["", "NA"]):
        with pytest.raises(ValueError, match="all are missing"):
            detect_task(values)


def test_targets_are_numbers_or_labels():
    target = encode_target(table(y=["1.5", "", "2", "NA"]), "y")
    assert (target.task, target.rows) == ("regression", [0, 2])
    assert target.values.dtype == np.float64
    assert target.values.tolist() == [1.5, 2.0]
    labels = encode_target(table(y=["10", "2", "2.0"]), "y")
    assert labels.task == "classification"
    assert labels.values.tolist() == [10, 2, 2]
    assert labels.values.dtype.kind == "i"
    halves = encode_target(table(y=["0.5", "1.5"]), "y", "classification")
    assert halves.reason == "it was asked for"
    assert halves.values.tolist() == ["0.5", "1.5"]
    assert encode_target(table(y=["1e300", "2"]), "y").values.tolist() == ["1e300", "2"]
    words = encode_target(table(y=["b", "a", "1"]), "y")
    assert words.values.tolist() == ["b", "a", "1"]
    assert words.values.dtype.kind == "U"
    assert encode_target(table(y=["0", "1"]), "y", "regression").values.dtype == np.float64


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (["", "?"], "auto", "all values of the target 'y' are missing"),
        (["1", "x"], "regression", "line 2: the target 'y' must hold finite numbers for regression, got 'x'"),
        (["a", "a"], "auto", "the target 'y' has one value only: 'a'"),
        (["1.5", "1.50"], "auto", "the target 'y' has one value only: '1.5'"),
        (["1", "2"], "magic", "task must be one of 'auto', 'classification', 'regression', got 'magic'"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(cells, task, message):
    with pytest.raises(ValueError, match=message):
        encode_target(table(y=cells), "y", task)
