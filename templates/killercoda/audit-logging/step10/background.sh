#!/bin/bash
# A receiver for the events, on this node alone: it writes /opt/auditctl-lab/receiver/webhook.yaml, which leads to it.
lab=${LAB_ROOT:-}/opt/auditctl-lab
mkdir -p "$lab/receiver"
nohup auditctl lab receiver "$lab/receiver" --port "${LAB_RECEIVER_PORT:-0}" >"$lab/receiver.log" 2>&1 </dev/null &
echo $! >"$lab/receiver.pid"
