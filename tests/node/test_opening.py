"""One opener for every path: whose links count, and where paths lead under ``--rootfs``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.node import opening
from auditctl.node.change import files
from auditctl.node.opening import ForeignLinkError, Root, within

MALLORY = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
both = pytest.mark.parametrize("opened", [opening.directory, opening.walk], ids=["openat2", "name by name"])


@pytest.fixture
def linked(tmp_path: Path) -> tuple[Path, Path]:
    """A directory, and a link of ours to it in another one."""
    (tmp_path / "real").mkdir()
    (tmp_path / "way").mkdir()
    (tmp_path / "way/link").symlink_to(tmp_path / "real")
    return tmp_path / "real", tmp_path / "way/link"


@both
def test_a_link_of_ours_is_followed(linked: tuple[Path, Path], opened: Callable[[Path], int]) -> None:
    """/etc/kubernetes and /var/log may lie elsewhere; relative links and `..` too."""
    real, link = linked
    (link.parent / "relative").symlink_to("../way/link")
    for path in (link, link.parent / "relative", link.parent / ".." / "way/link"):
        descriptor = opened(path)
        assert os.fstat(descriptor).st_ino == real.stat().st_ino
        os.close(descriptor)


@both
def test_what_is_no_directory_is_not_entered(tmp_path: Path, opened: Callable[[Path], int]) -> None:
    """A file at the end, a file on the way, nothing at all, links in a circle."""
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    for name in ("file", "file/x", "absent", "circle"):
        with pytest.raises(OSError, match=f"{tmp_path}"):
            opened(tmp_path / name)


@as_root
@both
@pytest.mark.parametrize("whose", ["link", "directory", "open directory"])
def test_a_link_that_somebody_else_can_make_is_not_followed(
    linked: tuple[Path, Path], opened: Callable[[Path], int], whose: str
) -> None:
    """Its owner is another user, or another user may exchange it."""
    _, link = linked
    if whose == "link":
        os.chown(link, MALLORY, MALLORY, follow_symlinks=False)
    elif whose == "directory":
        os.chown(link.parent, MALLORY, MALLORY)
    else:
        link.parent.chmod(0o777)

    with pytest.raises(ForeignLinkError, match="symbolic link of another user"):
        opened(link)


@as_root
def test_nothing_is_read_written_removed_or_made_through_a_strangers_link(linked: tuple[Path, Path]) -> None:
    """The link stands for the log directory of the server's own user, which leads to /root."""
    real, link = linked
    (real / "precious").write_text("precious")
    os.chown(link, MALLORY, MALLORY, follow_symlinks=False)

    with pytest.raises(RefusedError, match="symbolic link of another user"):
        files.read(link / "precious", "policy")
    for act in (
        lambda: files.replace_file(link / "planted", b"x", None),
        lambda: files.remove(link / "precious"),
        lambda: files.make_directories(link / "made"),
        lambda: files.sync_directory(link),
    ):
        with pytest.raises(ForeignLinkError):
            act()

    assert [path.name for path in real.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("node_path", "inside"),
    [
        ("/etc/x", "etc/x"),
        ("../../../../etc/x", "etc/x"),
        ("/a/../../etc/x", "etc/x"),
        ("/out/x", "outside/x"),
        ("/up/x", "etc/x"),
        ("/chain/x", "outside/x"),
        ("/out", "out"),
        ("/absent/../etc/x", "etc/x"),
    ],
)
def test_no_path_of_the_node_leads_out_of_its_root(tmp_path: Path, node_path: str, inside: str) -> None:
    """Links mean what they mean on the node; the last name is not followed."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "out").symlink_to("/outside")
    (root / "up").symlink_to("../../../../../../etc")
    (root / "chain").symlink_to("up/../out")

    assert Root(root).host(node_path) == root / inside


def test_a_file_that_is_only_read_is_followed_inside_the_root(tmp_path: Path) -> None:
    """To the node's own /etc/shadow, not the machine's."""
    (tmp_path / "conf").symlink_to("/etc/shadow")

    assert Root(tmp_path).followed("/conf") == tmp_path / "etc/shadow"
    assert Root(Path("/")).followed("/conf") == Path("/conf")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """As the kernel ends them."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")

    with pytest.raises(RefusedError, match="circle"):
        within(tmp_path, "/a/x")


def test_a_rename_to_a_new_name_replaces_nothing(tmp_path: Path) -> None:
    """Not even an empty directory or a link to nowhere."""
    (tmp_path / "ours").write_text("ours")
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "link").symlink_to("nowhere")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in ("theirs", "link"):
            with pytest.raises(FileExistsError):
                opening.rename_new("ours", name, descriptor)
        opening.rename_new("ours", "new", descriptor)
    finally:
        os.close(descriptor)

    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "new").read_text() == "ours"
    assert not (tmp_path / "ours").exists()
