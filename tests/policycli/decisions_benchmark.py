"""Decisions a second of `policy explain --requests` on 100,000 distinct requests. Not a test: times are not asserted.

    python tests/policycli/decisions_benchmark.py [POLICY]

Deciding alone (URL parsing included, file and JSON apart), the same with JSON in and out, and the whole command.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from auditctl.operations.policy.explain_many import decisions
from auditctl.policy.compiled import Compiled
from auditctl.policy.load import load

COUNT = 100_000
FORENSIC = Path(__file__).parents[2] / "templates/policies/forensic.yaml"
SHAPES = (
    ("GET", "/api/v1/namespaces/ns{0}/pods/web-{1}"),
    ("PATCH", "/apis/apps/v1/namespaces/ns{0}/deployments/d{1}/scale"),
    ("GET", "/api/v1/namespaces/ns{0}/secrets/s{1}"),
    ("GET", "/healthz/x{1}"),
    ("GET", "/api/v1/pods?watch=1&resourceVersion={1}"),
    ("PATCH", "/api/v1/nodes/n{1}/status"),
    ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n{1}"),
    ("POST", "/api/v1/namespaces/ns{0}/pods/p{1}/exec?command=sh&x={1}"),
    ("GET", "/apis/batch/v1/namespaces/ns{0}/jobs?labelSelector=app%3Dx{1}&limit=500"),
    ("GET", "/api/v1/namespaces/ns{0}/pods?fieldSelector=metadata.name%3Dweb-{1}"),
)
USERS = (
    ("user-{1}", ["system:authenticated"]),
    (
        "system:serviceaccount:ns{0}:sa-{1}",
        ["system:serviceaccounts", "system:serviceaccounts:ns{0}", "system:authenticated"],
    ),
    ("system:node:n{1}", ["system:nodes", "system:authenticated"]),
)


def request(index: int) -> dict[str, object]:
    """The request of one line; URL and user are its own."""
    method, url = SHAPES[index % len(SHAPES)]
    user, groups = USERS[index % len(USERS)]
    space = index % 40
    return {
        "user": user.format(space, index),
        "groups": [group.format(space) for group in groups],
        "method": method,
        "url": url.format(space, index),
    }


def main() -> None:
    """Print the rates, the best of three."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FORENSIC
    policy = load(file.read_bytes()).policy
    assert policy is not None
    rows = [request(index) for index in range(COUNT)]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    alone, whole = [], []
    for _ in range(3):
        compiled = Compiled(policy)
        began = time.perf_counter()
        for row in rows:
            compiled.request(row["method"], row["url"], row["user"], row["groups"])  # type: ignore[arg-type]
        alone.append(time.perf_counter() - began)
        compiled = Compiled(policy)
        began = time.perf_counter()
        for _row in decisions(compiled, io.BytesIO(text)):
            pass
        whole.append(time.perf_counter() - began)
    with tempfile.NamedTemporaryFile() as requests:
        Path(requests.name).write_bytes(text)
        began = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "auditctl",
            "policy",
            "explain",
            str(file),
            "--requests",
            requests.name,
            "-o",
            "json",
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        command_seconds = time.perf_counter() - began
    print(
        f"{len(policy.rules)} rules: deciding {COUNT / min(alone):,.0f}/s, with JSON in and out {COUNT / min(whole):,.0f}/s, "
        f"the whole command {COUNT / command_seconds:,.0f}/s"
    )


if __name__ == "__main__":
    main()
