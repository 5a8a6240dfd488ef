"""The `__main__.py` of the single file. It says one line to a Python that is too old, so all of it must be read by any Python."""
# ruff: noqa: UP031, UP036, PTH118, E402 - for the same reason

import os
import sys

if sys.version_info < (3, 10):
    found = [
        name
        for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3.10")
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if os.access(os.path.join(folder, name), os.X_OK)
    ]
    way = "run it so: %s %s" % (found[0], sys.argv[0]) if found else "no such Python is on the PATH"
    this = (sys.executable, sys.version_info[0], sys.version_info[1])
    sys.stderr.write("auditctl needs Python 3.10 or newer, and %s is %d.%d; " % this + way + "; nothing was changed\n")
    sys.exit(3)

# Debian's python3-ruamel.yaml sets `ruamel` up at every start (a -nspkg.pth), and would lead us to its own old version.
sys.modules.pop("ruamel", None)

from auditctl.__main__ import main

main()
