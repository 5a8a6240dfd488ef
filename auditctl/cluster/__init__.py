"""A cluster as its API shows it, from any machine with a kubeconfig: nothing is read from a node, nothing is written."""
