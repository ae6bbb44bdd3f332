"""Files of arrays and a header: what comes back, what is refused, and what a write that fails leaves behind."""

import errno
import io
import json
import math
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive_files import bits, forged, pickled_npy, put_together, read, signed, taken_apart
from hypothesis import given
from hypothesis import strategies as st

from sltrees.files import archive
from sltrees.files.archive import Archive, ArchiveError, read_archive, write_archive
from sltrees.files.arrays import npy_head
from sltrees.files.header import encoded

DTYPES = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "<U1", "<U7")
SHAPES = ((), (0,), (1,), (7,), (3, 0, 2), (2, 3, 4), (1,) * 64)


def values(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "U":
        return np.array(rng.choice(["", "a", "äöü", "\U0001f600", "seven77"], shape), dtype=dtype).reshape(shape)
    if dtype == "?":
        return np.asarray(rng.integers(0, 2, shape), dtype=bool)
    array = np.frombuffer(rng.bytes(max(1, math.prod(shape)) * np.dtype(dtype).itemsize), dtype=dtype)
    return array[: math.prod(shape)].reshape(shape)  # any bits: NaN of all kinds among them


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.file"


# ---------------------------------------------------------------------- what comes back


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_come_back_bit_for_bit_and_numpy_reads_them(path, dtype, shape):
    array = values(dtype, shape)
    write_archive(path, "test", {}, {"x": array, "again/x.y-z_0": array})
    found = read_archive(path)
    assert found.kind == "test"
    assert list(found.arrays) == ["x", "again/x.y-z_0"]
    with np.load(path, allow_pickle=False) as file:
        for name, other in found.arrays.items():
            assert bits(other) == bits(array)
            assert bits(file[name]) == bits(array)
            assert other.flags.c_contiguous
            assert other.flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(4, 6).T,
        np.asfortranarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)),
        np.arange(40.0)[::-3],
        np.broadcast_to(np.float32(3), (5, 4)),
        np.arange(9, dtype=">i4").reshape(3, 3),
        np.array(["ab", "ü"], dtype=">U3")[::-1],
        (np.arange(10) % 3 == 0)[::2],
        np.array([[1.0, 2.0]]).view(np.matrix),
    ],
    ids=["transposed", "fortran", "strided", "broadcast", "big-endian", "big-endian-text", "bool", "matrix"],
)
def test_arrays_in_any_order_come_back_in_c_order_and_native(path, array):
    write_archive(path, "test", {}, {"x": array})
    other = read_archive(path).arrays["x"]
    assert type(other) is np.ndarray
    assert np.array_equal(other, array)
    assert other.flags.c_contiguous
    assert other.dtype.isnative
    assert other.dtype == array.dtype.newbyteorder("=")


def test_arrays_of_many_chunks_come_back(path, monkeypatch):
    monkeypatch.setattr("sltrees.files.arrays.CHUNK", 64)
    arrays = {"x": np.arange(1000.0).reshape(10, 100), "y": np.arange(1000.0).reshape(10, 100).T, "z": np.zeros(8)}
    write_archive(path, "test", {}, arrays)
    found = read_archive(path).arrays
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    monkeypatch.undo()
    assert bits(read_archive(path).arrays) == bits(found)


HEADER = {
    "none": None,
    "flags": [True, False],
    "text": 'äöü\u0000\ud800\U0001f600 "quoted" \n',
    "ints": [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**200), 10**5000],
    "floats": [0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan],
    "nan": struct.unpack("<d", bytes.fromhex("0102030405f6ffff"[:16]))[0],
    "": {"nested": [[], {}, [{"a": []}]]},
}


def test_headers_come_back_bit_for_bit(path):
    write_archive(path, "test", HEADER, {})
    found = read_archive(path)
    assert bits(found.header) == bits(HEADER)
    assert found.arrays == {}


texts = st.text(st.sampled_from('a$\u00e4\0\ud800\U0001f600"\\'), max_size=4)
keys = texts.filter(lambda key: key[:1] != "$")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(keys, json_values, max_size=3))
def test_any_header_comes_back(header):
    found = archive._parsed(archive._dumped("test", encoded(header, "header"), []))[1]
    assert bits(found) == bits(header)


