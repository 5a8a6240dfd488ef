"""auditctl: switch Kubernetes API-server auditing on, change it, prove it, take it out.

The map of the packages (imports go downward only; ``tests/test_architecture.py`` holds it). Each package has its own map in
its docstring; docs/contributing/architecture.md says where to look for what::

    errors, facts, findings, settings        values and words, no I/O (facts reads package data; durations, patterns, printable,
                                             compatibility: newer names of the standard library;
                                             system: what the operating system offers)
    redaction                                secrets and userinfo of URLs out of every text that leaves
    transport                                one HTTP request over one connection, within one deadline
    hints                                    commands in messages, as they can be pasted
    manifest/   policy/                      PURE: lossless YAML, the Pod, the plan / the audit policy
    report                                   all that a run has to say: text, JSON, exit code
    node/                                    this machine: files, journal, processes, kubelet, API server, receipt
    kubeadm/   log/                          kubeadm's own record of the cluster / the audit log: events, following, figures
    cluster/                                 a cluster from any machine with a kubeconfig: every API server by the API itself
    operations/                              one module a verb: calls the packages in order, returns a Report
    lab/                                     a practice node in a folder; exercises, the grader, a killercoda scenario
    cli/                                     typer: arguments -> one operation -> print the report -> exit

Text is located with ruamel.yaml (composed nodes carry marks), changed by splicing the original text, and proved with
jsonpatch before a byte is written: ``load(new) == apply_patch(load(old), plan.patch)``.

Policies are not read with ruamel.yaml: the API server reads them with go-yaml v2, and where the two differ is exactly where
a verdict is made, so ``policy/goyaml`` is a reader of that lineage of its own (its docstring has the reasons).
"""

__version__ = "0.2.0"
REPOSITORY = "https://github.com/auditctl/auditctl"
