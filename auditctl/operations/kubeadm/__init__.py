"""`kubeadm check|persist|render|preflight-upgrade`: kubeadm's own record of the audit settings."""