def test_tuples_come_back_as_lists_and_subclasses_as_what_they_are(path):
    class Name(str):
        __slots__ = ()

    write_archive(path, "test", {"t": (1, (2,)), "f": np.float64(0.5), Name("n"): Name("x")}, {})
    assert bits(read_archive(path).header) == bits({"t": [1, [2]], "f": 0.5, "n": "x"})


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_archive(tmp_path / name, "test", HEADER, {"x": values("f4", (3, 4)), "y": values("i8", ())})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_are_sound_zip_archives_that_state_what_they_are(path):
    write_archive(path, "test", {"a": 1}, {"x": values("f4", (3, 4)), "y/z": values("i8", (0,))})
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert file.namelist() == ["x.npy", "y/z.npy", "sltrees.json"]
        assert all(member.compress_type == zipfile.ZIP_STORED for member in file.infolist())
        assert all(member.compress_size == member.file_size for member in file.infolist())
        assert json.loads(file.read("sltrees.json"))["header"] == {"a": 1}
        assert file.comment.endswith(b"sltrees archive 00000001")


def test_what_is_put_together_by_hand_for_these_tests_is_what_is_written(path):
    arrays = {"x": values("f4", (3, 4)), "t": values("<U7", (2,))}
    write_archive(path, "test", {"a": 1}, arrays)
    content = path.read_bytes()
    document, members = taken_apart(content)
    compact = json.dumps(signed(document, members), separators=(",", ":")).encode()
    assert put_together(compact, members) == content
    assert bits(read(forged("test", {"a": 1}, arrays))) == bits(read_archive(path))


def test_paths_of_any_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    longest = "ü" * 127
    for target in ("plain", tmp_path / "path", Path("relative"), longest, str(tmp_path / "no.npz.at.the.end")):
        write_archive(target, "test", {}, {"x": np.arange(2)})
        assert read_archive(target).arrays["x"].tolist() == [0, 1]
    assert {entry.name for entry in tmp_path.iterdir()} == {"plain", "path", "relative", longest, "no.npz.at.the.end"}
    for wrong in (None, 3, 1.5):
        with pytest.raises(TypeError):
            write_archive(wrong, "test", {}, {})
        with pytest.raises(TypeError):
            read_archive(wrong)


def test_neither_writing_nor_reading_copies_big_arrays(path):
    array = np.arange(1 << 22, dtype=np.float64).reshape(1 << 11, 1 << 11)
    for source in (array, array.T, array.astype(">f8")):
        tracemalloc.start()
        try:
            write_archive(path, "test", {}, {"x": source})
            assert tracemalloc.get_traced_memory()[1] < array.nbytes / 4
            tracemalloc.reset_peak()
            found = read_archive(path)
            assert tracemalloc.get_traced_memory()[1] < 1.25 * array.nbytes
        finally:
            tracemalloc.stop()
        assert np.array_equal(found.arrays["x"], source)


# ---------------------------------------------------------------------- what is not written


@pytest.mark.parametrize("kind", ["", "Network", "a b", "9", "a" * 65, None, 3, "netw\u00f6rk", "a\n"])
def test_kinds_that_are_refused(path, kind):
    with pytest.raises(ValueError, match="kind must be"):
        write_archive(path, kind, {}, {})
    assert not path.exists()


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        ([], TypeError, "header must be a dict, got list"),
        ({1: 2}, TypeError, "keys of header must be str, got 1"),
        ({"a": {"$int": "1"}}, ValueError, r"keys of header\['a'\] must not begin with '\$'"),
        ({"a": [1, {"b": b"x"}]}, TypeError, r"header\['a'\]\[1\]\['b'\] must be None, bool, .*, got bytes"),
        ({"a": np.float32(1)}, TypeError, "got float32"),
        ({"a": np.int64(1)}, TypeError, "got int64"),
        ({"a": np.zeros(2)}, TypeError, "got ndarray"),
        ({"a": 1j}, TypeError, "got complex"),
        ({"a": {1}}, TypeError, "got set"),
        ({"a": "x" * (1 << 24)}, ValueError, "must take at most 16,777,216 bytes"),
    ],
)
def test_headers_that_are_refused(path, header, error, message):
    with pytest.raises(error, match=message):
        write_archive(path, "test", header, {})
    assert not path.exists()


