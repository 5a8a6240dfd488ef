"""The stand-in for kube-apiserver: flags, refusals, answers and audit backends."""
