"""Examples of each command: the words behind the program's name, and what they do. `--help` prints them."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("enable --policy p.yaml --dry-run", "show what would change"),
        ("enable --policy p.yaml", "switch auditing on, and prove it"),
        ("status", "is everything well?"),
        ("log tail -f", "follow the audit log"),
        ("disable --purge", "remove auditing and its policy"),
        ("lab demo", "see the whole job on a practice node; needs no cluster and no root"),
    ),
    "enable": (
        ("enable", "the shipped policy baseline"),
        ("enable --policy p.yaml --dry-run", "print the diff, the plan, the outage; change nothing"),
        ("enable --log-maxage 7", "change one setting, keep the others"),
        ("enable --set audit-log-mode=batch", "any --audit-* flag"),
        ("enable --webhook-config w.yaml --no-log", "a webhook in place of the log"),
    ),
    "disable": (
        ("disable --dry-run", "show what would be removed"),
        ("disable --purge", "also remove the policy and the webhook file"),
        ("disable --purge-logs --yes", "also remove the audit log"),
    ),
    "status": (
        ("status", ""),
        ("status --watch", "redraw every two seconds"),
        ("status -o json", "for programs"),
        ("status -o prometheus", "for node_exporter; --template alerts has the rules"),
        ("status --server --context prod", "every API server of that cluster, from any machine"),
        ("status --template rbac", "the rights that --server needs, for kubectl apply"),
    ),
    "verify": (
        ("verify", "send a request and find it in the log"),
        ("verify --flag audit-log-maxage=7", "also: the flag has this value"),
        ("verify --expect 'get secrets in prod -> Metadata'", "also: the loaded policy decides so"),
    ),
    "restart": (("restart --dry-run", "is the edited policy valid?"), ("restart", "load it")),
    "rollback": (("rollback --dry-run", "show what would be undone"), ("rollback", "undo the last change")),
    "history": (("history", ""), ("history show ID", "one change with its steps and its diff")),
    "doctor": (("doctor", "name causes"), ("doctor --fix", "repair what has one safe repair")),
    "recover": (
        ("recover", "finish or undo an interrupted change"),
        ("recover --unit", "a systemd unit that does it at boot"),
    ),
    "policy list": (("policy list", ""),),
    "policy show": (
        ("policy show baseline", ""),
        ("policy show baseline --modeline", "for an editor that knows the schema"),
    ),
    "policy validate": (
        ("policy validate p.yaml", ""),
        ("policy validate p.yaml --kubernetes 1.31 --strict", "for an older server; warnings count"),
        ("policy validate --list", "every check with its reason"),
        ("policy validate policies/ -o sarif", "a folder, for code scanning; -o junit, -o github"),
    ),
    "policy explain": (
        ("policy explain p.yaml 'get secrets in prod by alice'", ""),
        ("policy explain p.yaml GET /healthz", "a URL that is no resource"),
        ("policy explain p.yaml --requests requests.jsonl -o json", "many requests"),
    ),
    "policy test": (("policy test p.yaml expect.yaml", ""),),
    "policy diff": (
        ("policy diff metadata p.yaml", "against a shipped policy"),
        ("policy diff --git main p.yaml", "against the same file in another revision"),
    ),
    "policy matrix": (("policy matrix p.yaml", ""), ("policy matrix p.yaml --html p.html", "a page to share")),
    "policy convert": (("policy convert old.yaml", "v1beta1 to v1"),),
    "policy coverage": (
        ("policy coverage p.yaml", ""),
        ("policy coverage p.yaml --for falco", "one set of detections"),
    ),
    "policy edit": (("policy edit", "the node's policy"), ("policy edit p.yaml", "a file, then enable it")),
    "policy replay": (("policy replay p.yaml --log audit.log", "what the policy would have recorded"),),
    "policy schema": (("policy schema", "save it as audit-policy.schema.json for the editor"),),
    "policy suggest": (("policy suggest --log audit.log", "rules that would save most"),),
    "log tail": (
        ("log tail -f", "follow, across rotation"),
        ("log tail --user alice --verb '!get' --since 1h", "filters"),
        ("log tail -f cp1.log cp2.log", "several nodes: each line says which"),
        ("log tail -o wide", "also source address, user agent and audit ID"),
        ("log tail --code 403 -o json", "the events as they are in the log"),
    ),
    "log top": (
        ("log top", "who and what makes the volume"),
        ("log top --by user --since 1h", ""),
        ("log top --by log audit-logs/*", "how much each node writes"),
    ),
    "log stats": (("log stats", "events over time"), ("log stats --user 'system:*' --since 1d", "")),
    "log filter": (
        ("log filter --policy metadata audit.log", "without any body"),
        ("log filter --policy p.yaml -f", "a second log by a policy of its own"),
    ),
    "log tally": (
        ("log tally --to cp1.tally", "this node's log as counts, which may leave the node"),
        ("policy replay p.yaml --log cp1.tally --log cp2.tally", "a policy on the traffic of two nodes"),
    ),
    "log report": (
        ("log report --html report.html", "this node's log on one page"),
        ("log report --html r.html --since 2d --policy p.yaml audit.log", "two days, with the volume by rule"),
    ),
    "log sql": (
        ("log sql 'select username, count(*) from events group by 1 order by 2 desc limit 9'", "needs auditctl[sql]"),
        ("log sql --view", "the columns"),
    ),
    "log export": (("log export --parquet audit/ --node cp1", "for DuckDB, ClickHouse, Spark"),),
    "log forecast": (
        ("log forecast", "days kept with the flags as they are"),
        ("log forecast --days 90 --disk 20G", ""),
    ),
    "log history": (
        ("log history deploy/web -n shop --diff", "what changed in it, when and by whom"),
        ("log history ns/shop --since 1d", "who deleted it"),
    ),
    "log who": (
        ("log who alice --since 1d", "also what others did as alice"),
        ("log who 'system:serviceaccount:ci:*' --verb '!get,!list'", ""),
    ),
    "log session": (
        ("log session 5f0d1c7e-9f3a-4a0b-8a55-1d2c3b4a5e6f", "one Audit-ID"),
        ("log session X509SHA256=4c1f --since 2h", "all requests with one certificate"),
    ),
    "log values": (
        ("log values users --resource secrets --since 12h", "who read secrets"),
        ("log values agent --code 403", ""),
    ),
    "log shipper": (
        ("log shipper --as vector --to https://logs.example.org:9200", ""),
        ("log shipper --as rsyslog --to tcp://logs.example.org:6514 --cluster prod", ""),
    ),
    "flags": (("flags", ""), ("flags audit-log-maxage --kubernetes 1.31", "one flag of one version")),
    "kubeadm check": (("kubeadm check", ""),),
    "kubeadm persist": (("kubeadm persist --dry-run", "show the diff"), ("kubeadm persist", "")),
    "kubeadm render": (
        ("kubeadm render --as cluster-configuration", ""),
        ("kubeadm render --as kind", ""),
        ("kubeadm render --as talos --policy p.yaml", "with the policy in it"),
    ),
    "kubeadm preflight-upgrade": (("kubeadm preflight-upgrade 1.36", ""),),
    "cis": (("cis", ""), ("cis -o json", "")),
    "lab up": (("lab up", ""), ("lab up ./node --kubernetes 1.31.0", "")),
    "lab down": (("lab down", ""), ("lab down ./node", "")),
    "lab status": (("lab status", ""),),
    "lab demo": (("lab demo", ""),),
    "lab receiver": (("lab receiver", ""), ("lab receiver --delay 5s --fail 3", "a slow one that fails first")),
    "lab list": (("lab list", ""), ("lab list --kind fault", "")),
    "lab break": (("lab break", "a fault that is not named"), ("lab break a-flag-that-nobody-knows", "")),
    "lab hint": (("lab hint", "the next hint"),),
    "lab check": (("lab check", ""), ("lab check --wants wants.yaml", "grade without an exercise")),
    "lab solve": (("lab solve", ""),),
    "lab reset": (("lab reset", ""),),
    "lab scaffold": (("lab scaffold ./scenario", ""),),
    "completion": (
        ("completion bash", "for bash: source <(auditctl completion bash)"),
        ("completion fish", "for fish: auditctl completion fish | source"),
    ),
    "help": (("help policy explain", "a command"), ("help exit-codes", "a topic")),
    "version": (("version", ""), ("version -o json", "")),
}
