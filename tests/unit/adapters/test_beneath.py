"""Nothing outside of a directory is read through it, whatever lies there (T42)."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jidoka.adapters.beneath import look_at_all, opened, read_beneath, scan
from jidoka.core.errors import FileUnreadable, InvalidPath
from jidoka.core.workspaces import Found

MOST = 1_000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A root, and what must not be reached from it beside it."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root-evil").mkdir()
    (tmp_path / "root-evil" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "sub" / "fine.txt").write_text("fine")
    return tmp_path / "root"


@pytest.fixture
def root(place: Path) -> Iterator[int]:
    with opened(str(place)) as descriptor:
        yield descriptor


def text(root: int, path: str) -> str:
    content, _, _ = read_beneath(root, path, most=MOST)
    assert content is not None
    return content.decode()


def refusal(root: int, path: str) -> str:
    with pytest.raises((InvalidPath, FileUnreadable)) as caught:
        text(root, path)
    error = caught.value
    return error.why if isinstance(error, InvalidPath) else error.reason


def test_a_file_is_read(root: int) -> None:
    assert text(root, "sub/fine.txt") == text(root, "./sub//fine.txt") == "fine"


@pytest.mark.parametrize("path", ["../secret", "../root-evil/secret", "sub/../../secret", "/etc/passwd"])
def test_no_path_leads_out(root: int, path: str) -> None:
    with pytest.raises(InvalidPath):
        text(root, path)


@pytest.mark.parametrize(
    ("name", "target", "path"),
    [
        ("file", "../secret", "file"),
        ("absolute", "/etc/passwd", "absolute"),
        ("inside", "sub/fine.txt", "inside"),
        ("directory", "..", "directory/secret"),
        ("sub/directory", "../../root-evil", "sub/directory/secret"),
        ("loop", "loop", "loop"),
        ("proc", "/proc/self/root", "proc/etc/passwd"),
        ("broken", "nowhere", "broken"),
    ],
)
def test_no_link_is_followed(place: Path, root: int, name: str, target: str, path: str) -> None:
    (place / name).symlink_to(target)

    assert refusal(root, path) == "leads through a symbolic link"
    assert look_at_all(root, [path]) == ({}, [])


def test_a_file_with_another_name_is_refused(place: Path, root: int) -> None:
    os.link(place.parent / "secret", place / "linked")

    assert refusal(root, "linked") == "has another name, which may be outside"
    assert "linked" not in scan(root, most_files=10, most_directories=10).files


def test_a_pipe_holds_nobody_up(place: Path, root: int) -> None:
    os.mkfifo(place / "pipe")

    assert refusal(root, "pipe") == "not_a_file"


def test_a_socket_is_no_file(place: Path, root: int) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "socket"))

        assert refusal(root, "socket") == "not_a_file"


def test_a_directory_is_no_file(root: int) -> None:
    assert refusal(root, "sub") == "not_a_file"


@pytest.mark.parametrize("path", ["null", "zero", "tty", "fd/0", "stdin"])
def test_a_device_is_not_even_opened(path: str) -> None:
    with opened("/dev") as root:
        assert refusal(root, path) in {"not_a_file", "missing", "leads through a symbolic link"}


@pytest.mark.parametrize("path", ["root/etc/passwd", "cwd/pyproject.toml", "exe", "fd/0", "task/../root/etc/passwd"])
def test_the_links_of_proc_are_links(path: str) -> None:
    with opened("/proc/self") as root, pytest.raises(InvalidPath):
        text(root, path)


def test_what_has_no_size_is_bounded_all_the_same() -> None:
    with opened("/proc/self") as root, pytest.raises(FileUnreadable) as caught:
        read_beneath(root, "smaps", most=MOST)

    assert (caught.value.reason, caught.value.limit) == ("too_large", MOST)


@pytest.mark.parametrize("path", ["nothing", "nothing/below", "sub/fine.txt/below", "sub/nothing", "x" * 255])
def test_what_is_not_there_is_missing(root: int, path: str) -> None:
    assert refusal(root, path) == "missing"
    assert look_at_all(root, [path]) == ({}, [path])


def test_a_file_is_as_large_as_it_may_be_and_not_larger(place: Path, root: int) -> None:
    (place / "most").write_text("x" * MOST)
    (place / "more").write_text("x" * (MOST + 1))

    assert len(text(root, "most")) == MOST
    assert refusal(root, "more") == "too_large"


def test_a_known_file_is_not_read_again(place: Path, root: int) -> None:
    _, stamp, _ = read_beneath(root, "sub/fine.txt", most=MOST)

    assert read_beneath(root, "sub/fine.txt", most=MOST, known=stamp) == (None, stamp, True)


@pytest.mark.parametrize("change", ["write", "replace", "write back"])
def test_every_change_shows_in_the_stamp(place: Path, root: int, change: str) -> None:
    file = place / "sub" / "fine.txt"
    before = file.stat()
    _, stamp, _ = read_beneath(root, "sub/fine.txt", most=MOST)

    match change:
        case "write":
            file.write_text("much more")
        case "replace":
            # As large, and as old.
            (place / "new").write_text("5ine")
            os.utime(place / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
            (place / "new").rename(file)
        case _:
            # The same, in place, as soon as the clock of the file system has moved on.
            while file.stat().st_ctime_ns == before.st_ctime_ns:
                file.write_text("6ine")
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    content, after, _ = read_beneath(root, "sub/fine.txt", most=MOST, known=stamp)

    assert content == file.read_bytes()
    assert after != stamp


def test_nothing_is_read_through_a_directory_that_is_exchanged_meanwhile(place: Path, root: int) -> None:
    (place / "swap").mkdir()
    (place / "swap" / "secret").write_text("fine")
    (place / "link").symlink_to(place.parent / "root-evil")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            for old, new in (("swap", "kept"), ("link", "swap"), ("swap", "link"), ("kept", "swap")):
                os.rename(place / old, place / new)

    thread = threading.Thread(target=exchange)
    thread.start()
    found: set[str] = set()
    refused = 0
    for _ in range(3_000):
        try:
            found.add(text(root, "swap/secret"))
        except (InvalidPath, FileUnreadable):
            refused += 1
    over.set()
    thread.join()

    assert found == {"fine"}
    assert refused > 0


# --- scanning -------------------------------------------------------------------------------------


def test_a_scan_finds_what_nobody_ignores(place: Path, root: int) -> None:
    for directory in (".git", "node_modules", ".venv", "__pycache__", "src/pkg"):
        (place / directory).mkdir(parents=True)
        (place / directory / "file").write_text("12345")
    (place / ".env").write_text("key")
    (place / "link").symlink_to("/etc")
    os.mkfifo(place / "pipe")

    found = scan(root, most_files=10, most_directories=10)

    assert set(found.files) == {"sub/fine.txt", "src/pkg/file"}
    assert found.files["src/pkg/file"] == Found(5, (place / "src/pkg/file").stat().st_mtime_ns)
    assert found.directories == ["", *sorted(["src", "sub"], key=found.directories.index), "src/pkg"]
    assert found.left_out == 0


def test_a_scan_is_bounded(place: Path, root: int) -> None:
    for number in range(20):
        (place / f"d{number}").mkdir()
        (place / f"d{number}" / "file").write_text("1")

    files = scan(root, most_files=5, most_directories=100)
    directories = scan(root, most_files=100, most_directories=5)
    names = scan(root, most_files=100, most_directories=100, most_names=10)

    assert (len(files.files), files.left_out) == (5, 16)
    assert (len(directories.directories), directories.left_out) == (5, 17)
    assert len(names.directories) <= 10
    assert names.left_out > 0


def test_a_name_that_is_no_text_is_left_out(place: Path, root: int) -> None:
    with suppress(OSError):
        os.close(os.open(os.fsencode(place) + b"/\xff", os.O_CREAT | os.O_WRONLY))

    assert set(scan(root, most_files=10, most_directories=10).files) == {"sub/fine.txt"}


def test_what_vanishes_during_a_scan_is_not_missed(place: Path, root: int) -> None:
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            (place / "coming").mkdir()
            (place / "coming" / "file").write_text("1")
            (place / "coming" / "file").unlink()
            (place / "coming").rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    seen = [scan(root, most_files=10, most_directories=10) for _ in range(500)]
    over.set()
    thread.join()

    assert all("sub/fine.txt" in found.files for found in seen)
