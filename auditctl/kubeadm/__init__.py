"""kubeadm's own record of the cluster: what an upgrade or a join would write into the manifest."""
