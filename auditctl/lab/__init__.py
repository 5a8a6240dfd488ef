"""The embedded node: a stand-in for practice and for tests, never for work. `up`, `down`, `status`.

What is true to the real thing: the manifest and its tree (`kubeadm`, `tree`), which files the kubelet reads and when it
replaces a Pod (`manifests`, `staticpod`), what it refuses and in which words (`podfields`, `podvalidation`, `volumes`),
how kube-apiserver reads its flags and why it does not start (`flags`, `options`, `apiserver`), what it records
(`events`, `rotation`) and answers (`server`, `answers`, `identity`).

What differs, knowingly:

- Times are short (`layout.Pace`): grace 2 s for 30, listing every 1 s for 20, back-off 1 to 8 s for 10 to 300.
- One address, 127.0.0.1, whatever `--bind-address` says; HTTP/1.1 only. A client certificate that the authority did not
  sign fails the handshake, where a real server answers 401. Bearer tokens are never known.
- No probes, no mirror Pod, no namespaces of the kernel: mounts are translated paths, so /proc/PID/root is the host's.
  The Pod's UID is a hash of the decoded Pod, but not the kubelet's own number.
- One container a Pod, hostPath and emptyDir only, kube-apiserver only. Logs of replaced Pods stay.
- Objects live in memory; writes are neither validated nor admitted. Any flag that is not `--audit-*` is tolerated.
- Batch modes write at once; truncation does not happen; a webhook's file is checked and nothing is sent to it;
  `--audit-log-format=legacy` is written as JSON.
"""

from auditctl.lab.node import Lab, down, status, up

__all__ = ["Lab", "down", "status", "up"]
