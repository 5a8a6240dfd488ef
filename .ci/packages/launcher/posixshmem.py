"""In place of a module in C that needs librt: `multiprocessing` imports it, and auditctl shares no memory by a name."""
# ruff: noqa: INP001 - a module at the top of the archive

import errno


def shm_unlink(name: str) -> None:
    """Raise OSError."""
    raise OSError(errno.ENOSYS, "no shared memory here", name)


shm_open = shm_unlink
