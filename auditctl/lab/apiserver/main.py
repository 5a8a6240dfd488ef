"""A stand-in for kube-apiserver: the same flags, the same refusals in the same words, the same audit events.

Start-up order as in cmd/kube-apiserver/app/server.go: flags, service-account keys, validation, the port, then the audit
options: policy, log, webhook. What a container runtime would arrange comes through the environment (`lab.container`).
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from auditctl.facts import Version
from auditctl.lab.apiserver import audit_setup
from auditctl.lab.apiserver.audit_setup import Options, StartError, aggregate, validate
from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.apiserver.flags import FlagError, parse
from auditctl.lab.apiserver.health import StandInHealth
from auditctl.lab.apiserver.objects import Objects
from auditctl.lab.apiserver.responses import Answers
from auditctl.lab.apiserver.server import Connection, Server, StandInApi
from auditctl.lab.apiserver.shared_objects import SharedObjects
from auditctl.lab.node import container, klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import ADDRESS, STAND_IN, Layout, Timing
from auditctl.lab.node.volumes import Bind
from auditctl.lab.node.yaml_reader import YAMLWordsError, read

LINGERS = 2.4  # times the grace period: a real 1.36.3 lived 71 s after a SIGTERM that no SIGKILL followed
FLUSHES = 0.75  # times the grace period: a batch is handed on late, and is lost to an earlier SIGKILL


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """What the container runtime arranged, and the ``arguments`` of the process."""

    files: FileSystem
    kubernetes: str
    folder: Path
    pace: Timing
    arguments: Sequence[str]

    @classmethod
    def read(cls, arguments: Sequence[str]) -> PodEnvironment:
        """Return the environment of this process."""
        binds = [Bind(**bind) for bind in json.loads(os.environ[container.MOUNTS])]
        return cls(
            FileSystem(binds, Path(os.environ[container.FILE_SYSTEM])),
            os.environ[container.VERSION],
            Path(os.environ[container.FOLDER]),
            Timing(**json.loads(os.environ[container.PACE])),
            arguments,
        )

    @property
    def layout(self) -> Layout:
        return Layout(self.folder)

    @property
    def version(self) -> Version:
        major, minor, patch = self.kubernetes.split(".")
        return int(major), int(minor), int(patch)


def main(arguments: Sequence[str]) -> int:
    """Run as DIR/usr/local/bin/kube-apiserver; return the exit code."""
    around = PodEnvironment.read(arguments)
    try:
        options = Options(parse(arguments, around.version), around.version)
        _start(options, around, StandInHealth.begin(around.layout, arguments, around.pace.start))
    except FlagError as error:
        klog.write(f"Error: {error.message}")
    except StartError as error:
        klog.write(klog.line(KlogSeverity.ERROR, "run.go:72", f'"command failed" err={klog.quote(error.message)}', 1))
    return 1


def _start(options: Options, around: PodEnvironment, health: StandInHealth) -> NoReturn:
    """Serve, or raise StartError; as in the real server the port is bound before the audit options are looked at."""
    _complete(options, around.files)
    with _listen(options) as server:
        server.tls = _tls(options, around.files)
        server.api = _api(options, around, health)
        health.wait_for_etcd(around.pace.etcd)
        words = f"{STAND_IN} for kube-apiserver v{around.kubernetes}: no etcd, no admission, objects in memory"
        klog.write(klog.line(KlogSeverity.INFO, "auditctl-lab", klog.quote(words), 1))
        _serve(server, around, health)


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
    """Listen on the loopback address; the real server binds every address."""
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


def _static_pod(manifest: Path) -> dict[str, Any]:
    """Return the manifest that this server was started from; empty where it can no longer be read."""
    with suppress(OSError, YAMLWordsError):
        value = read(manifest.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def _api(options: Options, around: PodEnvironment, health: StandInHealth) -> StandInApi:
    recorder = audit_setup.recorder(options, around.files, health.disk_full)
    shared = SharedObjects(around.layout.shared_objects)
    pod = _static_pod(around.layout.manifest)
    objects = Objects(record=around.layout.kubeadm_record, command=around.arguments, pod=pod, shared=shared)
    answers = Answers(
        kubernetes=around.kubernetes,
        counters=recorder.counters,
        failing=health.failing,
        objects=objects,
        forbidden=health.forbidden,
        storage_hangs=health.storage_hangs,
    )
    anonymous = options.values.get("anonymous-auth", "true") != "false"
    return StandInApi(around.version, answers, recorder, anonymous=anonymous)


def _serve(server: Server, around: PodEnvironment, health: StandInHealth) -> NoReturn:
    """Serve until SIGTERM or until the node's folder is gone; then close the socket, wait the grace period, exit."""
    stopping = server.api.stopping
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    folder = around.folder.stat().st_ino
    stopping.wait(max(0.0, health.answers_at - time.monotonic()))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    while not stopping.wait(0.25):
        health.die_in_time()
        if not _same(around.folder, folder):
            os._exit(0)
    server.shutdown()
    server.socket.close()  # from here on nobody owns the port
    threading.Thread(target=_flush, args=(server.api, around.pace.grace * FLUSHES), daemon=True).start()
    deadline = time.monotonic() + around.pace.grace * LINGERS
    while time.monotonic() < deadline and _same(around.folder, folder):
        time.sleep(0.1)
    os._exit(0)  # connections still open end here, as under SIGKILL


def _flush(api: StandInApi, seconds: float) -> None:
    time.sleep(seconds)
    api.recorder.shut_down()


def _same(folder: Path, inode: int) -> bool:
    try:
        return folder.stat().st_ino == inode
    except OSError:
        return False


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
