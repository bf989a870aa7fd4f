"""Files that are no plain files, and what a file keeps when it is written anew."""

import os
import socket
import stat
import threading
import warnings

import pytest

from pynn.files import atomic, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="no such files here")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to give files away")


@posix
def test_a_pipe_is_written_into_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"content")
    reader.join()
    assert got == [b"content"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@posix
def test_a_device_is_written_into_and_stays(tmp_path):
    write_whole("/dev/null", b"content")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "link").symlink_to("/dev/null")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
def test_a_full_device_is_told():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match=r"could not write into '/dev/full'"):
        write_whole("/dev/full", b"x" * 100_000)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@posix
def test_a_socket_is_refused_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("socket")
        with pytest.raises(OSError, match="could not write into 'socket'"):
            write_whole("socket", b"content")
    assert stat.S_ISSOCK(os.stat("socket").st_mode)


@posix
def test_a_loop_of_links_is_refused_and_stays(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="could not write"):
        write_whole(tmp_path / "a", b"content")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").is_symlink()


@posix
def test_a_link_to_nothing_yet_makes_its_file(tmp_path):
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


@posix
def test_new_content_does_not_inherit_the_right_to_run_as_somebody(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    os.chmod(file, 0o6755)
    write_whole(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


@as_root
def test_owner_and_group_stay(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    os.chown(file, 1234, 4321)
    os.chmod(file, 0o640)
    write_whole(file, b"new")
    now = file.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (1234, 4321, 0o640)
    assert file.read_bytes() == b"new"


@posix
def test_what_cannot_be_kept_is_said(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    os.chmod(file, 0o664)

    def refuse(*arguments):
        raise PermissionError(1, "not permitted")

    true, fake = os.stat, os.stat_result
    monkeypatch.setattr(os, "chown", refuse)

    def of_another(path, **options):
        found = true(path, **options)
        return fake((*found[:5], 77, *found[6:])) if os.fspath(path) == str(file) else found  # group 77

    monkeypatch.setattr(os, "stat", of_another)
    with pytest.warns(UserWarning, match="not with its group of before"):
        write_whole(str(file), b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604  # what the old group might do, the new one may not


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes here")
def test_attributes_stay(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    try:
        os.setxattr(file, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_whole(file, b"new")
    assert os.getxattr(file, "user.note") == b"mine"


@posix
def test_an_error_in_the_block_leaves_a_device_open_to_others():
    def fail():
        with atomic("/dev/null") as file:
            file.write(b"x")
            raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        fail()
    write_whole("/dev/null", b"again")
