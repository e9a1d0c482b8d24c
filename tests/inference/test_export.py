"""Exported systems run elsewhere, and give the labels that PyTorch gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from cli import main
from pipeline.errors import AdaprepError
from pipeline.geometry import tensors
from pipeline.inference import export as stage
from pipeline.inference import exportable, interpolation
from pipeline.inference.segmenter import AdaptiveSegmenter
from pipeline.marks import Writer
from pipeline.networks import checkpoint
from pipeline.networks.auxiliary import AuxiliaryNetwork
from pipeline.networks.factory import build

SIDES = (61, 96, 131)
NAMES = ["road", "pole", "<b>sky</b>"]


def picture(side: int) -> Tensor:
    """(1, 3, side, side): smooth patches, as in photos, and noise."""
    rng = np.random.default_rng(side)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 5, 5)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)
    return (smooth + torch.from_numpy(rng.integers(-9, 9, (1, 3, side, side)))).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of an auxiliary network whose tensors fold, and of base networks on two samplers."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    auxiliary = AuxiliaryNetwork(16, features=4, first=4)
    nn.init.normal_(auxiliary.head.weight, std=0.1)
    about = {"dataset": "streets", "class_names": NAMES, "targets": ["pole"]}
    arguments = {"resolution": 16, "grid": [8, 8], "features": 4, "first": 4}
    sampling = folder / "auxiliary.pt"
    more = {**about, "filter": "area", "lambda": 1.0}
    checkpoint.save(sampling, "auxiliary", "auxiliary", arguments, auxiliary.state_dict(), more)
    identity = checkpoint.load(sampling).identity
    widths = {"classes": 3, "widths": [4, 6]}
    base = build("unet", **widths).state_dict()  # type: ignore[arg-type]
    for sampler in ("auxiliary", "uniform"):
        own = {**about, "sampler": sampler, "resolution": 24, "figures": {"miou": 0.5}}
        if sampler == "auxiliary":
            own["auxiliary"] = identity
        checkpoint.save(folder / f"{sampler}-base.pt", "base", "unet", widths, base, own)
    return folder


def export(*arguments: object) -> str:
    outcome = CliRunner().invoke(main, ["export", *map(str, arguments)])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Everything that the command writes of the adaptive system, and what it prints."""
    for package in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("exported") / "out"
    options = ("--parts", "-o", folder, "--workspace", folder / "none")
    return folder, export(trained / "auxiliary-base.pt", *options)


def segmenter(trained: Path, sampler: str = "auxiliary") -> Any:
    from pipeline.inference.loading import load

    helper = trained / "auxiliary.pt" if sampler == "auxiliary" else None
    return load(trained / f"{sampler}-base.pt", helper)


def session(path: Path) -> Any:
    return pytest.importorskip("onnxruntime").InferenceSession(str(path))


@pytest.mark.slow
def test_one_onnx_file_labels_images_of_any_size_as_pytorch_does(
    trained: Path, exported: tuple[Path, str]
) -> None:
    program, whole = session(exported[0] / "model.onnx"), segmenter(trained)
    for side in SIDES:
        image = picture(side)
        (labels,) = program.run(None, {"image": image.numpy()})
        wanted = whole.labels(image).numpy()
        assert labels.shape == (1, side, side)
        assert labels.dtype == np.uint8
        assert len(np.unique(wanted)) > 1
        assert (labels == wanted).mean() >= 0.999


@pytest.mark.slow
def test_the_command_says_how_well_its_programs_agree(exported: tuple[Path, str]) -> None:
    folder, printed = exported
    words = " ".join(printed.split())
    for name in ("model.onnx", "model.pt2"):
        assert f"wrote {folder / name}: " in words
    assert "auxiliary.pt, as in training" in words
    assert "of labels as PyTorch's, at 51 x 51 pixels" in words
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            *("model.onnx", "model.pt2", "model.safetensors", "README.md", "export.json"),
            *("shrink.onnx", "auxiliary.onnx", "sample.onnx", "base.onnx", "interpolate.onnx"),
        ]
    )


