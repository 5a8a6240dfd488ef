"""The command line of kube-apiserver as pflag reads it, with pflag's words (spf13/pflag flag.go).

The `--audit-*` flags are known by name and type, as `facts` lists them for the version. Any other flag is tolerated:
a real server would refuse a name it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from auditctl.errors import AuditctlError
from auditctl.facts import FlagType, Version, audit_flags

# Flags of other parts of the server that take no value: an item `--profiling` must not swallow the next one.
_SWITCH_NAMES = """
    allow-privileged anonymous-auth contention-profiling enable-aggregator-routing enable-bootstrap-token-auth
    enable-garbage-collector enable-logs-handler enable-priority-and-fairness help permit-address-sharing
    permit-port-sharing profiling service-account-extend-token-expiration service-account-lookup shutdown-send-retry-after
    version watch-cache
"""
_SWITCHES = tuple(_SWITCH_NAMES.split())
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), "true"),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), "false"),
}


class FlagError(AuditctlError):
    """pflag refuses the command line; the message is what follows `Error: `."""


def parse(arguments: Sequence[str], version: Version) -> dict[str, str]:
    """Return values by flag name without dashes: the last one wins, audit flags are checked by type.

    Raises FlagError.
    """
    known = {name: flag.type for name, flag in audit_flags().items() if flag.since <= version}
    known["secure-port"] = FlagType.INT
    values: dict[str, str] = {}
    rest = list(arguments)
    positional: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            positional += rest
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
        elif word.startswith("--"):
            name, value = _long(word, rest, known)
            values[name] = value
        else:
            _short(word, rest)
    if positional:
        got = " ".join(f'"{word}"' for word in positional)
        raise FlagError(f'"kube-apiserver" does not take any arguments, got [{got}]')
    return values


def _long(word: str, rest: list[str], known: Mapping[str, FlagType]) -> tuple[str, str]:
    written, equals, value = word[2:].partition("=")
    name = written.replace("_", "-")  # WordSepNormalizeFunc (component-base/cli/flag)
    if not written or written.startswith("-"):
        raise FlagError(f"bad flag syntax: {word}")
    kind = known.get(name)
    if kind is None and name.startswith("audit-"):
        raise FlagError(f"unknown flag: --{written}")
    if not equals:
        value = _value_after(name, kind, rest)
    return name, check(name, kind, value) if kind else value


def _value_after(name: str, kind: FlagType | None, rest: list[str]) -> str:
    if kind is FlagType.BOOL or name in _SWITCHES:
        return "true"
    if not rest:
        raise FlagError(f"flag needs an argument: --{name}")
    return rest.pop(0)


def _short(word: str, rest: list[str]) -> None:
    """Read a short flag; only `-v LEVEL` and `-h` exist."""
    if word[1] not in "vh":
        raise FlagError(f"unknown shorthand flag: {_go_rune(word[1])} in {word}")
    if word == "-v" and rest:
        rest.pop(0)


def _go_rune(letter: str) -> str:
    return f"'{letter}'"


def check(name: str, kind: FlagType, text: str) -> str:
    """Return the value in Go's canonical form (`0x10` is `16`). Raises FlagError in strconv's words."""
    reasons: dict[FlagType, Callable[[str], str]] = {
        FlagType.BOOL: _bool,
        FlagType.INT: _int,
        FlagType.INT64: _int,
        FlagType.FLOAT: _float,
        FlagType.DURATION: _duration,
    }
    try:
        return reasons[kind](text) if kind in reasons else text
    except ValueError as error:
        raise FlagError(f'invalid argument "{text}" for "--{name}" flag: {error}') from error


def _bool(text: str) -> str:
    if text not in _TRUTHS:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _TRUTHS[text]


def _int(text: str) -> str:
    """Read a number with base 0: `0x1f`, `0b1`, `0o17`, `017`, underscores (strconv.ParseInt)."""
    octal = re.sub(r"^([-+]?)0(?=[0-7_])", r"\g<1>0o", text)
    try:
        number = int(octal, 0)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return str(number)


def _float(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        raise ValueError(f'strconv.ParseFloat: parsing "{text}": invalid syntax') from None


def _duration(text: str) -> str:
    """Read a duration as time.ParseDuration does."""
    if _DURATION.fullmatch(text):
        return text
    if _NUMBER.fullmatch(text):
        raise ValueError(f'time: missing unit in duration "{text}"')
    for unit in _units(text):
        raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
    raise ValueError(f'time: invalid duration "{text}"')


def _units(text: str) -> Iterator[str]:
    """Yield the units that Go does not know, as far as the text is numbers with units."""
    if re.fullmatch(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)[^\d.]+)+", text):
        yield from (unit for unit in re.findall(r"[^\d.+-]+", text) if not _DURATION.fullmatch(f"1{unit}"))
