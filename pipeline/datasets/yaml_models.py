"""Models of what a YAML file may say: reading a file by them finds every mistake in it, each with its line.

A model is validated from a `YamlNode`. Its fields read the nodes of their keys; what is wrong is noted in the
`Mistakes` that are the context of the validation, and the rest of the file is read all the same, so that what
can be checked across keys is checked as well. Only where nothing was noted do the fields hold what their
types say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from pipeline.datasets.yaml_nodes import Mistake, YamlNode, closest
from pipeline.errors import AdaprepError

MAX_MISTAKES = 20
"""Mistakes that are shown of one file."""

MAX_HINTS = 500
"""Unknown keys that a similar one is looked for."""


class Mistakes:
    """What is wrong in a file, and which of its values cannot be used."""

    def __init__(self) -> None:
        self.noted: list[Mistake] = []
        self.older: dict[str, str] = {}  # a note by the older name of a key that was used
        self._unusable: dict[int, YamlNode] = {}

    def note(self, mistake: Mistake, *unusable: YamlNode) -> None:
        """Go on with the file, but not with these values."""
        self.noted.append(mistake)
        self._unusable.update((id(node), node) for node in unusable)

    def usable(self, node: YamlNode) -> bool:
        """Whether this very object was read without a mistake."""
        return id(node) not in self._unusable

    @contextmanager
    def at(self, node: YamlNode) -> Iterator[None]:
        """Note an AdaprepError from within, which is about this value unless it is a mistake."""
        try:
            yield
        except Mistake as mistake:
            self.note(mistake)
        except AdaprepError as error:
            self.note(node.mistake(str(error)))

    def refuse(self) -> None:
        """Raise AdaprepError with all that was noted, by line."""
        lines = list(dict.fromkeys(str(mistake) for mistake in sorted(self.noted, key=lambda m: m.line)))
        if len(lines) > MAX_MISTAKES:
            lines[MAX_MISTAKES:] = [f"... and {len(lines) - MAX_MISTAKES} more"]
        if lines:
            raise AdaprepError("\n".join(lines))


def collected(info: ValidationInfo) -> Mistakes:
    """What the reading of a file goes on collecting."""
    assert isinstance(info.context, Mistakes)
    return info.context


class YamlModel(BaseModel):
    """Keys with values. The fields are the keys, by their alias where they have one, required ones first."""

    model_config = ConfigDict(extra="ignore")
    also_known: ClassVar[tuple[str, ...]] = ()
    """Keys that messages name, beside the fields."""

    formerly: ClassVar[Mapping[str, str]] = {}
    """Keys by their older names, which still work."""

    _node: YamlNode = PrivateAttr()
    _nodes: dict[str, YamlNode] = PrivateAttr(default_factory=dict)
    _unusable: frozenset[str] = PrivateAttr(default=frozenset())

    @classmethod
    def read(cls, node: YamlNode, mistakes: Mistakes) -> Self:
        """What the node says, as far as it makes sense."""
        return cls.model_validate(node, context=mistakes)

    @property
    def node(self) -> YamlNode:
        return self._node

    @property
    def nodes(self) -> Mapping[str, YamlNode]:
        """Of the fields that are given, in the order of the file."""
        return self._nodes

    def usable(self, *fields: str) -> bool:
        """Whether these fields are as they should be, given or not."""
        return self._unusable.isdisjoint(fields)

    def given(self) -> dict[str, Any]:
        """The fields that are given and usable."""
        return {name: getattr(self, name) for name in self._nodes if name not in self._unusable}

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Fields by their keys."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, node: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        mistakes = collected(info)
        fields = cls.keys()
        required = [key for key, name in fields.items() if cls.model_fields[name].is_required()]
        absent = required
        found: dict[str, YamlNode] = {}
        unusable = set(fields.values())
        with mistakes.at(node):
            found, absent = cls._known(node, required, mistakes)
            unusable = {fields[key] for key in absent}
        model = handler({**dict.fromkeys(absent), **found})
        model._node = node
        model._nodes = {fields[key]: value for key, value in found.items()}
        wrong = {name for name, value in model._nodes.items() if not mistakes.usable(value)}
        model._unusable = frozenset(unusable | wrong)
        return model

    @classmethod
    def _known(
        cls, node: YamlNode, required: list[str], mistakes: Mistakes
    ) -> tuple[dict[str, YamlNode], list[str]]:
        """Nodes by key, and the keys that are missing. A key that is misspelt is not missing as well."""
        fields = cls.keys()
        allowed = (*fields, *cls.also_known)
        found: dict[str, YamlNode] = {}
        meant = set()
        for key, value in node.any_mapping(mistakes.note).items():
            if key in cls.formerly:
                key = cls._renamed(key, value, mistakes)
            if key in found:
                mistakes.note(value.mistake(f"this key was given before, as {key}"))
            elif key in fields:
                found[key] = value
            else:
                close = closest(key, allowed) if len(mistakes.noted) < MAX_HINTS else None
                hint = f"; did you mean {close!r}?" if close else "."
                mistakes.note(value.mistake(f"unknown key{hint} Known here: {', '.join(allowed)}"))
                meant.add(close)
        absent = [key for key in required if key not in found]
        for key in absent:
            if key not in meant:
                mistakes.note(node.mistake(f"missing key {key!r}"))
        return found, absent

    @classmethod
    def _renamed(cls, key: str, value: YamlNode, mistakes: Mistakes) -> str:
        new = cls.formerly[key]
        note = f"note: {value.path}, line {value.line}: {key} is now called {new}; the old name goes away"
        mistakes.older.setdefault(key, note)
        return new

    @field_validator("*", mode="wrap")
    @classmethod
    def _noted(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """A field's value; None where it cannot be used."""
        if not isinstance(value, YamlNode):
            return None
        mistakes = collected(info)
        try:
            return handler(value)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                cause = problem.get("ctx", {}).get("error")
                mistakes.note(cause if isinstance(cause, Mistake) else value.mistake(problem["msg"]), value)
            return None


def read_with(reader: Callable[[YamlNode], Any]) -> BeforeValidator:
    """Of a field: how its node is read. The reader raises a `Mistake` where it cannot be."""
    return BeforeValidator(lambda value: reader(value) if isinstance(value, YamlNode) else value)


def whole(low: int, high: int) -> BeforeValidator:
    """A whole number in low..high."""
    return read_with(lambda node: node.integer(low, high))


def _keys(node: YamlNode, info: ValidationInfo) -> dict[str, YamlNode]:
    mistakes = collected(info)
    return node.any_mapping(mistakes.note)


Text = Annotated[str, read_with(YamlNode.text)]
FilePath = Annotated[Path, read_with(YamlNode.file_path)]
Switch = Annotated[bool, read_with(YamlNode.switch)]

ITEMS = read_with(YamlNode.items)
"""Of a field that is a list."""

FILLED = read_with(YamlNode.filled)
"""Of a field that is a list of something."""

KEYS = BeforeValidator(_keys)
"""Of a field that is a dictionary, whose keys may be anything."""
