"""The house holds: imports go downward only, pure wings stay pure, third parties enter by one door, rooms stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "auditctl"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A room may import its own floor's own wing, and anything below. Wings on one floor do not import each other.
FLOORS = (
    (
        "compatibility",
        "errors",
        "facts",
        "findings",
        "hints",
        "settings",
        "durations",
        "patterns",
        "printable",
        "redaction",
        "system",
    ),
    ("manifest", "policy", "transport"),
    ("report",),
    ("node", "log", "kubeadm"),
    ("cluster",),
    ("operations",),
    ("lab",),
    ("cli",),
    ("__main__",),
)
PURE = (
    "manifest",
    "policy",
    "report",
    "settings",
    "findings",
    "errors",
    "hints",
    "durations",
    "patterns",
    "printable",
    "redaction",
)
WORLDLY = frozenset(
    [
        "os",
        "io",
        "time",
        "socket",
        "subprocess",
        "random",
        "secrets",
        "tempfile",
        "shutil",
        "signal",
        "threading",
        "select",
        "ssl",
        "http",
        "urllib.request",
        "glob",
        "platform",
    ]
)
OWNERS = {
    "ruamel": ("manifest/document.py",),
    "jsonpatch": ("manifest/plan.py",),
    "kubernetes": ("kubeadm/configmap.py", "cluster/official_client.py"),
    "urllib3": (
        "kubeadm/configmap.py",
        "cluster/official_client.py",
    ),  # the Kubernetes client lets its exceptions through
    "typer": ("cli/",),
    "rich": ("cli/",),
    "msgspec": ("log/",),
    "duckdb": ("log/sql.py",),
    "ansible": (),
    "cryptography": ("lab/node/certificates_cryptography.py",),
}
WORDS_NOT_IN_THIS_HOUSE = re.compile(
    r"(^|_)(manager|helper|util|utils|handler|service|data|info|misc|common)(_|$)|^do_|(^|_)smart(_|$)", re.IGNORECASE
)
API_WORDS = {"service_account_key", "service_account_issuer"}


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a module; every test below reads it."""
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def wing_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def floor_of(wing: str) -> int:
    return next((level for level, wings in enumerate(FLOORS) if wing in wings), -1)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module's full name, lazily imported ones too, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield from (
                (f"{node.module}.{alias.name}" if node.module == "auditctl" else node.module, node.lineno)
                for alias in node.names
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downward_only(path: Path) -> None:
    """To the floor below, or within the own wing."""
    wing = wing_of(path)
    if wing == "__init__":
        return
    assert floor_of(wing) >= 0, f"{wing} is on no floor"
    for module, line in imports(path):
        if module.startswith("auditctl."):
            other = module.split(".")[1]
            if other == "__version__":
                continue
            assert other == wing or floor_of(other) < floor_of(wing) or floor_of(wing) == 0, (
                f"{name_of(path)}:{line} imports {module}"
            )


def module_of(path: Path) -> str:
    """``operations.change.run`` for its path; a package is named for its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_graph() -> dict[str, set[str]]:
    """Every module with the modules of ours that it imports, lazily or only for types included."""
    names = {module_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {name: set() for name in names}
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("auditctl"):
                base = node.module.removeprefix("auditctl").removeprefix(".")
                for alias in node.names:
                    full = f"{base}.{alias.name}".removeprefix(".")
                    graph[module_of(path)].add(full if full in names else base)
    return {name: {other for other in others if other and other != name} for name, others in graph.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """One line for each group of nodes that reach each other; ``graph`` maps a node to its successors."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, todo = set[str](), [start]
        while todo:
            for successor in graph.get(todo.pop(), ()):
                if successor not in seen:
                    seen.add(successor)
                    todo.append(successor)
        reached[start] = seen
    return sorted(
        {
            " <-> ".join(sorted({node, *(o for o in r if node in reached.get(o, ()))}))
            for node, r in reached.items()
            if node in r
        }
    )


def room_of(module: str) -> str:
    """The folder that a module lies in; a module directly in a wing that has folders is a room of its own."""
    wing, _, rest = module.partition(".")
    has_folders = any(path.is_dir() and path.name != "__pycache__" for path in (PACKAGE / wing).glob("*"))
    if not rest or not has_folders or wing == "policy":  # policy/goyaml is below policy
        return wing if wing != "policy" else ".".join(module.split(".")[:2])
    return ".".join(module.split(".")[:2])


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Within a wing either: a reader can start at the bottom and never meet a name that comes later."""
    assert circles(module_graph()) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Folders are floors, too."""
    rooms: dict[str, set[str]] = {}
    for module, others in module_graph().items():
        if module:
            successors = rooms.setdefault(room_of(module), set())
            successors |= {room_of(other) for other in others} - {room_of(module)}

    assert circles(rooms) == []


