"""Give the time: every wait takes a Clock as an argument, so that tests never sleep."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from auditctl.compatibility import UTC


def boot_id() -> str:
    """Return the kernel's id of this boot: pids and boot-clock times mean nothing in another one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Clock:
    """The machine's clock, in seconds; ``boot`` has the zero of the times in /proc/PID/stat."""

    def monotonic(self) -> float:
        return time.monotonic()

    def boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """Return the id of the boot that the boot clock counts in."""
        return boot_id()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def utc(self) -> datetime:
        return datetime.now(UTC)
