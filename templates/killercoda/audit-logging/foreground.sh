#!/bin/bash
# What the learner sees until background.sh is done.
lab=${LAB_ROOT:-}/opt/auditctl-lab
echo "The node is being made ready ..."
for _ in $(seq 300); do
  [ -e "$lab/ready" ] && break
  sleep 1
done
if [ -e "$lab/problem" ]; then
  echo "This node cannot run the lab's checks: $(cat "$lab/problem")"
elif [ -e "$lab/ready" ]; then
  echo "Ready: $(cat "$lab/version")"
else
  echo "The API server does not serve yet; see /opt/auditctl-lab/last-check"
fi
