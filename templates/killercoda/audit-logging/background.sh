#!/bin/bash
# Once, out of sight, before the learner begins: both names of the program, the marker that allows `auditctl lab break` on this
# throw-away node, and the wait for an API server that serves. LAB_ROOT is for tests alone.
set -u
root=${LAB_ROOT:-}
lab=$root/opt/auditctl-lab
mkdir -p "$lab" "$root/root"
for name in auditctl kube-auditctl; do
  ln -sf auditctl.pyz "$root/usr/local/bin/$name"
done
echo "a throw-away node of a lab: auditctl may break it" >"$root/etc/auditctl-lab-node"
if ! auditctl --version >"$lab/version" 2>&1; then
  cp "$lab/version" "$lab/problem" # a Python that is too old, say: one line
fi
for _ in $(seq 150); do
  auditctl lab check --wants "$lab/wants/serving.yaml" >"$lab/last-check" 2>&1 && break
  [ -e "$lab/problem" ] && break
  sleep 2
done
touch "$lab/ready"
