"""Checkpoints from elsewhere: no code runs, nothing damaged passes, and every refusal is a sentence."""

from __future__ import annotations

import copy
import io
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402

ABOUT: dict[str, Any] = {
    "dataset": "blobs",
    "class_names": ["ground", "blob"],
    "targets": ["blob"],
    "sampler": "uniform",
    "resolution": 8,
    "grid": [4, 4],
    "lambda": 1.0,
    "auxiliary": None,
    "epoch": 1,
    "figures": {"miou": 0.5},
}
DAMAGED = "{} is damaged, or no checkpoint at all. If it was copied here, copy it again."
MADE: list[str] = []


def evil(classes: int, **arguments: Any) -> torch.nn.Module:
    """A factory that must not be called unless it was named by hand."""
    MADE.append(str(arguments))
    return torch.nn.Conv2d(3, classes, 1)


def content(kind: str = "base") -> dict[str, Any]:
    torch.manual_seed(0)
    if kind == "base":
        arguments: dict[str, Any] = {"classes": 2, "widths": [2]}
        network: torch.nn.Module = build("unet", **arguments)
    else:
        arguments = {"resolution": 8, "grid": [4, 4], "features": 2, "first": 2}
        network = AuxiliaryNetwork(**arguments)
    return {
        "format": checkpoint.FORMAT,
        "version": 1,
        "kind": kind,
        "network": "unet" if kind == "base" else "auxiliary",
        "arguments": arguments,
        "state": dict(network.state_dict()),
        "about": copy.deepcopy(ABOUT),
        "training": {"position": {"epoch": 1}},
    }


