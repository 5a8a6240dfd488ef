"""Requests that must not fall out of sight: what they give away or open is what an attacker wants."""

from __future__ import annotations

from auditctl.policy.types import GroupResources, Level, PolicyRule

_TUNNELS = ("exec", "attach", "portforward", "proxy", "ephemeralcontainers")
_KINDS: dict[tuple[str, str], str] = {
    ("", "secrets"): "secrets",
    ("", "serviceaccounts/token"): "tokens",
    ("authentication.k8s.io", "tokenreviews"): "tokens",
    ("certificates.k8s.io", "certificatesigningrequests"): "tokens",
    **{("", f"pods/{each}"): "ways into containers" for each in _TUNNELS},
    ("", "services/proxy"): "ways into containers",
    ("", "nodes/proxy"): "ways into containers",
    **{
        ("rbac.authorization.k8s.io", each): "RBAC"
        for each in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    },
    **{
        ("admissionregistration.k8s.io", each): "webhooks and admission"
        for each in (
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
        )
    },
}
_WHOLE = {"secrets", "certificatesigningrequests", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}


def kind_of(group: str, resource: str, subresource: str = "") -> str:
    """Return in what way a request is sensitive; "" if it is not. Subresources of a sensitive resource are too."""
    if subresource:
        kind = _KINDS.get((group, f"{resource}/{subresource}"))
        if kind is not None:
            return kind
        return _KINDS.get((group, resource), "") if resource in _WHOLE else ""
    return _KINDS.get((group, resource), "")


def rule(level: Level) -> PolicyRule:
    """Return a rule for every sensitive request."""
    groups: dict[str, list[str]] = {}
    for group, resource in _KINDS:
        groups.setdefault(group, []).append(f"{resource}/*" if resource in _WHOLE else resource)
    return PolicyRule(
        level=level, resources=tuple(GroupResources(group, tuple(each)) for group, each in groups.items())
    )
