# What every build has in common; sourced in the top folder of the repository. Sets $python and $pinned, gives fetch().
# shellcheck shell=bash
python=${PYTHON:-python3}

# The time of everything: the last commit's; in an unpacked sdist, which has no history, the one that its files bear.
# Only our own repository counts, not one that this folder happens to lie in.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
  if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
  else
    SOURCE_DATE_EPOCH=$(stat -c %Y pyproject.toml)
  fi
fi
export SOURCE_DATE_EPOCH PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore LC_ALL=C.UTF-8 TZ=UTC
umask 022
pinned=(--quiet --require-hashes --no-deps --only-binary :all:)

# Fetch into the folder $1 the tools that build, and the wheels that are shipped.
fetch() {
  "$python" -m pip install "${pinned[@]}" --no-compile --target "$1/tools" -r .ci/packages/tools.txt
  "$python" -m pip download "${pinned[@]}" --dest "$1/wheels" -r .ci/packages/shipped.txt
}
