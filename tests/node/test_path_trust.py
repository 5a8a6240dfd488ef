"""A path is trusted where only we and root can change what it leads to; below a node's root no link leads out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from auditctl.node.path_trust import UntrustedPathError, beneath, first_unsafe, is_plain, opened, private_directory

STRANGER = 4242
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three directories below each other and a file, all 0755 and 0644."""
    folder = tmp_path / "one/two/three"
    folder.mkdir(parents=True)
    (folder / "file").write_text("ours")
    for path in (tmp_path / "one", tmp_path / "one/two", folder):
        path.chmod(0o755)
    (folder / "file").chmod(0o644)
    return folder


def test_a_path_of_ours_has_no_unsafe_component(folder: Path) -> None:
    assert first_unsafe(folder / "file") is None
    with opened(folder / "file") as descriptor:
        assert os.fstat(descriptor).st_ino == (folder / "file").stat().st_ino


def test_a_path_that_ends_early_is_judged_as_far_as_it_goes(folder: Path) -> None:
    assert first_unsafe(folder / "nothing/here") is None
    folder.parent.chmod(0o777)
    unsafe = first_unsafe(folder / "nothing/here")
    assert unsafe is not None
    assert unsafe.path == folder.parent


@pytest.mark.parametrize("place", ["one", "one/two/three", "one/two/three/file"])
@pytest.mark.parametrize(("mode", "who"), [(0o020, "its group"), (0o002, "everybody")])
def test_what_others_may_write_is_the_first_unsafe_component(
    folder: Path, tmp_path: Path, place: str, mode: int, who: str
) -> None:
    path = tmp_path / place
    path.chmod(stat.S_IMODE(path.stat().st_mode) | mode)

    unsafe = first_unsafe(folder / "file")

    assert unsafe is not None
    assert (unsafe.path, unsafe.mode & mode) == (path, mode)
    assert str(unsafe).startswith(f"{path} may be written by {who} (owner uid ")


@as_root
@pytest.mark.parametrize("place", ["one", "one/two", "one/two/three/file"])
def test_what_belongs_to_somebody_else_is_unsafe_for_us_and_safe_for_him(
    folder: Path, tmp_path: Path, place: str
) -> None:
    os.chown(tmp_path / place, STRANGER, STRANGER)

    unsafe = first_unsafe(folder / "file")

    assert unsafe is not None
    assert (unsafe.path, unsafe.uid, unsafe.reason) == (tmp_path / place, STRANGER, "belongs to somebody else")
    assert first_unsafe(folder / "file", uid=STRANGER) is None


@as_root
def test_a_sticky_directory_of_roots_is_accepted_on_the_way_and_not_at_the_end(folder: Path) -> None:
    folder.chmod(0o1777)

    assert first_unsafe(folder / "file") is None
    assert first_unsafe(folder) is not None
    os.chown(folder, STRANGER, STRANGER)
    assert first_unsafe(folder / "file", uid=STRANGER) is not None


def test_a_link_at_the_end_is_unsafe_whoever_made_it(folder: Path) -> None:
    (folder / "link").symlink_to("file")

    unsafe = first_unsafe(folder / "link")

    assert unsafe is not None
    assert unsafe.reason == "is a symbolic link"


@as_root
def test_a_link_on_the_way_is_followed_only_where_nobody_but_root_can_exchange_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one/link").symlink_to("two")
    (tmp_path / "one/absolute").symlink_to(folder.parent)
    for name in ("link", "absolute"):
        assert first_unsafe(tmp_path / "one" / name / "three/file") is None

    (folder.parent).chmod(0o777)  # where it leads is looked at, too
    unsafe = first_unsafe(tmp_path / "one/link/three/file")
    assert unsafe is not None
    assert unsafe.path == folder.parent
    folder.parent.chmod(0o755)
    os.chown(tmp_path / "one/link", STRANGER, STRANGER, follow_symlinks=False)
    unsafe = first_unsafe(tmp_path / "one/link/three/file")
    assert unsafe is not None
    assert (unsafe.reason, unsafe.uid) == ("is a symbolic link", STRANGER)


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")

    assert first_unsafe(folder / "a/file") is not None


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_a_private_directory_is_made_0700_with_its_parents_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with private_directory(tmp_path / "a/b") as (descriptor, made):
            status = os.fstat(descriptor)
    finally:
        os.umask(before)

    assert made
    assert status.st_ino == (tmp_path / "a/b").stat().st_ino
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a/b")] == [0o700, 0o700]
    with private_directory(tmp_path / "a/b") as (_, made):
        assert not made


@as_root
def test_a_private_directory_whose_name_a_stranger_had_first_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "ours").mkdir()
    os.chown(shared / "ours", STRANGER, STRANGER)
    (shared / "link").symlink_to(tmp_path)

    for name in ("ours", "ours/deeper", "link/deeper"):
        with pytest.raises(UntrustedPathError), private_directory(shared / name):
            pass
    assert list((shared / "ours").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]


def test_beneath_a_root_no_link_and_no_dots_lead_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "etc").mkdir(parents=True)
    outside.mkdir()
    (root / "absolute").symlink_to(outside)
    (root / "relative").symlink_to("../outside")

    for path in ("/absolute/file", "/relative/file", "/etc/../../outside/file", "/..", "/"):
        with pytest.raises(OSError, match=r"symbolic link|not inside"), beneath(root, path, make_mode=0o755) as name:
            name.write_text("out")
    assert list(outside.iterdir()) == []


def test_beneath_a_root_the_last_element_is_not_resolved_and_parents_are_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with beneath(tmp_path, "/link") as name:
        assert os.readlink(name) == "/etc"
    with pytest.raises(FileNotFoundError), beneath(tmp_path, "/a/b/c"):
        pass
    with beneath(tmp_path, "/a/b/c", make_mode=0o755) as name:
        name.write_text("made")
    assert (tmp_path / "a/b/c").read_text() == "made"


def test_a_parent_that_is_exchanged_meanwhile_leads_nobody_astray(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "etc").mkdir(parents=True)
    outside.mkdir()

    with beneath(root, "/etc/file") as name:
        (root / "etc").rename(root / "moved")
        (root / "etc").symlink_to(outside)
        name.write_text("inside")

    assert (list(outside.iterdir()), (root / "moved/file").read_text()) == ([], "inside")


def test_an_error_of_the_file_system_names_the_users_own_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, beneath(tmp_path, "/nothing") as name:
        name.read_text()
    assert caught.value.filename == str(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/etc/a", True), ("/..a", True), ("etc/a", False), ("/etc/../a", False), ("/etc//a", False), ("/etc/./a", False),
     ("/etc/a/", False), ("//etc", False), ("/a\0b", False)],
)  # fmt: skip
def test_a_plain_path_leads_straight_down(path: str, *, plain: bool) -> None:
    assert is_plain(path) is plain
