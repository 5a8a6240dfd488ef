"""What a file was in a revision of its git repository, asked of ``git`` itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from auditctl.errors import RefusedError, UsageError

_SECONDS = 30


def text_in_revision(revision: str, file: Path) -> bytes:
    """Return the bytes of ``file`` in ``revision`` (a branch, a tag, a commit).

    ``cat-file`` and not ``show``: a repository's attributes cannot name a program that changes what it prints.

    Raises:
        UsageError: the revision would be an option of git.
        RefusedError: there is no git, no repository, no such revision, or the file is not in it.
    """
    if revision.startswith("-") or not revision:
        raise UsageError(f"--git {revision}: not a revision")
    command = ["git", "cat-file", "blob", f"{revision}:./{file.name}"]
    try:
        ran = subprocess.run(command, cwd=file.parent, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError as error:
        name = "git" if file.parent.is_dir() else str(file.parent)
        raise RefusedError(f"{name}: no such program or directory", check="git") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"git cannot be run: {error}", check="git") from error
    if ran.returncode:
        reason = (ran.stderr.decode(errors="replace").strip().splitlines() or ["no reason was given"])[-1]
        raise RefusedError(
            f"{revision}:{file}: git: {reason}", check="git", fix="git log --oneline -- FILE names revisions"
        )
    return ran.stdout
