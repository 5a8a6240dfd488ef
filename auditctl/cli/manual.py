"""Print the manual page `kube-auditctl(8)`: commands and options from the application, the rest from the words below."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

NAMES = ("kube-auditctl", "kubectl-auditctl")
_SAID_ONCE = ("help",)  # of every command
_DESCRIPTION = """\
enable reads the manifest of the static Pod and refuses what cannot work, installs the audit policy, edits the manifest in place (every
untouched byte is kept), waits until the kubelet has restarted the API server, sends one request under its own Audit-ID, and finds that
very event in the log: the receipt. If any of it fails, the node is put back as it was; the API server is ready with the old configuration before the
command ends.

This is not auditd's auditctl(8). kube-auditctl and kubectl auditctl are always this program. Under the name auditctl it hands over to
/usr/sbin/auditctl when it is called with auditd's options only."""
_EXIT_STATUS = (
    ("0", "done, or already so"),
    ("1", "the answer is no: findings, drift, not recorded"),
    ("2", "usage"),
    ("3", "refused, and nothing was changed"),
    ("4", "tried, failed, put back; the API server is ready with the old configuration again"),
    ("5", "tried, failed, and not put back or not confirmable: the message names the backup and the exact command"),
    ("70", "a bug of auditctl"),
    ("130", "interrupted: nothing changed, or undone and serving"),
)
_FILES = (
    ("/etc/kubernetes/manifests/kube-apiserver.yaml", "the manifest of the static Pod (--manifest)"),
    ("/etc/kubernetes/audit/policy.yaml", "where the policy is installed (--policy-path)"),
    ("/etc/kubernetes/audit/webhook.yaml", "where a webhook's kubeconfig is installed"),
    ("/var/log/kubernetes/audit/audit.log", "the audit log (--log-path)"),
    ("/var/lib/auditctl", "journal, backups, last known good policy, lock (--state-dir)"),
    (
        "/etc/kubernetes/admin.conf, super-admin.conf",
        "the credentials of the request that is looked for (--kubeconfig)",
    ),
    ("auditctl-recover.service", "finishes or undoes an interrupted change before the kubelet starts"),
)
_ENVIRONMENT = (
    ("NO_COLOR, TERM=dumb", "no colour and no live line"),
    ("FORCE_COLOR", "colour where the output is no terminal, too"),
    ("COLUMNS", "the width of policy matrix"),
)
_EXAMPLES = (
    ("enable --policy p.yaml --dry-run", "diff, plan and expected outage; touches nothing"),
    ("enable --policy p.yaml", "on, and proved"),
    ("verify", "prove now that a request is recorded"),
    ("policy explain p.yaml 'get secrets in prod'", "the rule that decides"),
    ("disable --purge", "out again"),
    ("lab demo", "the whole job on a practice node, without a cluster and without root"),
)


def page(application: Any, version: str, epoch: int | None = None) -> str:
    """Return the page of the whole application as roff; ``epoch`` (seconds) dates it, for a package."""
    day = "" if epoch is None else time.strftime("%Y-%m-%d", time.gmtime(epoch))
    lines = [
        f'.TH KUBE\\-AUDITCTL 8 "{day}" "auditctl {version}" "System Administration"',
        ".SH NAME",
        f"{_text(', '.join(NAMES))} \\- switch Kubernetes API\\-server auditing on, change it, prove it, take it out",
        *(".SH SYNOPSIS", ".B kube\\-auditctl", '.RI [ options ] " command " [ arguments ]', ".br"),
        *(".B kubectl auditctl", '.RI [ options ] " command " [ arguments ]'),
        *(".SH DESCRIPTION", _text(application.help)),
        *(line for paragraph in _DESCRIPTION.split("\n\n") for line in (".PP", _text(paragraph))),
        *(".SH OPTIONS", "These may stand before or after the command.", *_options(application)),
        *(".SH COMMANDS", *_commands(application, "")),
        *(".SH EXIT STATUS", *_rows(_EXIT_STATUS)),
        *(".SH FILES", *_rows(_FILES)),
        *(".SH ENVIRONMENT", *_rows(_ENVIRONMENT)),
        *(".SH EXAMPLES", *_rows((f"kube-auditctl {words}", meaning) for words, meaning in _EXAMPLES)),
        *(
            ".SH SEE ALSO",
            ".BR kubectl (1),",
            ".BR kubelet (1),",
            ".BR kube\\-apiserver (1),",
            ".BR auditctl (8)",
            "(of auditd)",
        ),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: Any, before: str) -> Iterator[str]:
    """Yield every command of a group with its options, those of groups within it after their own words."""
    for name, command in group.commands.items():
        words = f"{before}{name}"
        if hasattr(command, "commands"):
            yield from _commands(command, f"{words} ")
            continue
        arguments = [one.make_metavar(ctx=None) for one in command.params if one.param_type_name == "argument"]
        yield from (f'.SS "{_text(" ".join([words, *arguments]))}"', _text(command.help or ""))
        yield from _options(command)


def _options(command: Any) -> Iterator[str]:
    for one in command.params:
        if one.param_type_name == "option" and not one.hidden and one.name not in _SAID_ONCE:
            said = ", ".join(sorted(one.opts, key=len))
            value = "" if one.is_flag else f" {one.metavar or one.type.name.upper()}"
            yield from _rows([(said + value, one.help or "")])


def _rows(rows: Any) -> Iterator[str]:
    for term, meaning in rows:
        yield from (".TP", f".B {_text(term)}", _text(meaning))


def _text(words: str) -> str:
    """Return words for roff: no line begins a request, a hyphen is one that can be copied, a backslash is itself."""
    flat = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{flat}" if flat.startswith((".", "'")) else flat
