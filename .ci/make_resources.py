# ruff: noqa: INP001 - a script of its own, no package
"""Make ``templates/resources.json`` from the discovery files of kube-apiserver.

    python .ci/make_resources.py --core api__v1.json 1.31=aggregated_v2.json 1.32=... > new.json

The files are kubernetes/kubernetes `api/discovery/`: ``api__v1.json`` for the core group, whose resources are the same
in all these versions, and ``aggregated_v2.json`` at each release's tag for the others. `since` of a resource that the
first file serves already is taken from the table that is there: no older release has such a file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parents[1] / "templates" / "resources.json"
ABOUT = (
    "Built-in resources of kube-apiserver, made by .ci/make_resources.py from kubernetes/kubernetes api/discovery: group, "
    "plural, singular, kind, kubectl's short names, scope, first version in which a stable version of the group serves it "
    "(1.19: at least since then). `preview`: resources that are served in alpha or beta versions only, and by which "
    "releases; most are off unless a flag turns them on. A release behind `known` has no file here: what is stable stays."
)
Row = dict[str, Any]
Key = tuple[str, str]


def number(version: str) -> tuple[int, ...]:
    """Return ``1.31`` as (1, 31)."""
    return tuple(int(part) for part in version.split("."))


def aggregated(path: str) -> Iterator[tuple[Row, bool]]:
    """Yield the resources of an aggregated discovery file, each with whether a stable version serves it."""
    for item in json.loads(Path(path).read_text(encoding="utf-8"))["items"]:
        for version in item["versions"]:
            for resource in version["resources"]:
                yield (
                    {
                        "group": item["metadata"].get("name", ""),
                        "resource": resource["resource"],
                        "singular": resource["singularResource"],
                        "kind": resource["responseKind"]["kind"],
                        "short": resource.get("shortNames", []),
                        "namespaced": resource["scope"] == "Namespaced",
                    },
                    re.fullmatch(r"v[0-9]+", version["version"]) is not None,
                )


def core(path: str) -> Iterator[Row]:
    """Yield the resources of the core group."""
    for resource in json.loads(Path(path).read_text(encoding="utf-8"))["resources"]:
        if "/" not in resource["name"]:
            yield {
                "group": "",
                "resource": resource["name"],
                "singular": resource["singularName"],
                "kind": resource["kind"],
                "short": resource.get("shortNames", []),
                "namespaced": resource["namespaced"],
            }


def made(core_file: str, files: dict[str, str], before: Row) -> Row:
    """Return the table; rows keep their place, a new one comes behind the last of its group."""
    oldest, *_, newest = sorted(files, key=number)
    known_since = {(row["group"], row["resource"]): row["since"] for row in before["resources"]}
    stable: dict[Key, Row] = {}
    preview: dict[Key, Row] = {}
    for row in core(core_file):
        stable[("", row["resource"])] = {**row, "since": known_since["", row["resource"]]}
    for version in sorted(files, key=number):
        rows = list(aggregated(files[version]))
        graduated = {(row["group"], row["resource"]) for row, is_stable in rows if is_stable}
        for row, is_stable in rows:
            key = (row["group"], row["resource"])
            if is_stable:
                since = known_since[key] if version == oldest else version
                stable[key] = {**row, "since": stable.get(key, {"since": since})["since"]}
            elif key not in graduated:
                releases = preview.get(key, {"releases": []})["releases"]
                preview[key] = {**row, "releases": list(dict.fromkeys([*releases, version]))}
    order = {key: place for place, key in enumerate(known_since)}
    groups = {key[0]: place for key, place in order.items()}
    rows = sorted(stable, key=lambda key: (order.get(key, groups[key[0]] + 0.5 if key[0] in groups else 1e6), key))
    return {
        "about": ABOUT,
        "known": newest,
        "goneGroups": before["goneGroups"],
        "resources": [stable[key] for key in rows],
        "preview": [preview[key] for key in sorted(preview)],
    }


def printed(table: Row) -> str:
    """Return the table as text, one resource a line."""
    head = json.dumps({key: table[key] for key in ("about", "known", "goneGroups")})[:-1]
    lists = (
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row)}" for row in table[name]) + "\n ]"
        for name in ("resources", "preview")
    )
    return head + ",\n" + ",\n".join(lists) + "}\n"


def main() -> None:
    """Print the new table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", required=True, metavar="api__v1.json")
    parser.add_argument("files", nargs="+", metavar="VERSION=aggregated_v2.json")
    options = parser.parse_args()
    files = dict(each.split("=", 1) for each in options.files)
    sys.stdout.write(printed(made(options.core, files, json.loads(TABLE.read_text(encoding="utf-8")))))


if __name__ == "__main__":
    main()
