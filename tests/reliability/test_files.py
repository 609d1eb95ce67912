import errno
import gc
import io
import os
import resource
import socket
import sys
import zipfile

import numpy as np
import pytest

from uncertainty_suite import files
from uncertainty_suite.errors import InputError

FULL = "Cannot write {}: No space left on device. All that was written before is whole: mend that, and give the same "


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, where):
    path = tmp_path / "file.json"
    files.write_json(path, {"old": 1})

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where != "write":
        monkeypatch.setattr(os, where, fail)
    with pytest.raises(InputError) as error:
        files.write_atomic(path, fail if where == "write" else lambda file: file.write(b"new"))
    assert str(error.value).startswith(FULL.format(path))
    assert files.read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_arrays_are_written_as_numpy_writes_them(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3).T, "run": np.array("a"), "none": np.zeros((0, 3), np.float16)}
    files.write_arrays(tmp_path / "ours.npz", arrays)
    np.savez(tmp_path / "theirs.npz", **arrays)
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()


def test_arrays_for_which_there_is_no_room_leave_nothing_that_is_said_later(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most[1]))
    try:
        with pytest.raises(InputError, match=r"Cannot write .*x\.npz: File too large\. All that was written before"):
            files.write_arrays(tmp_path / "x.npz", {"x": np.zeros(9), "y": np.zeros(99_999)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    gc.collect()
    assert said == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Needs Linux's /dev/full.")
def test_a_line_that_cannot_be_appended(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write /dev/full: No space left on device"):
        files.append_line(files.Path("/dev/full"), "{}")
    files.append_line(tmp_path / "lines", "a")
    files.append_line(tmp_path / "lines", "b")
    assert (tmp_path / "lines").read_text() == "a\nb\n"


def test_a_header_that_says_fewer_is_found_out(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.zeros((9999, 2), np.float32))
    content = path.read_bytes()
    assert content.count(b"(9999, 2)") == 1
    path.write_bytes(content.replace(b"(9999, 2)", b"(9999, 0)"))
    with np.load(path, allow_pickle=False) as file:
        assert file["x"].shape == (9999, 0)  # numpy does not notice
    with pytest.raises(ValueError, match=r"^x.npy declares 128 bytes and has 80120$"):
        files.read_arrays(path)


def test_pickles_are_never_loaded(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        files.read_arrays(path)


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.x.npz.0123abcd.partial").write_bytes(b"half")
    (tmp_path / "sub/x.npz").write_bytes(b"whole")
    files.remove_partial(tmp_path)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["x.npz"]


@pytest.fixture
def folder(tmp_path):
    """A folder beside a secret that is no part of it."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "file").write_text("content")
    return folder


def test_links_are_followed_within_a_folder_and_never_out_of_it(folder, tmp_path):
    out = "^a link leads out of "
    (folder / "sub/inner").symlink_to("../file")
    (tmp_path / "alias").symlink_to(folder)
    assert files.read_text(folder / "sub/inner", folder) == "content"
    assert files.read_text(tmp_path / "alias/file", tmp_path / "alias") == "content"
    (folder / "outer").symlink_to("../secret")
    (folder / "chain").symlink_to("outer")
    (folder / "parent").symlink_to("..")
    for name in ("outer", "chain", "parent/secret", "../secret"):
        with pytest.raises(ValueError, match=out):
            files.read_text(folder / name, folder)
        assert files.read_text(folder / name) == "secret"  # which the user named


def test_only_regular_files_are_opened(folder):
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        (folder / "zero").symlink_to("/dev/zero")
        (folder / "loop").symlink_to("loop")
        for name in ("fifo", "zero", "sub"):
            with pytest.raises(ValueError, match=r"^it is no regular file$"):
                files.read_bytes(folder / name)
        for name in ("socket", "loop", "none"):
            with pytest.raises(OSError):
                files.read_bytes(folder / name)


def test_no_more_is_read_than_allowed(folder):
    assert files.read_bytes(folder / "file", folder, at_most=7) == b"content"
    with pytest.raises(ValueError, match=r"^it has more than 6 bytes$"):
        files.read_bytes(folder / "file", folder, at_most=6)
    with open(folder / "sparse", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"^it has more than 67108864 bytes$"):
        files.read_json(folder / "sparse")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"x": NaN}', "it holds NaN, which is no finite number"),
        ('{"x": [-Infinity]}', "it holds -Infinity, which is no finite number"),
        ('{"x": 1e999}', "it holds 1e999, which is no finite number"),
        ('{"x": 1%s}' % ("0" * 400), "it holds an integer of 401 digits"),
        (r'{"x": "\ud800"}', "it holds a text that is no Unicode"),
        ("[1]", "it holds no object but a list"),
        ("[" * 100_000, "it is nested too deeply"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_json_that_is_refused(text, error):
    with pytest.raises(ValueError) as raised:
        files.parse_json(text)
    assert str(raised.value) == error


def test_json_that_is_read(folder):
    value = {"x": [2**63, -(2**63), 1e308, 0.1], "y": "\N{GRINNING FACE}\n"}
    files.write_json(folder / "x.json", value)
    assert files.read_json(folder / "x.json", folder) == value
    (folder / "latin.json").write_bytes(b'{"x": "\xe9"}')
    with pytest.raises(ValueError, match=r"^'utf-8' codec can't decode byte 0xe9 in position 7"):
        files.read_json(folder / "latin.json")


def test_what_arrays_take_is_known_before_they_are_read(folder):
    path = folder / "bomb.npz"
    np.savez_compressed(path, x=np.zeros(10**8, np.uint8))
    size = path.stat().st_size
    assert size < 10**6
    with pytest.raises(ValueError, match=rf"^its {size} bytes declare arrays of 100000128 bytes, of at most 67108864$"):
        files.read_arrays(path)
    files.write_arrays(path, {"x": np.zeros(100)})
    with pytest.raises(ValueError, match=r"^its \d+ bytes declare arrays of 928 bytes, of at most 900$"):
        files.read_arrays(path, folder, at_most=900)
    assert files.read_arrays(path, folder, at_most=928)["x"].shape == (100,)


def test_arrays_are_read_when_they_are_asked_for(folder):
    path = folder / "x.npz"
    files.write_arrays(path, {"whole": np.arange(3), "damaged": np.full(1000, 7.0)})
    content = bytearray(path.read_bytes())
    content[content.rindex(np.float64(7).tobytes())] ^= 1
    path.write_bytes(content)
    with files.OpenArrays(path, folder) as arrays:
        assert (list(arrays), len(arrays), "x" in arrays) == (["whole", "damaged"], 2, False)
        np.testing.assert_array_equal(arrays["whole"], [0, 1, 2])
        with pytest.raises(ValueError, match=r"^Bad CRC-32 for file 'damaged.npy'$"):
            arrays["damaged"]
    with pytest.raises(ValueError, match=r"^Bad CRC-32 for file 'damaged.npy'$"):
        files.read_arrays(path, folder)


@pytest.mark.parametrize("shape", [(10**12,), (-1,), (-1, -100), (10**12, 0), (99,)])
def test_a_header_that_does_not_fit_its_file_is_found_out(folder, shape):
    header, path = io.BytesIO(), folder / "x.npz"
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(800))
    with pytest.raises(ValueError, match=r"^x.npy declares -?\d+ bytes and has 928$"):
        files.read_arrays(path)


def test_two_arrays_of_one_name_are_refused(folder):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.zeros(3))
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr("x.npy", content.getvalue())
        archive.writestr("x", content.getvalue())
    with pytest.raises(ValueError, match=r"^two arrays have the same name$"):
        files.read_arrays(folder / "x.npz")


@pytest.fixture
def nothing_is_small(monkeypatch):
    monkeypatch.setattr(files, "LARGE", 1)


def test_a_large_array_is_filled_in_a_file_that_leaves_nothing(nothing_is_small, tmp_path):
    folder = tmp_path / "predictions"
    array = files.room_for((3, 2), np.dtype("float32"), folder)
    array[:2], array[2:] = [[1, 2], [3, 4]], 5
    np.testing.assert_array_equal(array, [[1, 2], [3, 4], [5, 5]])
    assert list(folder.iterdir()) == []
    files.write_arrays(folder / "mapped.npz", {"x": array})
    files.write_arrays(folder / "held.npz", {"x": np.array(array)})
    assert (folder / "mapped.npz").read_bytes() == (folder / "held.npz").read_bytes()


def test_there_is_no_room_for_a_large_array(nothing_is_small, tmp_path, monkeypatch):
    def no_room(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(InputError, match=r"^Cannot write .*predictions: No space left on device\. All that was"):
        files.room_for((3, 2), np.dtype("float32"), tmp_path / "predictions")
    assert list((tmp_path / "predictions").iterdir()) == []


def test_large_arrays_stay_in_their_file(nothing_is_small, tmp_path):
    path = tmp_path / "arrays.npz"
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.asfortranarray(np.arange(6).reshape(2, 3)), "z": np.array("a")}
    files.write_arrays(path, arrays)
    mapped = files.read_arrays(path, mapped=True)
    for name, array in arrays.items():
        assert mapped[name].dtype == array.dtype
        np.testing.assert_array_equal(mapped[name], array)
        assert not mapped[name].flags.writeable
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(5.0).tobytes())] ^= 1  # a bit of x
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Bad CRC-32"):
        files.read_arrays(path, mapped=True)
    np.savez_compressed(path, **arrays)
    np.testing.assert_array_equal(files.read_arrays(path, mapped=True)["x"], arrays["x"])
    np.savez(path, x=np.array([None, 1]))
    with pytest.raises(ValueError, match="holds objects"):
        files.read_arrays(path, mapped=True)
