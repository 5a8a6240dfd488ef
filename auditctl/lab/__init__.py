"""The embedded node: a stand-in for practice and for tests, never for work. `up`, `down`, `status`.

What is true to the real thing: the manifest and its tree (`kubeadm`, `tree`), which files the kubelet reads and when it
replaces a Pod (`manifests`, `staticpod`), what it refuses and in which words (`podfields`, `podvalidation`, `volumes`),
when it starts a container again and which logs it keeps (`backoff`, `container`), how kube-apiserver reads its flags and
why it does not start (`flags`, `options`, `recording`, `apiserver`), what it records (`events`, `backends`, `rotation`),
sends to a webhook (`delivery`), answers (`server`, `answers`, `identity`) and counts (`metrics`).

Slow and failing starts are switched by a file, DIR/var/lib/auditctl-lab/faults.json (`faults.Faults(...).save(layout)`):
a slow start, never ready, single checks that fail, etcd refusing, a death after so many seconds, an old server that keeps
the port, a kubelet that does nothing; all of it for every server, or only for those with a flag (`only_with`).

Exercises are played on it, and on a real node that is marked for it: what they are (`exercises`, `exercise_steps`), how one
is begun and judged (`practice`), what the node was (`keepsake`, `exercise_state`) and how it becomes that again
(`exercise_reset`); the grader (`grading`, `requirements`) is that of `lab check`.

What differs, knowingly:

- Times are short (`layout.Pace`): grace 2 s for 30, listing every 1 s for 20, back-off 1 to 8 s for 10 to 300, forgotten
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
