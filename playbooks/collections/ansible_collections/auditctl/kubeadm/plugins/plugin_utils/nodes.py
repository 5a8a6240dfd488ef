# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""What the modules returned of each control plane, as rows of a table and of a report."""

from __future__ import annotations

DIGEST_CHARACTERS = 12
HEADINGS = ("NODE", "READY", "RECORDING", "FLAGS", "POLICY", "EVENTS", "LOST", "KEPT", "OUTAGE", "RECEIPT")
LEAST = 2  # nodes of which one can differ


def node_row(name, variables):
    """Return what is known of a node after a change (``apiserver_audit_result``) or a proof (``apiserver_audit_seen``)."""
    change = variables.get("apiserver_audit_result") or {}
    proof = variables.get("apiserver_audit_seen") or {}
    status = (proof.get("status") or {}).get("status") or {}
    report = change.get("report") or proof.get("verification") or {}
    settings = report.get("settings") or (proof.get("status") or {}).get("settings") or {}
    policy = status.get("policy") or {}
    timings = report.get("timings") or {}
    last = status.get("lastChange") or {}
    metrics = status.get("metrics") or {}
    receipt = report.get("receipt") or proof.get("receipt")
    holds = proof.get("holds") if proof else (report.get("verification") or {}).get("holds")
    return {
        "node": name,
        "message": variables.get("apiserver_audit_failure") or change.get("msg") or proof.get("msg"),
        "outcome": change.get("outcome"),
        "exitCode": change.get("exit_code"),
        "changed": change.get("changed"),
        "changeId": change.get("change_id"),
        "ready": (status.get("apiServer") or {}).get("ready", True if holds else None),
        "recording": _recording(status, holds, settings),
        "flags": settings.get("flags"),
        "policySha256": policy.get("loadedSha256") or (settings.get("policy") or {}).get("sha256"),
        "events": metrics.get("eventTotal"),
        "eventsLost": sum((metrics.get("errorTotal") or {}).values()) if metrics else None,
        "keptAtUpgrade": (status.get("kubeadmConfig") or {}).get("kept"),
        "outageSeconds": _outage(variables, timings, last if proof else None),
        "seconds": timings.get("total"),
        "receipt": receipt,
    }


def _outage(variables, timings, last):
    """Return the outage of the change, or of the last one where this is a proof (``last``); None where none is known."""
    if last is not None:
        return last.get("outageSeconds")
    kept = variables.get("apiserver_audit_outage")  # of the restart, before kubeadm-config was written
    return timings["outage"] if timings.get("outage") is not None else float(kept) if kept else None


def table(rows):
    """Return the lines of a table; what is not known is "?"."""
    flags, policies = _most([row["flags"] for row in rows]), _most([row["policySha256"] for row in rows])
    cells = [HEADINGS]
    for row in rows:
        receipt = row["receipt"] or {}
        differs = row["policySha256"] and policies is not None and row["policySha256"] != policies
        digest = (row["policySha256"] or "")[:DIGEST_CHARACTERS] or ("?" if row["flags"] is None else "-")
        cells.append(
            (
                row["node"],
                _answer(row["ready"]),
                row["recording"] or "?",
                "?" if row["flags"] is None else "equal" if flags is None or row["flags"] == flags else "DIFFER",
                digest + (" DIFFERS" if differs else ""),
                _number(row["events"]),
                _number(row["eventsLost"]),
                _answer(row["keptAtUpgrade"]),
                "-" if row["outageSeconds"] is None else "{:.1f} s".format(row["outageSeconds"]),
                "{}:{}".format(receipt["file"], receipt["line"]) if receipt.get("file") else "-",
            )
        )
    return lines_of(cells)


def lines_of(cells):
    """Return rows of texts as lines with columns."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def _recording(status, holds, settings):
    state = (status.get("auditing") or {}).get("state")
    if state == "off" or (not state and settings.get("flags") == {}):
        return "off"
    if holds is not None:
        return "yes" if holds else "NO"
    return {"recording": "yes", "on but not recording": "NO"}.get(state)


def _most(values):
    """Return the value that most of them have; None where there is nothing to compare, or no value is the most frequent."""
    known = [value for value in values if value]
    if len(known) < LEAST:
        return None
    counts = sorted(((known.count(value), position) for position, value in enumerate(known)), reverse=True)
    leading = known[counts[0][1]]
    tied = any(known.count(value) == counts[0][0] and value != leading for value in known)
    return {} if tied and isinstance(leading, dict) else "" if tied else leading


def _answer(value):
    return "?" if value is None else "yes" if value else "NO"


def _number(value):
    return "?" if value is None else str(value)
