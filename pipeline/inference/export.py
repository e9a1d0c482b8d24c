"""`adaprep export`: a trained system as files that run where adaprep is not installed."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import AdaprepError
from pipeline.inference import card, exportable
from pipeline.inference.exportable import LARGEST_SIDE, Exportable, Output
from pipeline.inference.segmenter import AdaptiveSegmenter
from pipeline.marks import Writer
from pipeline.names import printable
from pipeline.workspace import disk

Format = Literal["onnx", "torch", "safetensors"]
FORMATS: tuple[Format, ...] = ("onnx", "torch", "safetensors")

PACKAGES: dict[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torch": (),
    "safetensors": ("safetensors",),
}

FILES: dict[Format, str] = {
    "onnx": "model.onnx",
    "torch": "model.pt2",
    "safetensors": "model.safetensors",
}
ABOUT, CARD = "export.json", "README.md"
PARTS = ("shrink.onnx", "auxiliary.onnx", "sample.onnx", "base.onnx", "interpolate.onnx")

OPSET = 18
MAX_SOLVED = 100
"""Grid points of a solver in a program: it is written out step by step, one per point, and torch.onnx takes
minutes for 16 x 16."""

AGREEMENT = 0.999
"""Share of labels that have to be those of PyTorch."""


@dataclass(frozen=True)
class ExportJob:
    """What is exported, and where to."""

    segmenter: AdaptiveSegmenter
    about: Mapping[str, Any]  # as `pipeline.inference.card.describe` gives it
    folder: Path
    formats: tuple[Format, ...] = FORMATS
    output: Output = "labels"
    parts: bool = False

    @property
    def files(self) -> list[str]:
        """Names of all files that are written, the description last."""
        mine = [FILES[name] for name in self.formats]
        adaptive = self.segmenter.auxiliary is not None
        parts = [name for name in PARTS if adaptive or name not in PARTS[:2]] if self.parts else []
        return [*mine, *parts, CARD, ABOUT]


@dataclass(frozen=True)
class Written:
    """One file, and how well it agrees with PyTorch, where that was measured."""

    path: Path
    agreement: float | None = None
    side: int = 0

    def describe(self) -> str:
        """For people."""
        if self.agreement is None:
            return f"wrote {self.path}"
        side = self.side
        return f"wrote {self.path}: {self.agreement:.2%} of labels as PyTorch's, at {side} x {side} pixels"


def check(job: ExportJob, writer: Writer) -> None:
    """Refuse what can be refused before any work.

    Raises
    ------
    AdaprepError
        A package is missing, a solver is too large, or a file may not be written.
    """
    _check_solver(job)
    wanted = {package for name in job.formats for package in PACKAGES[name]}
    wanted |= set(PACKAGES["onnx"]) if job.parts else set()
    if absent := sorted(name for name in wanted if importlib.util.find_spec(name) is None):
        raise AdaprepError(
            f"export needs {', '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed. "
            f"Run: pip install 'adaprep[export]'"
        )
    ours = made_here(job.folder)
    for name in job.files:
        writer.check(job.folder / name, name in ours)


def _check_solver(job: ExportJob) -> None:
    network = job.segmenter.auxiliary
    if network is None or network.solver is None or (job.formats == ("safetensors",) and not job.parts):
        return
    h, w = network.grid
    if h * w > MAX_SOLVED:
        raise AdaprepError(
            f"the auxiliary network ends with a solver (--aux-head solver) for a grid of {h} x {w}, and "
            f"programs hold solvers of up to {MAX_SOLVED} points. Export --format safetensors, or train with "
            f"a smaller --grid or --aux-head direct."
        )


def made_here(folder: Path) -> set[str]:
    """Names of the files in a folder that an earlier export wrote, by its own description."""
    try:
        about = disk.read_json(folder / ABOUT)
        files = about["files"]
    except (AdaprepError, OSError, KeyError):
        return set()
    ours = str(about.get("made_by", "")).startswith("adaprep ") and isinstance(files, list)
    return {str(name) for name in files} if ours else set()


def run(job: ExportJob, writer: Writer) -> list[Written]:
    """Make all files, then write them.

    Raises
    ------
    AdaprepError
        A network cannot be exported, its program gives other labels than PyTorch, or the disk refuses.
    """
    check(job, writer)
    about = {**job.about, "output": job.output, "files": job.files}
    image = _picture(_usual_side(job.segmenter))
    made = dict(_programs(job, image, about))
    agreed = {name: _agreement(name, made[name], job, image) for name in made if name in FILES.values()}
    if job.parts:
        made.update(_parts(job, image, about))
    if "safetensors" in job.formats:
        made[FILES["safetensors"]] = _weights(job)
    made[CARD] = card.page(about).encode()
    made[ABOUT] = (disk.json_text(about) + "\n").encode()
    ours = made_here(job.folder)
    for name in job.files:
        with writer.replacing(job.folder / name, name in ours) as partial:
            partial.write_bytes(made[name])
    return [Written(job.folder / name, agreed.get(name), image.shape[-1]) for name in job.files]


def _programs(job: ExportJob, image: Tensor, about: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The whole system, from an image to the answer."""
    if not {"onnx", "torch"} & set(job.formats):
        return
    whole = Exportable(job.segmenter, job.output)
    program = _program(whole, (image,), ("image",), exportable.smallest_side(job.segmenter))
    if "torch" in job.formats:
        yield FILES["torch"], _pt2(program)
    if "onnx" in job.formats:
        yield FILES["onnx"], _onnx(program, ("image",), (job.output,), about)


