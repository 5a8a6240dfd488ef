"""`log shipper`: the values come from the node, and each configuration is of its program's form."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from auditctl.errors import RefusedError, UsageError
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.log.shipper import log_shipper, programs
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
PROGRAMS = ("vector", "alloy", "fluent-bit", "otel", "filebeat", "rsyslog")
LOG = "/var/log/kubernetes/audit/audit.log"
ROTATED = "/var/log/kubernetes/audit/audit-[0-9][0-9][0-9][0-9]-*.log"


@pytest.fixture
def node(folder_node: ControlPlane) -> ControlPlane:
    """A node with a log."""
    enable(folder_node, EnableRequest(Settings(log_maxsize_megabytes=50)), NO_WAIT)
    return folder_node


def configuration(node: ControlPlane, program: str, to: str | None = None) -> str:
    return log_shipper(node, program, to, "prod").text("text")


def with_flag(node: ControlPlane, line: str) -> None:
    text = node.manifest_path.read_text()
    node.manifest_path.write_text(text.replace("    - kube-apiserver\n", f"    - kube-apiserver\n    - {line}\n"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_value_is_filled_in_from_the_flags(program: str, node: ControlPlane) -> None:
    text = configuration(node, program, "https://logs.example.org:9443")

    assert LOG in text
    assert str(50 << 20) in text
    assert "prod" in text
    assert "logs.example.org" in text
    assert "auditID" in text
    assert "enable --readers" in text
    assert not re.search(r"@[A-Z_]{2,}@", text)
    assert "no API server was seen" in text


def test_all_programs_of_the_table_are_tested() -> None:
    assert tuple(programs()) == PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_rotated_file_is_read_where_the_program_knows_it_again_and_never_its_compressed_copy(
    program: str, node: ControlPlane
) -> None:
    """Else it is read twice: under its own name and under the new one."""
    text = "\n".join(line for line in configuration(node, program).splitlines() if line.lstrip()[:1] not in ("#", "/"))

    names_rotated = [line for line in text.splitlines() if ROTATED in line and "exclude" not in line]
    assert bool(names_rotated) == programs()[program]["reads_rotated"]
    if names_rotated:
        assert re.search(r"exclude.*gz", text)


def parsed(node: ControlPlane, program: str) -> Any:
    return YAML(typ="safe").load(configuration(node, program))


def test_the_yaml_of_otel_names_what_it_defines(node: ControlPlane) -> None:
    document = parsed(node, "otel")

    pipeline = document["service"]["pipelines"]["logs/kubernetes_audit"]
    assert set(pipeline["receivers"]) <= set(document["receivers"])
    assert set(pipeline["exporters"]) <= set(document["exporters"])
    receiver = document["receivers"]["filelog/kubernetes_audit"]
    assert receiver["include"] == [LOG, ROTATED]
    assert receiver["exclude"] == ["/var/log/kubernetes/audit/*.gz"]
    assert receiver["max_log_size"] == 50 << 20
    assert receiver["storage"] in document["extensions"]


def test_the_yaml_of_filebeat_and_fluent_bit_has_the_key(node: ControlPlane) -> None:
    (source,) = parsed(node, "filebeat")["filebeat.inputs"]
    bit = parsed(node, "fluent-bit")["pipeline"]

    assert source["paths"] == [LOG, ROTATED]
    assert source["message_max_bytes"] == 50 << 20
    assert bit["inputs"][0]["exclude_path"].split(",")[0] == ROTATED
    assert bit["outputs"][0]["id_key"] == "audit_key"
    assert (bit["outputs"][0]["host"], bit["outputs"][0]["port"]) == ("127.0.0.1", 9200)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_the_toml_of_vector_is_one_and_its_parts_are_connected(node: ControlPlane) -> None:
    import tomllib

    document = tomllib.loads(configuration(node, "vector"))

    assert document["sources"]["kubernetes_audit"]["include"] == [LOG, ROTATED]
    assert document["transforms"]["kubernetes_audit_event"]["inputs"] == ["kubernetes_audit"]
    assert document["sinks"]["kubernetes_audit_destination"]["inputs"] == ["kubernetes_audit_event"]
    assert document["sinks"]["kubernetes_audit_destination"]["id_key"] == "audit_key"


@pytest.mark.parametrize("program", ["alloy", "rsyslog"])
def test_brackets_of_the_other_formats_are_closed(program: str, node: ControlPlane) -> None:
    text = re.sub(r'"(?:[^"\\]|\\.)*"|^\s*(?:#|//).*$', "", configuration(node, program), flags=re.MULTILINE)

    for begin, end in ("{}", "()", "[]"):
        assert text.count(begin) == text.count(end)


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslogd (Debian: rsyslog) is not installed")
def test_rsyslogd_accepts_its_configuration(node: ControlPlane, tmp_path: Path) -> None:
    path = tmp_path / "rsyslog.conf"
    path.write_text(f'global(workDirectory="{tmp_path}")\n{configuration(node, "rsyslog")}\n')

    ran = subprocess.run(["rsyslogd", "-N1", "-f", str(path)], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "error" not in ran.stderr.lower()


def test_truncation_limits_the_longest_line(node: ControlPlane) -> None:
    with_flag(node, "--audit-log-truncate-enabled=true")
    with_flag(node, "--audit-log-truncate-max-event-size=200000")

    text = configuration(node, "otel")

    assert f"max_log_size: {200000 + 65536}\n" in text
    assert "from --audit-log-truncate-max-event-size" in text


def test_what_a_configuration_would_misread_is_refused(node: ControlPlane) -> None:
    for program, to, cluster in (
        ("splunk", None, "c"),
        ("otel", 'http://x"\ny: z', "c"),
        ("otel", "http://user:password@x", "c"),
        ("otel", "http://x:99999", "c"),
        ("otel", None, "a b"),
    ):
        with pytest.raises(UsageError):
            log_shipper(node, program, to, cluster)


def test_a_log_that_is_not_json_or_not_a_file_is_refused(folder_node: ControlPlane, node: ControlPlane) -> None:
    with_flag(node, "--audit-log-format=legacy")

    with pytest.raises(RefusedError, match="legacy"):
        configuration(node, "vector")


def test_without_a_log_there_is_nothing_to_ship(folder_node: ControlPlane) -> None:
    with pytest.raises(RefusedError):
        configuration(folder_node, "vector")
