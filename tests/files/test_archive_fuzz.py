"""Damaged files: whatever is done to one, it is refused, or read as what it was.

SLTREES_FUZZ=100000 mutates so many files instead of 5,000. They are the same each time, and the first ones of more.
"""

import io
import os
import zipfile

import numpy as np
import pytest
from archive_files import bits, forged, pickled_npy, put_together, read, signed, taken_apart

from sltrees import NewtonTrainer, ShiftedReLUNetwork
from sltrees.files.archive import ArchiveError, read_archive, write_archive
from sltrees.network.packing import pack_network

N_MUTATIONS = int(os.environ.get("SLTREES_FUZZ", "5000"))
PER_TEST = 2000  # so that one that fails is soon found again
ON_DISK = 20  # one in so many is read from a file, by its path

_BOUNDARIES = (
    b"PK\3\4",
    b"PK\1\2",
    b"PK\6\6",
    b"PK\6\7",
    b"PK\5\6",
    b"\x93NUMPY",
    b"sltrees",
    b'"arrays"',
    b"<f",
    b"|b1",
)


def samples():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 3))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.standard_normal(8)


def small_network(**parameters):
    X, y = samples()
    network = ShiftedReLUNetwork(40, **{"shift": 0.5, "random_state": 0} | parameters)
    NewtonTrainer(network, tol=0.0, max_iter=2).fit(X, y)
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Bytes of some small files, and what is in them."""
    path = tmp_path_factory.mktemp("fuzz") / "file"
    contents = []

    def add():
        contents.append((path.read_bytes(), bits(read_archive(path))))

    write_archive(path, "empty", {}, {})
    add()
    header = {"floats": [0.1, float("nan"), float("inf")], "big": 2**100, "text": "äöü", "none": None}
    arrays = {"x": np.arange(6.0).reshape(2, 3), "flags": np.array([True, False]), "t": np.array(["a", "bc"])}
    write_archive(path, "test", header, arrays | {"none": np.empty((0, 4), np.int8), "zeros": np.zeros(100)})
    add()
    write_archive(path, "test", header, arrays | {"x": np.array(-0.0), "deep/er/y": np.arange(3, dtype=np.uint16)})
    add()
    for parameters in ({}, {"sampling": "rejection", "dtype": "float64"}):
        small_network(**parameters).save(path)
        add()
    return contents


# ---------------------------------------------------------------------- mutations


def span(rng, size, longest):
    start = int(rng.integers(size))
    return start, min(size, start + int(rng.integers(1, longest + 1)))


def near_a_boundary(rng, content):
    """A place in the structure of the zip archive, not in its data."""
    at = content.find(_BOUNDARIES[rng.integers(len(_BOUNDARIES))], int(rng.integers(len(content))))
    return min(len(content) - 1, at + int(rng.integers(0, 50))) if at >= 0 else int(rng.integers(len(content)))


def flip(rng, content, others):
    content = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 1, 2, 5, 30]))):
        content[rng.integers(len(content))] ^= int(rng.integers(1, 256))
    return bytes(content)


def flip_bit(rng, content, others):
    content = bytearray(content)
    content[near_a_boundary(rng, content)] ^= 1 << int(rng.integers(8))
    return bytes(content)


def set_field(rng, content, others):
    """Overwrite a number of 2, 4 or 8 bytes with an extreme one."""
    width = int(rng.choice([2, 4, 8]))
    value = int(rng.choice([0, 1, 2**7, 2**15, 2**31, 2**32 - 1, 2**62, -1])) % 2 ** (8 * width)
    at = near_a_boundary(rng, content)
    return content[:at] + value.to_bytes(width, "little") + content[at + width :]


def delete(rng, content, others):
    start, stop = span(rng, len(content), int(rng.choice([1, 16, 300])))
    return content[:start] + content[stop:]


def insert(rng, content, others):
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.choice([1, 2, 64, 300]))) + content[at:]


def truncate(rng, content, others):
    return content[: rng.integers(len(content))]


def behead(rng, content, others):
    return content[rng.integers(1, len(content)) :]


def append(rng, content, others):
    return content + (rng.bytes(int(rng.integers(1, 300))) if rng.random() < 0.7 else others[0])


def prepend(rng, content, others):
    return (rng.bytes(int(rng.integers(1, 300))) if rng.random() < 0.7 else others[0]) + content


def swap_blocks(rng, content, others):
    size = int(rng.choice([8, 64, 512]))
    a, b = sorted(int(k) for k in rng.integers(max(1, len(content) - size), size=2))
    b = max(b, a + size)
    return content[:a] + content[b : b + size] + content[a + size : b] + content[a : a + size] + content[b + size :]


def duplicate_chunk(rng, content, others):
    start, stop = span(rng, len(content), 400)
    at = int(rng.integers(len(content) + 1))
    return content[:at] + content[start:stop] + content[at:]


def overwrite_by_chunk(rng, content, others):
    start, stop = span(rng, len(content), 400)
    at = int(rng.integers(len(content)))
    return content[:at] + content[start:stop] + content[at + stop - start :]


def zero(rng, content, others):
    start, stop = span(rng, len(content), 600)
    return content[:start] + bytes([int(rng.choice([0, 255]))]) * (stop - start) + content[stop:]


def splice(rng, content, others):
    """The beginning of this file and the end of another."""
    other = others[rng.integers(len(others))]
    return content[: rng.integers(len(content) + 1)] + other[rng.integers(len(other)) :]


def garbage(rng, content, others):
    between = rng.bytes(int(rng.integers(2000)))
    return [between, content[:100] + between, between + content[-163:], content[:64] + between + content[-163:]][
        rng.integers(4)
    ]


def text_digit(rng, content, others):
    """Another digit where there is one, as in the document and the mark."""
    digits = [k for k, byte in enumerate(content) if 48 <= byte <= 57] or [0]
    at = digits[rng.integers(len(digits))]
    return content[:at] + b"%d" % rng.integers(10) + content[at + 1 :]


MUTATIONS = (
    *(flip, flip_bit, set_field, delete, insert, truncate, behead, append, prepend, swap_blocks, duplicate_chunk),
    *(overwrite_by_chunk, zero, splice, garbage, text_digit),
)


@pytest.mark.parametrize("part", range(-(-N_MUTATIONS // PER_TEST)))
def test_mutated_files_are_refused_or_read_as_what_they_were(files, part, tmp_path):
    rng = np.random.default_rng([2026, part])
    others = [content for content, _ in files]
    n_same = 0
    for k in range(min(PER_TEST, N_MUTATIONS - part * PER_TEST)):
        content, _ = files[rng.integers(len(files))]
        mutation = MUTATIONS[k % len(MUTATIONS)]
        mutated = mutation(rng, content, others)
        if rng.random() < 0.1:
            mutated = MUTATIONS[rng.integers(len(MUTATIONS))](rng, mutated or content, others)
        try:
            if k % ON_DISK:
                found = read(mutated)
            else:
                (tmp_path / "file").write_bytes(mutated)
                found = read_archive(tmp_path / "file")
        except ArchiveError:
            assert mutated != content
            continue
        # whole files may come out: the same one, or another
        whole = [what for other, what in files if other == mutated]
        assert whole, f"{mutation.__name__}, number {k} of part {part}, was not noticed"
        assert bits(found) == whole[0]
        n_same += mutated == content
    assert n_same < PER_TEST / 10


# ---------------------------------------------------------------------- tricks with the zip archive

MARKED = 163  # bytes of the mark


def rezipped(content, change=lambda name, data: [(name, data)], compression=zipfile.ZIP_STORED):
    """The file written anew by `zipfile`, with other members, and its mark, which says where the document is."""
    _, members = taken_apart(content)
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        raw = file.read("sltrees.json")
        mark = file.comment
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in [*members.items(), ("sltrees.json", raw)]:
            for entry in change(name, data):
                file.writestr(*entry)
        file.comment = mark
    changed = stream.getvalue()
    at = changed.find(raw)
    if at >= 0:  # and the mark is right
        changed = changed[:-MARKED] + changed[-MARKED:].replace(mark[16:36], b"%020d" % at)
    return changed


@pytest.fixture(params=[1, 3], ids=["arrays", "network"])
def content(request, files):
    return files[request.param][0]


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("change", "compression"),
    [
        (lambda name, data: [(name, data)], zipfile.ZIP_STORED),
        (lambda name, data: [(name, data)], zipfile.ZIP_DEFLATED),
        (lambda name, data: [(name, data)], zipfile.ZIP_BZIP2),
        (lambda name, data: [(name, data)], zipfile.ZIP_LZMA),
        (lambda name, data: [(name, data), (name, data)], zipfile.ZIP_STORED),
        (lambda name, data: [(name + "x", data)], zipfile.ZIP_STORED),
        (lambda name, data: [("../" + name, data)], zipfile.ZIP_STORED),
        (lambda name, data: [(name, data), ("more.npy", data)], zipfile.ZIP_STORED),
        (lambda name, data: [(name, bytes(3_000_000))] if name[-1] == "y" else [(name, data)], zipfile.ZIP_DEFLATED),
        (lambda name, data: [(name, pickled_npy({}))] if name[-1] == "y" else [(name, data)], zipfile.ZIP_STORED),
    ],
    ids=["again", "deflated", "bzip2", "lzma", "duplicated", "renamed", "outside", "more", "bomb", "pickle"],
)
def test_archives_zipped_by_others_are_refused(content, change, compression):
    with pytest.raises(ArchiveError):
        read(rezipped(content, change, compression))


@pytest.mark.parametrize("signature", [b"PK\3\4", b"PK\1\2"], ids=["local", "central"])
@pytest.mark.parametrize(
    ("field", "value"), [("flags", 1), ("flags", 8), ("flags", 0x800), ("method", 8), ("method", 99), ("size", 1 << 31)]
)
def test_entries_that_say_other_things_are_refused(content, signature, field, value):
    # encrypted, with a descriptor behind, with another encoding, compressed; sizes in the 64-bit field
    offset = {"flags": 6, "method": 8, "size": 46 + 20}[field] + (
        2 if signature == b"PK\1\2" and field != "size" else 0
    )
    at = content.find(signature)
    changed = content[: at + offset] + value.to_bytes(4 if field == "size" else 2, "little")
    changed += content[len(changed) :]
    assert changed != content
    with pytest.raises(ArchiveError):
        read(changed)


def test_members_that_overlap_or_change_places_are_refused(content):
    document, members = taken_apart(content)
    with pytest.raises(ArchiveError):
        read(put_together(document, dict(reversed(members.items()))))
    first, second = list(members)[:2]
    with pytest.raises(ArchiveError):
        read(put_together(document, members | {first: members[second], second: members[first]}))


# ---------------------------------------------------------------------- nonsense with checksums that hold


def changed_value(rng, value):
    """Something else in the place of a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {other: value[other] for other in value if other != key}
        return value | {key: changed_value(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        k = int(rng.integers(len(value)))
        if rng.random() < 0.2:
            return [value[:k], value[k:], value * 2, value[::-1]][rng.integers(4)]
        return [*value[:k], changed_value(rng, value[k]), *value[k + 1 :]]
    if type(value) is int and rng.random() < 0.5:
        return [value + 1, value - 1, -value, value * 2, value << 40, 2**62 + value][rng.integers(6)]
    if isinstance(value, float) and rng.random() < 0.5:
        return [value / 2, -value, value * 1e300, 0.0][rng.integers(4)]
    choices = [None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 0.5, -0.0, 1e308, "", "x", [], {}, [[]], {"a": 1}]
    choices += ["paired", "gaussian", "dense", "rejection", "float64", "<f8", "|O", "<i8", {"$int": "f" * 40}]
    choices += [{"$float": "7ff8000000000000"}, {"$float": "7ff0000000000000"}, "auto", "0" * 64]
    return choices[rng.integers(len(choices))]


def changed_array(rng, array):
    """An array of another dtype, shape or content."""
    array = array.copy()
    how = rng.integers(8)
    if how == 0:
        dtypes = [np.float32, np.float64, np.int64, np.int32, np.bool_, np.uint64, "<U3"]
        with np.errstate(all="ignore"):
            return array.astype(dtypes[rng.integers(len(dtypes))])
    if how == 1:
        return array[: rng.integers(len(array) + 1)]
    if how == 2:
        return np.concatenate([array, array[rng.integers(len(array) + 1) :]])
    if how == 3:
        return array[::-1]
    if how == 4:
        return array.reshape([(-1,), (1, -1), (-1, 1)][rng.integers(3)])
    if array.size and how < 7:
        extremes = (
            [0, 1, -1, 2**31, 2**62, 2**63 - 1]
            if array.dtype.kind == "i"
            else [0.0, np.nan, np.inf, 1e38, -1e30, 1e-45]
        )
        array.reshape(-1)[rng.integers(array.size)] = extremes[rng.integers(6)]
        return array
    raw = bytearray(array.tobytes())
    if raw:
        raw[rng.integers(len(raw))] ^= int(rng.integers(1, 256))
    return np.frombuffer(bytes(raw), dtype=array.dtype).reshape(array.shape)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of huge weights, on other threads
@pytest.mark.parametrize("part", range(-(-N_MUTATIONS // 20 // 500)))
def test_networks_of_nonsense_are_refused_or_are_networks(part, tmp_path):
    """Checksums hold, so that what a network is made of is all that there is to be checked."""
    rng = np.random.default_rng([2027, part])
    X, y = samples()
    own = [
        pack_network(small_network(**parameters))
        for parameters in ({}, {"init": "gaussian"}, {"sampling": "rejection"}, {"dtype": "float64"})
    ]
    n_refused, n_loaded = 0, 0
    for _ in range(min(500, N_MUTATIONS // 20 - part * 500)):
        header, arrays = own[rng.integers(len(own))]
        arrays = dict(arrays)
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            if rng.random() < 0.5:
                header = changed_value(rng, header)
            else:
                name = list(arrays)[rng.integers(len(arrays))]
                arrays[name] = changed_array(rng, arrays[name])
        if rng.random() < 0.05:
            del arrays[list(arrays)[rng.integers(len(arrays))]]
        (tmp_path / "file").write_bytes(forged("network", header, arrays))
        try:
            network = ShiftedReLUNetwork.load(tmp_path / "file")
        except ArchiveError:
            n_refused += 1
            continue
        n_loaded += 1
        if network.shift_ is None or network.width > 10**6:
            continue
        if network.n_features_in_ == X.shape[1]:
            network.predict(X, n_threads=1)
            network.digest()
            if not network.state.compacted and n_loaded % 5 == 0:
                NewtonTrainer(network, tol=0.0, max_iter=1, executor="inline").fit(X, y)
    assert n_refused > n_loaded > 0


def test_documents_changed_with_checksums_that_hold_are_refused_or_say_what_was_written(files):
    """A document of the file's own is changed, so that the reader's rules, and no checksum, must find it."""
    rng = np.random.default_rng(2028)
    for k in range(N_MUTATIONS // 20):
        content, _ = files[rng.integers(len(files))]
        document, members = taken_apart(content)
        changed = changed_value(rng, {"arrays": document["arrays"], "kind": document["kind"]})
        if not isinstance(changed, dict):
            continue
        try:
            changed = {"kind": document["kind"], "header": {}} | changed
            forgery = put_together(
                {key: changed[key] for key in ("kind", "header", "arrays") if key in changed}, members
            )
            if k % 2:
                forgery = put_together(signed(changed, members), members)
        except (KeyError, TypeError, IndexError):
            continue  # there is no such member whose checksum could be given
        try:
            found = read(forgery)
        except ArchiveError:
            continue
        for name, array in found.arrays.items():
            assert members[f"{name}.npy"].endswith(array.tobytes())
