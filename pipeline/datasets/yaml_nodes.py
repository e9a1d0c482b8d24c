"""Reading a YAML file so that every complaint about it names the line and the key.

Files come from anywhere: size, depth and number of values are bounded before anything is built of them, and
every fault leaves as an AdaprepError.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pipeline.datasets.limits import read_limited, short
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.storage import as_path

MAX_BYTES = 4 * 2**20
"""Of a file."""

MAX_NODES = 300_000
"""Values and keys in a file, where an alias counts as all that it stands for; a class has seven or more."""

MAX_DEPTH = 32
"""Of lists and keys within each other."""

MAX_NUMBER = 100
"""Characters of a number: beyond, `int` and `float` fail or take quadratic time."""

MAX_TEXT = 4096
"""Characters of a text: more than any path or name has."""

MAX_KEY = 60
"""Characters of a key that a message shows."""

MAX_COMPARED = 1000
"""Words that are searched for one like a misspelt word."""

CORE = "tag:yaml.org,2002:"


class Mistake(AdaprepError, ValueError):
    """Something wrong in a YAML file. The message names the file, the line and the key."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class YamlNode:
    """A value in a YAML file and its place there.

    What a method does not find it raises a `Mistake` about.
    """

    path: Path
    key: str  # from the top, as in splits.train.images; empty for the whole file
    node: yaml.Node
    said: yaml.Node | None = None  # the key itself, for a value that has one

    @property
    def line(self) -> int:
        """Of the key, which a value of several lines begins below; of the value where it has none."""
        return (self.said or self.node).start_mark.line + 1

    def mistake(self, problem: str) -> Mistake:
        """What is wrong with this value, as an error to raise or to collect."""
        where = f"{self.key}: " if self.key else ""
        return Mistake(printable(f"{self.path}, line {self.line}: {where}{problem}"), self.line)

    def fail(self, problem: str) -> NoReturn:
        """Raise the mistake."""
        raise self.mistake(problem)

    def has(self, key: str) -> bool:
        """Whether it is keys with values, and this key is among them."""
        pairs = self.node.value if isinstance(self.node, yaml.MappingNode) else []
        return any(isinstance(said, yaml.ScalarNode) and said.value == key for said, _ in pairs)

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

    def any_mapping(self, note: Callable[[Mistake], None] | None = None) -> dict[str, YamlNode]:
        """Values by key, as it is written, whatever the keys are.

        Parameters
        ----------
        note
            Told of every key that cannot be, and the key is left out. Default: the first is raised.
        """
        note = note or _raise
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be keys with values, {self._found()}")
        self._check_tag("map")
        found: dict[str, YamlNode] = {}
        for key_node, value_node in self.node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                place = YamlNode(self.path, self.key, key_node)
                note(place.mistake(f"a key must be a word or a number, found {_kind(key_node)}"))
                continue
            key: str = key_node.value
            place = YamlNode(
                self.path, f"{self.key}.{_shown(key)}" if self.key else _shown(key), value_node, key_node
            )
            if key_node.tag == f"{CORE}merge":
                note(place.mistake("keys cannot be merged in here: write them out"))
            elif key in found:
                note(place.mistake("this key was given before"))
            else:
                found[key] = place
        return found

    def filled(self, what: str = "must not be an empty list") -> list[YamlNode]:
        """The values of a list that has some."""
        return self.items() or self.fail(what)

    def items(self) -> list[YamlNode]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"must be a list, {self._found()}")
        self._check_tag("seq")
        return [YamlNode(self.path, f"{self.key}[{i}]", item) for i, item in enumerate(self.node.value)]

    def text(self) -> str:
        """A text that is not empty. Numbers and the like must stand in quotation marks."""
        value = self.value() if self.is_scalar() else None
        if not isinstance(value, str) or not value.strip():
            self.fail(f"must be a text, {self._found()}")
        if bad := next((c for c in value if c == "\0" or "\ud800" <= c <= "\udfff"), None):
            self.fail(f"holds {bad!r}, which no name or text may hold, {self._found()}")
        if len(value) > MAX_TEXT:
            self.fail(f"a text of {len(value)} characters is too long: {MAX_TEXT} are allowed")
        return value

    def file_path(self) -> Path:
        """A path, with ~ written out."""
        text = self.text()
        try:
            return as_path(text).expanduser()
        except AdaprepError as error:
            self.fail(str(error))
        except RuntimeError:
            self.fail(f"there is no such user here, {self._found()}")

    def integer(self, low: int, high: int) -> int:
        """A whole number in low..high."""
        value = self.value() if self.is_scalar() else None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(f"must be a whole number in {low}..{high}, {self._found()}")
        return value

    def number(self, low: float = 0.0, high: float = math.inf) -> float:
        """A finite number in low..high."""
        value = self.value() if self.is_scalar() else None
        if isinstance(value, str) and len(value) <= MAX_NUMBER:  # YAML 1.1 takes 1e-4 for a text
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < math.inf:
            self.fail(f"must be a number of at least {low:g}, {self._found()}")
        if value > high:
            self.fail(f"must be a number of at most {high:g}, {self._found()}")
        return float(value)

    def switch(self) -> bool:
        """True or false."""
        value = self.value() if self.is_scalar() else None
        if not isinstance(value, bool):
            self.fail(f"must be true or false, {self._found()}")
        return value

    def choice(self, known: Sequence[str]) -> str:
        """One of these words."""
        value = self.value() if self.is_scalar() else None
        if value not in known:
            hint = did_you_mean(value, tuple(known)).rstrip(".") if isinstance(value, str) else ""
            self.fail(f"must be one of {', '.join(known)}, {self._found()}{hint}")
        return str(value)

    def is_scalar(self) -> bool:
        """Whether it is a single value: no list, no keys."""
        return isinstance(self.node, yaml.ScalarNode)

    def value(self) -> Any:
        """A plain value: text, number, truth value, None, lists and dictionaries of such."""
        if isinstance(self.node, yaml.SequenceNode):
            return [item.value() for item in self.items()]
        if isinstance(self.node, yaml.MappingNode):
            return {key: value.value() for key, value in self.any_mapping().items()}
        tag = self.node.tag.replace(CORE, "!!")
        if tag in ("!!int", "!!float") and len(self.node.value) > MAX_NUMBER:
            self.fail(f"a number of {len(self.node.value)} characters is too long: {MAX_NUMBER} are allowed")
        try:
            return yaml.constructor.SafeConstructor().construct_object(self.node)
        except Exception:  # what int(), date() and indexing raise about values that are not of their tag
            self.fail(f"{short(self.node.value)} cannot be read as {_shown(tag)}")

    def _check_tag(self, usual: str) -> None:
        if self.node.tag != CORE + usual:
            self.fail(f"the tag {_shown(self.node.tag.replace(CORE, '!!'))} is not known here")

    def _found(self) -> str:
        return f"found {short(self.value())}" if self.is_scalar() else f"found {_kind(self.node)}"


