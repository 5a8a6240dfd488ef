"""Functions of the C library are called by ctypes, and by cffi's backend where there is no ctypes."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from auditctl.node import system_calls

OPENAT2, HERE = 437, -100
WAYS = (system_calls._by_ctypes, system_calls._by_cffi)


@pytest.mark.parametrize("way", WAYS)
def test_numbers_and_bytes_are_handed_over(way: Callable[..., Callable[..., tuple[int, int]]], tmp_path: Path) -> None:
    """`openat2` takes all kinds of arguments: a number, a path, a record, its size."""
    rule = struct.pack("QQQ", os.O_PATH | os.O_DIRECTORY, 0, 0)

    descriptor, _ = way("syscall")(OPENAT2, HERE, os.fsencode(tmp_path), rule, len(rule))
    if descriptor < 0:
        pytest.skip("this kernel has no openat2")
    assert Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path
    os.close(descriptor)

    result, number = way("syscall")(OPENAT2, HERE, os.fsencode(tmp_path / "none"), rule, len(rule))
    assert (result, number) == (-1, errno.ENOENT)


@pytest.mark.parametrize("way", WAYS)
def test_a_function_that_the_library_lacks_is_told(way: Callable[..., Callable[..., tuple[int, int]]]) -> None:
    with pytest.raises(AttributeError):
        way("no_such_function")


def test_an_error_has_its_number() -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught:
        system_calls.call("prctl", 999, 0, 0, 0, 0)
    assert caught.value.errno == errno.EINVAL

    with pytest.raises(OSError, match="implemented") as caught:
        system_calls.call("no_such_function")
    assert caught.value.errno == errno.ENOSYS