def _usual_side(segmenter: AdaptiveSegmenter) -> int:
    """Of the image that programs are made and compared with: of no size that divides evenly."""
    return max(2 * max(segmenter.resolution) + 3, exportable.smallest_side(segmenter) + 3)


def _picture(side: int) -> Tensor:
    """(1, 3, side, side) of smooth patches and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (1, 3, 6, 6)).astype(np.float32)
    smooth = nn.functional.interpolate(torch.from_numpy(coarse), (side, side), mode="bicubic").clamp(0, 255)
    noise = torch.from_numpy(rng.integers(-20, 21, (1, 3, side, side)).astype(np.float32))
    return (smooth + noise).clamp(0, 255).to(torch.uint8)


def _program(module: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], smallest: int) -> Any:
    """A program of a module; inputs called ``image`` may have any side from `smallest` on."""
    side = torch.export.Dim("side", min=smallest, max=LARGEST_SIDE)
    shapes = tuple({2: side, 3: side} if name == "image" else None for name in names)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)
    except Exception as error:
        raise AdaprepError(
            f"the system cannot be exported: torch.export says {_first_line(error)}. A network of your own "
            f"may not look at values, or change its path by them."
        ) from error
    for part in program.graph_module.modules():
        for node in getattr(part, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


def _pt2(program: Any) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def _onnx(program: Any, inputs: tuple[str, ...], outputs: tuple[str, ...], about: Mapping[str, Any]) -> bytes:
    """A program as one ONNX file, without the names of this machine's files."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            made: Any = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                verbose=False,
            )
    except Exception as error:
        raise AdaprepError(f"the system cannot be written as ONNX: {_first_line(error)}") from error
    for node in made.model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    made.model.producer_name = "adaprep"
    made.model.metadata_props.update(
        {"made_by": str(about["made_by"]), "classes": disk.json_text([c["name"] for c in about["classes"]])}
    )
    content: bytes = made.model_proto.SerializeToString()
    return content


def _parts(job: ExportJob, image: Tensor, about: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The five steps of the system, each as an ONNX file: two networks of fixed size, and what joins them."""
    segmenter, smallest = job.segmenter, exportable.smallest_side(job.segmenter)

    def model(
        module: nn.Module, values: tuple[Tensor, ...], names: tuple[str, ...], out: tuple[str, ...]
    ) -> bytes:
        return _onnx(_program(module, values, names, smallest), names, out, about)

    with torch.no_grad():
        tensor: tuple[Tensor, ...] = ()
        if segmenter.auxiliary is not None:
            shrinking = exportable.Shrink(segmenter.auxiliary, segmenter.filter)
            small = shrinking(image)
            predicting = exportable.Predict(segmenter.auxiliary)
            tensor = (predicting(small),)
            yield PARTS[0], model(shrinking, (image,), ("image",), ("small",))
            yield PARTS[1], model(predicting, (small,), ("small",), ("tensor",))
        sampling = exportable.Sample(segmenter)
        sampled, points = sampling(image, *tensor)
        names = ("image", "tensor")[: 1 + len(tensor)]
        yield PARTS[2], model(sampling, (image, *tensor), names, ("sampled", "points"))
        yield PARTS[3], model(segmenter.base, (sampled,), ("sampled",), ("scores",))
        last = exportable.Interpolate(job.output)
        values = (segmenter.base(sampled), points, image)
        yield PARTS[4], model(last, values, ("scores", "points", "image"), (job.output,))


def _weights(job: ExportJob) -> bytes:
    from safetensors.torch import save

    parts = {"base": job.segmenter.base, "auxiliary": job.segmenter.auxiliary}
    state = {
        f"{name}.{key}": value.detach().cpu().contiguous().clone()
        for name, part in parts.items()
        if part is not None
        for key, value in part.state_dict().items()
    }
    return save(state, {"made_by": str(job.about["made_by"]), "about": disk.json_text(dict(job.about))})


def _agreement(name: str, content: bytes, job: ExportJob, image: Tensor) -> float:
    """Run a program as others will; the share of its labels that are PyTorch's. Raises AdaprepError."""
    found = run_program(name, content, image)
    if job.output == "scores":
        found = found.argmax(1)
    with torch.no_grad():
        wanted = job.segmenter.labels(image).numpy()
    agreement = float((found == wanted).mean())
    if agreement < AGREEMENT:
        raise AdaprepError(
            f"{name} would give other labels than PyTorch on {1 - agreement:.2%} of an image: nothing is "
            f"written. Please report it, with the architecture {printable(job.about['architecture'])}."
        )
    return agreement


def run_program(name: str, content: bytes, image: Tensor) -> NDArray[Any]:
    """What an exported program makes of an image (1, 3, S, S)."""
    if name.endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        made: NDArray[Any] = session.run(None, {"image": image.numpy()})[0]
        return made
    with torch.no_grad():
        answer: Tensor = torch.export.load(io.BytesIO(content)).module()(image)
    return answer.numpy()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(". ")
