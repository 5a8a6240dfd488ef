"""A stand-in for kube-apiserver: the same flags, the same refusals in the same words, the same audit events.

Start-up order as in the real one (reference 1.3): flags, service-account keys, validation, the port, then the audit
options: policy, log, webhook. What a container runtime would arrange comes through the environment (`lab.container`).
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from auditctl.errors import AuditctlError
from auditctl.facts import Version
from auditctl.lab import container, klog, rotation, webhook
from auditctl.lab.answers import Answers
from auditctl.lab.events import Recorder, Sink
from auditctl.lab.filesystem import FileSystem
from auditctl.lab.flags import FlagError, parse
from auditctl.lab.klog import Letter
from auditctl.lab.layout import ADDRESS, STAND_IN, Pace
from auditctl.lab.options import Options, aggregate, validate
from auditctl.lab.rotation import RotatingFile, Rotation
from auditctl.lab.server import Api, Connection, Server
from auditctl.lab.volumes import Bind
from auditctl.policy.load import load
from auditctl.policy.types import Policy

MAXSIZE_ZERO_IS_OFF: Version = (1, 36, 0)
UNREADY_SECONDS = 0.2  # it answers before it is ready


class StartError(AuditctlError):
    """The server ends before it serves; the message is the `err=` of its last line."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the container runtime arranged."""

    files: FileSystem
    kubernetes: str
    folder: Path
    pace: Pace

    @classmethod
    def read(cls) -> Surroundings:
        binds = [Bind(**bind) for bind in json.loads(os.environ[container.MOUNTS])]
        return cls(
            FileSystem(binds, Path(os.environ[container.FILE_SYSTEM])),
            os.environ[container.VERSION],
            Path(os.environ[container.FOLDER]),
            Pace(**json.loads(os.environ[container.PACE])),
        )

    @property
    def version(self) -> Version:
        major, minor, patch = self.kubernetes.split(".")
        return int(major), int(minor), int(patch)


def main(arguments: Sequence[str]) -> int:
    """The entry point of DIR/usr/local/bin/kube-apiserver. Returns the exit code."""
    around = Surroundings.read()
    try:
        options = Options(parse(arguments, around.version), around.version)
        _start(options, around, time.monotonic())
    except FlagError as error:
        klog.write(f"Error: {error.message}")
    except StartError as error:
        klog.write(klog.line(Letter.ERROR, "run.go:72", f'"command failed" err={klog.quote(error.message)}', 1))
    return 1


def _start(options: Options, around: Surroundings, started: float) -> NoReturn:
    """Serve, or raise StartError; as in the real server the port is bound before the audit options are looked at."""
    _complete(options, around.files)
    with _listen(options) as server:
        server.tls = _tls(options, around.files)
        server.api = _api(options, around, started)
        words = f"{STAND_IN} for kube-apiserver v{around.kubernetes}: no etcd, no admission, objects in memory"
        klog.write(klog.line(Letter.INFO, "auditctl-lab", klog.quote(words), 1))
        _serve(server, around, started)


def _complete(options: Options, files: FileSystem) -> None:
    if path := options.values.get("service-account-signing-key-file"):
        try:
            files.read(path)
        except OSError as error:
            raise StartError(
                f"failed to parse service-account-issuer-key-file: open {path}: {_words(error)}"
            ) from error
    if errors := validate(options):
        raise StartError(aggregate(errors))


def _listen(options: Options) -> Server:
    """The real server binds every address; the lab only the loopback one."""
    port = int(options.values.get("secure-port", "6443"))
    try:
        return Server((ADDRESS, port), Connection)
    except (OSError, OverflowError) as error:
        place = f"0.0.0.0:{port}"
        reason = _words(error) if isinstance(error, OSError) else "invalid port"
        words = f"failed to listen on {place}: listen tcp {place}: bind: {reason}"
        raise StartError(f"failed to create listener: {words}") from error


