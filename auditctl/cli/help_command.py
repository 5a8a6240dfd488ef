"""``help [COMMAND or TOPIC]`` and ``version``; and help texts with groups and examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from auditctl import __version__, facts
from auditctl.cli.command_line import program
from auditctl.cli.context import run_and_exit
from auditctl.cli.examples import EXAMPLES
from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

PANELS = (
    "Change the node",
    "Look at the node",
    "Policies, logs, flags",
    "Keep it through upgrades",
    "Practise",
    "Other commands",
)


class CommandWithExamples(TyperCommand):
    """A command whose help ends with examples."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, each as it can be pasted."""
        write_examples(ctx, formatter)


class GroupWithPanels(TyperGroup):
    """A group whose help lists its commands under the headings that they were given, with whole summaries."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each heading, in the order of `PANELS`."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                heading = getattr(command, "rich_help_panel", None)
                heading = heading if isinstance(heading, str) else "Commands"
                summary = (command.help or "").split("\n\n")[0]
                sections.setdefault(heading, []).append((name, " ".join(summary.split())))
        for heading in sorted(sections, key=PANELS.index if len(sections) > 1 else None):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, then the epilog."""
        write_examples(ctx, formatter)
        super().format_epilog(ctx, formatter)


def write_examples(context: Any, formatter: Any) -> None:
    """Write the examples of the command that ``context`` is about."""
    path = context.command_path.removeprefix(context.find_root().info_name or "").strip()
    if lines := EXAMPLES.get(path, ()):
        width = max(len(words) for words, _ in lines)
        with formatter.section("Examples"):
            for words, meaning in lines:
                formatter.write(
                    f"  {program()} {words:{width}}  # {meaning}\n" if meaning else f"  {program()} {words}\n"
                )


def topics() -> Mapping[str, str]:
    """Return the topics of ``help`` with their titles."""
    return {
        path.name.removesuffix(".txt"): path.read_text(encoding="utf-8").partition("\n")[0]
        for path in sorted(facts.template("help").iterdir(), key=lambda path: path.name)
    }


PAGE_FOLDERS = ("", "how-to", "reference", "explanation")
PAGE_SUFFIX = ".md"


def pages() -> Mapping[str, str]:
    """Return the pages of the documentation by name (``how-to/policies``) with their titles."""
    headings = {}
    for folder in PAGE_FOLDERS:
        directory = facts.documentation(folder) if folder else facts.documentation()
        for path in sorted(directory.iterdir(), key=lambda path: path.name) if directory.is_dir() else ():
            if path.name.endswith(PAGE_SUFFIX):
                name = "/".join([*filter(None, [folder]), path.name.removesuffix(PAGE_SUFFIX)])
                headings[name] = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return headings


def _page_named(word: str) -> str | None:
    """Return the whole name of the page that ``word`` names with or without its folder."""
    return next((name for name in pages() if word in (name, name.rpartition("/")[2])), None)


def help_(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND or TOPIC]", help="As `policy explain`, `exit-codes` or `how-to/policies`."),
    ] = None,
    man: Annotated[bool, typer.Option("--man", help="Print the manual page, for man: it names every option.")] = False,
) -> None:
    """Explain a command or a topic; without one, list them all."""
    if man:
        from auditctl.cli.manual import page

        text = page(context.find_root().command, __version__)
        run_and_exit(context, "help", lambda _: CommandResult(document={"man": text}, summary=text.rstrip("\n")))
    run_and_exit(context, "help", lambda _: _explained(list(words or ()), context))


def _explained(words: list[str], context: typer.Context) -> CommandResult:
    known = topics()
    if len(words) == 1 and words[0] in known:
        text = facts.template("help", f"{words[0]}.txt").read_text(encoding="utf-8").rstrip("\n")
        return _text(text)
    if len(words) == 1 and words[0] not in context.find_root().command.commands:  # type: ignore[attr-defined]
        page = _page_named(words[0].removesuffix(PAGE_SUFFIX))
        if page is not None:
            return _text(
                facts.documentation(*f"{page}{PAGE_SUFFIX}".split("/")).read_text(encoding="utf-8").rstrip("\n")
            )
    current: Any = context.find_root()
    for word in words:
        commands = getattr(current.command, "commands", {})
        if word not in commands:
            from difflib import get_close_matches

            near = get_close_matches(word, [*commands, *known, *pages()], n=1)
            raise UsageError(
                f"there is no command or topic '{' '.join(words)}'",
                fix=f"did you mean '{near[0]}'?" if near else "`auditctl help` lists them all",
            )
        current = type(current)(commands[word], info_name=word, parent=current)
    text = current.get_help()
    if not words:
        rows = "\n".join(f"  {name:13}  {title}" for name, title in known.items())
        text += f"\n\nTopics ({program()} help TOPIC):\n{rows}"
        width = max(map(len, pages()), default=0)
        listed = "\n".join(f"  {name:{width}}  {title}" for name, title in pages().items())
        text += f"\n\nPages of the documentation ({program()} help PAGE):\n{listed}"
    return _text(text)


def _text(text: str) -> CommandResult:
    return CommandResult(document={"help": text}, summary=text)


def version(context: typer.Context) -> None:
    """Print the version of auditctl and of what it runs on."""

    def operation(_: ControlPlane) -> CommandResult:
        import platform

        from auditctl.operations.policy_files import NEWEST

        newest = f"{NEWEST[0]}.{NEWEST[1]}"
        document = {
            "apiVersion": "auditctl/v1",
            "kind": "Version",
            "version": __version__,
            "python": platform.python_version(),
            "newestKubernetes": newest,
        }
        line = f"auditctl {__version__} (Kubernetes API-server auditing; not auditd)"
        more = f"Python {document['python']}; knows Kubernetes up to {newest}"
        return CommandResult(document=document, lines=(line, more), summary="")

    run_and_exit(context, "version", operation)
