"""What an editor shows for each field of an audit policy: its meaning, and the mistake that is made with it most."""

from __future__ import annotations

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "": (
        "Decides which requests kube-apiserver records in its audit log, and how much of each. The file is read at the "
        "start of the server only: an edit needs a restart. A field that the server does not know is dropped without an error."
    ),
    "apiVersion": (
        "audit.k8s.io/v1. A server from 1.24 on refuses v1beta1 and v1alpha1; the API server then does not start."
    ),
    "kind": "Policy. It is a file of kube-apiserver, not an object of the cluster: kubectl apply does not know it.",
    "metadata": "Kept for the form's sake; the server reads nothing of it.",
    "metadata.name": "For people. It does not appear in events.",
    "omitStages": (
        "Stages for which no event is written, for every rule. A rule can add stages to these and cannot bring one back. "
        "Omit RequestReceived at most: bodies and the outcome stand in ResponseComplete."
    ),
    "omitStages[]": "RequestReceived, ResponseStarted (watch, exec and failed logins only), ResponseComplete or Panic.",
    "omitManagedFields": (
        "Leaves metadata.managedFields out of recorded bodies; a rule may decide otherwise. Known from 1.23 on, dropped before. "
        "Managed fields are often a third of a recorded object."
    ),
    "rules": (
        "The first rule that matches a request decides, and no other is looked at: put narrow rules first. "
        "A request that no rule matches is not recorded. An empty list is refused."
    ),
    "rules[]": (
        "A list that is left out, or empty, does not restrict. All lists of a rule have to match. A rule with resources or "
        "namespaces is for requests to resources only, one with nonResourceURLs for all others only; both in one rule is refused."
    ),
    "rules[].level": (
        "None: no event. Metadata: who, what, when, outcome. Request: also the body that was sent. RequestResponse: also the answer. "
        "Request and RequestResponse write the text of secrets and tokens into the log."
    ),
    "rules[].users": (
        "Exact names; * is an ordinary letter here. A service account is system:serviceaccount:NAMESPACE:NAME. "
        "It is the user who logged in, not the one that is impersonated."
    ),
    "rules[].userGroups": "One group of the user has to be among these. Everybody who logged in is in system:authenticated.",
    "rules[].verbs": (
        "get, list, watch, create, update, patch, delete, deletecollection; for other URLs the HTTP method in lower case. "
        "kubectl exec has been a get (over WebSockets) since 1.30, and a create before. * is not a wildcard here."
    ),
    "rules[].resources": "An empty list, or none, matches every resource of every group.",
    "rules[].resources[]": "Resources of one API group.",
    "rules[].resources[].group": (
        'The API group without its version: "" is the core group (pods, secrets), apps the one of deployments. '
        "Left out it is the core group. * is every group from 1.36 on, and refused by older servers."
    ),
    "rules[].resources[].resources": (
        "Plural names as in URLs; kinds and short names match nothing. pods does not include subresources: write pods/exec, "
        "pods/* (pods with its subresources), */scale, or *. An empty list is every resource of the group."
    ),
    "rules[].resources[].resourceNames": (
        "Names of objects; needs resources. A create without a name in its URL, and a list, have no name and do not match."
    ),
    "rules[].namespaces": (
        'Exact names. "" is what has no namespace: objects of the cluster, and lists over all namespaces. '
        "A rule with namespaces is for resources only."
    ),
    "rules[].nonResourceURLs": (
        "Paths that are no resources, such as /healthz, /metrics, /version, /api. Paths of resources "
        "(/api/v1/pods, /apis/apps/v1/deployments) match nothing here."
    ),
    "rules[].nonResourceURLs[]": "A path, or a prefix with * at its end: /healthz*. A * elsewhere is refused.",
    "rules[].omitStages": "Stages for which this rule writes no event, added to those of the whole policy.",
    "rules[].omitStages[]": "RequestReceived, ResponseStarted, ResponseComplete or Panic.",
    "rules[].omitManagedFields": "Decides in place of the policy's own omitManagedFields for the requests of this rule.",
}
