"""Make the generated pages of docs/reference: commands, the checks of policies, and the known words of crashes.

    python .ci/make_docs.py            # writes them
    python .ci/make_docs.py --check    # exit 1 where a page is not what the program says

A test runs the second.
"""  # noqa: INP001 - a script, no package

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
REFERENCE = TOP / "docs" / "reference"
PROGRAM = "kube-auditctl"
NOTE = "Made by `.ci/make_docs.py` from the program; a test compares.\n"
GROUPS = {
    "": ("commands", "Commands on the node"),
    "policy": ("commands-policy", "Commands on policies"),
    "log": ("commands-log", "Commands on the audit log"),
    "kubeadm": ("commands-kubeadm", "Commands for kubeadm's own record"),
    "lab": ("commands-lab", "Commands to practise"),
}
PARAGRAPH = re.compile(r"\n\s*\n")


def program() -> Any:
    """Return the application with all commands, under the name that every installation has."""
    from typer.main import get_command

    from auditctl.cli.application import build

    return get_command(build([]))


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that name it."""
    if not hasattr(command, "commands") or getattr(command, "invoke_without_command", False):
        yield path, command
    for name in sorted(getattr(command, "commands", {})):
        yield from leaves(command.commands[name], (*path, name))


def text_of(words: str | None) -> str:
    """Return one line of Markdown, our own commands under the name that every installation has."""
    line = " ".join((words or "").split())
    return re.sub(r"(?<![-\w/.`])`?auditctl (?=[a-z])", lambda m: m[0].replace("auditctl", PROGRAM), line)


def option_lines(command: Any) -> Iterator[str]:
    """Yield one line for each option and argument."""
    for one in command.params:
        if getattr(one, "hidden", False) or "--help" in one.opts:
            continue
        if one.param_type_name == "argument":
            summary = text_of(getattr(one, "help", ""))
            yield f"- `{one.make_metavar_text}`: {summary}" if summary else f"- `{one.make_metavar_text}`"
        else:
            names = ", ".join([*one.opts, *one.secondary_opts])
            metavar = "" if one.is_flag else f" {one.metavar or 'VALUE'}"
            yield f"- `{names}{metavar}`: {text_of(one.help)}"


def argument_word(one: Any) -> str:
    """Return the word of an argument in a usage line."""
    word = one.metavar or one.name.upper()
    return word if one.required or word.startswith("[") else f"[{word}]"


def section(path: tuple[str, ...], command: Any, examples: Any) -> Iterator[str]:
    """Yield the section of one command."""
    for one in command.params:
        if one.param_type_name == "argument":
            one.make_metavar_text = argument_word(one)
    arguments = [one.make_metavar_text for one in command.params if one.param_type_name == "argument"]
    yield f"## {' '.join(path)}"
    yield ""
    usage = " ".join([PROGRAM, *path, *arguments])
    summary, *_ = PARAGRAPH.split(command.help or "")
    yield f"`{usage}`: {text_of(summary)}"
    yield ""
    if lines := list(option_lines(command)):
        yield from (*lines, "")
    if rows := examples.get(" ".join(path), ()):
        yield "```text"
        yield from (f"{PROGRAM} {words}" + (f"  # {text_of(meaning)}" if meaning else "") for words, meaning in rows)
        yield from ("```", "")


def command_pages() -> Iterator[tuple[str, str]]:
    """Yield name and text of the pages of commands."""
    from auditctl.cli.examples import EXAMPLES

    root = program()
    every = list(leaves(root))
    for group, (name, title) in GROUPS.items():
        lines = [f"# {title}", "", NOTE]
        if not group:
            others = " · ".join(f"[{title}]({page}.md)" for page, title in list(GROUPS.values())[1:])
            lines += [
                f"Others: {others}",
                "",
                "Global options, before or after the command:",
                "",
                *option_lines(root),
                "",
            ]
        for path, command in every:
            if path and (path[0] == group if group else path[0] not in GROUPS):
                lines += section(path, command, EXAMPLES)
        yield name, "\n".join(lines).rstrip("\n") + "\n"


def cell(words: str) -> str:
    """Return text for a cell of a table."""
    return re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), text_of(words).replace("|", "\\|"))


def policy_checks() -> str:
    """Return the page of the checks of `policy validate`."""
    from auditctl.policy.lint_checks import CHECKS

    lines = ["# Checks of policies", "", NOTE]
    lines += ["`policy validate` reports them with line and column; `--only NAME` and `--allow NAME` choose.", ""]
    for check in CHECKS:
        lines += [f"## {check.name}", "", f"{check.severity.value.capitalize()}: {text_of(check.reason)}.", ""]
        lines += ["```yaml", f"rules: {check.example}", "```", "", f"Mend: {text_of(check.fix)}.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def crashes() -> str:
    """Return the page of the known words of kube-apiserver and the kubelet."""
    rows = json.loads((TOP / "templates" / "crashes.json").read_text(encoding="utf-8"))
    lines = ["# Crashes: the words of kube-apiserver and the kubelet that auditctl knows", "", NOTE]
    lines += [
        "`doctor`, and a change that fails, name the cause by these. In a message, words in capitals are filled in.",
        "",
    ]
    for says, title in (("apiserver", "kube-apiserver"), ("kubelet", "The kubelet")):
        lines += [f"## {title}", "", "| check | cause | how to mend |", "|---|---|---|"]
        lines += [
            f"| `{row['name']}` | {cell(row['cause'])} | {cell(row['fix'])} |" for row in rows if row["says"] == says
        ]
        lines += [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def pages() -> dict[Path, str]:
    """Return every generated page with its text."""
    named = {**dict(command_pages()), "policy-checks": policy_checks(), "crashes": crashes()}
    return {REFERENCE / f"{name}.md": text for name, text in named.items()}


def main(words: list[str]) -> int:
    """Write the pages, or compare them; return the exit code."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in words:
            print(f"{path.relative_to(TOP)} is not what the program says: run python .ci/make_docs.py")  # noqa: T201
        else:
            path.write_text(pages()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
