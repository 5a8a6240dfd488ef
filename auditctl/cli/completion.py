"""Shell completion: the script of a shell, as kubectl and kubeadm print theirs, and the answer to that script.

The script calls the program again with the words of the command line (the last one is incomplete) under `VARIABLE`. The
answer is one candidate a line, a tab and its description behind it; the last line says whether file names may be offered,
as cobra's directives do (0: also files, 4: no files), so that kubectl understands it, too.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from auditctl.cli.candidates import CANDIDATES, Candidate
from auditctl.cli.command_line import hoist
from auditctl.cli.context import run_and_exit
from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult, text_result
from auditctl.report import ManifestChange, Outcome, Report

VARIABLE = "_AUDITCTL_COMPLETE"
_WITH_FILES, _NO_FILES = ":0", ":4"
_FILE_WORDS = ("FILE", "PATH", "DIR", "LOG", "JSONL", "EXPECT", "OLD", "NEW", "OUT")

_BASH = """\
_auditctl_completion() {
    local line directive=0
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :*) directive=${line#:} ;;
            *) COMPREPLY+=("${line%%$'\\t'*}") ;;
        esac
    done < <(VARIABLE=1 "$1" "${words[@]}" 2>/dev/null)
    [ "$directive" = 0 ] || compopt +o default 2>/dev/null
}

complete -o default -F _auditctl_completion NAMES"""
_ZSH = """\
#compdef NAMES

_auditctl_completion() {
  local line directive=0
  local -a candidates
  while IFS= read -r line; do
    case $line in
      :*) directive=${line#:} ;;
      *$'\\t'*) candidates+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}") ;;
      *) candidates+=("${line//:/\\\\:}") ;;
    esac
  done < <(VARIABLE=1 "${words[1]}" "${(@)words[2,CURRENT]}" 2>/dev/null)
  compset -P '--*='
  (( $#candidates )) && _describe 'auditctl' candidates
  [[ $directive == 0 ]] && _files
}

if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
  _auditctl_completion "$@"
else
  compdef _auditctl_completion NAMES
fi"""
_FISH = """\
function __auditctl_completion
    set -l program (commandline -opc)[1]
    set -l words (commandline -opc)[2..-1] (commandline -ct)
    set -l before ''
    if string match -q -- '--*=*' (commandline -ct)
        set before (string replace -r '=.*' '=' -- (commandline -ct))
    end
    for line in (env VARIABLE=1 $program $words 2>/dev/null)
        switch $line
            case ':0'
                __fish_complete_path (commandline -ct)
            case ':*'
            case '*'
                echo $before$line
        end
    end
end
"""
_FISH_FOR_ONE = "complete --command NAME --no-files --keep-order --arguments '(__auditctl_completion)'"
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell, for its startup file."""
    program = Path(sys.argv[0]).name  # also kube-auditctl, kubectl-auditctl
    in_venv = sys.prefix != sys.base_prefix and Path(sys.argv[0]).with_name("auditctl").exists()
    program = "auditctl" if in_venv or "auditctl" not in program else program

    def operation(_: object) -> CommandResult:
        if shell not in _SCRIPTS:
            raise UsageError(f"completion {shell}: not one of {', '.join(_SCRIPTS)}")
        return text_result(
            Report(
                command="completion",
                outcome=Outcome.UNCHANGED,
                summary=script(program, shell),
                manifest=ManifestChange(path=""),
            )
        )

    run_and_exit(context, "completion", operation)


def script(program: str, shell: str) -> str:
    """Return the script for the names of the program; `auditctl` is one of them only if ``program`` says that it is ours."""
    names = ("kube-auditctl", "kubectl-auditctl", *(("auditctl",) if program == "auditctl" else ()))
    text = _SCRIPTS[shell].replace("NAMES", " ".join(names)).replace("VARIABLE", VARIABLE)
    if shell == "fish":
        text += "\n".join(_FISH_FOR_ONE.replace("NAME", name) for name in names)
    return text


def answer_shell(command: Any, words: Sequence[str]) -> int:
    """Print what may stand for the last word, and whether file names may."""
    try:
        candidates, with_files = _answer(command, _joined(words) or [""])
    except Exception:  # noqa: BLE001 (a shell shows nothing rather than an error in the middle of a line)
        candidates, with_files = [], True
    lines = ["\t".join(filter(None, candidate)) for candidate in candidates]
    sys.stdout.write("\n".join((*lines, _WITH_FILES if with_files else _NO_FILES)) + "\n")
    return 0


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words with ``--name = value`` as one: bash takes it apart at the equals sign."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _answer(command: Any, words: list[str]) -> tuple[list[Candidate], bool]:
    # click, or the copy of it that typer 0.26 and later brings; both find what the last word belongs to by these two
    clicks = importlib.import_module(f"{typer.BadParameter.__module__.rpartition('.')[0]}.shell_completion")
    context_of, target_of = (getattr(clicks, name) for name in ("_resolve_context", "_resolve_incomplete"))
    *before, incomplete = words
    hoisted = hoist(before)
    if hoisted.lacking:  # a global option behind its command lacks its value: as if it stood before it
        context = context_of(command, {}, "auditctl", hoisted.front)
        target, incomplete = target_of(context, [*hoisted.front, hoisted.lacking], incomplete)
    else:
        context = context_of(command, {}, "auditctl", list(hoisted.words))
        target, incomplete = target_of(context, list(hoisted.words), incomplete)
    if not hasattr(target, "param_type_name"):
        return list(_names(context, target, incomplete)), False
    path = context.command_path.partition(" ")[2]
    source = CANDIDATES.get(f"{path} {target.name}".strip()) or CANDIDATES.get(target.name)
    if source is not None:
        candidates = [one for one in source(context.find_root().params) if one.value.startswith(incomplete)]
    else:
        candidates = [Candidate(item.value, item.help or "") for item in target.shell_complete(context, incomplete)]
        candidates = [one for one in candidates if one.value != incomplete]
    metavar = target.metavar or (target.name or "").upper()
    return candidates, any(word in metavar for word in _FILE_WORDS) and "NAMESPACE" not in metavar


def _names(context: Any, command: Any, incomplete: str) -> Iterator[Candidate]:
    """Yield names of commands, or of options: those of the command, then the global ones."""
    root, names = context.find_root(), set[str]()
    for one in (command, *((root.command,) if incomplete.startswith("-") and root.command is not command else ())):
        for item in one.shell_complete(context if one is command else root, incomplete):
            if item.value not in names:
                names.add(item.value)
                yield Candidate(item.value, " ".join((item.help or "").split()))
