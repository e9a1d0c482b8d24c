"""`adaprep upper-bound --auxiliary`: what the tensors that a network predicts would keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.datasets import registry  # noqa: E402
from pipeline.evaluation import upper_bound  # noqa: E402
from pipeline.evaluation.upper_bound import Beside, BoundSetting  # noqa: E402
from pipeline.geometry.crops import central_crop  # noqa: E402
from pipeline.geometry.interpolation import interpolate_label_map  # noqa: E402
from pipeline.geometry.proposal import propose  # noqa: E402
from pipeline.geometry.sampling import sample  # noqa: E402
from pipeline.geometry.tensors import resize, uniform  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.metrics import ConfusionMatrix  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.networks.auxiliary import AuxiliaryNetwork  # noqa: E402
from pipeline.workspace import stores  # noqa: E402
from tests.evaluation.test_evaluate import NAMES, cli, save_auxiliary, save_base  # noqa: E402

MakeBlobs = Callable[..., Path]


def rows(yaml: Path, *options: object) -> list[dict[str, Any]]:
    code, output = cli(
        "upper-bound", "--dataset", yaml, "--split", "val", "--resolution", 12, "--json", *options
    )
    assert code == 0, output
    found: list[dict[str, Any]] = json.loads(output)[0]["settings"]
    return found


def test_predicted_tensors_stand_beside_the_others(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    path = save_auxiliary(tmp_path / "mine" / "best.pt")
    found = rows(make_blobs(val=3), "--auxiliary", path)
    assert [row["sampler"] for row in found] == ["uniform", "8x8, lambda 1", "mine"]
    assert found[2]["auxiliary"] == "mine"
    assert found[2]["folded_cells"] > 0
    assert found[2]["miou"] != found[0]["miou"]


def test_an_untrained_network_keeps_what_uniform_sampling_keeps(
    make_blobs: MakeBlobs, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"resolution": 8, "grid": [4, 4], "features": 4, "first": 4}
    path = tmp_path / "u" / "best.pt"
    state = AuxiliaryNetwork(**arguments).state_dict()
    checkpoint.save(path, "auxiliary", "auxiliary", arguments, state, {"class_names": NAMES})
    uniform, _, predicted = rows(make_blobs(val=3), "--auxiliary", path)
    for figure in ("miou", "target_miou"):
        assert predicted[figure] == pytest.approx(uniform[figure], abs=0.01)
    assert predicted["folded_cells"] == 0


def test_the_fixed_warp_is_the_mean_of_the_training_proposals(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, space = make_blobs(train=3, val=2), tmp_path / "workspace"
    asked = ("--fixed-warp", "--lambda", 0.5, "--workspace", space)
    code, said = cli("upper-bound", "--dataset", yaml, *asked)
    assert code == 1, said
    assert "holds nothing yet. Start with: adaprep boundaries" in said
    assert cli("boundaries", "--dataset", yaml, "--workspace", space)[0] == 0
    assert cli("solve-tensors", "--lambda", 0.5, "--workspace", space)[0] == 0
    found = rows(yaml, *asked)
    assert [row["sampler"] for row in found] == [
        "uniform",
        "8x8, lambda 0.5",
        "fixed warp 8x8, lambda 0.5",
    ]
    truth = [stores.open_store(space / "blobs/train/tensors/8x8-lambda0.5.zarr", mode="r")["phi"][:]]
    mean = np.concatenate(truth).mean(axis=(0, 1), dtype=np.float64)
    data = registry.load(yaml)
    wanted = [BoundSetting(12, fixed="mean")]
    beside = Beside(fixed={"mean": mean.astype(np.float32)})
    (expected,) = upper_bound.run(data, "val", data.frames("val"), wanted, beside=beside).rows()
    assert found[2]["miou"] == pytest.approx(expected["miou"])
    assert found[2]["miou"] not in (found[0]["miou"], found[1]["miou"])
    assert (found[2]["fixed"], found[2]["grid"], found[2]["lambda"]) == (found[2]["sampler"], None, None)


def test_two_passes_keep_what_the_boundaries_of_the_first_keep(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    yaml, first = make_blobs(val=3), save_base(tmp_path / "first.pt")
    found = rows(yaml, "--first", first, "--lambda", "0.5,1")
    assert [row["sampler"] for row in found[3:]] == [
        f"two passes 8x8, lambda {x}, first 12" for x in ("0.5", "1")
    ]
    data = registry.load(yaml)
    system = systems.open_system(systems.load_base(first), None, torch.device("cpu"))[0]
    truth = ConfusionMatrix(data.classes.names, data.classes.targets)
    for frame in data.frames("val"):
        crop = central_crop(data.read_image(frame))
        scores, _ = system.scores(crop, uniform(8, 8).astype(np.float32))
        phi = propose(scores.argmax(axis=0).astype(np.uint8), data.classes.targets, (8, 8), 0.5)
        fine = resize(phi.astype(np.float32).astype(np.float64), (12, 12))
        labels = data.classes.lut[central_crop(data.read_labels(frame))]
        truth.update(labels, interpolate_label_map(sample(labels, fine), fine, labels.shape))
    assert found[3]["miou"] == pytest.approx(truth.miou())
    status, said = cli("upper-bound", "--dataset", yaml, "--first", save_base(tmp_path / "p.pt", "proposal"))
    assert (status, "give a base network trained with --sampler uniform" in said) == (1, True)


def test_networks_of_one_run_name_go_by_their_files(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    paths = [save_auxiliary(tmp_path / part / "run" / "best.pt") for part in "ab"]
    found = rows(make_blobs(val=2), *[x for path in paths for x in ("--auxiliary", path)])
    assert [row["sampler"] for row in found[2:]] == list(map(str, paths))


def test_a_network_of_other_classes_is_refused(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"resolution": 8, "grid": [4, 4], "features": 4, "first": 4}
    path = tmp_path / "other.pt"
    state = AuxiliaryNetwork(**arguments).state_dict()
    checkpoint.save(path, "auxiliary", "auxiliary", arguments, state, {"class_names": ["sea", "land"]})
    code, output = cli("upper-bound", "--dataset", make_blobs(), "--split", "val", "--auxiliary", path)
    assert code == 1
    assert "was trained on other classes (sea, land)" in output


def test_mean_grid_starts_as_the_mean_proposal(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    from pipeline.train.auxiliary_task import AuxiliaryTask
    from pipeline.train.prepare import auxiliary_outputs
    from pipeline.train.settings import Auxiliary
    from pipeline.workspace import stores
    from tests.train.test_fit import make_space

    space = make_space(make_blobs(train=5), tmp_path / "w", "train")
    code, output = cli(
        *("sample", "--workspace", space.path, "--resolution", 8, "--sampler", "uniform"),
        *("--aux-resolution", 16, "--split", "train"),
    )
    assert code == 0, output
    chosen = Auxiliary(16, grid=(4, 4), features=4)
    folder = space.folder("blobs", "train")
    images = folder.samples / f"{auxiliary_outputs(chosen)[0].name}.zarr"
    tensors = folder.tensors((4, 4), 1.0)
    task = AuxiliaryTask(chosen, (images, tensors), None, {}, in_memory=False)
    mean = stores.open_store(tensors, mode="r")["phi"][:].mean(axis=(0, 1))
    grid = task.build().mean_grid.detach().numpy()
    np.testing.assert_allclose(grid, mean, atol=1e-6)
