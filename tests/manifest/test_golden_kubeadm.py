"""What kubeadm itself writes for the same settings: byte for byte, and undone byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.manifest.placement import kubeadm_sorts
from auditctl.settings import Settings

from .pods import GOLDEN, annotated, disabled, enabled, enabling

WEBHOOK = Settings(webhook=True, set_flags={"audit-webhook-batch-max-size": "200", "audit-webhook-mode": "batch"})
PAIRS = [
    ("plain", "plain+log", Settings()),
    ("others", "others+log", Settings()),
    ("plain", "plain+log+webhook", WEBHOOK),
    ("ipv6", "ipv6+log", Settings()),
]
VERSIONS = sorted(path.name for path in GOLDEN.glob("v*"))


def read(version: str, name: str) -> str:
    return Path(GOLDEN / version / f"{name}.yaml").read_bytes().decode()


def test_four_versions_are_there() -> None:
    assert VERSIONS == ["v1.31.14", "v1.33.13", "v1.35.6", "v1.36.2"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("before", "after", "asked"), PAIRS)
def test_enable_writes_what_kubeadm_writes_and_disable_undoes_it(
    version: str, before: str, after: str, asked: Settings
) -> None:
    written = enabled(read(version, before), asked)
    assert written == read(version, after)
    assert disabled(written) == read(version, before)
    assert disabled(annotated(written, "f" * 64)) == read(version, before)
    assert not enabling(written, asked).changes


@pytest.mark.parametrize(
    ("version", "sorts"),
    [
        ((1, 13, 4), True),
        ((1, 31, 14), True),
        ((1, 32, 11), True),
        ((1, 32, 12), False),
        ((1, 33, 7), True),
        ((1, 33, 8), False),
        ((1, 34, 3), True),
        ((1, 34, 4), False),
        ((1, 35, 0), True),
        ((1, 35, 1), False),
        ((1, 36, 0), False),
        ((2, 0, 0), False),
        (None, True),
    ],
)
def test_kubeadm_stopped_sorting_extra_arguments_in_these_patch_releases(
    version: tuple[int, int, int] | None, sorts: bool
) -> None:
    assert kubeadm_sorts(version) is sorts
