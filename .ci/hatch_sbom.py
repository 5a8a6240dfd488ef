"""Hatchling's hook: an SBOM (CycloneDX 1.6, PEP 770) goes into the wheel; a wheel is auditctl alone, what it needs is named."""
# ruff: noqa: INP001 - a file of its own, read by hatchling

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SbomHook(BuildHookInterface):
    """Writes the document just before the wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hand it over; an editable install gets none."""
        if version != "standard":
            return
        core = self.metadata.core
        reference = f"pkg:pypi/{core.name}@{self.metadata.version}"
        needed = [
            {"type": "library", "bom-ref": f"needs:{one}", "name": one.split(">")[0].split("<")[0], "description": one}
            for one in core.dependencies
        ]
        document = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "component": {
                    "type": "application",
                    "bom-ref": reference,
                    "name": core.name,
                    "version": self.metadata.version,
                    "purl": reference,
                    "licenses": [{"expression": core.license_expression}],
                }
            },
            "components": [{**one, "scope": "excluded"} for one in needed],
            "dependencies": [{"ref": reference, "dependsOn": [one["bom-ref"] for one in needed]}],
        }
        path = Path(tempfile.mkdtemp()) / "auditctl.cdx.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        build_data["sbom_files"].append(str(path))
