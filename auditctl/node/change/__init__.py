"""The crash-safe change of the node's files: journal, backups, one rename a file, undo, watchdog."""
