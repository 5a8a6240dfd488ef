# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""auditctl on the node: where it is, how it is run, what its report means to Ansible.

There is one way in, the command line with ``-o json``, and one contract, its exit code and its report, however auditctl
got onto the node. This file runs under the node's own Python (3.8 or newer), which auditctl itself need not support.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

try:
    from auditctl import __version__ as found
except ImportError:
    found = None

INTERPRETERS = ("/opt/auditctl/bin/python3",)
PROBE = "auditctl.cli"  # not `auditctl`: any folder of that name is importable
NAMES = ("kube-auditctl", "kubectl-auditctl")  # not `auditctl`: that is auditd's on many nodes
PLACES = ["/opt/auditctl/bin", "/usr/local/sbin", "/usr/local/bin"]
RESPAWN_LIMIT_BYTES = (
    32768  # respawn_module writes its arguments into a pipe before anybody reads it: 64 KiB would hang
)

NODE_OPTIONS = {
    "rootfs": {"type": "path", "default": "/"},
    "manifest": {"type": "path"},
    "state_dir": {"type": "path"},
    "kubeconfig": {"type": "path"},
    "python": {"type": "path"},
    "executable": {"type": "path"},
}

USAGE, ROLLED_BACK = 2, 4
NEGATIVE, DONE = 1, 0
EARLIER = ("watchdog", "interrupted-change")


def run(module, words, names=None, before=()):
    """Run auditctl with these words; its report (a dict) and its exit code.

    ``names`` maps paths of temporary files to what the user knows them by, ``before`` are words in front of the program's. A
    run without a report fails the module.
    """
    command = list(before) + _located(module) + _node_words(module.params) + list(words) + ["-o", "json"]
    code, out, err = module.run_command(command, environ_update={"NO_COLOR": "1"})
    for path, name in (names or {}).items():
        out, err = out.replace(path, name), err.replace(path, name)
    try:
        return json.loads(out), code
    except ValueError:
        return module.fail_json(**_without_report(code, err))


def results(report, code):
    """What every module returns of a report."""
    change = report.get("change") or {}
    settings = report.get("settings") or {}
    return {
        "report": report,
        "outcome": report["outcome"],
        "exit_code": code,
        "reason": _reason(report) if code != DONE else None,
        "rolled_back": code == ROLLED_BACK,
        "restarted": (report.get("timings") or {}).get("restart") is not None,
        "change_id": change.get("id"),
        "backup_file": change.get("backup") or None,
        "flags": settings.get("flags") or {},
        "receipt": report.get("receipt"),
        "next_steps": report.get("nextSteps") or [],
    }


def sentence(report):
    """The summary; where the run did not do what was asked, also the place in a file that is to blame, and the next step."""
    if report["exitCode"] == DONE:
        return "; ".join([report["summary"]] + [f"before it, {text}" for text in _of_earlier_runs(report)])
    steps = report.get("nextSteps") or []
    places = [place for place in map(_place, _errors(report)) if place and place not in report["summary"]]
    parts = [report["summary"], f" ({places[0]})" if places else ""]
    parts.append(f" (next: {steps[0]})" if steps and steps[0] not in report["summary"] else "")
    return "".join(parts)


def _of_earlier_runs(report):
    """What became of a change whose run had died: the play that started it does not know."""
    said = (finding for finding in report.get("findings") or [] if finding["check"] in EARLIER)
    return [finding["message"] for finding in said]


def warn(module, report):
    """Each warning of the report as one of Ansible's."""
    for finding in report.get("findings") or []:
        if finding["severity"] == "warning":
            place, fix = _place(finding), " ({})".format(finding["fix"]) if finding["fix"] else ""
            module.warn("{}{}{} [{}]".format(place + ": " if place else "", finding["message"], fix, finding["check"]))


def _errors(report):
    return [finding for finding in report.get("findings") or [] if finding["severity"] == "error"]


def _place(finding):
    """``policy.yaml:7:3``, or nothing."""
    return ":".join(str(finding[key]) for key in ("file", "line", "column") if finding[key]) if finding["file"] else ""


def _reason(report):
    """The check that refused, or else did not hold: a word for programs."""
    names = [finding["check"] for finding in _errors(report)]
    names += [check["name"] for check in report["verification"]["checks"] if check["status"] == "failed"]
    return names[0] if names else report["outcome"]


def _without_report(code, err):
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    said = last[len("auditctl: ") :] if last.startswith("auditctl: ") else last
    if code < 0:
        said = f"killed by signal {-code}; what it had begun, its watchdog finishes or undoes by itself"
    return {
        "msg": f"auditctl gave no report (exit code {code}): {said}",
        "reason": "usage" if code == USAGE else "no-report",
        "exit_code": code,
        "outcome": None,
        "rolled_back": False,
    }


def _node_words(params):
    words = [] if params["rootfs"] == "/" else ["--rootfs", params["rootfs"]]
    for name in ("manifest", "state_dir", "kubeconfig"):
        if params[name]:
            words += ["--" + name.replace("_", "-"), params[name]]
    return words


def _located(module):
    """The command's first words: what the user named, else our own interpreter, a well-known one, a well-known name."""
    python, executable = module.params["python"], module.params["executable"]
    if executable:
        path = executable if os.sep in executable else module.get_bin_path(executable, opt_dirs=PLACES)
        if not path or not Path(path).exists():
            _missing(module, f"there is no {executable} on this node")
        return [python, path] if python else [path]
    if found and python in (None, sys.executable):
        return _of_interpreter(sys.executable)
    interpreter = probe_interpreters_for_module([python] if python else INTERPRETERS, PROBE)
    if interpreter:
        if not has_respawned() and len(json.dumps(module.params)) < RESPAWN_LIMIT_BYTES:
            respawn_module(interpreter)
        return _of_interpreter(interpreter)
    if python:
        _missing(module, f"{python} cannot import auditctl")
    for name in NAMES:
        path = module.get_bin_path(name, opt_dirs=PLACES)
        if path:
            return [path]
    return _missing(module, "neither a Python package nor a command {}".format(" or ".join(NAMES)))


def _of_interpreter(path):
    """``-P``: a folder named auditctl where the module happens to run is not it."""
    return [path, "-P", "-m", "auditctl"]


def _missing(module, what):
    text = missing_required_lib("auditctl", reason="to change and prove API server auditing")
    return module.fail_json(
        msg=f"{text} ({what}). Nothing was changed. Install it there, or let the role deliver it as one file: "
        "apiserver_audit_package",
        reason="auditctl-missing",
        exit_code=None,
        outcome=None,
        rolled_back=False,
    )
