"""``policy schema``: the format of audit policies for editors and for checks of many files."""

from __future__ import annotations

import json

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import NEWEST, server_version, words
from auditctl.policy.json_schema import json_schema

_OWN_FORMATS = ("report", "expectations", "requirements", "tally")


def schema(plane: ControlPlane, kubernetes: str | None, of: str = "policy") -> CommandResult:
    """Return the JSON Schema of the policies that a server of that version loads, or of one of our own formats.

    Raises:
        UsageError: ``kubernetes`` is no version, or ``of`` no format.
    """
    if of in _OWN_FORMATS:
        document = json.loads(facts.template("schemas", f"{of}.schema.json").read_text(encoding="utf-8"))
        return CommandResult(document=document, lines=(json.dumps(document, indent=2),))
    if of != "policy":
        raise UsageError(f"--of {of}: not one of policy, {', '.join(_OWN_FORMATS)}")
    version = server_version(plane, kubernetes)
    document = json_schema(min(version, NEWEST))
    notes = (f"the schema is that of {words(version)}",) if version > NEWEST else ()
    return CommandResult(document=document, lines=(json.dumps(document, indent=2),), notes=notes)
