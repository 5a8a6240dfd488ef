"""Checks of the node before an edit: mounts, disk, other managers, SELinux, ACL, webhook trial."""
