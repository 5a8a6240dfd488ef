"""Call functions of the C library that Python has no name for: with numbers and bytes, as system calls take them.

`ctypes` is the usual way. The self-contained executable is built without it, for it needs libffi; there the backend of cffi,
which `cryptography` brings along, does the same.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def call(name: str, *arguments: int | bytes) -> int:
    """Call a function of the C library and return its result; bytes are handed over as a pointer to them.

    Raises:
        OSError: the function returned -1; ENOSYS: the library has no such function, or no library can be called.
    """
    result, number = function(name)(*arguments)
    if result == -1:
        raise OSError(number, os.strerror(number))
    return result


@cache
def function(name: str) -> Callable[..., tuple[int, int]]:
    """Return a function that gives its result and errno. Raises OSError: ENOSYS, as `call`."""
    for way in (_by_ctypes, _by_cffi):
        try:
            return way(name)
        except ImportError:
            continue
        except AttributeError:  # an older C library
            break
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _by_ctypes(name: str) -> Callable[..., tuple[int, int]]:
    """Raises ImportError, AttributeError."""
    import ctypes

    called = ctypes.CDLL(None, use_errno=True)[name]

    def run(*arguments: int | bytes) -> tuple[int, int]:
        result = called(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments))
        return int(result), ctypes.get_errno()

    return run


def _by_cffi(name: str) -> Callable[..., tuple[int, int]]:
    """Raises ImportError, AttributeError."""
    backend: Any = import_module("_cffi_backend")
    library = backend.load_library(None, 0)
    number = backend.new_primitive_type("long")
    text = backend.new_pointer_type(backend.new_primitive_type("char"))
    result_type = backend.new_primitive_type("int")
    library.load_function(backend.new_function_type((number,), result_type), name)  # AttributeError comes now

    def run(*arguments: int | bytes) -> tuple[int, int]:
        kinds = tuple(number if isinstance(each, int) else text for each in arguments)
        called = library.load_function(backend.new_function_type(kinds, result_type), name)
        result = called(*arguments)
        return int(result), backend.get_errno()

    return run
