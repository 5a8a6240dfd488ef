"""Time, injected: every wait takes a Clock, so that tests never sleep."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from auditctl.compatibility import UTC


class Clock:
    """The real one. ``monotonic`` and ``boot`` in seconds; ``boot`` is what /proc/PID/stat counts from."""

    def monotonic(self) -> float:
        return time.monotonic()

    def boot(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """Which boot the boot clock counts in."""
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def utc(self) -> datetime:
        return datetime.now(UTC)
