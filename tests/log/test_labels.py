"""Short names of several logs."""

from __future__ import annotations

from auditctl.log.labels import labels_of


def test_the_part_of_the_path_that_differs_is_the_label() -> None:
    """Of folders and of files; endings and rotations do not count."""
    assert labels_of(["x/cp1/audit.log", "x/cp1/audit-2026-12-01T00-00-00.123.log.gz", "x/cp2/audit.log"]) == {
        "x/cp1/audit.log": "cp1",
        "x/cp1/audit-2026-12-01T00-00-00.123.log.gz": "cp1",
        "x/cp2/audit.log": "cp2",
    }
    assert labels_of(["cp1.log", "cp2.log.gz"]) == {"cp1.log": "cp1", "cp2.log.gz": "cp2"}
    assert labels_of(["/a/cp1.log", "/b/c/cp2.log"]) == {"/a/cp1.log": "a", "/b/c/cp2.log": "b"}


def test_one_log_has_one_label() -> None:
    """With all of its rotated files; and nothing has none."""
    names = ["/v/audit.log", "/v/audit-2026-12-01T00-00-00.123.log"]
    assert set(labels_of(names).values()) == {"audit"}
    assert labels_of(["-"]) == {"-": "-"}
    assert labels_of([]) == {}
