"""The embedded node: a stand-in for practice and for tests, never for work. See `lab.node`."""

from auditctl.lab.node import Lab, down, status, up

__all__ = ["Lab", "down", "status", "up"]