def test_a_class_name_is_unique_in_the_package() -> None:
    """So that a search finds one definition."""
    names: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                names.setdefault(node.name, []).append(name_of(path))

    assert {name: places for name, places in names.items() if len(places) > 1} == {}


# Made once for each event of a log or for each token of a text: a named tuple is made and hashed three times as fast.
MADE_BY_THE_MILLION = {
    "log/aggregate.py:CellKey",
    "log/events.py:Reader",
    "log/events_json.py:_JsonCompactEvent",
    "log/events_json.py:_JsonFullEvent",
    "log/segments.py:LogSegment",
    "log/sizes.py:EventVolume",
    "policy/goyaml/events.py:YamlEvent",
    "policy/goyaml/tokens.py:Token",
    "policy/goyaml/values.py:Value",
}
KEYWORD_ONLY = re.compile(r"dataclass\((?=.*\bslots=True)(?=.*\bkw_only=True)")


def long_records(path: Path) -> Iterator[tuple[str, bool]]:
    """Every record of more than five fields by its name, and whether its fields are given by name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef) and sum(isinstance(each, ast.AnnAssign) for each in node.body) > 5:
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if "NamedTuple" in map(ast.unparse, node.bases):
                yield f"{name_of(path)}:{node.name}", False
            elif any(each.startswith("dataclass") for each in decorators):
                yield f"{name_of(path)}:{node.name}", any(map(KEYWORD_ONLY.match, decorators))


def test_a_record_of_more_than_five_fields_is_made_with_their_names() -> None:
    """Two neighbouring texts of a named tuple can be swapped, and no type checker says so."""
    by_place = {name for path in MODULES for name, by_name in long_records(path) if not by_name}

    assert by_place == MADE_BY_THE_MILLION


def test_such_a_record_is_never_made_by_position() -> None:
    """The type checker does not read the tests, nor what it takes for Any."""
    names = {name.partition(":")[2] for path in MODULES for name, by_name in long_records(path) if by_name}
    names -= {"Mapping", "Sequence"}  # types of the standard library, too
    calls = (
        (path, node)
        for path in (*MODULES, *sorted(Path(__file__).parent.rglob("*.py")))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and node.args
    )

    assert [
        f"{path}:{node.lineno}" for path, node in calls if isinstance(node.func, ast.Name) and node.func.id in names
    ] == []


@pytest.mark.parametrize("path", [path for path in MODULES if wing_of(path) in PURE], ids=name_of)
def test_pure_means_pure(path: Path) -> None:
    """No open, os, time, socket, print, random, environment."""
    for module, line in imports(path):
        assert module not in WORLDLY, f"{name_of(path)}:{line} imports {module}"
        assert module.split(".")[0] not in WORLDLY, f"{name_of(path)}:{line} imports {module}"
    calls = {
        node.func.id
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "exec", "eval"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_third_parties_enter_by_their_own_door(path: Path) -> None:
    """And nothing else comes from outside the standard library."""
    for module, line in imports(path):
        top = module.split(".")[0]
        if top in OWNERS:
            assert name_of(path).startswith(OWNERS[top]), f"{name_of(path)}:{line} imports {module}"
        else:
            assert top in sys.stdlib_module_names or top in ("auditctl", "__future__"), (
                f"{name_of(path)}:{line} imports {module}"
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_rooms_are_small_and_documented(path: Path) -> None:
    """No module over 300 lines, no function over 40; every module and public name says what it is."""
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            limit = 80 if wing_of(path) == "cli" else 40  # typer: one parameter an option
            assert length <= limit, f"{name_of(path)}:{node.lineno} {node.name} has {length} lines"


# Words that stand for no thing of the field (docs/contributing/style.md): no name has them, local names included.
SAYS_NOTHING = re.compile(r"(^|_)(told|asked|seen|found|wanted|what|how|work|old|thing)(_|$)")


def identifiers(path: Path, *, local: bool = False) -> Iterator[str]:
    """Every name that a module gives: functions, classes, parameters; with ``local`` each assigned name, too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif local and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif local and isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif local and isinstance(node, ast.MatchAs) and node.name:
            yield node.name