def read_yaml(path: Path, guide: str = "docs/your-own-data.md", text: str | None = None) -> YamlNode:
    """The whole file, or the `text` of one that has gone; `guide` is the page that says what belongs in it.

    Raises
    ------
    AdaprepError
        It cannot be read, is no YAML, is empty, or is too large or too deep for a file of its kind.
    """
    text = read_text(path) if text is None else text
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        raise _not_yaml(
            path, text.count("\n", 0, error.position), f"holds {short(text[error.position])}"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(path, mark.line if mark else 0, _problem(error)) from error
    except _TooMuch as error:
        raise AdaprepError(printable(f"{path}, line {error.line + 1}: {error}")) from error
    except Exception as error:  # the scanner's own int() and chr() of escapes and directives
        raise _not_yaml(path, loader.line if loader else 0, str(error)) from error
    if node is None:
        raise AdaprepError(printable(f"{path}: is empty; {guide} says what belongs in it"))
    return YamlNode(path, "", node)


def closest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that is most like this one, if one is like it at all."""
    close = difflib.get_close_matches(word, known[:MAX_COMPARED], 1) if len(word) <= MAX_KEY else []
    return close[0] if close else None


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """`; did you mean 'images'?` or a full stop."""
    close = closest(word, known)
    return f"; did you mean {close!r}?" if close else "."


def _raise(mistake: Mistake) -> None:
    raise mistake


class _TooMuch(Exception):
    """More than a file may hold, from a line (counted from 0) on."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem)
        self.line = mark.line


class _Loader(yaml.SafeLoader):
    """Builds the tree of a file, no deeper than `MAX_DEPTH`, no larger than `MAX_NODES` with aliases."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.count = 0
        self.sizes: dict[int, int] = {}  # by id of the node, with everything below it

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        alias = self.check_event(yaml.AliasEvent)
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH:
            raise _TooMuch(f"nested more than {MAX_DEPTH} deep", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and not alias:
            self.sizes[id(node)] = 1 + sum(self.sizes[id(part)] for part in _parts(node))
        size = self.sizes.get(id(node))
        if size is None:
            raise _TooMuch("an alias stands within the value that it is an alias of", mark)
        if max(size, self.count) > MAX_NODES:
            raise _TooMuch(f"holds more than {MAX_NODES} values, aliases written out", mark)
        return node


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def read_text(path: Path) -> str:
    """A YAML file as it is. Raises AdaprepError: it cannot be read, is too large or no UTF-8."""
    data = read_limited(path, MAX_BYTES, may_be_empty=True)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AdaprepError(
            printable(f"{path}, line {line}: not a text in UTF-8 ({error.reason} at byte {error.start})")
        ) from error


def _not_yaml(path: Path, line: int, problem: str) -> AdaprepError:
    return AdaprepError(printable(f"{path}, line {line + 1}: not YAML: {problem}"))


def _problem(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, yaml.composer.ComposerError) and "another document" in (error.problem or ""):
        return "holds a second document (after ---), and must be one"
    if error.problem == "second occurrence":
        return "an anchor (&word) is given twice"
    text = error.problem or error.context or ""
    return text if len(text) <= 200 else f"{text[:200]}..."


def _kind(node: yaml.Node) -> str:
    return "keys with values" if isinstance(node, yaml.MappingNode) else "a list"


def _shown(key: str) -> str:
    """A key for messages, in one line."""
    cut = key if len(key) <= MAX_KEY else f"{key[:MAX_KEY]}..."
    return cut.replace("\n", "\\n").replace("\t", "\\t")
