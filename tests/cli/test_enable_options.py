"""An option of `enable` is declared once: the Ansible module, its documentation and the role have the same ones."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from ruamel.yaml import YAML

from auditctl.cli import node_commands
from auditctl.cli.enable_options import EnableOptions
from auditctl.cli.node_commands import DisableOptions
from auditctl.cli.options import ChangeArguments
from auditctl.errors import UsageError

COLLECTION = Path(__file__).parents[2] / "playbooks/collections/ansible_collections/auditctl/kubeadm"
MODULE = COLLECTION / "plugins/modules/apiserver_audit.py"
ROLE = COLLECTION / "roles/apiserver_audit"
# How a module spells an option: a switch `--no-X` is the boolean X, `--set` takes a mapping, check mode is `--dry-run`.
SPELLED = {"set_flags": "set", "no_log": "log", "no_webhook": "webhook"}
ONLY_TYPED = {"dry_run", "yes"}  # check mode; `--yes` follows from purge_logs
ONLY_ANSIBLE = {"policy_content", "policy_name", "webhook_config_content"}  # texts that the module writes into a file
TYPES = {str: {"str", "path"}, int: {"int"}, Path: {"path"}, bool: {"bool"}, list[str]: {"list", "dict"}}


def declared(record: type) -> dict[str, Any]:
    """Each option of a record with the type of its value, by the name that Ansible gives it."""
    hints = get_type_hints(record)
    return {
        SPELLED.get(field.name, field.name): plain_type(hints[field.name])
        for field in fields(record)
        if field.name not in ONLY_TYPED
    }


def plain_type(hint: Any) -> Any:
    return (
        next((one for one in get_args(hint) if one is not type(None)), hint)
        if get_args(hint) and hint != list[str]
        else hint
    )


def tables() -> dict[str, dict[str, dict[str, Any]]]:
    """The literals of the module: its argument spec, by the state that the options belong to."""
    tree = ast.parse(MODULE.read_text())
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.startswith("OF_")
        and isinstance(node.value, ast.Dict) and node.targets[0].id != "OF_STATE"
    }  # fmt: skip


def documented() -> dict[str, Any]:
    tree = ast.parse(MODULE.read_text())
    text = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION"
    )
    return dict(YAML(typ="safe", pure=True).load(text)["options"])


def test_the_module_takes_what_enable_takes() -> None:
    """By name and by type, the common options and those of `enable`."""
    spec = tables()
    module = {**spec["OF_ENABLE"], **spec["OF_BOTH"], **spec["OF_ALL"]}
    options = declared(EnableOptions)

    assert set(module) - ONLY_ANSIBLE == set(options)
    assert {name: module[name]["type"] for name in options if module[name]["type"] not in TYPES[options[name]]} == {}


def test_the_module_takes_what_disable_takes() -> None:
    spec = tables()

    assert {*spec["OF_DISABLE"], *spec["OF_BOTH"], *spec["OF_ALL"]} == set(declared(DisableOptions))


def test_the_modules_documentation_has_its_options_and_no_other() -> None:
    spec = {name: row for table in tables().values() for name, row in table.items()}
    options = documented()

    assert set(options) - {"state"} == set(spec)
    for name, row in spec.items():
        assert options[name]["type"] == row["type"], name
        assert options[name].get("default") == row.get("default"), name


def test_the_role_hands_every_option_on() -> None:
    """Its argument spec has the option with the module's type, and its tasks name it."""
    spec = {name: row for table in tables().values() for name, row in table.items()}
    role = YAML(typ="safe", pure=True).load((ROLE / "meta/argument_specs.yml").read_text())
    arguments = role["argument_specs"]["main"]["options"]
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").glob("*.yml"))

    assert 'policy_name: "{{ apiserver_audit_policy_file' in tasks  # what the role knows itself
    for name, row in spec.items():
        if name == "policy_name":
            continue
        assert arguments[f"apiserver_audit_{name}"]["type"] == row["type"], name
        assert f"apiserver_audit_{name}" in tasks or name == "persist", name


@pytest.mark.parametrize(
    ("command", "record", "more"),
    [
        (node_commands.enable, EnableOptions, set()),
        (node_commands.disable, DisableOptions, set()),
        (node_commands.restart, ChangeArguments, set()),
        (node_commands.rollback, ChangeArguments, {"change_id"}),
        (node_commands.doctor, ChangeArguments, {"fix"}),
    ],
)
def test_typer_reads_the_record(command: Any, record: type, more: set[str]) -> None:
    """Every field is a parameter with its default; the command's own come before the common ones."""
    parameters = inspect.signature(command).parameters
    names = [name for name in parameters if name not in {"context", *more}]

    assert {name: parameters[name].default for name in names} == {one.name: one.default for one in fields(record)}
    common = [field.name for field in fields(ChangeArguments)]
    assert names[len(names) - len(common) :] == common


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (EnableOptions(policy=""), "the name is empty"),
        (EnableOptions(no_log=True, log_path="/x/y"), "--no-log and --log-path"),
        (EnableOptions(embed_certs=True), "--webhook-config"),
        (EnableOptions(no_webhook=True, webhook_config=Path("w")), "exclude each other"),
        (EnableOptions(set_flags=["profiling=false"]), "--set profiling=false"),
    ],
)
def test_what_excludes_each_other_is_a_usage_error(options: EnableOptions, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        options.settings()


def test_switches_become_settings() -> None:
    """`--no-log` is False, a path means True, nothing leaves it to the manifest."""
    assert EnableOptions(no_log=True).settings().log is False
    assert EnableOptions(log_path="/x/y").settings().log is True
    assert EnableOptions().settings().log is None
    assert EnableOptions(set_flags=["--audit_log_mode=batch"]).settings().set_flags == {"audit-log-mode": "batch"}
