"""``auditctl lab``: a practice node in a folder, whose API server is a stand-in."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from auditctl.cli import lab_exercises
from auditctl.cli.context import run_and_exit
from auditctl.cli.help_command import CommandWithExamples, GroupWithPanels
from auditctl.cli.options import duration
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report

if TYPE_CHECKING:  # a lab is only built when one is asked for
    from auditctl.lab.node.updown import Lab

app = typer.Typer(
    cls=GroupWithPanels,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A practice node in a folder: no root, no cluster; its API server is a stand-in.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Directory = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="The node's folder; default: --rootfs, else one of your own."),
]

app.command("list", cls=CommandWithExamples)(lab_exercises.listing)
app.command("break", cls=CommandWithExamples)(lab_exercises.break_)
app.command(cls=CommandWithExamples)(lab_exercises.hint)
app.command(cls=CommandWithExamples)(lab_exercises.check)
app.command(cls=CommandWithExamples)(lab_exercises.solve)
app.command(cls=CommandWithExamples)(lab_exercises.reset)


@app.command(cls=CommandWithExamples)
def up(
    context: typer.Context,
    directory: Directory = None,
    kubernetes: Annotated[
        str, typer.Option(metavar="VERSION", help="Write the manifest as that kubeadm does.")
    ] = "1.36.2",
    real_times: Annotated[
        bool, typer.Option("--real-times", help="As slow as a real kubelet: 30 s of grace, back-off up to 300 s.")
    ] = False,
) -> None:
    """Bring a practice node up in a folder, or say that it is up."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.node import updown
        from auditctl.lab.node.layout import REAL_TIMES, Layout

        pace = REAL_TIMES if real_times else None
        lab = updown.up(_folder(plane, directory), kubernetes=kubernetes, pace=pace)
        kubeconfig = quote(str(Layout(lab.root).admin_conf))
        steps = (
            f"export KUBECONFIG={kubeconfig}",
            f"auditctl --rootfs {lab.root} enable",
            f"auditctl lab down {lab.root}",
        )
        text = f"the stand-in kube-apiserver {lab.kubernetes} serves at {lab.url}; the node is {lab.root}"
        return _report(
            "lab up", lab.root, Outcome.CHANGED if lab.made else Outcome.UNCHANGED, text, steps, {"lab": _row(lab)}
        )

    run_and_exit(context, "lab up", operation, changes=True)


@app.command(cls=CommandWithExamples)
def down(context: typer.Context, directory: Directory = None) -> None:
    """Stop a practice node and remove its folder."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.node import updown

        folder = _folder(plane, directory)
        gone = updown.down(folder)
        text = f"the practice node in {folder} is gone" if gone else f"there is no practice node in {folder}"
        return _report("lab down", folder, Outcome.CHANGED if gone else Outcome.UNCHANGED, text, (), {})

    run_and_exit(context, "lab down", operation, changes=True)


@app.command(cls=CommandWithExamples)
def status(context: typer.Context, directory: Directory = None) -> None:
    """What stands in the folder."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.node import updown

        folder = _folder(plane, directory)
        lab = updown.status(folder)
        if lab is None:
            return _report(
                "lab status",
                folder,
                Outcome.NEGATIVE,
                f"there is no practice node in {folder}",
                (f"auditctl lab up {folder}",),
                {"lab": None},
            )
        serving = "serves" if lab.serving else "does not serve"
        text = f"the stand-in kube-apiserver {lab.kubernetes} {serving} at {lab.url}; the node is {lab.root}"
        outcome = Outcome.UNCHANGED if lab.serving else Outcome.NEGATIVE
        return _report("lab status", folder, outcome, text, (), {"lab": _row(lab)})

    run_and_exit(context, "lab status", operation)


@app.command(cls=CommandWithExamples)
def demo(context: typer.Context) -> None:
    """The whole job on a practice node that is made for it and removed again: enable, receipt, log."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.tools.demo import demo as run

        return run(plane, plane.progress.step)

    run_and_exit(context, "lab demo", operation)


@app.command(cls=CommandWithExamples)
def receiver(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where webhook.yaml and events.jsonl go; default: a folder of your own."),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Of 127.0.0.1; 0 is a free one.")] = 0,
    delay: Annotated[str, typer.Option(metavar="DURATION", help="Answer each batch that much later.")] = "0s",
    fail: Annotated[int, typer.Option(metavar="N", min=-1, help="Answer the first N batches 500; -1: all.")] = 0,
) -> None:
    """A webhook receiver for practice, until Ctrl-C: stores events as JSON lines, writes the kubeconfig that leads to it."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.node.own_folder import own_folder
        from auditctl.lab.tools.receiver import Behaviour, receive

        folder = directory or own_folder("receiver")
        behaviour = Behaviour(duration("--delay", delay), fail)
        counts = receive(folder, port, behaviour, plane.progress.step)
        text = f"{counts.events} events in {counts.batches} batches are in {folder / 'events.jsonl'}"
        numbers = {"events": counts.events, "batches": counts.batches, "refused": counts.refused}
        return _report("lab receiver", folder, Outcome.UNCHANGED, text, (), {"receiver": numbers})

    run_and_exit(context, "lab receiver", operation)


@app.command(cls=CommandWithExamples)
def scaffold(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    binary: Annotated[
        Path | None,
        typer.Option(
            "--binary", metavar="FILE", help="The single-file build that the scenario installs.  [the one that runs]"
        ),
    ] = None,
    language: Annotated[str, typer.Option(metavar="LANGUAGE", help="Of the pages: en, ja or ko.")] = "en",
) -> None:
    """Write a killercoda scenario: audit logging learnt by hand, step by step, each step graded by meaning."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.tools.scaffold import scaffold as run

        return run(plane, directory, binary, language)

    run_and_exit(context, "lab scaffold", operation)


def _folder(plane: ControlPlane, directory: Path | None) -> Path:
    if directory is not None:
        return directory
    if not plane.root.is_host:
        return plane.rootfs
    from auditctl.lab.exercises.target_node import default_folder

    return default_folder()


def _report(
    command: str, folder: Path, outcome: Outcome, summary: str, steps: tuple[str, ...], details: dict[str, object]
) -> Report:
    manifest = ManifestChange(path=str(folder / "etc/kubernetes/manifests/kube-apiserver.yaml"))
    return Report(
        command=command,
        outcome=outcome,
        summary=summary,
        manifest=manifest,
        changed=outcome is Outcome.CHANGED,
        next_steps=steps,
        details=details,
    )


def _row(lab: Lab) -> dict[str, object]:
    return {
        "root": str(lab.root),
        "kubernetes": lab.kubernetes,
        "url": lab.url,
        "serving": lab.serving,
        "kubeletPid": lab.kubelet_pid,
        "what": lab.kind,
    }
