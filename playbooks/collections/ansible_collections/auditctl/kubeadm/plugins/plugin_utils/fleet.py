# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""Clusters in waves: which control planes are changed at the same time, and what came of each cluster. Pure."""

from __future__ import annotations

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils.nodes import lines_of, node_row

LOST = "there is no connection to it"
HEADINGS = ("CLUSTER", "WAVE", "OUTCOME", "NODES", "DONE", "OUTAGES", "WHY")


def waves(clusters, at_once, canaries):
    """Return the waves: names of clusters, the canaries first; a wave begins when the one before has ended."""
    names = list(clusters)
    first, rest = names[:canaries], names[canaries:]
    size = max(int(at_once), 1)
    return ([first] if first else []) + [rest[start : start + size] for start in range(0, len(rest), size)]


def turns(clusters, planned):
    """Return the control planes in the order of their turns, and how many have it at the same time.

    In a wave every cluster has one turn at a time: first the first control plane of each, then the second of each.
    """
    order, sizes = [], []
    for number, names in enumerate(planned, 1):
        for rank in range(max(len(clusters[name]) for name in names)):
            batch = [
                {
                    "node": clusters[name][rank],
                    "cluster": name,
                    "wave": number,
                    "rank": rank,
                    "last": rank == len(clusters[name]) - 1,
                }
                for name in names
                if rank < len(clusters[name])
            ]
            order += batch
            sizes += [len(batch)] if batch else []
    return {"turns": order, "batches": sizes}


def cluster_rows(clusters, planned, variables, state):
    """Return one row a cluster: how it ended, why, and the row of each of its control planes."""
    number_of = {name: number for number, names in enumerate(planned, 1) for name in names}
    rows = []
    for name, nodes in clusters.items():
        of_node = {node: variables[node] for node in nodes}
        failures = {node: _failure(one, state) for node, one in of_node.items()}
        failed = [node for node in nodes if failures[node]]
        done = [node for node in nodes if one_done(of_node[node], state) and not failures[node]]
        outcome = "failed" if failed else "done" if len(done) == len(nodes) else "not begun" if not done else "stopped"
        rows.append(
            {
                "cluster": name,
                "wave": number_of.get(name),
                "outcome": outcome,
                "nodes": list(nodes),
                "done": done,
                "failed": failed,
                "notTouched": [node for node in nodes if node not in done and node not in failed],
                "why": str(failures[failed[0]]) if failed else None,
                "controlPlanes": [node_row(node, of_node[node]) for node in nodes],
            }
        )
    return rows


def _failure(variables, state):
    """Return why a control plane did not come to the state although its turn had come; None where it did, or none had come."""
    if variables.get("apiserver_audit_failure"):
        return variables.get("apiserver_audit_failure")
    return LOST if variables.get("auditctl_begun") and not one_done(variables, state) else None


def one_done(variables, state):
    """Return whether a control plane has come to the state."""
    return variables.get("apiserver_audit_done") == state


def progress(clusters, planned, variables, state, percentage, canaries):
    """Return which clusters have failed, how many control planes of each are done, and whether no further one may begin."""
    failed, done = [], {}
    for name, nodes in clusters.items():
        of_node = [variables[node] for node in nodes]
        done[name] = sum(one_done(one, state) for one in of_node)
        if any(_failure(one, state) for one in of_node):
            failed.append(name)
    first = planned[0] if planned and canaries else []
    share = 100.0 * len(failed) / max(len(clusters), 1)
    return {"failed": failed, "done": done, "braked": share > float(percentage) or bool(set(failed) & set(first))}


def fleet_report(rows, state, seconds, begun):
    """Return the report of a whole fleet, for programs."""
    outcomes = [row["outcome"] for row in rows]
    return {
        "apiVersion": "auditctl/v1",
        "kind": "FleetReport",
        "state": state,
        "begun": begun,
        "seconds": round(float(seconds), 1),
        "exitCode": 0 if all(outcome == "done" for outcome in outcomes) else 2,
        "clusters": len(rows),
        "done": outcomes.count("done"),
        "failed": outcomes.count("failed"),
        "notBegun": len(outcomes) - outcomes.count("done") - outcomes.count("failed"),
        "stoppedByBrake": "not begun" in outcomes,
        "rows": rows,
    }


def fleet_lines(report):
    """Return the lines of the table of a fleet, then one sentence."""
    cells = [HEADINGS]
    for row in report["rows"]:
        outages = [one["outageSeconds"] for one in row["controlPlanes"]]
        cells.append(
            (
                row["cluster"],
                str(row["wave"]),
                row["outcome"],
                str(len(row["nodes"])),
                str(len(row["done"])),
                ", ".join(f"{seconds:.1f} s" for seconds in outages if seconds is not None) or "-",
                " ".join((row["why"] or "").split()) or "-",
            )
        )
    text = "{} of {} clusters done, {} failed, {} not begun, in {:.0f} s".format(
        report["done"], report["clusters"], report["failed"], report["notBegun"], report["seconds"]
    )
    return [*lines_of(cells), text]