@pytest.mark.slow
def test_steps_of_their_own_lead_to_the_same_labels(trained: Path, exported: tuple[Path, str]) -> None:
    folder, whole = exported[0], segmenter(trained)
    shrink, predict, sample, base, interpolate = (
        session(folder / f"{name}.onnx") for name in ("shrink", "auxiliary", "sample", "base", "interpolate")
    )
    for side in SIDES[:2]:
        image = picture(side).numpy()
        (small,) = shrink.run(None, {"image": image})
        (tensor,) = predict.run(None, {"small": small})
        sampled, points = sample.run(None, {"image": image, "tensor": tensor})
        (scores,) = base.run(None, {"sampled": sampled})
        (labels,) = interpolate.run(None, {"scores": scores, "points": points, "image": image})
        assert (labels == whole.labels(torch.from_numpy(image)).numpy()).mean() >= 0.999


ELSEWHERE = """
import sys
import numpy as np, torch
image = torch.from_numpy(np.load("image.npy"))
labels = torch.export.load("model.pt2").module()(image)
assert not [name for name in sys.modules if name.partition(".")[0] in ("pipeline", "adaprep")]
np.save("labels.npy", labels.numpy())
"""


@pytest.mark.slow
def test_a_program_of_pytorch_loads_where_adaprep_is_not(
    trained: Path, exported: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "model.pt2").write_bytes((exported[0] / "model.pt2").read_bytes())
    image = picture(SIDES[0])
    np.save(tmp_path / "image.npy", image.numpy())
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE], cwd=tmp_path, check=True)
    labels = np.load(tmp_path / "labels.npy")
    assert (labels == segmenter(trained).labels(image).numpy()).mean() >= 0.999