def test_headers_in_a_circle_are_refused(path):
    header = {}
    header["self"] = header
    with pytest.raises(ValueError, match="nested deeper than 100"):
        write_archive(path, "test", header, {})


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array([1 + 2j]),
        np.zeros(2, np.float16),
        np.array([b"x"]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(2, dtype=[("a", "f4")]),
        np.zeros(2, "V3"),
        np.zeros(2, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
def test_dtypes_that_are_refused(path, array):
    with pytest.raises(TypeError, match="array 'x' must be of bool, integers, float32, float64 or str, got dtype"):
        write_archive(path, "test", {}, {"x": array})
    assert not path.exists()


@pytest.mark.parametrize("array", [[1.0], 2.0, None, np.float64(3), np.ma.masked_array([1.0], [True])])
def test_what_is_no_array_is_refused(path, array):
    with pytest.raises(TypeError, match="array 'x' must be an ndarray, got"):
        write_archive(path, "test", {}, {"x": array})
    with pytest.raises(TypeError, match="arrays must be a dict, got list"):
        write_archive(path, "test", {}, [array])


def test_bytes_that_are_no_values_are_refused(path):
    with pytest.raises(ValueError, match="array 'x' holds bytes that are no bool"):
        write_archive(path, "test", {}, {"x": np.array([0, 1, 2], dtype=np.uint8).view(bool)})
    with pytest.raises(ValueError, match="array 'x' holds bytes that are no text"):
        write_archive(path, "test", {}, {"x": np.array([0x110000], dtype=np.uint32).view("<U1")})


@pytest.mark.parametrize(
    "name",
    ["", "/x", "x/", "a//b", "../x", "a/../b", ".x", "-x", "a b", "ü", "a\\b", "x.npy", "x\n", "x" * 1001, 3, None],
)
def test_names_that_are_refused(path, name):
    with pytest.raises(ValueError, match="names of arrays must be"):
        write_archive(path, "test", {}, {name: np.zeros(1)})
    assert not path.exists()


# ---------------------------------------------------------------------- foreign files


def refused(path, message, kind=None):
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(path, kind)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"P",
        b"PK\3\4",
        b"hello, world\n" * 100,
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        bytes(163),
        b"PK\3\4" + bytes(999),
    ],
    ids=["empty", "a byte", "four", "text", "png", "zeros", "zip-like"],
)
def test_foreign_files_are_refused(path, content):
    path.write_bytes(content)
    refused(path, "is not an sltrees file")


def test_files_of_numpy_and_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    np.savez_compressed(tmp_path / "b.npz", x=np.zeros(3))
    np.save(tmp_path / "c.npy", np.zeros(3))
    (tmp_path / "d.npy").write_bytes(pickled_npy({}))
    for entry in tmp_path.iterdir():
        refused(entry, "is not an sltrees file")


def test_other_kinds_are_refused(path):
    write_archive(path, "checkpoint", {}, {})
    refused(path, "holds a 'checkpoint', not a 'network'", "network")
    refused(path, "holds a 'checkpoint', not an 'estimator'", "estimator")
    assert read_archive(path, "checkpoint") == Archive("checkpoint", {}, {}, archive.VERSION)


