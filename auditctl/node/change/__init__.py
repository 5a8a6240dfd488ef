"""Change the node's files so that a crash leaves the old or the new ones."""
