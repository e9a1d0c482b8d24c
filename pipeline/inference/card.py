"""What is said of an exported system: a description for programs, and a card for people."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from pipeline.datasets.base import ClassTable
from pipeline.inference.exportable import LARGEST_SIDE, smallest_side
from pipeline.inference.segmenter import AdaptiveSegmenter
from pipeline.names import printable
from pipeline.networks import macs
from pipeline.networks.checkpoint import Checkpoint
from pipeline.networks.points import CHANNELS

FIGURES = {"miou": "mIoU", "target_miou": "mIoU of target classes", "accuracy": "accuracy"}
"""Of the validation while it was trained, by their names in checkpoints."""


def describe(
    base: Checkpoint, segmenter: AdaptiveSegmenter, classes: ClassTable | None, version: str
) -> dict[str, Any]:
    """Plain data on an exported system.

    Parameters
    ----------
    base
        The base network's checkpoint.
    segmenter
        Made of it.
    classes
        Table of the data set, for ids and colours; the checkpoint's names alone when None.
    version
        Of adaprep.

    Returns
    -------
    dict
        Classes in the order of labels, sizes, costs, figures.
    """
    names = [str(name) for name in base.about["class_names"]]
    rows: list[dict[str, Any]] = [{"label": i, "name": name} for i, name in enumerate(names)]
    if classes is not None:
        for row, known in zip(rows, classes.train_classes, strict=True):
            row |= {"id": known.id, "color": [int(part) for part in classes.colors[row["label"]]]}
    auxiliary = segmenter.auxiliary
    h, w = segmenter.resolution
    channels = 3 + CHANNELS if getattr(segmenter.base, "tensor_channels", False) else 3
    cost = macs.macs(segmenter.base, (channels, h, w))
    size = macs.parameters(segmenter.base)
    if auxiliary is not None:
        cost += macs.macs(auxiliary, (3, auxiliary.resolution, auxiliary.resolution))
        size += macs.parameters(auxiliary)
    figures = base.about.get("figures") or {}
    return {
        "made_by": f"adaprep {version}",
        "dataset": str(base.about["dataset"]),
        "classes": rows,
        "architecture": base.network,
        "sampler": str(base.about["sampler"]),
        "resolution": [h, w],
        "filter": segmenter.sample_filter,
        "auxiliary_resolution": None if auxiliary is None else auxiliary.resolution,
        "auxiliary_filter": None if auxiliary is None else segmenter.filter,
        "grid": list(segmenter.grid),
        "sides": [smallest_side(segmenter), LARGEST_SIDE],
        "multiply_adds": cost,
        "parameters": size,
        "figures": {name: float(figures[name]) for name in FIGURES if name in figures},
    }


def page(about: Mapping[str, Any]) -> str:
    """A model card in Markdown, with the front matter that hubs read."""
    shown = {key: _safe(about[key]) for key in ("dataset", "architecture", "sampler", "made_by")}
    low, high = about["sides"]
    h, w = about["resolution"]
    output = about["output"]
    answer = "labels (1, S, S) of uint8" if output == "labels" else "scores (1, C, S, S) of float32"
    lines = [
        "---",
        "library_name: adaprep",
        "pipeline_tag: image-segmentation",
        "tags: [semantic-segmentation, adaptive-downsampling]",
        "---",
        "",
        f"# Semantic segmentation of {shown['dataset']}, {shown['sampler']} sampling at {h} x {w}",
        "",
        f"Made by {shown['made_by']} from a base network {shown['architecture']}: a large image is sampled "
        f"at {h} x {w} points, the network scores these, and the scores are interpolated at every pixel.",
        *_sampling(about),
        "",
        f"- Input: one square image (1, 3, S, S), RGB of uint8, S from {low} to {high}. No normalisation: it "
        f"is part of the program. Cut the largest square of an image, or cover it with several.",
        f"- Output: {answer}.",
        f"- Cost: {about['multiply_adds'] / 1e9:.3f} x 10^9 multiply-adds per image, whatever its size; "
        f"{about['parameters'] / 1e6:.2f} million parameters.",
        "",
        "## Classes",
        "",
        "| label | class | id in label maps | color |",
        "|---|---|---|---|",
        *(_row(row) for row in about["classes"]),
        "",
        *_figures(about["figures"]),
        "## Files",
        "",
        *_files(about["files"], output),
        "",
        "## Limits",
        "",
        "Trained on one data set: what it says of images from elsewhere, and how it treats the people in "
        "them, has not been measured. The figures above are those of its own validation split.",
        "",
    ]
    return "\n".join(lines)


def _safe(text: object) -> str:
    """As hubs may show it: no control characters, no HTML, no end of a table's cell."""
    return html.escape(printable(str(text)), quote=False).replace("|", "\\|")


def _sampling(about: Mapping[str, Any]) -> list[str]:
    side = about["auxiliary_resolution"]
    if side is None:
        return ["The points are the same for every image."]
    h, w = about["grid"]
    return [
        f"Where the points lie, an auxiliary network says, which sees the image at {side} x {side} pixels "
        f"and predicts a tensor of {h} x {w} points: more of them near boundaries of the target classes."
    ]


def _row(row: Mapping[str, Any]) -> str:
    name = _safe(row["name"])
    color = "#{:02x}{:02x}{:02x}".format(*row["color"]) if "color" in row else ""
    return f"| {row['label']} | {name} | {row.get('id', '')} | {color} |"


def _figures(figures: Mapping[str, float]) -> list[str]:
    if not figures:
        return []
    rows = [f"| {FIGURES[name]} | {value:.3f} |" for name, value in figures.items()]
    return [
        "## Figures",
        "",
        "On the validation split, at full resolution.",
        "",
        "| | |",
        "|---|---|",
        *rows,
        "",
    ]


USES = {
    "model.onnx": "onnxruntime.InferenceSession('model.onnx').run(None, {'image': image})[0]",
    "model.pt2": "torch.export.load('model.pt2').module()(image)",
    "model.safetensors": "safetensors.torch.load_file('model.safetensors')",
}


def _files(files: list[str], output: str) -> list[str]:
    lines = ["| file | how it is used |", "|---|---|"]
    lines += [f"| `{name}` | `{USES[name]}` |" for name in files if name in USES]
    if "base.onnx" in files:
        adaptive = "auxiliary.onnx" in files
        chain = "`shrink.onnx`, `auxiliary.onnx`, `sample.onnx`" if adaptive else "`sample.onnx`"
        lines.append(
            f"| {chain}, `base.onnx`, `interpolate.onnx` | the same in steps, see export.md of adaprep |"
        )
    return [*lines, "| `export.json` | classes, sizes and costs for programs |"]
