"""Byte code for the executable: every `.py` below FOLDER becomes a `.pyc` beside it. Run by the Python of the executable.

Docstrings are left out, but for those that typer prints as help: they are a tenth of the file. Decorated classes keep theirs,
for `dataclasses` makes one up where there is none, which takes time at each start.
"""
# ruff: noqa: INP001 - a script of another Python's

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

WITH_DOCSTRINGS = ("auditctl/cli/", "typer/", "email/")  # email puts its docstrings together as it is imported
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: the archive has no source to compare with


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Return the tree without its docstrings; lines keep their numbers."""
    for node in ast.walk(tree):
        if not isinstance(node, DOCUMENTED) or (isinstance(node, ast.ClassDef) and node.decorator_list):
            continue
        if ast.get_docstring(node, clean=False):
            docstring = node.body.pop(0)
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.copy_location(ast.Pass(), docstring))
    return tree


folder = Path(sys.argv[1])
for path in sorted(folder.rglob("*.py")):
    name = str(path.relative_to(folder))  # what tracebacks show: no folder of this machine is in it
    source = path.read_bytes()
    tree = ast.parse(source, name)
    code = compile(
        tree if name.startswith(WITH_DOCSTRINGS) else without_docstrings(tree), name, "exec", dont_inherit=True
    )
    path.with_suffix(".pyc").write_bytes(MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source) + marshal.dumps(code))
    path.unlink()
