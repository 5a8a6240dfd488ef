"""A callback of the tests: every result of a task as one JSON line in the file that AUDITCTL_NOTED names."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: noted
type: aggregate
short_description: results as JSON lines
description: For the tests.
"""


class CallbackModule(CallbackBase):
    """Writes down host, task, how it ended, and the result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "noted"

    def _note(self, how: str, result: Any) -> None:
        row = {"host": result.host.get_name(), "task": result.task.get_name(), "how": how, "result": result.result}
        with open(os.environ["AUDITCTL_NOTED"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, default=str) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._note("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._note("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note("unreachable", result)
