"""A small receiver for `--audit-webhook-config-file`: HTTPS on 127.0.0.1, one JSON line an event, slow or failing on demand.

A GET with ``?auditID=ID`` tells how many events with that Audit-ID came, and their levels and stages. It writes the webhook's configuration (a kubeconfig with its own authority in it) beside the events, ready for
`enable --webhook-config`. For practice and for tests: nobody is asked who they are.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
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
from auditctl.settings import RECEIVER

EVENTS, CONFIG = "events.jsonl", "webhook.yaml"
PATH = "/audit"
BODY_LIMIT_BYTES = 256 * 1024 * 1024  # a batch of 400 events with bodies
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


@dataclass(slots=True)
class Receiver:
    """Made by `open_receiver`; serves from `start` to `stop`."""

    folder: Path
    behaviour: Behaviour
    server: _Server
    counts: ReceivedCounts = field(default_factory=ReceivedCounts)
    say: Callable[[str], None] = lambda _text: None
    _seen: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.server.server_address[1]}{PATH}"

    @property
    def config(self) -> Path:
        """The webhook's configuration."""
        return self.folder / CONFIG

    @property
    def events(self) -> Path:
        """One JSON line an event, in the order in which they came."""
        return self.folder / EVENTS

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def take(self, body: bytes) -> int:
        """Store a batch; the HTTP status: 200, 500 as a fault, 400 for what is no list of events."""
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
            with self.events.open("a", encoding="utf-8") as file:
                file.write(text)
            for item in items:
                if isinstance(item, dict):
                    self._remember(item)
            self.counts.batches += 1
            self.counts.events += len(items)
            self.say(f"{len(items)} events; {self.counts.events} in {self.counts.batches} batches")
            return 200

    def told_of(self, audit_id: str) -> dict[str, Any]:
        """What came with that Audit-ID: the number of events, their levels and stages."""
        with self._lock:
            seen = list(self._seen.get(audit_id, ()))
        levels, stages = (sorted({pair[at] for pair in seen}) for at in (0, 1))
        return {"auditID": audit_id, "events": len(seen), "levels": levels, "stages": stages}

    def _remember(self, item: dict[str, Any]) -> None:
        audit_id = str(item.get("auditID"))
        self._seen.setdefault(audit_id, []).append((str(item.get("level")), str(item.get("stage"))))
        if len(self._seen) > REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]


class _Server(HttpsServer):
    receiver: Receiver


class _Connection(HttpsConnection):
    def version_string(self) -> str:
        return RECEIVER

    def serve(self) -> None:
        """Any method is answered; only a POST with a length is taken, only a GET with an Audit-ID tells something."""
        told = self._told()
        self._answer(self._taken() if told is None else 200, told or b"")

    def _told(self) -> bytes | None:
        """The answer to a question for an Audit-ID; None where nobody asks."""
        wanted = parse_qs(urlsplit(self.path).query).get("auditID")
        if self.command != "GET" or not wanted:
            return None
        return json.dumps(cast("_Server", self.server).receiver.told_of(wanted[0])).encode()

    def _taken(self) -> int:
        length = self.headers.get("Content-Length", "")
        if self.command != "POST" or not length.isdecimal() or int(length) > BODY_LIMIT_BYTES:
            self.close_connection = True
            return 405 if self.command != "POST" else 411
        return cast("_Server", self.server).receiver.take(self.rfile.read(int(length)))

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def open_receiver(folder: Path, port: int = 0, behaviour: Behaviour | None = None) -> Receiver:
    """Listen, and write the configuration (0600) that leads here; events go on being appended to the folder's file.

    ``port`` 0 is a free one. Raises RefusedError where the port or the folder cannot be had.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = _Server((ADDRESS, port), _Connection)
        bundle = certificates.issue()
        server.tls = _tls(bundle)
        receiver = server.receiver = Receiver(folder, behaviour or Behaviour(), server)
        authority = base64.b64encode(bundle.authority.certificate).decode()
        text = _KUBECONFIG.format(authority=authority, url=receiver.url)
        with open(os.open(receiver.config, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        words = f"the receiver cannot start in {folder} on {ADDRESS}:{port}: {reason}"
        raise RefusedError(words, check="lab-receiver", fix="name another --port or another folder") from error
    return receiver


def _tls(bundle: certificate_names.Bundle) -> ssl.SSLContext:
    """The keys pass through files that are gone at once: ssl reads nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="auditctl-receiver-") as name:
        pair = Path(name, "pair.pem")
        pair.touch(0o600)
        pair.write_bytes(bundle.server.certificate + bundle.server.key)
        context.load_cert_chain(pair)
    return context