def _tls(options: Options, files: FileSystem) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key, authority = (
        options.values.get(name, "") for name in ("tls-cert-file", "tls-private-key-file", "client-ca-file")
    )
    for path in (certificate, key, authority):
        try:
            files.read(path)
        except OSError as error:
            raise StartError(f"open {path}: {_words(error)}") from error
    try:
        context.load_cert_chain(files.host(certificate), files.host(key))
        context.load_verify_locations(files.host(authority))
    except ssl.SSLError as error:
        raise StartError(f"tls: {error.reason}") from error
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _api(options: Options, around: Surroundings, started: float) -> Api:
    policy = _policy(options, around)
    sink = _sink(options, around)
    _webhook(options, around.files)
    recorder = Recorder(policy, sink, strict=options.value("log-mode") == "blocking-strict")
    ready_at = started + around.pace.start + UNREADY_SECONDS
    answers = Answers(around.kubernetes, recorder.counters, ready=lambda: time.monotonic() >= ready_at)
    return Api(around.version, answers, recorder, anonymous=options.values.get("anonymous-auth", "true") != "false")


def _policy(options: Options, around: Surroundings) -> Policy | None:
    """Read once, and refused even where no backend is set."""
    path = options.value("policy-file")
    if not path:
        return None
    try:
        raw = around.files.read(path)
    except OSError as error:
        call = "read" if around.files.host(path).is_dir() else "open"
        words = f"failed to read file path {klog.quote(path)}: {call} {path}: {_words(error)}"
        raise StartError(f"loading audit policy file: {words}") from error
    loaded = load(raw, around.version[:2])
    if loaded.warning:
        words = f"Audit policy contains errors, falling back to lenient decoding: {loaded.warning}"
        klog.write(klog.line(Letter.WARNING, "reader.go:81", words, 1))
    if loaded.policy is None:
        raise StartError(f"loading audit policy file: {loaded.error}: from file {path}")
    return loaded.policy


def _sink(options: Options, around: Surroundings) -> Sink | None:
    path = options.value("log-path")
    if not path:
        return None
    if path == "-":
        return StandardOutput()
    try:
        rotation.ensure(around.files, path)
    except rotation.LogFileError as error:
        raise StartError(error.message) from error
    kept = Rotation.of(
        options.number("log-maxsize"),
        options.number("log-maxage"),
        options.number("log-maxbackup"),
        compress=options.value("log-compress") == "true",
        zero_is_off=around.version >= MAXSIZE_ZERO_IS_OFF,
    )
    return RotatingFile(around.files, path, kept)


def _webhook(options: Options, files: FileSystem) -> None:
    if path := options.value("webhook-config-file"):
        try:
            webhook.check(files, path)
        except webhook.WebhookError as error:
            raise StartError(f"initializing audit webhook: {error.message}") from error
        words = "auditctl-lab stand-in: the webhook's configuration is checked, and nothing is sent to it"
        klog.write(klog.line(Letter.WARNING, "auditctl-lab", klog.quote(words), 1))
    elif options.value("webhook-version").count("/") > 1:  # parsed without a webhook, too
        raise StartError(f"unexpected GroupVersion string: {options.value('webhook-version')}")


class StandardOutput:
    """`--audit-log-path=-`."""

    def write(self, line: bytes) -> None:
        """A reader that has gone away loses the line, and nothing else."""
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise rotation.LogFileError(f"write /dev/stdout: {_words(error)}") from error


def _serve(server: Server, around: Surroundings, started: float) -> NoReturn:
    """Until SIGTERM or until the folder is gone; then no more listening, a while of lingering, and the end."""
    stopping = server.api.stopping
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    folder = around.folder.stat().st_ino
    stopping.wait(max(0.0, started + around.pace.start - time.monotonic()))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    while not stopping.wait(0.25):
        if not _same(around.folder, folder):
            os._exit(0)
    server.shutdown()
    server.socket.close()  # from here on nobody owns the port
    deadline = time.monotonic() + around.pace.grace * 0.75
    while time.monotonic() < deadline and _same(around.folder, folder):
        time.sleep(0.1)
    os._exit(0)  # connections still open end here, as under SIGKILL


def _same(folder: Path, inode: int) -> bool:
    try:
        return folder.stat().st_ino == inode
    except OSError:
        return False


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
