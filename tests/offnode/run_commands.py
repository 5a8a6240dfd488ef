"""Run command lines one after another, each with the package imported anew, and print what each printed, as JSON."""

import io
import json
import sys


def run(words):
    """Return exit code, stdout and stderr of one command line."""
    for name in [name for name in sys.modules if name.split(".")[0] == "auditctl"]:
        del sys.modules[name]
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in "12")
    try:
        from auditctl.cli.app import run as run_app

        code = run_app(["auditctl", *words])
    except SystemExit as ended:
        code = ended.code
    finally:
        texts = []
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())
        sys.stdout, sys.stderr = streams
    return [code, *texts]


if __name__ == "__main__":
    print(json.dumps([run(words) for words in json.load(sys.stdin)]))
