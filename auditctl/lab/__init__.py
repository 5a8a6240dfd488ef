"""The practice node: a folder with a small kubelet and a stand-in API server, for practice and tests. `up`, `down`, `status`.

What agrees with the real thing, and where it is:

- ``node``: the manifest and its tree as kubeadm writes them, which files the kubelet reads and when it replaces a Pod, what it
  refuses and in which words, when it starts a container again and which logs it keeps.
- ``apiserver``: how kube-apiserver reads its flags and why it does not start, what it records, sends to a webhook, answers
  and counts.
- ``exercises``: faults to find and tasks to do, on it or on a real node that is marked for it; how one is begun and judged,
  what the node was, and how it becomes that again. ``grading``: the requirements of `lab check`.
- ``tools``: a webhook receiver, the scenario for learners, the demo.

Slow and failing starts are switched by a file, DIR/var/lib/auditctl-lab/faults.json (``node.injected_faults``): a slow start,
never ready, single checks that fail, etcd refusing, an end after so many seconds, an old server that keeps the port, a
kubelet that does nothing; all of it for every server, or only for those with a flag (`only_with`).

What differs, knowingly:

- Times are short (`layout.Timing`): grace 2 s for 30, listing every 1 s for 20, back-off 1 to 8 s for 10 to 300, forgotten
  after 16 s of quiet for 600. `lab up --real-times` has the real ones.
- One address, 127.0.0.1, whatever `--bind-address` says; HTTP/1.1 only. A client certificate that the authority did not
  sign fails the handshake, where a real server answers 401. Bearer tokens are never known.
- No probes, no mirror Pod, no namespaces of the kernel: mounts are translated paths, so /proc/PID/root is the host's.
  The Pod's UID is a hash of the decoded Pod, but not the kubelet's own number.
- One container a Pod, hostPath and emptyDir only, kube-apiserver only. The kubelet says once, not at every sync, that a
  container waits for its back-off.
- Objects live in memory; writes are neither validated nor admitted. Any flag that is not `--audit-*` is tolerated.
- A batch mode has no throttle, and hands its last events on when three quarters of the grace period are over; truncation
  does not happen; a webhook gets no client certificate and no password.
"""

from auditctl.lab.node.updown import Lab, down, status, up

__all__ = ["Lab", "down", "status", "up"]
