"""A misspelt variable of the role stops the run, with the nearest name, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from controlplanes import COLLECTION, ControlPlanes, brought_up

ROLE = COLLECTION / "roles/apiserver_audit"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[ControlPlanes]:
    """A cluster of one."""
    with brought_up(tmp_path, ("a",)) as found:
        yield found


@pytest.mark.lab
@pytest.mark.timeout(200)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(one: ControlPlanes) -> None:
    tree, process = one.nodes["a"].tree(), one.nodes["a"].process

    for playbook, option, right in (
        ("enable-audit.yml", "logmaxage", "log_maxage"),
        ("verify-audit.yml", "expect_flag", "expect_flags"),
    ):
        ran = one.play(playbook, **{option: 1})
        assert (ran.code, ran.touched) == (2, []), ran.text
        assert f"no variable apiserver_audit_{option} (did you mean apiserver_audit_{right}?)" in ran.text

    assert (one.nodes["a"].tree(), one.nodes["a"].process) == (tree, process)


def test_every_name_that_the_role_uses_is_known_to_it() -> None:
    """Options are in the argument specs, its own names in its list; a name in neither would stop every run."""
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    own = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    options = {name for spec in specs.values() for name in spec["options"]}
    known = {*options, *own["apiserver_audit_internal_names"]}
    texts = [path.read_text() for folder in ("tasks", "vars", "defaults") for path in (ROLE / folder).glob("*.yml")]
    texts.append((ROLE.parents[1] / "playbooks/fleet_audit.yml").read_text())  # it keeps names of the role, too
    used = set(re.findall(r"\bapiserver_audit_[a-z_]+[a-z]", "".join(texts)))

    assert used - known == {"apiserver_audit_info"}  # a module
    assert set(own["apiserver_audit_internal_names"]) - used == set()
    assert set(own) <= known
