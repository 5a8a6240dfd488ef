"""The redirect of new connections, in a network namespace of its own where the kernel lets us make one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from foldernode import PLAIN, FakeClock

from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root
from auditctl.node.standby.redirect import RedirectTarget, redirect, stop_redirect, target_of

# Two servers that say who they are, and a client; prints one JSON object.
_IN_A_NAMESPACE = """
import json, socket, subprocess, sys, threading
from datetime import timedelta
from pathlib import Path
from auditctl.node.apiserver.client import PAST_REDIRECT_MARK
from auditctl.node.clock import Clock
from auditctl.node.standby.iptables import IptablesRedirect
from auditctl.node.standby.redirect import NftRedirect, RedirectTarget, remove_redirect, stop_redirect, tables_left
from auditctl.node.change.files import Root
from auditctl.transport import ExchangeDeadline, connect

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", "192.0.2.7/32", "dev", "lo"], check=True)
subprocess.run(["ip", "route", "add", "198.51.100.0/24", "dev", "lo"], check=True)
subprocess.run(["ip", "address", "add", "2001:db8::7/128", "dev", "lo"], check=True)
subprocess.run(["ip", "route", "add", "2001:db8:1::/112", "dev", "lo"], check=True)

def serve(name, port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    def accept():
        while True:
            with listener.accept()[0] as client:
                client.sendall(name)
    threading.Thread(target=accept, daemon=True).start()

def asked(address, port=6443, connect=lambda address, port: socket.create_connection((address, port), 3)):
    try:
        with connect(address, port) as client:
            return client.recv(9).decode()
    except OSError as error:
        return repr(error)

serve(b"server", 6443)
serve(b"standby", 6444)
target = RedirectTarget(6443, 6444, "198.51.100.1", "192.0.2.7")
rule = NftRedirect(target) if sys.argv[1] == "nft" else IptablesRedirect(target, Clock())
seen = {"missing": rule.missing()}
class Past(Clock):
    def utc(self):
        return super().utc() - timedelta(seconds=60)
if sys.argv[1] == "iptables":  # as the kernel does when nobody has renewed it for a minute
    IptablesRedirect(target, Past()).keep()
    seen["expired"] = asked("192.0.2.7")
rule.keep()
rule.keep()
seen["loopback"] = asked("127.0.0.1")
seen["own address"] = asked("192.0.2.7")
seen["the Service"] = asked("198.51.100.1", 443)
seen["the server's own loopback"] = asked("::1")
seen["our probe"] = asked("192.0.2.7", connect=lambda address, port: connect(address, port, ExchangeDeadline.within(3), mark=PAST_REDIRECT_MARK))
seen["connections"] = rule.connections()
target = RedirectTarget(6443, 6444, "2001:db8:1::1", "2001:db8::7")
remove_redirect(Root(Path("/")))
rule = NftRedirect(target) if sys.argv[1] == "nft" else IptablesRedirect(target, Clock())
rule.keep()
seen["the Service of IPv6"] = asked("2001:db8:1::1", 443)
stop_redirect(Root(Path("/")))
seen["stopped"] = asked("192.0.2.7")
remove_redirect(Root(Path("/")))
seen["left"] = tables_left()
print(json.dumps(seen))
"""


def _namespace() -> list[str] | None:
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("nft") is None or shutil.which("ip") is None:
        return None
    words = [unshare, "--user", "--map-root-user", "--net"]
    able = subprocess.run([*words, "nft", "add", "table", "ip", "probe"], capture_output=True, check=False)
    return words if able.returncode == 0 else None


@pytest.mark.parametrize("how", ["nft", "iptables"])
def test_who_is_led_to_the_standby_and_who_is_not(how: str) -> None:
    """New connections to this node and to the Service; not the server's to itself, not our probes, nobody afterwards."""
    words = _namespace()
    if words is None:
        pytest.skip("no network namespace, nft or ip here")
    ran = subprocess.run(
        [*words, sys.executable, "-c", _IN_A_NAMESPACE, how], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.returncode == 0, ran.stderr
    expired = {"expired": "server"} if how == "iptables" else {}
    assert json.loads(ran.stdout) == expired | {
        "missing": "",
        "loopback": "standby",
        "own address": "standby",
        "the Service": "standby",
        "the Service of IPv6": "standby",
        "the server's own loopback": "server",
        "our probe": "server",
        "connections": 3 if how == "nft" else None,
        "stopped": "server",
        "left": False,
    }


def test_the_service_is_the_first_address_of_the_services_range() -> None:
    """As the API server itself gives it."""
    target = target_of(Manifest.of(Document.of_text(PLAIN.read_text(), "m.yaml")), 6444)

    assert target.service == "10.96.0.1"
    assert (target.port, target.standby_port) == (6443, 6444)
    assert f"--advertise-address={target.address}" in PLAIN.read_text()


def test_a_service_of_ipv6_leads_to_an_address_of_ipv6() -> None:
    """Where Services have such addresses first, the API server advertises one of the kind."""
    text = PLAIN.read_text().replace("10.96.0.0/12", "2001:db8:1::/112,10.96.0.0/12")
    mixed = target_of(Manifest.of(Document.of_text(text, "m.yaml")), 6444)
    address = next(line for line in text.splitlines() if "--advertise-address=" in line).partition("=")[2]
    target = target_of(Manifest.of(Document.of_text(text.replace(f"={address}", "=2001:db8::7"), "m.yaml")), 6444)

    assert target.cluster_ip_in(6) == ("2001:db8:1::1", "[2001:db8::7]:6444")
    assert target.cluster_ip_in(4) == ("", "")
    assert mixed.service == ""


def test_in_a_folder_a_file_says_where_to_and_until_when(tmp_path: Path) -> None:
    """Written anew by each call; gone afterwards."""
    clock = FakeClock()
    rule = redirect(Root(tmp_path), RedirectTarget(6443, 6444), clock)
    path = tmp_path / "run/auditctl/standby-redirect.json"

    rule.keep()
    first = json.loads(path.read_text())
    clock.sleep(5)
    rule.keep()
    second = json.loads(path.read_text())
    stop_redirect(Root(tmp_path))

    assert first["port"] == second["port"] == 6444
    assert first["until"] > clock.boot() - 5
    assert second["until"] > first["until"] + 4
    assert not path.exists()
