"""Reading a YAML file so that every complaint about it names the line and the key."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pipeline.datasets.files import file_error
from pipeline.errors import AdaprepError


@dataclass(frozen=True)
class YamlNode:
    """A value in a YAML file and its place there.

    What a method does not find it raises an AdaprepError about.
    """

    path: Path
    key: str  # from the top, as in splits.train.images; empty for the whole file
    node: yaml.Node
    said: yaml.Node | None = None  # the key itself, for a value that has one

    @property
    def line(self) -> int:
        """Of the key, which a value of several lines begins below; of the value where it has none."""
        return (self.said or self.node).start_mark.line + 1

    def fail(self, problem: str) -> NoReturn:
        """Raise AdaprepError about this value."""
        where = f"{self.key}: " if self.key else ""
        raise AdaprepError(f"{self.path}, line {self.line}: {where}{problem}")

    def mapping(self, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, YamlNode]:
        """Values by key; a key that is missing or unknown is an error."""
        found = self.any_mapping()
        allowed = required + optional
        for key, value in found.items():
            if key not in allowed:
                value.fail(f"unknown key{did_you_mean(key, allowed)} Known here: {', '.join(allowed)}")
        if missing := [key for key in required if key not in found]:
            self.fail(f"missing key {missing[0]!r}")
        return found

    def any_mapping(self) -> dict[str, YamlNode]:
        """Values by key, whatever the keys are."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be keys with values, {self._found()}")
        found: dict[str, YamlNode] = {}
        for key_node, value_node in self.node.value:
            key = str(YamlNode(self.path, self.key, key_node).value())
            place = YamlNode(self.path, f"{self.key}.{key}" if self.key else key, value_node, key_node)
            if key in found:
                place.fail("this key was given before")
            found[key] = place
        return found

    def items(self) -> list[YamlNode]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"must be a list, {self._found()}")
        return [YamlNode(self.path, f"{self.key}[{i}]", item) for i, item in enumerate(self.node.value)]

    def text(self) -> str:
        """A text that is not empty. Numbers and the like must stand in quotation marks."""
        value = self.value()
        if not isinstance(value, str) or not value.strip():
            self.fail(f"must be a text, {self._found()}")
        return value

    def integer(self, low: int, high: int) -> int:
        """A whole number in low..high."""
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(f"must be a whole number in {low}..{high}, {self._found()}")
        return value

    def number(self, low: float = 0.0) -> float:
        """A finite number of at least `low`."""
        value = self.value()
        if isinstance(value, str):  # YAML 1.1 takes 1e-4, without a point, for a text
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < math.inf:
            self.fail(f"must be a number of at least {low:g}, {self._found()}")
        return float(value)

    def switch(self) -> bool:
        """True or false."""
        value = self.value()
        if not isinstance(value, bool):
            self.fail(f"must be true or false, {self._found()}")
        return value

    def choice(self, known: Sequence[str]) -> str:
        """One of these words."""
        value = self.value()
        if value not in known:
            hint = did_you_mean(str(value), tuple(known)).rstrip(".")
            self.fail(f"must be one of {', '.join(known)}, {self._found()}{hint}")
        return str(value)

    def value(self) -> Any:
        """A plain value: text, number, truth value, None, lists and dictionaries of such."""
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(self.node, deep=True)
        except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
            self.fail(f"cannot be read: {error}")
        finally:
            loader.dispose()

    def _found(self) -> str:
        if isinstance(self.node, yaml.CollectionNode):
            return "found keys with values" if isinstance(self.node, yaml.MappingNode) else "found a list"
        return f"found {self.value()!r}"


def read_yaml(path: Path, guide: str = "docs/your-own-data.md") -> YamlNode:
    """The whole file; `guide` is the page that says what belongs in it.

    Raises
    ------
    AdaprepError
        It cannot be read, is no YAML, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise file_error(path, error) from error
    except UnicodeDecodeError as error:
        raise AdaprepError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise AdaprepError(f"{path}, line {line}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise AdaprepError(f"{path}: not YAML: {error}") from error
    if node is None:
        raise AdaprepError(f"{path}: is empty; {guide} says what belongs in it")
    return YamlNode(path, "", node)


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """`; did you mean 'images'?` or a full stop."""
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else "."
