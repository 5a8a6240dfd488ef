"""A small receiver for `--audit-webhook-config-file`: HTTPS on 127.0.0.1, one JSON line an event, slow or failing on demand.

It writes the webhook's configuration (a kubeconfig with its own authority and a secret in it) beside the events, ready
for `enable --webhook-config`. Whoever does not send the secret as a bearer token is answered 401, and nothing of the
request is stored: every local user reaches the port, and what is stored is the sender's own text.
With it, a GET with ``?auditID=ID`` tells how many events with that Audit-ID came, and their levels and stages.

The folder is reached once, by a descriptor, and is ours alone; files in it that are not are refused.
"""

from __future__ import annotations

import base64
import errno
import hmac
import json
import os
import re
import secrets
import signal
import ssl
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

from auditctl.errors import RefusedError
from auditctl.lab.apiserver.https import HttpsConnection, HttpsServer
from auditctl.lab.node import certificate_names, certificates
from auditctl.lab.node.layout import ADDRESS
from auditctl.lab.node.own_folder import untrusted
from auditctl.node.path_trust import UntrustedPathError, first_unsafe, private_directory
from auditctl.settings import RECEIVER

EVENTS, CONFIG = "events.jsonl", "webhook.yaml"
PATH = "/audit"
BODY_LIMIT_BYTES = 64 * 1024 * 1024  # a batch of 400 events, many with bodies
_LENGTH = re.compile("[0-9]{1,15}")
_DROPPED_BYTES = 1 << 16
_IN_FOLDER = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
REMEMBERED_IDS = 100_000  # the newest; the file has them all

_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: {url}
  name: receiver
contexts:
- context:
    cluster: receiver
    user: apiserver
  name: receiver
current-context: receiver
users:
- name: apiserver
  user:
    token: {token}
"""


class Behaviour(NamedTuple):
    """What is wrong with it: seconds before each answer, and how many batches are answered 500 first (-1: all)."""

    delay_seconds: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class ReceivedCounts:
    """What came: accepted batches and their events, and batches that were answered 500."""

    batches: int = 0
    events: int = 0
    refused: int = 0


@dataclass(slots=True, kw_only=True)
class Receiver:
    """Made by `open_receiver`; serves from `start` to `stop`."""

    folder: Path
    directory: int  # a descriptor of the folder, open as long as the process lives
    behaviour: Behaviour
    server: _Server
    token: str = field(repr=False)
    counts: ReceivedCounts = field(default_factory=ReceivedCounts)
    say: Callable[[str], None] = lambda _text: None
    _received: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.server.server_address[1]}{PATH}"

    @property
    def config(self) -> Path:
        """Return the webhook's configuration."""
        return self.folder / CONFIG

    @property
    def events(self) -> Path:
        """Return one JSON line for each event, in the order in which they came."""
        return self.folder / EVENTS

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def knows(self, authorization: str) -> bool:
        """Tell whether the header holds the secret, in a time that does not depend on how much of it is right."""
        expected = f"Bearer {self.token}".encode()
        return hmac.compare_digest(authorization.encode("latin-1", "replace"), expected)

    def take(self, body: bytes) -> int:
        """Store a batch; return the HTTP status: 200, 500 as a fault or where nothing can be stored, 400 for no list of events."""
        time.sleep(self.behaviour.delay_seconds)
        with self._lock:
            if self.behaviour.failures < 0 or self.counts.refused < self.behaviour.failures:
                self.counts.refused += 1
                self.say(f"a batch of {len(body)} bytes is answered 500")
                return 500
            try:
                items = json.loads(body)["items"]
                text = "".join(json.dumps(item, separators=(",", ":"), ensure_ascii=False) + "\n" for item in items)
            except (ValueError, KeyError, TypeError):
                return 400
            try:
                _append(self.directory, EVENTS, text.encode())
            except OSError as error:
                self.say(
                    f"{self.events}: {(error.strerror or str(error)).lower()}: {len(items)} events are answered 500"
                )
                return 500
            for item in items:
                if isinstance(item, dict):
                    self._remember(item)
            self.counts.batches += 1
            self.counts.events += len(items)
            self.say(f"{len(items)} events; {self.counts.events} in {self.counts.batches} batches")
            return 200

    def events_of(self, audit_id: str) -> dict[str, Any]:
        """Return what came with that Audit-ID: the number of events, their levels and stages."""
        with self._lock:
            received = list(self._received.get(audit_id, ()))
        levels, stages = (sorted({pair[at] for pair in received}) for at in (0, 1))
        return {"auditID": audit_id, "events": len(received), "levels": levels, "stages": stages}

    def _remember(self, item: dict[str, Any]) -> None:
        audit_id = str(item.get("auditID"))
        self._received.setdefault(audit_id, []).append((str(item.get("level")), str(item.get("stage"))))
        if len(self._received) > REMEMBERED_IDS:
            del self._received[next(iter(self._received))]


