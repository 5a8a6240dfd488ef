"""Import all modules that a watchdog may need, before it is forked. Nothing in here is called.

A watchdog goes on with a change whose run has died: maybe because the disk is full, or because the package was replaced
meanwhile. Nothing that it needs may be read from a file then. Modules that others import only when they first need them
are named here; what those import comes along.
"""

# ruff: noqa: F401
import base64
import encodings.idna  # socket.create_connection encodes every host name with it
import json
import ssl
import subprocess
import syslog

from auditctl.manifest import document
from auditctl.node.apiserver import credentials, probe, receipt
from auditctl.node.kubelet import diagnosis_evidence, diagnosis_place
from auditctl.operations.evidence import webhook_delivery
