"""Redirect new connections to a standby server by iptables, where nft is not installed or cannot do it.

One chain of ours in the table nat of each family, called first. The kernel itself ends each rule at a time of day
(xt_time, ``--datestop``), which is moved on for as long as somebody says so again. It is less safe than nft's timeout: a
wall clock that is set back lets the rule live longer. The built-in chains of the table stay, so that no connection is cut.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from auditctl.node.apiserver.client import PAST_REDIRECT_MARK
from auditctl.node.clock import Clock
from auditctl.node.programs import program
from auditctl.node.standby.redirect_target import TIMEOUT_SECONDS, RedirectTarget, own_loopback

_CHAIN = "AUDITCTL-STANDBY"
_FROM = ("OUTPUT", "PREROUTING")
_PROGRAMS = {4: "iptables", 6: "ip6tables"}
_RUN_SECONDS = 10.0


class IptablesRedirect(NamedTuple):
    """The redirect by iptables and ip6tables."""

    target: RedirectTarget
    clock: Clock

    def missing(self) -> str:
        """Return why iptables cannot do it, as it says when it is asked to check the rules."""
        try:
            ran = _restore(4, self._rules(4), "--test")
        except FileNotFoundError:
            return "iptables is not installed"
        except (OSError, subprocess.SubprocessError) as error:
            return f"iptables cannot be run: {error}"
        return "" if ran.returncode == 0 else f"iptables cannot make the rules: {_first_line(ran.stderr)}"

    def keep(self) -> None:
        """Put the rules in anew, each family in one transaction, and call the chain where it is not called yet."""
        for version in (4, 6):
            try:
                ran = _restore(version, self._rules(version))
                if ran.returncode == 0:
                    ran = _call(version)
            except (OSError, subprocess.SubprocessError) as error:
                if version == 4:
                    raise OSError(f"iptables: {error}") from error
                continue
            if ran.returncode != 0 and version == 4:
                raise OSError(f"iptables: {_first_line(ran.stderr)}")

    def connections(self) -> None:
        """Return nothing: the counters begin anew with each renewal."""

    def _rules(self, version: int) -> str:
        """Return the input of iptables-restore; to name the chain empties it, within the same transaction."""
        until = self.clock.utc() + timedelta(seconds=TIMEOUT_SECONDS)
        timed = f"-m time --datestop {until:%Y-%m-%dT%H:%M:%S} -j DNAT --to-destination"
        target, mine = self.target, f"-A {_CHAIN}"
        lines = [
            "*nat",
            f":{_CHAIN} - [0:0]",
            f"{mine} -m mark --mark {PAST_REDIRECT_MARK:#x} -j RETURN",
            f"{mine} -d {own_loopback(version)} -j RETURN",
            f"{mine} -p tcp --dport {target.port} -m addrtype --dst-type LOCAL {timed} :{target.standby_port}",
        ]
        service, there = target.cluster_ip_in(version)
        if service:
            lines.append(f"{mine} -d {service} -p tcp --dport 443 {timed} {there}")
        return "\n".join([*lines, "COMMIT"]) + "\n"


def stop() -> None:
    """Empty our chains, if they are there; raises nothing."""
    for version in (4, 6):
        with suppress(OSError, subprocess.SubprocessError):
            _run(version, "-F", _CHAIN)


def is_left() -> bool:
    """Tell whether a chain of ours is there."""
    return any(ran.returncode == 0 for version in (4, 6) for ran in _tried(version, "-S", _CHAIN))


def remove() -> None:
    """Remove our chain and the calls of it, if they are there; raises nothing."""
    for version in (4, 6):
        for ran in _tried(version, "-S", _CHAIN):
            if ran.returncode == 0:
                _remove(version)


def _remove(version: int) -> None:
    with suppress(OSError, subprocess.SubprocessError):
        _run(version, "-F", _CHAIN)
        for chain in _FROM:
            while _run(version, "-D", chain, "-j", _CHAIN).returncode == 0:
                pass  # a call that was made twice is taken out twice
        _run(version, "-X", _CHAIN)


def _call(version: int) -> subprocess.CompletedProcess[str]:
    """Call the chain first, so that it comes before kube-proxy's."""
    ran = _run(version, "-S", _CHAIN)
    for chain in _FROM:
        if ran.returncode == 0 and _run(version, "-C", chain, "-j", _CHAIN).returncode != 0:
            ran = _run(version, "-I", chain, "1", "-j", _CHAIN)
    return ran


def _tried(version: int, *words: str) -> Iterator[subprocess.CompletedProcess[str]]:
    with suppress(OSError, subprocess.SubprocessError):
        yield _run(version, *words)


def _run(version: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [_program(_PROGRAMS[version]), "-w", "5", "-t", "nat", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)


def _restore(version: int, rules: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [_program(f"{_PROGRAMS[version]}-restore"), "-w", "5", "--noflush", *words]
    return subprocess.run(command, input=rules, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)


def _program(name: str) -> str:
    """Return the path of a program. Raises FileNotFoundError."""
    path = program(name)
    if path is None:
        raise FileNotFoundError(name)
    return path


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
