"""The kubelet: its configuration, its log and its container logs, the restart it performs, and diagnosis."""