class _Server(HttpsServer):
    receiver: Receiver


class _Connection(HttpsConnection):
    def version_string(self) -> str:
        return RECEIVER

    def serve(self) -> None:
        """Answer any method; only a POST with a length is taken, only a GET with an Audit-ID is answered with events."""
        if not cast("_Server", self.server).receiver.knows(self.headers.get("Authorization", "")):
            self._drop_body()
            self._answer(401)
            return
        answer = self._answer_for_id()
        self._answer(self._taken() if answer is None else 200, answer or b"")

    def _drop_body(self) -> None:
        """Read a small body, because an answer before its end may not reach the client; close the connection after it."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "")
        if _LENGTH.fullmatch(length):
            self.rfile.read(min(int(length), _DROPPED_BYTES))

    def _answer_for_id(self) -> bytes | None:
        """Return the answer to a question for an Audit-ID; None where there is no question."""
        audit_ids = parse_qs(urlsplit(self.path).query).get("auditID")
        if self.command != "GET" or not audit_ids:
            return None
        return json.dumps(cast("_Server", self.server).receiver.events_of(audit_ids[0])).encode()

    def _taken(self) -> int:
        length = self.headers.get("Content-Length", "")
        status = 405 if self.command != "POST" else 411 if not _LENGTH.fullmatch(length) else 0
        if not status and int(length) > BODY_LIMIT_BYTES:
            status = 413
        if status:
            self.close_connection = True
            return status
        return cast("_Server", self.server).receiver.take(self.rfile.read(int(length)))

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def open_receiver(folder: Path, port: int = 0, behaviour: Behaviour | None = None) -> Receiver:
    """Listen, and write the configuration (0600) that leads here; events go on being appended to the folder's file.

    ``port`` 0 is a free one. Raises RefusedError where the port or the folder cannot be had, or the folder or one of
    the two files is not ours alone.
    """
    try:
        directory = _own_directory(folder)
        server = _Server((ADDRESS, port), _Connection)
        bundle = certificates.issue()
        server.tls = _tls(bundle)
        token = secrets.token_urlsafe(32)
        receiver = server.receiver = Receiver(
            folder=folder, directory=directory, behaviour=behaviour or Behaviour(), server=server, token=token
        )
        authority = base64.b64encode(bundle.authority.certificate).decode()
        text = _KUBECONFIG.format(authority=authority, url=receiver.url, token=token)
        _replace(directory, CONFIG, text.encode())
    except UntrustedPathError as error:
        raise untrusted(error.component, f"the folder {folder}", folder) from error
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        words = f"the receiver cannot start in {folder} on {ADDRESS}:{port}: {reason}"
        raise RefusedError(words, check="lab-receiver", fix="name another --port or another folder") from error
    return receiver


def _own_directory(folder: Path) -> int:
    """Return a descriptor of the folder, which is made if it is not there. Raises UntrustedPathError, OSError."""
    with private_directory(folder) as (descriptor, _):
        for name in (EVENTS, CONFIG):
            if (component := first_unsafe(folder / name)) is not None:
                raise UntrustedPathError(component)
        return os.dup(descriptor)


def _append(directory: int, name: str, content: bytes) -> None:
    """Append to a regular file of ours, which is made 0600. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _IN_FOLDER
    with open(os.open(name, flags, 0o600, dir_fd=directory), "ab") as file:  # noqa: PTH123 - of the directory itself
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise OSError(errno.EPERM, "not a file of the receiver's own", name)
        file.write(content)


def _replace(directory: int, name: str, content: bytes) -> None:
    """Put a file of mode 0600 there by one rename: what stood there is not written through. Raises OSError."""
    draft = f".{name}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _IN_FOLDER, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - of the directory itself
        file.write(content)
    os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)


def _tls(bundle: certificate_names.Bundle) -> ssl.SSLContext:
    """Return a TLS context; the keys pass through files that are gone at once, because ssl reads only files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="auditctl-receiver-") as name:
        pair = Path(name, "pair.pem")
        pair.touch(0o600)
        pair.write_bytes(bundle.server.certificate + bundle.server.key)
        context.load_cert_chain(pair)
    return context


def receive(folder: Path, port: int, behaviour: Behaviour, say: Callable[[str], None]) -> ReceivedCounts:
    """Serve until SIGINT or SIGTERM; what came is counted. Raises RefusedError where it cannot start."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    receiver = open_receiver(folder.absolute(), port, behaviour)
    receiver.say = say
    receiver.start()
    say(f"receiver listens at {receiver.url}. To use it: auditctl enable --webhook-config {receiver.config}")
    while not ended.wait(0.5):  # an endless wait would not let Python see the signal
        pass
    receiver.stop()
    return receiver.counts
