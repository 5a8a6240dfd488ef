"""Under the names of the packages: completion in the three shells, the manual page, and auditd beside us."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from building import NAMES, Built, needs_dpkg

pytestmark = needs_dpkg
AUDITD = "/usr/sbin/auditctl"
BASH = """
source "$1"; COMP_WORDS=("$2" lab de); COMP_CWORD=2
function=$(complete -p "$2" | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function "$2" de lab; echo "${COMPREPLY[@]}"
"""
ZSH = """
autoload -Uz compinit && compinit -u -d "$2"/dump
_arguments() { print -l -- "$@" }; _describe() { shift; print -l -- "${(P)1[@]}" }; _files() { }
words=($1 lab de) CURRENT=3; source "$3"/_$1 2>/dev/null; functions -- ${_comps[$1]} >/dev/null && ${_comps[$1]}
"""


@pytest.fixture(scope="module")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's tree, and on PATH before it the single file under both names (the .deb's own lie in /opt)."""
    folder = tmp_path_factory.mktemp("deb")
    subprocess.run(["dpkg-deb", "-x", built.deb, folder], check=True)
    for name in NAMES:
        (folder / "path").mkdir(exist_ok=True)
        shutil.copy(built.single_file, folder / "path" / name)
    return folder


def run(folder: Path, *command: str | Path) -> str:
    """With the names on PATH."""
    path = f"{folder / 'path'}:{folder / 'usr/bin'}:{os.environ['PATH']}"
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path, "TERM": "xterm"})
    return ran.stdout


@pytest.mark.parametrize("name", NAMES)
def test_bash_completes_both_names(unpacked: Path, name: str) -> None:
    """From the file that the package installs."""
    script = unpacked / "usr/share/bash-completion/completions" / name
    assert run(unpacked, "bash", "-c", BASH, "bash", script, name) == "demo\n"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not here")
def test_fish_completes_both_names(unpacked: Path, tmp_path: Path, name: str) -> None:
    script = unpacked / f"usr/share/fish/vendor_completions.d/{name}.fish"
    said = run(unpacked, "env", f"HOME={tmp_path}", "fish", "-c", f"source {script}; complete -C '{name} lab de'")
    assert [line.split("\t")[0] for line in said.splitlines()] == ["demo"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not here")
def test_zsh_completes_both_names(unpacked: Path, tmp_path: Path, name: str) -> None:
    """Its function is found by the name, and offers the command; what would draw it is replaced by a print."""
    folder = unpacked / "usr/share/zsh/vendor-completions"
    said = run(unpacked, "zsh", "-f", "-c", f'fpath=("$3" $fpath)\n{ZSH}', "zsh", name, tmp_path, folder)
    assert "demo:" in said


def test_kubectl_is_answered_as_it_asks(unpacked: Path) -> None:
    """`kubectl auditctl lab de<TAB>` runs `kubectl_complete-auditctl lab de`, and wants a directive in the last line."""
    *offered, directive = run(unpacked, "kubectl_complete-auditctl", "lab", "de").splitlines()
    assert [line.partition("\t")[0] for line in offered] == ["demo"]
    assert directive == ":4"  # no file names beside it
    every = run(unpacked, "kubectl_complete-auditctl", "").splitlines()
    assert "verify" in [line.partition("\t")[0] for line in every]


@pytest.mark.skipif(not shutil.which("man"), reason="man is not here")
def test_the_manual_page_is_whole_and_well_formed(unpacked: Path) -> None:
    """Every command and every exit code is in it; groff has nothing to warn of; the other name leads to it."""
    pages = unpacked / "usr/share/man/man8"
    ran = subprocess.run(
        ["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", pages / "kube-auditctl.8.gz"],
        capture_output=True, text=True, env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "GROFF_NO_SGR": "1"},
    )  # fmt: skip
    plain = subprocess.run(["col", "-bx"], input=ran.stdout, capture_output=True, text=True).stdout

    assert (ran.returncode, ran.stderr) == (0, "")
    for command in (
        "enable",
        "disable",
        "policy explain FILE",
        "log tail",
        "kubeadm persist",
        "lab demo",
        "completion",
    ):
        assert f"\n   {command}" in plain, command
    for words in ("EXIT STATUS", "NO_COLOR", "/var/lib/auditctl", "not auditd's auditctl(8)", "--log-maxage DAYS"):
        assert words in " ".join(plain.split()), words  # lines are filled and justified
    assert os.readlink(pages / "kubectl-auditctl.8.gz") == "kube-auditctl.8.gz"


@pytest.mark.skipif(not os.access(AUDITD, os.X_OK), reason="auditd is not installed here")
@pytest.mark.parametrize("words", [("-l",), ("-s",), ("-v",), ("-l", "-k"), ("-e9",), ("-W", "relative")])
def test_auditds_options_reach_auditd(built: Built, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Under its name, and as if it had been called itself: the same words, the same exit code. All of these only read or are wrong."""
    program = tmp_path / "auditctl"
    shutil.copy(built.single_file, program)

    ours, theirs = (subprocess.run([one, *words], capture_output=True, text=True) for one in (program, AUDITD))

    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


@pytest.mark.skipif(not os.access(AUDITD, os.X_OK), reason="auditd is not installed here")
def test_beside_auditd_our_words_stay_ours(built: Built, tmp_path: Path) -> None:
    """Its program refuses them without a word; under `kube-auditctl` its options are ours to refuse."""
    for name in ("auditctl", "kube-auditctl"):
        shutil.copy(built.single_file, tmp_path / name)
    ours = subprocess.run([tmp_path / "auditctl", "policy", "list"], capture_output=True, text=True)
    other = subprocess.run([tmp_path / "kube-auditctl", "-l"], capture_output=True, text=True)

    assert (ours.returncode, "baseline" in ours.stdout) == (0, True)
    assert (other.returncode, "No such option: -l" in other.stderr) == (2, True)
