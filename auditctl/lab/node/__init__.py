"""The practice node: a small kubelet, its static Pods, certificates and files."""
