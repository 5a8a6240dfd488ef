"""The value of one requirement, field by field: each of the type that is asked for, or an error that says where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.manifest.paths import normalised_path


class RequirementError(RefusedError):
    """A requirement that nobody can grade: its text is wrong."""

    usual_fix = "correct the requirement (the kinds are in the README, For lab authors)"


class Fields(NamedTuple):
    """The value of one ``kind``; ``where`` names it in errors. Every method raises RequirementError."""

    where: str
    value: object
    kind: str = ""

    def error(self, text: str, fix: str = "") -> RequirementError:
        """Return an error of this requirement, to be raised."""
        return RequirementError(f"{self.where}: {text}", check="requirement", fix=fix)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, Mapping)

    def only(self, names: Sequence[str]) -> None:
        """Raise for a key of a mapping that is not one of these."""
        unknown = [str(name) for name in self.value if name not in names] if isinstance(self.value, Mapping) else []
        if unknown:
            near = get_close_matches(unknown[0], names, n=1)
            fix = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names) or 'no fields'}"
            raise self.error(f"{unknown[0]!r} is not a field of it", fix)

    def has(self, name: str) -> bool:
        return isinstance(self.value, Mapping) and name in self.value

    def _field(self, name: str) -> object:
        if not isinstance(self.value, Mapping):
            raise self.error(f"a mapping with {name!r} is needed")
        if name not in self.value:
            raise self.error(f"{name!r} is missing")
        return self.value[name]

    def whole_text(self) -> str:
        """Return the value itself, a text."""
        if not isinstance(self.value, str) or not self.value:
            raise self.error("a text is needed")
        return self.value

    def whole_path(self) -> str:
        """Return the value itself, an absolute path."""
        return self._absolute(self.whole_text())

    def text(self, name: str) -> str:
        value = self._field(name)
        if not isinstance(value, str) or not value:
            raise self.error(f"{name!r} is to be a text")
        return value

    def path(self, name: str) -> str:
        return self._absolute(self.text(name))

    def scalar(self, name: str) -> str:
        """Return a text, a number or a bool, as a flag has it."""
        value = self._field(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            raise self.error(f"{name!r} is to be one value")
        return str(value)

    def truth(self, name: str) -> bool:
        value = self._field(name)
        if not isinstance(value, bool):
            raise self.error(f"{name!r} is to be true or false")
        return value

    def maybe_truth(self, name: str) -> bool | None:
        return self.truth(name) if self.has(name) else None

    def texts(self, name: str) -> tuple[str, ...]:
        return self._texts(self._field(name), name)

    def one_or_more_texts(self) -> tuple[str, ...]:
        """Return the value itself: a text, or a list of them."""
        return (self.value,) if isinstance(self.value, str) else self._texts(self.value, "the value")

    def be(self, word: object) -> None:
        """Raise unless the value itself is that word."""
        if self.value is not word and self.value != word:
            raise self.error(f"is written with {str(word).lower()!r}, not {self.value!r}")

    def _texts(self, value: object, name: str) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise self.error(f"{name!r} is to be a list of texts")
        if not all(isinstance(one, str) for one in value):
            raise self.error(f"{name!r} is to be a list of texts")
        return tuple(value)

    def _absolute(self, text: str) -> str:
        if not text.startswith("/"):
            raise self.error(f"{text!r} is not an absolute path of the node")
        return normalised_path(text)
