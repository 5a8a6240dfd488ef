"""A Job that runs ``enable`` on one control plane, for nodes where nobody logs in. Pure text.

The image has nothing but the executable. ``--on-host`` makes that copy itself onto the node, change its root to it and go
on there, so that it sees the node's paths, processes and systemd; the watchdog is moved out of the Pod by systemd.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from auditctl.errors import UsageError

NO_IMAGE = "REGISTRY/auditctl@sha256:DIGEST"
_PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_TEXT = """\
# kubectl apply -f FILE && kubectl -n kube-system wait --for=condition=complete --timeout=10m job/auditctl-enable
# kubectl -n kube-system logs job/auditctl-enable
apiVersion: batch/v1
kind: Job
metadata:
  name: auditctl-enable
  namespace: kube-system
spec:
  backoffLimit: 0 # what failed was undone: see the log first
  template:
    spec:
      nodeName: {node} # one control plane at a time
      restartPolicy: Never
      priorityClassName: system-node-critical
      tolerations:
      - operator: Exists
      hostPID: true # the API server's process, and systemd, which keeps the watchdog
      hostNetwork: true # the API server's own address, also while kube-proxy has none
      automountServiceAccountToken: false # /etc/kubernetes/admin.conf of the node is used
      containers:
      - name: auditctl
        image: {image}
        args: {arguments}
        securityContext:
          privileged: true # it changes its root to the node's
        volumeMounts:
        - name: node
          mountPath: /host
      volumes:
      - name: node
        hostPath:
          path: /
"""


def job(image: str | None, node: str, flags: Mapping[str, str]) -> str:
    """Return the Job. Without ``image`` a placeholder stands there, which no kubelet can pull.

    Raises:
        UsageError: the image is not pinned by its digest.
    """
    if image is not None and not _PINNED.fullmatch(image):
        raise UsageError(f"--image {image}: not pinned; it runs as root on the node, so name it NAME@sha256:DIGEST")
    words = ["--on-host", "/host", "enable"]
    for name, value in flags.items():
        words += ["--set", f"{name}={value}"]
    return _TEXT.format(node=json.dumps(node), image=json.dumps(image or NO_IMAGE), arguments=json.dumps(words))
