"""Find out when the old files of a change came back: a run may have ended during its undo."""

from __future__ import annotations

from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.change.journal import Journal, OnDisk, standing
from auditctl.node.clock import Clock


def returned_at(root: Root, clock: Clock, journal: Journal) -> float | None:
    """Return since when every file has its old text again; None where one has not, or none was changed.

    In seconds of the boot clock, below 0 for an earlier boot: a server that was started since runs with the old
    configuration. A rename changes a file's ctime; one that was absent before is needed by nobody.
    """
    changed = [record for record in journal.files if record.before != record.after]
    paths = [(record, root.host(record.path)) for record in changed]
    if any(standing(record, files.digest(path)) is not OnDisk.BEFORE for record, path in paths):
        return None
    times = [path.stat().st_ctime for record, path in paths if record.before is not None]
    if not times:
        return None
    return clock.boot() - (clock.utc().timestamp() - max(times))