def in_snake_case(names: Iterator[str]) -> Iterator[str]:
    return (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_are_the_fields_own(path: Path) -> None:
    """Words that say nothing are not in this house."""
    snake = in_snake_case(identifiers(path))
    assert not [name for name in snake if WORDS_NOT_IN_THIS_HOUSE.search(name) and name not in API_WORDS]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_name_says_what_it_holds(path: Path) -> None:
    """A tag, mounts, a request, before and after: not found, asked, told, seen, wanted, old."""
    assert not [name for name in in_snake_case(identifiers(path, local=True)) if SAYS_NOTHING.search(name)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_paper_is_cited_that_a_clone_does_not_have(path: Path) -> None:
    """Reasons name the upstream file, or a page below docs/."""
    assert (
        re.findall(r"\breference \d|\(contract\b|\b(?:contract|design|measured|faults|field2?)\.md", path.read_text())
        == []
    )


def test_the_map_names_every_wing() -> None:
    """The docstring of the package is the project's own short copy of the map."""
    text = (PACKAGE / "__init__.py").read_text()

    for wing in {wing_of(path) for path in MODULES} - {"__init__", "__main__", "durations", "patterns"}:
        assert wing in text, wing


# Where an operation imports as late as it can, and the heavy module that a light command (a dry run, `policy validate`, the
# options of a command) does not pay for. All other modules of operations import at their top; the list only shrinks.
LATE_IMPORTS = {
    "change/engine.py:run_change": "ssl, http.client: only a run that is not dry",
    "change/kubeadm_record.py:recording": "ssl: only with --persist",
    "change/preflight.py:trial_start": "subprocess: only where a server runs",
    "change/preflight.py:_of_the_server": "ssl: only where a server runs",
    "change/restart_strategy.py:_has_peers": "ssl: only where a server runs",
    "controlplane.py:state": "fcntl: Linux only",
    "controlplane.py:parse": "ruamel.yaml: commands that read no manifest",
    "controlplane.py:credentials": "ruamel.yaml: commands that ask no server",
    "controlplane.py:endpoint": "ssl: commands that ask no server",
    "enable_files.py:read_installed": "ssl: only with --webhook-config",
    "evidence/receipt.py:prover": "ssl: only a run that is not dry",
    "evidence/receipt.py:prove": "the same function, within prover",
    "evidence/receipt.py:obtain": "ssl: only a run that is not dry",
    "policy/discovered.py:_live": "ssl: only with --discovery live",
    "policy/validate.py:_not_rehearsed": "subprocess: only on a node",
    "policy/validate.py:_rehearsed": "subprocess: only on a node",
    "policy/validate.py:_blind": "subprocess and the rooms of log: only where detections are looked at",
}


def test_operations_import_late_only_what_is_heavy() -> None:
    """A reader sees at the top of a module what it uses, and a fork has loaded what it needs."""
    late = {
        f"{path.relative_to(PACKAGE / 'operations')}:{function.name}"
        for path in (PACKAGE / "operations").rglob("*.py")
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    }

    assert late == set(LATE_IMPORTS)


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=name_of)
def test_every_module_that_the_map_of_a_package_names_exists(path: Path) -> None:
    """In double backquotes: a module or a package beside it, or a name in one."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    named = re.findall(r"``([a-z][a-z_]*)(?:/[a-z]+)?(?:\.[a-z_]+)?``", text)

    assert [name for name in named if not list(path.parent.glob(f"{name}*"))] == []


PAGES_FOR_CONTRIBUTORS = (
    *sorted((PACKAGE.parent / "docs/contributing").rglob("*.md")),
    PACKAGE.parent / "CONTRIBUTING.md",
)


@pytest.mark.parametrize("page", PAGES_FOR_CONTRIBUTORS, ids=lambda page: page.name)
def test_every_path_that_contributors_are_sent_to_exists(page: Path) -> None:
    """Also one that is written with braces, as `lint.{py,md}`, or with a pattern."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:auditctl|tests|templates|playbooks|\.ci)/[\w./*-]*)`", text)
    examples = re.compile("NAME|vX")

    assert [
        name for name in named if not examples.search(name) and not list(PACKAGE.parent.glob(name.rstrip("/")))
    ] == []


LIGHT = "import sys; from auditctl.cli.app import run; run({words!r}); print(*sorted(sys.modules), file=sys.stderr)"


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["auditctl", "--help"], {"ssl", "rich", "kubernetes", "ruamel.yaml", "jsonpatch", "http.client"}),
        (["auditctl", "enable", "--help"], {"ssl", "rich", "kubernetes", "ruamel.yaml", "jsonpatch", "http.client"}),
        (
            ["auditctl", "enable", "--dry-run", "--rootfs", "{root}"],
            {"ssl", "rich", "kubernetes", "http.client", "subprocess", "auditctl.lab"},
        ),
    ],
    ids=["help", "enable-help", "dry-run"],
)
def test_a_light_command_imports_nothing_heavy(words: list[str], heavy: set[str], tmp_path: Path) -> None:
    """Neither kubernetes nor rich nor ssl on the path of --help and a plain --dry-run."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(
        (Path(__file__).parent / "golden/kubeadm/v1.36.2/plain.yaml").read_text()
    )
    code = LIGHT.format(words=[word.format(root=tmp_path) for word in words])

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout
    assert not heavy & set(ran.stderr.split()) - baseline()


def baseline() -> set[str]:
    """What typer itself brings."""
    code = "import sys, typer; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
