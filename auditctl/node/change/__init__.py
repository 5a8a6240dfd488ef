"""Change the node's files so that a crash leaves the old or the new ones.

``files`` reads and replaces files: every replacement, that of the manifest too, is the one rename in ``files.replace``.
``journal`` and ``state`` hold what was begun and what was done; ``backup`` keeps the old bytes; ``change`` begins, installs
and puts back; ``lock`` admits one run at a time; ``watchdog`` is the process that outlives a killed run, and ``signals``
defers an interruption.
"""