@pytest.mark.slow
def test_the_lines_in_the_guide_run(
    exported: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = Path(exportable.__file__).parents[2] / "docs" / "export.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    (tmp_path / "exported").symlink_to(exported[0])
    Image.fromarray(picture(70)[0].permute(1, 2, 0).numpy()).save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    answers = []
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        answers.append(np.asarray(names["labels"]))
    assert capsys.readouterr().out.startswith("{'road': ")
    assert answers[0].shape == (1, 70, 70)
    assert (answers[1] == answers[2]).mean() >= 0.999


@pytest.mark.slow
def test_weights_and_what_they_are_of(trained: Path, exported: tuple[Path, str]) -> None:
    safetensors = pytest.importorskip("safetensors")
    whole = segmenter(trained)
    with safetensors.safe_open(exported[0] / "model.safetensors", "pt") as file:
        about = json.loads(file.metadata()["about"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert about["resolution"] == [24, 24]
    for part, network in (("base", whole.base), ("auxiliary", whole.auxiliary)):
        for name, value in network.state_dict().items():
            assert torch.equal(state.pop(f"{part}.{name}"), value)
    assert not state


@pytest.mark.slow
def test_the_card_says_what_the_files_are(exported: tuple[Path, str]) -> None:
    about = json.loads((exported[0] / "export.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in about["classes"]] == NAMES
    assert about["sides"] == [16, 8192]
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    assert "| 1 | pole |  |  |" in card
    assert "| 2 | &lt;b&gt;sky&lt;/b&gt; |  |  |" in card
    assert "| mIoU | 0.500 |" in card
    assert "an auxiliary network says, which sees the image at 16 x 16 pixels" in card
    assert "`model.onnx`" in card


@pytest.mark.slow
def test_no_file_names_places_of_the_machine_that_made_it(exported: tuple[Path, str]) -> None:
    here = str(Path(exportable.__file__).parents[2]).encode()
    for path in exported[0].iterdir():
        assert here not in path.read_bytes(), path.name


@pytest.mark.slow
def test_means_of_cells_channels_of_the_tensor_and_scores_are_exported_too(
    trained: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    about = {**checkpoint.load(trained / "uniform-base.pt").about, "filter": "area"}
    torch.manual_seed(1)
    arguments = {"classes": 3, "widths": [4, 6], "in_channels": 6}
    state = build("unet", **arguments).state_dict()  # type: ignore[arg-type]
    base = tmp_path / "uniform-base.pt"
    checkpoint.save(base, "base", "unet", arguments, state, about)
    options = ("--format", "onnx", "--give", "scores", "--workspace", tmp_path / "w")
    export(base, "-o", tmp_path / "out", *options)
    whole, image = segmenter(tmp_path, "uniform"), picture(SIDES[1])
    assert whole.sample_filter == "area"
    assert whole.base.tensor_channels
    (scores,) = session(tmp_path / "out" / "model.onnx").run(None, {"image": image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(scores, whole(image).numpy(), atol=1e-5)


def solving(grid: tuple[int, int]) -> AuxiliaryNetwork:
    """An auxiliary network that ends with a solver."""
    torch.manual_seed(2)
    network = AuxiliaryNetwork(16, grid, features=4, first=4, solver=0.5).eval()
    nn.init.normal_(network.head.weight)
    return network


@pytest.mark.slow
def test_a_solver_is_exported_as_plain_operations() -> None:
    pytest.importorskip("onnxscript")
    network = solving((8, 4))
    small = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    program = stage._program(exportable.Predict(network), (small,), ("small",), 16)
    content = stage._onnx(program, ("small",), ("tensor",), {"made_by": "adaprep", "classes": []})
    runtime = pytest.importorskip("onnxruntime").InferenceSession(content)
    (found,) = runtime.run(None, {"small": small.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, network.predict(small).numpy(), atol=1e-5)


def test_a_solver_too_large_for_a_program_is_refused_before_any_work(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    whole = AdaptiveSegmenter(solving((16, 16)), build("unet", 3, widths=(4, 6)), 24)
    job = stage.ExportJob(whole, {}, tmp_path / "out")
    with pytest.raises(AdaprepError, match="solver .* for a grid of 16 x 16.* up to 100 points"):
        stage.check(job, Writer())
    stage.check(replace(job, formats=("safetensors",)), Writer())


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(2, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_plain_operations_find_the_triangles_that_the_compiled_loops_find(
    h: int, w: int, side: int, seed: int, folded: bool
) -> None:
    rng = np.random.default_rng(seed)
    spread = 1.5 if folded else 0.3
    raw = tensors.uniform(h, w) + rng.uniform(-spread, spread, (2, h, w)) / max(h, w)
    phi = torch.from_numpy(tensors.project(raw))
    scores = torch.from_numpy(rng.normal(size=(1, 4, h, w)))
    wanted = interpolation.interpolate(scores, phi[None], side)[0].flatten(1).T
    found = exportable.interpolate(scores[0], phi, side)
    assert (found.argmax(1) == wanted.argmax(1)).double().mean() >= 0.995
    close = (found - wanted).abs().amax(1) < 1e-6
    assert close.double().mean() >= 0.98


class TestRefusals:
    def refused(self, *arguments: object) -> str:
        outcome = CliRunner().invoke(main, ["export", *map(str, arguments)])
        assert outcome.exit_code == 1
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
        return " ".join(outcome.output.split())

    def test_files_of_others_are_kept(self, trained: Path, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("mine", encoding="utf-8")
        said = self.refused(trained / "uniform-base.pt", "-o", tmp_path, "--format", "safetensors")
        assert f"{tmp_path / 'README.md'} is there already, and adaprep did not make it" in said
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"

    def test_its_own_are_replaced(self, trained: Path, tmp_path: Path) -> None:
        pytest.importorskip("safetensors")
        for _ in range(2):
            export(trained / "uniform-base.pt", "-o", tmp_path / "out", "--format", "safetensors")

    def test_a_missing_package_is_named(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(stage.PACKAGES, "onnx", ("not_there",))
        said = self.refused(trained / "uniform-base.pt", "-o", tmp_path / "out")
        assert "export needs not_there, which is not installed. Run: pip install 'adaprep[export]'" in said
        assert not (tmp_path / "out").exists()

    def test_the_auxiliary_network_is_asked_for(self, trained: Path, tmp_path: Path) -> None:
        alone = tmp_path / "alone" / "base.pt"
        alone.parent.mkdir()
        alone.write_bytes((trained / "auxiliary-base.pt").read_bytes())
        said = self.refused(alone, "-o", tmp_path / "out", "--workspace", tmp_path / "w")
        assert "name it with --auxiliary" in said

    def test_a_network_that_looks_at_values_is_named(self, trained: Path, tmp_path: Path) -> None:
        found = checkpoint.load(trained / "uniform-base.pt")
        network = build("tests.inference.test_export:Looks", 3)
        name = "tests.inference.test_export:Looks"
        checkpoint.save(tmp_path / "base.pt", "base", name, {"classes": 3}, network.state_dict(), found.about)
        options = ("--architecture", name, "--format", "torch", "-o", tmp_path / "out")
        said = self.refused(tmp_path / "base.pt", *options)
        assert "the system cannot be exported: torch.export says" in said
        assert "may not look at values" in said
        assert not (tmp_path / "out").exists()


class Looks(nn.Module):
    """A network whose path depends on what it sees."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layer(images)
        return scores if scores.max() > 0 else -scores
