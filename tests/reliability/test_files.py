import errno
import os

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
    with pytest.raises(ValueError, match=r"the checksum of x.npy is wrong"):
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
