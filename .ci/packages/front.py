"""The `__main__.py` of the single file. It says one line to a Python that is too old, so all of it must be read by any Python."""

import os
import sys

if sys.version_info < (3, 11):
    found = [
        name
        for name in ("python3.14", "python3.13", "python3.12", "python3.11")
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if os.access(os.path.join(folder, name), os.X_OK)
    ]
    way = ("this runs it: %s %s" % (found[0], sys.argv[0])) if found else "nothing was done; install one, or use a machine that has one"
    sys.stderr.write("auditctl needs Python 3.11 or newer, and %s is %d.%d; %s\n" % (sys.executable, sys.version_info[0], sys.version_info[1], way))
    sys.exit(3)

# Debian's python3-ruamel.yaml sets `ruamel` up at every start (a -nspkg.pth), and would lead us to its own old version.
sys.modules.pop("ruamel", None)

from auditctl.__main__ import main

main()
