"""Steps that change one file of the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from auditctl.lab.exercises.snapshot import remove
from auditctl.lab.exercises.step_kind import ROLES, ExerciseStep, Places, StepError, StepTarget, file_of
from auditctl.lab.grading.fields import Fields
from auditctl.node.change import files


@dataclass(frozen=True, slots=True)
class OneFileStep(ExerciseStep):
    """A step that names one file."""

    file: str

    @property
    def files(self) -> tuple[str, ...]:
        return (self.file,)


@dataclass(frozen=True, slots=True)
class TwoFileStep(ExerciseStep):
    """A step from one file to another."""

    source: str
    target: str

    @classmethod
    def parse(cls, given: Fields) -> TwoFileStep:
        return cls(file_of(given, "from"), file_of(given, "to"))

    @property
    def files(self) -> tuple[str, ...]:
        return (self.source, self.target)


@dataclass(frozen=True, slots=True)
class Replace(OneFileStep):
    """Another text in a file."""

    kind = "replace"
    before: str
    after: str

    @classmethod
    def parse(cls, given: Fields) -> Replace:
        return cls(file_of(given, "in"), given.text("old"), str(given.value["new"]))  # type: ignore[index]

    def run(self, target: StepTarget) -> None:
        text = target.host(self.file).read_bytes().decode()
        if self.before not in text:
            raise StepError(f"{target.host(self.file)}: {self.before!r} is not in it", check="lab-step")
        target.put(self.file, text.replace(self.before, self.after, 1).encode())

    def text(self, places: Places) -> str:
        return f"in {places.path(self.file)}: {_short(self.before)} becomes {_short(self.after)}"


@dataclass(frozen=True, slots=True)
class Write(OneFileStep):
    """A whole file."""

    kind = "write"
    content: str
    mode: int | None

    @classmethod
    def parse(cls, given: Fields) -> Write:
        text = given.value.get("text") if isinstance(given.value, Mapping) else None
        if not isinstance(text, str):
            raise given.error("'text' is to be a text")
        return cls(file_of(given, "file"), text, _mode(given) if given.has("mode") else None)

    def run(self, target: StepTarget) -> None:
        target.put(self.file, self.content.encode(), self.mode)

    def text(self, places: Places) -> str:
        return f"write {places.path(self.file)}"


@dataclass(frozen=True, slots=True)
class Remove(OneFileStep):
    """The end of a file, or of an empty directory."""

    kind = "remove"

    @classmethod
    def parse(cls, given: Fields) -> Remove:
        text = given.whole_text()
        return cls(text if text in ROLES else given.whole_path())

    def run(self, target: StepTarget) -> None:
        remove(target.host(self.file))

    def text(self, places: Places) -> str:
        return f"rm {places.path(self.file)}"


@dataclass(frozen=True, slots=True)
class MakeDirectory(OneFileStep):
    """A directory, with its parents."""

    kind = "directory"

    @classmethod
    def parse(cls, given: Fields) -> MakeDirectory:
        return cls(given.whole_path())

    def run(self, target: StepTarget) -> None:
        files.make_directories(target.host(self.file))

    def text(self, places: Places) -> str:  # noqa: ARG002 (it has no role)
        return f"mkdir -p {self.file}"


@dataclass(frozen=True, slots=True)
class Link(OneFileStep):
    """A symbolic link."""

    kind = "link"
    to: str

    @classmethod
    def parse(cls, given: Fields) -> Link:
        return cls(file_of(given, "file"), given.text("to"))

    def run(self, target: StepTarget) -> None:
        target.host(self.file).symlink_to(self.to)

    def text(self, places: Places) -> str:
        return f"ln -s {self.to} {places.path(self.file)}"


@dataclass(frozen=True, slots=True)
class Mode(OneFileStep):
    """Other permissions of a file."""

    kind = "mode"
    mode: int

    @classmethod
    def parse(cls, given: Fields) -> Mode:
        return cls(file_of(given, "file"), _mode(given))

    def run(self, target: StepTarget) -> None:
        target.host(self.file).chmod(self.mode)

    def text(self, places: Places) -> str:
        return f"chmod {self.mode:04o} {places.path(self.file)}"


@dataclass(frozen=True, slots=True)
class Copy(TwoFileStep):
    """The same bytes and mode at another name."""

    kind = "copy"

    @property
    def starts_server(self) -> bool:
        return self.target == "manifest"

    def run(self, target: StepTarget) -> None:
        snapshot = files.read(target.host(self.source), "file")
        files.replace_file(target.host(self.target), snapshot.content, snapshot)

    def text(self, places: Places) -> str:
        return f"cp {places.path(self.source)} {places.path(self.target)}"


@dataclass(frozen=True, slots=True)
class Move(TwoFileStep):
    """Another name of a file."""

    kind = "move"

    def run(self, target: StepTarget) -> None:
        files.make_directories(target.host(self.target).parent, 0o755)
        target.host(self.source).rename(target.host(self.target))

    def text(self, places: Places) -> str:
        return f"mv {places.path(self.source)} {places.path(self.target)}"


def _mode(given: Fields) -> int:
    text = given.text("mode")
    try:
        return int(text, 8)
    except ValueError as error:
        raise given.error(f"{text!r} is not a mode", "octal digits in quotes, '0600'") from error


def _short(text: str) -> str:
    return repr(text.strip("\n")) if text.strip() else "nothing"
