"""A variable that begins like the role's and is none of them is a misspelling: nothing else would tell of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).parents[2] / "playbooks/collections"
PLAY = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    apiserver_audit_group: all
    apiserver_audit_rootfs: /nonexistent
    %s: x
  roles: [auditctl.kubeadm.apiserver_audit]
"""


@pytest.mark.skipif(not shutil.which("ansible-playbook"), reason="ansible-playbook is not here")
@pytest.mark.parametrize(
    ("variable", "refused"), [("apiserver_audit_polcy", True), ("apiserver_audit_log_path", False)]
)
def test_a_misspelt_variable_is_an_error(tmp_path: Path, variable: str, refused: bool) -> None:
    """Named in the message, before anything is done; a right one is not."""
    play = tmp_path / "play.yml"
    play.write_text(PLAY % variable)
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}

    ran = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", play], capture_output=True, text=True, env=environment
    )

    assert ("no variable of this role" in ran.stdout + ran.stderr) is refused
    assert ran.returncode != 0
