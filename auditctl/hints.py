"""Commands that the reader can paste: the program as it was called, with the global options that were given. Pure.

Every sentence of ours that names a command writes it as ``auditctl COMMAND ...``. Where a report or an error is printed,
`Invocation.pasteable` rewrites these places. So no operation has to know under which name it was started, or for which node.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from auditctl.patterns import lazily

PROGRAM = "auditctl"
# every word that may follow the program's name; a test compares them with the application
COMMANDS = (
    *("enable", "disable", "status", "verify", "restart", "rollback", "history", "doctor", "recover", "policy", "log"),
    *("flags", "kubeadm", "cis", "lab", "completion", "help", "version"),
)
NODE_OPTIONS = ("--rootfs", "--manifest", "--state-dir", "--kubeconfig")
# not a part of a path (/usr/sbin/auditctl), of another name (kube-auditctl) or of an annotation (auditctl/policy-sha256),
# and not a run that is named as what it is, which holds the lock (auditctl enable (pid 7))
_COMMAND_LINE = lazily(
    rf"(?<![\w./-]){PROGRAM} (?!\w+ \(pid )(?=(?P<options>{'|'.join(NODE_OPTIONS)})[ =]|(?P<word>{'|'.join(COMMANDS)})\b)"
)


_OF_A_DIFF = frozenset(" +-@\\")  # what a line of a hunk begins with


class Invocation(NamedTuple):
    """The program's name as it was called, and the options that select the node, with their values, in order."""

    program: str = PROGRAM
    options: tuple[tuple[str, str], ...] = ()

    def pasteable(self, text: str) -> str:
        """Return ``text`` with each command line of ours as it has to be typed to reach the same node.

        A command line that selects a node itself (``auditctl --rootfs DIR enable``) keeps its own options.
        """
        if PROGRAM not in text:
            return text
        words = [word for name, value in self.options for word in (name, shlex.quote(value))]
        return _COMMAND_LINE.sub(
            lambda match: f"{' '.join([self.program, *(() if match['options'] else words)])} ", text
        )

    def pasteable_lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield each line as `pasteable` does; the lines of a unified diff are a user's text and stay as they are."""
        is_diff = False
        for line in lines:
            is_diff = line.startswith("--- ") or (is_diff and line[:1] in _OF_A_DIFF)
            yield line if is_diff else self.pasteable(line)


def program_name(argument: str) -> str:
    """Return the program's name for ``argv[0]``: its last part, ``kubectl auditctl`` for the plugin of kubectl.

    Started as a module of Python (``python3 -m auditctl``) it is called by the name that every installation has.
    """
    name = argument.rsplit("/", 1)[-1]
    if name == "kubectl-auditctl":
        return "kubectl auditctl"
    if name == "__main__.py":
        return "kube-auditctl"
    return name if PROGRAM in name else PROGRAM
