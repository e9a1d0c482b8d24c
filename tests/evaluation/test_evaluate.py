"""`adaprep evaluate` and `adaprep networks`: what is measured, beside what, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from pipeline.datasets import registry
from pipeline.metrics import ConfusionMatrix

torch = pytest.importorskip("torch")

from pipeline.evaluation import evaluate  # noqa: E402
from pipeline.evaluation.upper_bound import load_truth  # noqa: E402
from pipeline.geometry import tensors  # noqa: E402
from pipeline.geometry.crops import central_crop  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.inference.segmenter import AdaptiveSegmenter  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.networks.factory import build  # noqa: E402
from pipeline.networks.unet import UNet  # noqa: E402
from pipeline.samplers.predicted import shrink  # noqa: E402
from pipeline.train import command, settings  # noqa: E402
from pipeline.workspace import stores  # noqa: E402

MakeBlobs = Callable[..., Path]
NAMES = ["ground", "blob", "stick"]
FACTORY = "tests.evaluation.test_evaluate:tiny"


def tiny(classes: int) -> UNet:
    return UNet(classes, (8, 8))


def save_base(path: Path, sampler: str = "uniform", **about: Any) -> Path:
    """An untrained base network that says what a trained one would."""
    torch.manual_seed(3)
    facts = {
        "dataset": "blobs",
        "class_names": NAMES,
        "targets": NAMES[1:],
        "sampler": sampler,
        "resolution": 12,
        "grid": [4, 4] if sampler != "uniform" else None,
        "lambda": 1.0 if sampler == "proposal" else None,
        **about,
    }
    classes = len(facts["class_names"])
    arguments = {"classes": classes, "widths": [8, 8]}
    network = build("unet", **arguments)
    for weights in network.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights)  # scores that differ from pixel to pixel
    checkpoint.save(path, "base", "unet", arguments, network.state_dict(), facts)
    return path


def save_auxiliary(path: Path, dataset: str = "blobs") -> Path:
    """An untrained auxiliary network whose tensors are far from uniform."""
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"resolution": 8, "grid": [4, 4], "features": 4, "first": 4}
    network = AuxiliaryNetwork(**arguments)
    torch.nn.init.normal_(network.head.weight, std=0.5)
    torch.nn.init.normal_(network.mean_grid, 0.5, 0.5)  # some cells fold over
    about = {"dataset": dataset, "filter": "area", "lambda": 1.0}
    checkpoint.save(path, "auxiliary", "auxiliary", arguments, network.state_dict(), about)
    return path


def cli(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def facts_of(*args: object) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["evaluate", *map(str, args), "--json", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)[0]
    return found


@pytest.mark.parametrize("adaptive", [True, False])
def test_figures_are_those_of_the_enclosing_segmenter(
    make_blobs: MakeBlobs, tmp_path: Path, adaptive: bool
) -> None:
    yaml = make_blobs(val=3)
    auxiliary = save_auxiliary(tmp_path / "a.pt") if adaptive else None
    base = save_base(tmp_path / "b.pt", "auxiliary" if adaptive else "uniform")
    given = ["--auxiliary", auxiliary] if adaptive else []
    row = facts_of(base, *given, "--dataset", yaml)["systems"][0]

    data = registry.load(yaml)
    network: Any = checkpoint.load(auxiliary).build() if auxiliary else None
    whole = AdaptiveSegmenter(network, checkpoint.load(base).build(), 12).eval()
    matrix, folded = ConfusionMatrix(data.classes.names, data.classes.targets), 0
    for frame in data.frames("val"):
        crop = central_crop(data.read_image(frame))
        labels = whole.labels(torch.from_numpy(crop.transpose(2, 0, 1).copy())[None])[0].numpy()
        matrix.update(load_truth(data, frame), labels)
        if whole.auxiliary is not None:
            small = torch.from_numpy(shrink(crop, 8, "area").transpose(2, 0, 1).copy())[None]
            folded += int(tensors.folded_cells(whole.auxiliary.predict(small).detach().numpy()[0]).sum())
    assert len(np.unique(labels)) > 1
    assert row["miou"] == pytest.approx(matrix.miou(), abs=1e-3)
    assert row["target_miou"] == pytest.approx(matrix.target_miou(), abs=1e-3)
    assert row["folded_cells"] == folded
    assert (folded > 0) == adaptive


def test_a_trained_network_scores_what_its_validation_said(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path / "w")
    assert cli("boundaries", "--dataset", make_blobs(), "--grid", "4", "--workspace", space.path)[0] == 0
    assert cli("solve-tensors", "--workspace", space.path)[0] == 0
    request = settings.Request(
        ("auxiliary", "base"),
        settings.Auxiliary(8, grid=(4, 4), features=4),
        settings.Base(FACTORY, resolution=8, grid=(4, 4)),
        rate=1e-2,
        epochs=2,
        batch_size=3,
        device="cpu",
    )
    assert command.run(space, None, request)
    runs = space.path / "blobs" / "runs"
    auxiliary, base = (runs / request.run_name(n) / "best.pt" for n in ("auxiliary", "base"))
    options = ["--auxiliary", auxiliary, "--architecture", FACTORY, "--workspace", space.path]
    facts = facts_of(base, *options)
    recorded = json.loads((base.parent / "result.json").read_text())
    assert facts["systems"][0]["miou"] == pytest.approx(_find(recorded, "miou"), abs=1e-6)
    assert facts["notes"] == []
    facts = facts_of(base, *options, "--proposals")
    assert [r["sampler"] for r in facts["systems"]] == ["auxiliary 8", "proposals 4x4, lambda 1"]


def _find(facts: Any, name: str) -> float:
    """A figure wherever it stands in plain data."""
    if isinstance(facts, dict):
        if name in facts:
            return float(facts[name])
        return next((v for v in (_find(part, name) for part in facts.values()) if not np.isnan(v)), np.nan)
    return np.nan


def test_systems_stand_beside_each_other_with_their_cost(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, auxiliary = make_blobs(), save_auxiliary(tmp_path / "a.pt")
    base = save_base(tmp_path / "b.pt", "auxiliary")
    baseline = save_base(tmp_path / "u.pt", resolution=16)
    options = ["--auxiliary", auxiliary, "--baseline", baseline, "--proposals", "--dataset", yaml]
    facts = facts_of(base, *options)
    rows = {row["name"]: row for row in facts["systems"]}
    assert list(rows) == ["baseline", "adaptive", "proposals"]
    assert facts["measured_at"] == "full resolution of the central square crop"
    assert facts["crop_sides"] == [40, 40]
    assert [rows[n]["resolution"] for n in rows] == [16, 12, 12]
    extra = rows["adaptive"]["gmacs"] - rows["proposals"]["gmacs"]
    assert extra == pytest.approx(rows["adaptive"]["auxiliary_gmacs"])
    assert extra > 0
    assert rows["adaptive"]["parameters"] > rows["proposals"]["parameters"]
    assert list(rows["baseline"]["iou"]) == NAMES
    assert sum(part["objects"] for part in rows["baseline"]["recall_by_size"]) > 0
    code, said = cli("evaluate", base, *options, "--device", "cpu")
    assert code == 0
    assert "blobs/val, 2 images; mIoU, trimap and recall at the full resolution" in said
    assert "(40 pixels a side)" in said
    for word in (
        "IoU by class",
        "recall by size (components)",
        "proposals 4x4, lambda 1",
        "GMACs: resolution",
    ):
        assert word in said


def test_a_file_that_cannot_be_read_is_listed_and_the_rest_scored(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    yaml = make_blobs(val=3)
    (yaml.parent / "images" / "val" / "0001.jpg").write_bytes(b"")
    code, said = cli("evaluate", save_base(tmp_path / "u.pt"), "--dataset", yaml, "--device", "cpu")
    assert code == 1
    assert "blobs/val, 2 images" in said
    assert "1 failed: 0001" in said


def test_proposals_are_made_from_the_ground_truth(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    data = registry.load(make_blobs())
    frame = data.frames("val")[0]
    truth = load_truth(data, frame)
    system = systems.with_proposals(
        systems.load_base(save_base(tmp_path / "p.pt", "proposal")), None, torch.device("cpu")
    )
    crop = central_crop(data.read_image(frame))
    phi = system.tensor(crop, truth, data.classes.targets)
    assert phi.shape == (2, 4, 4)
    from pipeline.geometry.boundaries import target_boundaries
    from pipeline.geometry.energy import solve
    from pipeline.geometry.nearest import nearest_boundary

    b = nearest_boundary(target_boundaries(truth, data.classes.targets), (4, 4))
    expected = tensors.uniform(4, 4) if b is None else solve(b, 1.0)
    np.testing.assert_allclose(phi, expected, atol=1e-6)
    with pytest.raises(ValueError, match="proposals need the ground truth"):
        system.tensor(crop)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"dataset": "camvid"}, "was trained on camvid, not on blobs: give a checkpoint trained on blobs"),
        ({"class_names": ["ground", "blob"]}, "tells 2 classes apart, blobs has 3."),
        ({"class_names": ["ground", "blob", "pole"]}, "class 2 is 'pole' there and 'stick' in blobs."),
        (
            {"sampler": "auxiliary"},
            "give the auxiliary network that predicts where they lie with --aux",
        ),
    ],
)
def test_a_checkpoint_for_something_else_is_refused(
    make_blobs: MakeBlobs, tmp_path: Path, about: dict[str, Any], message: str
) -> None:
    base = save_base(tmp_path / "b.pt", **about)
    code, said = cli("evaluate", base, "--dataset", make_blobs())
    assert code == 1
    assert message in said


def test_networks_that_do_not_belong_together_are_refused(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, auxiliary = make_blobs(), save_auxiliary(tmp_path / "a.pt")
    uniform, adaptive = save_base(tmp_path / "u.pt"), save_base(tmp_path / "b.pt", "auxiliary")
    foreign = save_auxiliary(tmp_path / "f.pt", "camvid")

    def said(*args: object) -> str:
        code, text = cli("evaluate", *args, "--dataset", yaml)
        assert code == 1
        return text

    assert "was trained on uniform samples: leave --auxiliary out" in said(uniform, "--auxiliary", auxiliary)
    assert "--proposals needs another base network" in said(uniform, "--proposals")
    assert "does not say the lambda of the proposals" in said(adaptive, "--proposals")
    assert "give a base network trained with --sampler uniform" in said(
        adaptive, "--auxiliary", auxiliary, "--baseline", adaptive
    )
    assert "was trained with dataset camvid, but dataset blobs" in said(adaptive, "--auxiliary", foreign)
    assert "an auxiliary network's checkpoint, a base network's is needed" in said(auxiliary)


def test_other_auxiliary_weights_than_in_training_are_noted(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    base = save_base(tmp_path / "b.pt", "auxiliary", auxiliary="0123456789ab")
    facts = facts_of(base, "--auxiliary", save_auxiliary(tmp_path / "a.pt"), "--dataset", make_blobs())
    assert "was trained on samples of other weights than" in facts["notes"][0]


def test_costs_stand_beside_the_papers() -> None:
    rows = list(evaluate.costs())
    unet = next(r for r in rows if (r["network"], r["classes"], r["resolution"]) == ("unet", 22, 64))
    assert unet["gmacs"] == pytest.approx(1.246, abs=1e-3)
    assert (unet["paper_gmacs"], unet["source"]) == (1.24, "Table 2")
    assert len(rows) == 20


@pytest.mark.slow
def test_costs_of_another_number_of_classes_have_no_figure_of_the_paper() -> None:
    rows = list(evaluate.costs(11))
    base = [r for r in rows if r["network"] != "auxiliary"]
    assert {r["classes"] for r in base} == {11}
    assert {r["paper_gmacs"] for r in base} == {None}
    code, said = cli("networks", "--classes", 11)
    assert code == 0
    assert "unet 11 64 3,790,411 1.24" in said
