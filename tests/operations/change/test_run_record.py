"""What a change's journal says of the turn that its run has."""

from __future__ import annotations

import json

from foldernode import FakeClock

from auditctl.node.change.change import begin
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role, decode, encode_header
from auditctl.operations.change.run_record import intent_of
from auditctl.operations.change.turn import Turn
from auditctl.operations.change_model import ChangeDecision, ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, decide
from auditctl.settings import Settings


def test_the_change_has_the_id_that_its_lease_names_and_a_second_one_another(folder_node: ControlPlane) -> None:
    decision = decide(folder_node, EnableRequest(Settings()), ChangeOptions(dry_run=True, wait=False))
    assert isinstance(decision, ChangeDecision)
    own = Turn(folder_node, "20991201T120000000Z-ab12", "cp1_20991201T120000000Z-ab12")
    intent = intent_of(decision.planned, own)
    edit = FileEdit(
        role=Role.MANIFEST,
        path=folder_node.manifest_path,
        before=decision.planned.snapshot,
        after=decision.planned.new_text,
    )
    folder_node.state.prepare()

    first, second = (begin(folder_node.state, folder_node.root, FakeClock(), (edit,), intent) for _ in range(2))

    assert first.journal.id == "20991201T120000000Z-ab12"
    assert second.journal.id > first.journal.id
    assert first.journal.turn == own.identity
    header = json.loads(encode_header(first.journal))
    assert decode(json.dumps(header)) is not None
    del header["turn"]  # as an older version has written it
    before = decode(json.dumps(header))
    assert before is not None
    assert before.turn == ""