def packed(fields: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(fields, buffer, **options)
    return buffer.getvalue()


def written(folder: Path, whole: bytes) -> Path:
    path = folder / "base.pt"
    path.write_bytes(whole)
    return path


def refusal(path: Path, factories: tuple[str, ...] = ()) -> str:
    with pytest.raises(AdaprepError) as caught:
        checkpoint.load(path).build(factories)
    return str(caught.value)


def as_folder(whole: bytes) -> bytes:
    """With the mark of a folder on the weights' entries, for which PyTorch gives memory of any content."""
    changed, place = bytearray(whole), 0
    while (place := whole.find(b"PK\x01\x02", place + 1)) >= 0:
        if b"/data/" in whole[place : place + 70]:
            changed[place + 38] |= 0x10
    return bytes(changed)


class TestCode:
    def test_a_function_that_a_file_names_is_not_imported(self, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        fields = content() | {"network": "os:system", "arguments": {"classes": f"touch {mark}"}}
        message = refusal(written(tmp_path, packed(fields)))
        assert "its arguments['classes'] is 'touch " in message
        assert not mark.exists()

    def test_the_factory_of_a_file_is_asked_for_by_name(self, tmp_path: Path) -> None:
        fields = content() | {"network": f"{__name__}:evil", "arguments": {"classes": 2}}
        path = written(tmp_path, packed(fields))
        assert f"add --architecture {__name__}:evil" in refusal(path)
        assert not MADE
        assert "has no evil_of_another" in refusal(path, (f"{__name__}:evil_of_another",))

    def test_its_name_is_escaped(self, tmp_path: Path) -> None:
        path = written(tmp_path, packed(content() | {"network": "a\x1b[2Jb:c\u202e"}))
        assert r"add --architecture a\x1b[2Jb:c\u202e" in refusal(path)

    def test_a_factory_named_by_hand_is_used(self, tmp_path: Path) -> None:
        network = build(f"{__name__}:evil", 2)
        fields = content() | {"network": f"{__name__}:evil", "arguments": {"classes": 2}}
        path = written(tmp_path, packed(fields | {"state": dict(network.state_dict())}))
        assert checkpoint.load(path).build([f"{__name__}:evil"]).training is False
        MADE.clear()

    def test_texts_are_not_passed_to_a_factory_named_by_hand(self, tmp_path: Path) -> None:
        fields = content() | {"network": f"{__name__}:evil", "arguments": {"classes": 2, "weights": "/etc/x"}}
        message = refusal(written(tmp_path, packed(fields)), (f"{__name__}:evil",))
        assert "its arguments['weights'] is '/etc/x', must be a number or numbers" in message
        assert not MADE

    def test_a_pickle_that_calls_functions(self, tmp_path: Path) -> None:
        class Call:
            def __reduce__(self) -> tuple[Any, ...]:
                return (exec, ("raise SystemExit('it ran')",))

        for whole in (packed(content() | {"about": Call()}), pickle.dumps(Call())):
            path = written(tmp_path, whole)
            assert refusal(path).startswith(str(path))

    @pytest.mark.parametrize("name", ["pretrained", "weights", "in_channels", "device"])
    def test_arguments_that_a_network_of_ours_does_not_take(self, tmp_path: Path, name: str) -> None:
        fields = content()
        fields["arguments"][name] = "/etc/passwd"
        assert f"{name}" in refusal(written(tmp_path, packed(fields)))


class TestDamage:
    def test_every_flipped_bit_is_noticed_or_harmless(self, tmp_path: Path) -> None:
        fields = content()
        whole = packed(fields)
        wanted = checkpoint.load(written(tmp_path, whole))
        rng = np.random.default_rng(0)
        for bit in rng.integers(0, 8 * len(whole), 150):
            assert refused_or_the_same(tmp_path, flipped(whole, int(bit)), wanted)
        start = whole.index(fields["state"]["network.head.bias"].numpy().tobytes())
        path = written(tmp_path, flipped(whole, 8 * start + 3))
        assert refusal(path) == DAMAGED.format(path)

    @pytest.mark.parametrize(
        "change",
        [
            lambda whole: whole + b"\0",
            lambda whole: b"\0" + whole,
            lambda whole: whole[:-1],
            lambda whole: whole + whole,
            lambda whole: whole[:-2] + b"\x05\x00hello",  # a comment
            lambda whole: rezipped(whole, compression=zipfile.ZIP_DEFLATED),
            lambda whole: rezipped(whole, again="data.pkl"),
            lambda whole: rezipped(whole, more="archive/code/x.py"),
            lambda whole: rezipped(whole, cut="data/0"),
            lambda whole: rezipped(whole, big=True),
            as_folder,
        ],
        ids=[
            *("appended", "prepended", "cut", "doubled", "comment", "deflated", "an entry twice"),
            *("another entry", "a short storage", "big-endian", "an entry that says it is a folder"),
        ],
    )
    def test_an_archive_laid_out_otherwise(self, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
        path = written(tmp_path, change(packed(content())))
        assert refusal(path) == DAMAGED.format(path)

    def test_the_format_before_archives(self, tmp_path: Path) -> None:
        path = written(tmp_path, packed(content(), _use_new_zipfile_serialization=False))
        assert "is damaged, or no checkpoint at all" in refusal(path)

    def test_a_device_is_no_checkpoint(self) -> None:
        assert refusal(Path("/dev/zero")) == "no checkpoint at /dev/zero: it is no file."


def huge_view() -> torch.Tensor:
    return torch.zeros(1).expand(1 << 20, 1 << 20)


WEIGHT = "network.head.bias"
FIELDS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "about is no dictionary": (lambda c: c.update(about=[1]), "its about is a list, must be a dictionary"),
    "version is a text": (lambda c: c.update(version="1"), "it is another program's"),
    "version is true": (lambda c: c.update(version=True), "it is another program's"),
    "version is below 1": (lambda c: c.update(version=-3), "it is another program's"),
    "kind is a list": (lambda c: c.update(kind=["base"]), "its kind is a list, must be a text"),
    "kind is unknown": (lambda c: c.update(kind="teacher"), "a checkpoint of an unknown kind"),
    "network is a number": (lambda c: c.update(network=3), "its network is 3, must be a name"),
    "state is a list": (lambda c: c.update(state=[]), "its state is a list, must be a dictionary of tensors"),
    "state holds a number": (lambda c: c["state"].update(a=1), "its state['a'] is 1, must be a tensor"),
    "state is sparse": (
        lambda c: c["state"].update({WEIGHT: torch.zeros(2).to_sparse()}),
        "is not a checkpoint of adaprep",
    ),
    "state is complex": (
        lambda c: c["state"].update({WEIGHT: torch.zeros(2, dtype=torch.complex64)}),
        "is not a checkpoint of adaprep",
    ),
    "state overlaps itself": (
        lambda c: c["state"].update({WEIGHT: huge_view()}),
        "strides (0, 0), must be a dense tensor",
    ),
    "state takes more than the file": (
        lambda c: c["state"].update({str(k): c["state"]["network.down.0.0.weight"] for k in range(99)}),
        "but it holds",
    ),
    "state of another shape": (
        lambda c: c["state"].update({WEIGHT: torch.zeros(3)}),
        "does not fit the network unet as it is now",
    ),
    "state without a weight": (lambda c: c["state"].pop(WEIGHT), "does not fit the network unet"),
    "state of NaN": (
        lambda c: c["state"].update({WEIGHT: torch.full((2,), torch.nan)}),
        "its weights 'network.head.bias' are no numbers",
    ),
    "a billion classes": (
        lambda c: c["arguments"].update(classes=10**9),
        "its arguments['classes'] is 1000000000, must be 1 to 255",
    ),
    "a billion features": (
        lambda c: c["arguments"].update(widths=[10**9]),
        "its arguments['widths'] is a list, must be 1 to 16 numbers",
    ),
    "wide layers that the file has not": (
        lambda c: c["arguments"].update(widths=[65536] * 16),
        "does not fit the network unet",
    ),
    "no classes": (lambda c: c["arguments"].pop("classes"), "its arguments do not say classes"),
    "class names are numbers": (
        lambda c: c["about"].update(class_names=[1, 2]),
        "its about['class_names'] is a list, must be a list of 1 to 255 names",
    ),
    "resolution is NaN": (
        lambda c: c["about"].update(resolution=float("nan")),
        "its about['resolution'] is nan, must be a number of pixels",
    ),
    "lambda is NaN": (lambda c: c["about"].update({"lambda": float("nan")}), "about['lambda'] is nan"),
    "grid is a text": (lambda c: c["about"].update(grid="8x8"), "its about['grid'] is '8x8'"),
    "sampler is unknown": (lambda c: c["about"].update(sampler="\x1b[2J"), r"is '\x1b[2J', must be uniform"),
    "data set is empty": (lambda c: c["about"].update(dataset=""), "its about['dataset'] is ''"),
    "a tensor in about": (
        lambda c: c["about"].update(x=torch.zeros(1)),
        "its about is a Tensor, must be plain",
    ),
    "a set in about": (lambda c: c["about"].update(x={1}), "is not a checkpoint of adaprep"),
    "a huge number": (lambda c: c["about"].update(x=1 << 5000), "is not a checkpoint of adaprep"),
    "a number of 100 bits": (lambda c: c["about"].update(x=1 << 99), "a number of 100 bits"),
    "a long text": (lambda c: c["about"].update(x="a" * 10**6), "a text of 1000000 characters"),
    "nested deeply": (lambda c: c["about"].update(x=nested(200)), "deeper than 20"),
    "lists of lists of lists": (lambda c: c["about"].update(x=laughing()), "holds too much"),
    "training is a list": (lambda c: c.update(training=[]), "its training is a list, must be a dictionary"),
}


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def laughing() -> list[Any]:
    """Ten to the ninth values in a few bytes."""
    inner: list[Any] = [0]
    for _ in range(9):
        inner = [inner] * 10
    return inner


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_a_wrong_kind_are_sentences(tmp_path: Path, name: str) -> None:
    change, message = FIELDS[name]
    fields = content()
    change(fields)
    began = time.process_time()
    said = refusal(written(tmp_path, packed(fields)))
    assert message in said
    assert len(said) < 3000
    assert said.isprintable() or "\n" in said
    assert time.process_time() - began < 10


def test_an_auxiliary_network_is_looked_at_too(tmp_path: Path) -> None:
    for name, value in (("resolution", 10**9), ("grid", [8, 10**9]), ("features", -1), ("std", [0, 1, 1])):
        fields = content("auxiliary")
        fields["arguments"][name] = value
        assert f"its arguments['{name}'] is " in refusal(written(tmp_path, packed(fields)))
    fields = content("auxiliary")
    fields["arguments"] |= {"resolution": 65536, "grid": [65536, 65536]}
    assert "but its weights 'mean_grid' are (2, 4, 4)" in refusal(written(tmp_path, packed(fields)))
    fields["arguments"] |= {"resolution": 8, "grid": [4, 4], "features": 65536}
    assert "does not fit the network auxiliary" in refusal(written(tmp_path, packed(fields)))


def test_a_disk_that_fills_leaves_the_old_file_and_the_usual_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, packed(content()))
    before = path.read_bytes()
    script = (
        "import resource, signal, sys, torch\n"
        "from pipeline.train import checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "state = {'a': torch.zeros(100_000)}\n"
        "checkpoint.save(sys.argv[1], 'base', 'unet', {'classes': 2}, state, {})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"pipeline.errors.AdaprepError: the disk is full: no space left to write {path}. What was finished "
        f"before is kept: make room (or move the workspace) and run the same command again."
    )
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["base.pt"]


def flipped(whole: bytes, bit: int) -> bytes:
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def rezipped(
    whole: bytes,
    compression: int = zipfile.ZIP_STORED,
    again: str = "",
    more: str = "",
    cut: str = "",
    big: bool = False,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(buffer, "w", compression) as target:
        for info in source.infolist():
            part = source.read(info)
            if cut and info.filename.endswith(cut):
                part = part[:-1]
            if big and info.filename.endswith("byteorder"):
                part = b"big"
            target.writestr(info.filename, part)
            if again and info.filename.endswith(again):
                with pytest.warns(UserWarning, match="Duplicate name"):
                    target.writestr(info.filename, part)
        if more:
            target.writestr(more, b"x = 1")
    return buffer.getvalue()


def same_as(found: checkpoint.Checkpoint, wanted: checkpoint.Checkpoint) -> bool:
    return (found.identity, found.about, found.training) == (wanted.identity, wanted.about, wanted.training)


def refused_or_the_same(folder: Path, whole: bytes, wanted: checkpoint.Checkpoint) -> bool:
    try:
        found = checkpoint.load(written(folder, whole))
    except AdaprepError:
        return True
    return same_as(found, wanted)


def mutated_bytes(whole: bytes, rng: np.random.Generator) -> bytes:
    choice, place, length = rng.integers(7), int(rng.integers(len(whole))), int(rng.integers(1, 64))
    if choice == 0:
        return flipped(whole, int(rng.integers(8 * len(whole))))
    if choice == 1:
        return whole[:place]
    if choice == 2:
        return whole[:place] + rng.bytes(length) + whole[place:]
    if choice == 3:
        return whole[:place] + whole[place + length :]
    if choice == 4:
        return whole[:place] + rng.bytes(length) + whole[place + length :]
    if choice == 5:  # a part of the file over another one
        other = int(rng.integers(len(whole)))
        return whole[:place] + whole[other : other + length] + whole[place + length :]
    ending = whole[-400:]  # the directory
    spot = int(rng.integers(len(ending)))
    return whole[:-400] + ending[:spot] + rng.bytes(4) + ending[spot + 4 :]


def resealed(whole: bytes, rng: np.random.Generator) -> bytes:
    """The pickle changed and the checksums made to fit: what a hostile writer would do."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        name = next(info.filename for info in archive.infolist() if info.filename.endswith("data.pkl"))
        old = archive.read(name)
        info = archive.getinfo(name)
    new = bytearray(old)
    for _ in range(rng.integers(1, 4)):
        new[rng.integers(len(new))] = rng.integers(256)
    crc = zipfile.crc32(bytes(new)).to_bytes(4, "little")  # type: ignore[attr-defined]
    return whole.replace(old, bytes(new)).replace(info.CRC.to_bytes(4, "little"), crc)


HOSTILE: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 10**30, 1.5, float("nan"), float("inf")),
    *("", "x" * 5000, "../../x", "\x00", "\x1b]0;x\x07", "os:system", "unet", "auxiliary", b"bytes"),
    *([], [[]], {}, {"a": {}}, {1: 2}, (), (1, 2), [2] * 300, [1e300], [-1, 2]),
    *(torch.zeros(2), torch.zeros(0), torch.zeros(2, 3).t(), torch.tensor(1), torch.zeros(1).expand(4, 4)),
    *(torch.full((2,), torch.nan), torch.zeros(2, dtype=torch.float64)),
)


def mutated_fields(fields: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """One or two values anywhere in the fields replaced, added or taken out."""
    for _ in range(rng.integers(1, 3)):
        place: Any = fields
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            below = place[key]
            if isinstance(below, (dict, list)) and rng.integers(4):
                place = below
                continue
            value = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
            action = rng.integers(4)
            if action == 0:
                place.pop(key)
            elif action == 1 and isinstance(place, dict):
                place[str(HOSTILE[rng.integers(10, 16)])] = value
            else:
                place[key] = value
            break
    return fields


def fuzz(folder: Path, seeds: range) -> dict[str, int]:
    """Load mutated files, and build where that passes; how many were refused, passed, built."""
    counts, longest = {"refused": 0, "loaded": 0, "built": 0}, 0
    whole = {kind: packed(content(kind)) for kind in ("base", "auxiliary")}
    wanted = {kind: checkpoint.load(written(folder, part)) for kind, part in whole.items()}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        kind = ("base", "auxiliary")[seed % 2]
        harmless = seed % 4 < 2
        if harmless:
            changed = mutated_bytes(whole[kind], rng)
        elif seed % 16 < 4:
            changed = resealed(whole[kind], rng)
        else:
            changed = packed(mutated_fields(content(kind), rng))
        began = time.process_time()
        try:
            found = checkpoint.load(written(folder, changed))
            counts["loaded"] += 1
            if harmless:
                assert same_as(found, wanted[kind]), f"seed {seed}: damage was not noticed"
                continue
            assert len(found.identity) == 12
            found.build()
            counts["built"] += 1
        except AdaprepError as error:
            counts["refused"] += 1
            longest = max(longest, len(str(error)))
        assert time.process_time() - began < 20, seed
    assert longest < 5000
    return counts


def test_mutated_checkpoints_are_refused_by_name(tmp_path: Path) -> None:
    counts = fuzz(tmp_path, range(200))
    assert counts["refused"] > 100
    assert counts["built"] > 0


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(10))
def test_many_mutated_checkpoints_are_refused_by_name(tmp_path: Path, part: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = fuzz(tmp_path, range(1000 + 11_000 * part, 1000 + 11_000 * (part + 1)))
    print(counts)
    assert counts["refused"] > 5000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