def test_newer_versions_are_refused_as_such(path):
    write_archive(path, "test", {}, {})
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"3")
    refused(path, r"was written by a newer version \(format 3, this version reads up to 1\)")
    path.write_bytes(b"whatever it is then sltrees archive 00000012")
    refused(path, r"was written by a newer version \(format 12,")
    path.write_bytes(content[:-1] + b"0")
    refused(path, "is not an sltrees file, or the end of it is damaged")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "missing")
    with pytest.raises(IsADirectoryError) as caught:
        read_archive(tmp_path)
    assert caught.value.filename == str(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        read_archive(tmp_path / "file" / "x")
    os.mkfifo(tmp_path / "fifo")
    for special in (tmp_path / "fifo", "/dev/null", "/dev/zero"):
        refused(special, "is not a regular file")
        with pytest.raises(ArchiveError, match="is not a regular file: it is not replaced"):
            write_archive(special, "test", {}, {})


# ---------------------------------------------------------------------- damaged files


@pytest.fixture
def content(path):
    write_archive(path, "test", {"a": [1, 2]}, {"x": np.arange(3.0), "flag": np.array([True, False])})
    return path.read_bytes()


def test_errors_say_what_is_damaged(path, content):
    at = content.index(np.arange(3.0).tobytes())
    path.write_bytes(content[: at + 9] + b"\x01" + content[at + 10 :])
    refused(path, "is damaged: array 'x' does not match its checksum")
    at = content.index(b'"kind":"test"')
    path.write_bytes(content[:at] + b'"kind":"tent"' + content[at + 13 :])
    refused(path, "is damaged: its header does not match its checksum")
    path.write_bytes(content[:-40])
    refused(path, "is not an sltrees file, or the end of it is damaged or cut off")
    path.write_bytes(content[:4] + content[5:])
    refused(path, "is damaged")
    path.write_bytes(content[:10] + b"\x07" + content[11:])
    refused(path, "is damaged: the zip entry of array 'x' is not as it was written")
    at = content.index(b"PK\1\2")
    path.write_bytes(content[: at + 10] + b"\x07" + content[at + 11 :])
    refused(path, "is damaged: its zip directory is not as it was written")


def test_every_byte_counts(content):
    assert read(content).header == {"a": [1, 2]}
    for k in range(len(content)):
        for changed in (bytes([content[k] ^ 1 << k % 8]) + content[k + 1 :], b"", content[k + 1 :]):
            with pytest.raises(ArchiveError):
                read(content[:k] + changed)


def test_a_file_that_shrinks_while_it_is_read_is_refused(content):
    with pytest.raises(ArchiveError):
        archive._read(io.BytesIO(content[: len(content) // 2]), len(content))


# ---------------------------------------------------------------------- nonsense with checksums that hold

LONG = "9" * 5000

DOCUMENTS = {
    "not JSON": b"{",
    "not ASCII": '{"kind":"tüst"}'.encode(),
    "UTF-16": '{"kind":"test","header":{},"arrays":[]}'.encode("utf-16"),
    "a list": b"[]",
    "no arrays": b'{"kind":"test","header":{}}',
    "more": b'{"kind":"test","header":{},"arrays":[],"more":1}',
    "twice": b'{"kind":"test","kind":"test","header":{},"arrays":[]}',
    "no kind": b'{"kind":"","header":{},"arrays":[]}',
    "kind is a number": b'{"kind":1,"header":{},"arrays":[]}',
    "header is a list": b'{"kind":"test","header":[],"arrays":[]}',
    "header is a number": b'{"kind":"test","header":{"$int":"1"},"arrays":[]}',
    "arrays is a dict": b'{"kind":"test","header":{},"arrays":{}}',
    "deep": b'{"kind":"test","header":{"a":' + b"[" * 200_000 + b"]" * 200_000 + b'},"arrays":[]}',
    "NaN": b'{"kind":"test","header":{"a":NaN},"arrays":[]}',
    "Infinity": b'{"kind":"test","header":{"a":-Infinity},"arrays":[]}',
    "too large": b'{"kind":"test","header":{"a":1e999},"arrays":[]}',
    "long integer": f'{{"kind":"test","header":{{"a":{LONG}}},"arrays":[]}}'.encode(),
    "unknown $": b'{"kind":"test","header":{"a":{"$list":"1"}},"arrays":[]}',
    "$ among others": b'{"kind":"test","header":{"a":{"$int":"1","b":2}},"arrays":[]}',
    "$int of a number": b'{"kind":"test","header":{"a":{"$int":1}},"arrays":[]}',
    "$int of no number": b'{"kind":"test","header":{"a":{"$int":"0x1"}},"arrays":[]}',
    "$float too short": b'{"kind":"test","header":{"a":{"$float":"7f"}},"arrays":[]}',
    "empty": b"",
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_that_make_no_sense_are_refused(document):
    with pytest.raises(ArchiveError, match="is damaged: its header"):
        read(put_together(document, {}))


ENTRIES = {
    "no list": "x",
    "too short": ["x", "<f8", [3]],
    "name is a number": [3, "<f8", [3], ""],
    "name leads outside": ["../x", "<f8", [3], ""],
    "name is long": ["x" * 2000, "<f8", [3], ""],
    "objects": ["x", "|O", [3], ""],
    "object again": ["x", "O", [1], ""],
    "half precision": ["x", "<f2", [12], ""],
    "big-endian": ["x", ">f8", [3], ""],
    "bytes": ["x", "|S8", [3], ""],
    "empty text": ["x", "<U0", [3], ""],
    "text too long": ["x", "<U999999999", [0], ""],
    "longer": ["x", "<U" + LONG, [0], ""],
    "other digits": ["x", "<U\u0663", [0], ""],
    "dtype is a list": ["x", [["a", "<f8"]], [3], ""],
    "record": ["x", "<f8,<f8", [3], ""],
    "negative": ["x", "<f8", [-3], ""],
    "twice negative": ["x", "<f8", [-3, -1], ""],
    "float length": ["x", "<f8", [3.0], ""],
    "bool length": ["x", "<f8", [True], ""],
    "huge": ["x", "<f8", [2**62], ""],
    "huge product": ["x", "<f8", [2**32, 2**32], ""],
    "huge and empty": ["x", "<f8", [0, 2**62, 4], ""],
    "larger than the file": ["x", "<f8", [10**12], ""],
    "smaller than the file": ["x", "<f8", [2], ""],
    "many dimensions": ["x", "<f8", [1] * 65 + [3], ""],
    "shape is a number": ["x", "<f8", 3, ""],
    "other shape of that size": ["x", "<f8", [1, 3], ""],
    "other dtype of that size": ["x", "<i8", [3], ""],
    "checksum is a number": ["x", "<f8", [3], 5],
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_arrays_that_make_no_sense_are_refused_before_anything_is_allocated(content, entry):
    document, members = taken_apart(content)
    if isinstance(entry, list) and len(entry) == 4 and entry[3] == "":
        entry = [*entry[:3], document["arrays"][0][3]]
    document["arrays"][0] = entry
    forgery = put_together(document, members)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="is damaged"):
            read(forgery)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_more_dimensions_than_numpy_has_are_refused():
    for ndim in (64, 65):
        shape, data = (1,) * ndim, np.float64(3).tobytes()
        members = {"x.npy": npy_head(np.dtype("<f8"), shape) + data}
        document = {"kind": "test", "header": {}, "arrays": [["x", "<f8", list(shape), ""]]}
        forgery = put_together(signed(document, members), members)
        if ndim == 64:
            assert read(forgery).arrays["x"].item() == 3
        else:
            with pytest.raises(ArchiveError, match=r"array 'x' has the shape .*, which no array can have"):
                read(forgery)


def test_arrays_listed_twice_missing_or_unlisted_are_refused(content):
    document, members = taken_apart(content)
    entries = document["arrays"]
    for wrong in (
        [*entries, entries[0]],
        entries[:1],
        entries[1:],
        [],
        [*entries, ["y", "<f8", [0], ""]],
        entries[::-1],
    ):
        with pytest.raises(ArchiveError, match="is damaged"):
            read(put_together(document | {"arrays": wrong}, members))
    for extra in ("y.npy", "sltrees.json2", "x"):
        with pytest.raises(ArchiveError, match="is damaged"):
            read(put_together(document, members | {extra: members["x.npy"]}))
    renamed = dict(zip(["y.npy", "flag.npy"], members.values(), strict=True))
    with pytest.raises(ArchiveError, match="is damaged"):
        read(put_together(document, renamed))


def test_npy_heads_are_not_believed(content):
    document, members = taken_apart(content)
    head, data = members["x.npy"][:128], members["x.npy"][128:]
    assert b"(3,)" in head
    for old, new in ((b"(3,)", b"(9,)"), (b"<f8", b"|O "), (b"False", b"True "), (b"NUMPY\x01", b"NUMPY\x02")):
        other = members | {"x.npy": head.replace(old, new) + data}
        with pytest.raises(ArchiveError, match="array 'x' does not match"):
            read(put_together(signed(document, other), other))


def test_bytes_that_are_no_values_are_refused_by_the_reader_too():
    for array, what in (
        (np.array([0, 1, 2], dtype=np.uint8).view(bool), "bool"),
        (np.array([0x110000], dtype=np.uint32).view("<U1"), "text"),
    ):
        with pytest.raises(ArchiveError, match=f"array 'x' holds what is no {what}"):
            read(forged("test", {}, {"x": array}))


def test_arrays_that_memory_does_not_hold_are_refused_before_they_are_allocated(path, monkeypatch):
    write_archive(path, "test", {}, {"x": np.zeros(1000)})
    monkeypatch.setattr("sltrees._memory.available_memory", lambda: 5000)
    with pytest.raises(MemoryError, match="reading its arrays needs"):
        read_archive(path)


class _Payload:
    def __reduce__(self):
        return (os.mkdir, (_Payload.target,))


def test_pickles_are_never_read(tmp_path, content):
    _Payload.target = str(tmp_path / "was run")
    payload = pickled_npy(_Payload())
    document, members = taken_apart(content)
    members["x.npy"] = payload
    for dtype, shape in (("|O", [1]), ("|u1", [len(payload) - 128]), ("<f8", [3])):
        document["arrays"][0][1:3] = [dtype, shape]
        forgery = put_together(signed(document, members), members)
        with pytest.raises(ArchiveError):
            read(forgery)
        with pytest.raises(ArchiveError):
            read(payload + forgery)
    assert not (tmp_path / "was run").exists()
    _Payload.target = str(tmp_path)
    payload = io.BytesIO(pickled_npy(_Payload()))
    with pytest.raises(FileExistsError):  # it would have been: the payload is one
        np.load(payload, allow_pickle=True)


# ---------------------------------------------------------------------- replacing files


def failing(monkeypatch, name, error, after=0):
    """Make a function of os fail, from its call number `after` on."""
    original, calls = getattr(os, name), []

    def fails(*arguments, **keywords):
        calls.append(arguments)
        if len(calls) > after:
            raise error
        return original(*arguments, **keywords)

    monkeypatch.setattr(os, name, fails)


@pytest.mark.parametrize("name", ["replace", "fsync", "open", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt()], ids=["OSError", "Ctrl-C"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, path, monkeypatch, name, error):
    write_archive(path, "test", {"old": 1}, {})
    failing(monkeypatch, name, error)
    with pytest.raises(type(error)):
        write_archive(path, "test", {"new": 1}, {"x": np.arange(3)})
    monkeypatch.undo()
    assert read_archive(path).header == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_reported_and_leaves_nothing(tmp_path, path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(archive, "complete", full)
    with pytest.raises(OSError, match="no space"):
        write_archive(path, "test", {}, {"x": np.zeros(100)})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_synchronised_is_no_failure_unless_the_disk_says_so(path, monkeypatch):
    failing(monkeypatch, "open", PermissionError(errno.EACCES, "no"), after=1)
    write_archive(path, "test", {"k": 1}, {})
    monkeypatch.undo()
    failing(monkeypatch, "fsync", OSError(errno.EINVAL, "no such thing"), after=1)
    write_archive(path, "test", {"k": 2}, {})
    monkeypatch.undo()
    failing(monkeypatch, "fsync", OSError(errno.EIO, "broken"), after=1)
    with pytest.raises(OSError, match="broken"):
        write_archive(path, "test", {"k": 3}, {})
    monkeypatch.undo()
    assert read_archive(path).header == {"k": 3}


def test_missing_directories_and_directories_are_named_as_they_were_given(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        write_archive(tmp_path / "missing" / "x", "test", {}, {})
    assert caught.value.filename == os.path.realpath(tmp_path / "missing" / "x")
    with pytest.raises(IsADirectoryError):
        write_archive(tmp_path, "test", {}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_what_replaces_a_file_is_never_open_to_more_than_that_was(path, mode, monkeypatch):
    write_archive(path, "test", {}, {})
    path.chmod(mode)
    seen = []

    def watch(name):
        original = getattr(os, name)

        def watched(*arguments, **keywords):
            result = original(*arguments, **keywords)
            seen.extend(stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir())
            return result

        monkeypatch.setattr(os, name, watched)

    before = os.umask(0)
    try:
        for name in ("open", "chmod", "fsync", "replace"):
            watch(name)
        write_archive(path, "test", {"secret": 1}, {"x": np.arange(3)})
    finally:
        os.umask(before)
        monkeypatch.undo()
    assert len(seen) >= 7
    assert not [oct(found) for found in seen if found & 0o077 & ~mode]
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("kind", ["", {}, 3, b"test", "Test", "te st"])
def test_a_kind_that_no_file_can_be_of_is_refused_before_anything_is_read(path, kind):
    for call in (lambda: read_archive(path, kind), lambda: write_archive(path, kind, {}, {})):
        with pytest.raises(ValueError, match=r"kind must be lower-case letters, digits, '-' and '_', got"):
            call()
    assert not path.exists()


def test_permissions_are_those_of_any_new_file_or_of_the_one_replaced(tmp_path, path):
    before = os.umask(0o027)
    try:
        write_archive(path, "test", {}, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o666, 0o444):
            path.chmod(mode)
            write_archive(path, "test", {"mode": mode}, {})
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert read_archive(path).header == {"mode": mode}
    finally:
        os.umask(before)


def test_links_are_followed(tmp_path):
    target, link, broken = tmp_path / "target", tmp_path / "link", tmp_path / "broken"
    link.symlink_to("target")
    broken.symlink_to("elsewhere")
    write_archive(target, "test", {"k": 1}, {})
    write_archive(link, "test", {"k": 2}, {})
    write_archive(broken, "test", {"k": 3}, {})
    assert link.is_symlink()
    assert broken.is_symlink()
    assert read_archive(target).header == {"k": 2}
    assert read_archive(tmp_path / "elsewhere").header == {"k": 3}


def test_readers_keep_what_they_opened(path):
    write_archive(path, "test", {"k": 1}, {})
    with open(path, "rb") as file:
        write_archive(path, "test", {"k": 2}, {})
        assert read(file.read()).header == {"k": 1}
    assert read_archive(path).header == {"k": 2}


DYING = """
import os, random, signal, sys, time
import numpy as np
from sltrees.files import archive
path = sys.argv[1]

def write(k):
    archive.write_archive(path, "test", {"k": k}, {"x": np.full(50_000, k), "y": np.full(3, k)})

def whole():
    found = archive.read_archive(path)
    k = found.header["k"]
    assert (found.arrays["x"] == k).all() and (found.arrays["y"] == k).all()
    return k

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(99)
    return pid

def die(*arguments):
    os._exit(7)

def dies_at(module, name, call, first):
    # in the call of this number, before or after it does its work
    original, calls = getattr(module, name), []
    def wrapped(*arguments, **keywords):
        calls.append(name)
        if len(calls) > call and first:
            die()
        result = original(*arguments, **keywords)
        if len(calls) > call:
            die()
        return result
    setattr(module, name, wrapped)

write(1)
stages = [(os, "open", 0), (os, "fsync", 0), (os, "replace", 0), (os, "open", 1), (os, "fsync", 1), (os, "close", 0),
          (archive, "complete", 0), (archive, "complete", 1), (archive, "complete", 2), (archive, "ending", 0)]
for module, name, call in stages:
    for first in (True, False):
        write(1)
        def work():
            dies_at(module, name, call, first)
            write(2)
        status = os.waitstatus_to_exitcode(os.waitpid(child(work), 0)[1])
        assert status == 7, (name, call, first, status)
        replaced = (name == "replace" and not first) or call == 1 and module is os or name == "close"
        assert whole() == (2 if replaced else 1), (name, call, first)

def forever():
    k = 2
    while True:
        write(k)
        k += 1

for _ in range(20):
    pid = child(forever)
    time.sleep(random.uniform(0.002, 0.03))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    whole()
print("whole")
"""


def test_a_process_that_dies_at_any_moment_leaves_a_whole_file(path):
    write_archive(path, "test", {"k": 1}, {"x": np.ones(1, int), "y": np.ones(1, int)})
    command = [sys.executable, "-W", "ignore", "-c", DYING, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "whole\n", done.stderr
