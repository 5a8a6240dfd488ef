"""Which kubeconfig is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditctl.cluster.client_choice import kubeconfig_of
from auditctl.cluster.connection import ServerAddress
from auditctl.errors import RefusedError


def test_the_option_counts_before_the_variable_and_that_before_the_home(tmp_path: Path) -> None:
    """Files of the variable that are not there are passed over, as kubectl does."""
    home = tmp_path / ".kube/config"
    home.parent.mkdir()
    first, second = tmp_path / "one", tmp_path / "two"
    for path in (home, first, second):
        path.touch()
    environment = {"KUBECONFIG": os.pathsep.join([str(first), str(tmp_path / "gone"), "", str(second)])}

    assert kubeconfig_of(Path("x"), "c", tmp_path, environment) == ((Path("x"),), "c")
    assert kubeconfig_of(None, "", tmp_path, environment).paths == (first, second)
    assert kubeconfig_of(None, "", tmp_path, {}).paths == (home,)


def test_where_there_is_none_it_is_said_where_one_was_looked_for(tmp_path: Path) -> None:
    """The node's own is the last place."""
    if any(Path(f"/etc/kubernetes/{name}.conf").exists() for name in ("admin", "super-admin")):
        pytest.skip("this machine is a control plane")
    with pytest.raises(RefusedError, match=r"neither --kubeconfig, nor \$KUBECONFIG, nor .*/\.kube/config"):
        kubeconfig_of(None, "", tmp_path, {})


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    """As a URL has it."""
    assert str(ServerAddress("fd00::1", 6443)) == "https://[fd00::1]:6443"
