"""A stack of states: what a parser without recursion needs, whatever its grammar.

A state is a method that yields one event and names the state that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from auditctl.policy.goyaml.events import Sort, YamlEvent
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.scanner import Scanner
from auditctl.policy.goyaml.tokens import Token

State = Callable[[], YamlEvent]


def finished() -> YamlEvent:
    """Mark the end of the states: it is compared with, never called."""
    raise AssertionError


class States:
    """``_states`` are those to come back to."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self._states: list[State] = [finished]
        self._state: State = finished

    def _fail(self, problem: str, token: Token) -> NoReturn:
        """Raise the parser's complaint (`decode.go fail`); its lines count from 0, and 0 is not mentioned."""
        where = f"line {token.line}: " if token.line else ""
        raise SyntaxFault(f"yaml: {where}{problem}", token.line + 1, token.column + 1)

    def _empty(self, token: Token, *, behind: bool = False) -> YamlEvent:
        """Return a scalar that is not there: null. At the token, or ``behind`` an indicator."""
        return YamlEvent(Sort.SCALAR, token.line, token.column + behind)

    def _pop_state(self) -> None:
        self._state = self._states.pop()

    def _leave(self, sort: Sort, token: Token) -> YamlEvent:
        self._pop_state()
        self.scanner.skip()
        return YamlEvent(sort, token.line, token.column)
