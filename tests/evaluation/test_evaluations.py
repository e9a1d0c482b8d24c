"""`adaprep evaluate` without a checkpoint: every base network of a workspace, measured once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from pipeline.workspace import results
from pipeline.workspace.per_image import PerImage

torch = pytest.importorskip("torch")

from dataclasses import replace  # noqa: E402

from pipeline.evaluation import comparison  # noqa: E402
from pipeline.inference import systems  # noqa: E402
from pipeline.networks import checkpoint  # noqa: E402
from pipeline.train import command, settings  # noqa: E402
from pipeline.workspace import stores  # noqa: E402
from tests.conftest import blobs_in, copied  # noqa: E402
from tests.train.test_fit import TINY, make_space  # noqa: E402

MakeBlobs = Callable[..., Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uniform, predicted and proposals, the first with two seeds."""
    made = tmp_path_factory.mktemp("trained") / "made"
    found = make_space(blobs_in(made)(), made / "w", "train", "val")
    request = replace(TINY, epochs=1)
    command.run(found, None, request)
    for sampler, seed in (("uniform", 0), ("uniform", 1), ("proposal", 0)):
        chosen = replace(request.base, sampler=sampler)
        command.run(found, None, replace(request, networks=("base",), base=chosen, seed=seed))
    return made.rename(made.with_name("kept"))


@pytest.fixture
def space(trained: Path, tmp_path: Path) -> stores.Workspace:
    """A copy of them, to change."""
    return stores.Workspace(copied(trained, tmp_path))


def evaluate(space: stores.Workspace, *arguments: str) -> tuple[int, str]:
    options = ["--workspace", str(space.path), "--device", "cpu", "--architecture", TINY.base.architecture]
    options = ["evaluate", *options, *arguments]
    result = CliRunner().invoke(main, options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_all_base_networks_are_measured_and_kept(space: stores.Workspace) -> None:
    status, printed = evaluate(space, "--json")
    assert status == 0, printed
    kept = results.evaluations(space, "blobs", "val")
    assert json.loads(printed) == kept
    assert [one["settings"]["sampler"] for one in kept] == ["uniform", "uniform", "auxiliary", "proposal"]
    assert all(len(one["systems"]) == 1 for one in kept)
    for one in kept:
        right, true, predicted = PerImage.read(one["systems"][0]["per_image"]).pixels.sum(axis=0)
        iou = {n: i for n, i in one["systems"][0]["iou"].items() if i is not None}
        found = dict(zip(one["systems"][0]["iou"], right / (true + predicted - right), strict=True))
        assert iou == pytest.approx({name: found[name] for name in iou})
        assert one["milliseconds"][one["systems"][0]["name"]] > 0
    for one in kept:  # the same networks, one by one
        run = space.runs_folder("blobs") / one["run"]
        options = []
        if one["settings"]["sampler"] == "auxiliary":
            options = ["--auxiliary", str(next(run.parent.glob("auxiliary-*/best.pt")))]
        if one["settings"]["sampler"] == "proposal":
            options = ["--proposals"]
        status, alone = evaluate(space, str(run / "best.pt"), *options, "--json")
        assert status == 0, alone
        assert json.loads(alone)[0]["systems"] == one["systems"]


def test_a_run_whose_factory_is_not_given_is_listed_and_the_others_go_on(space: stores.Workspace) -> None:
    runs = space.runs_folder("blobs")
    (some, *others) = sorted(runs.glob("base-*-uniform-*/best.pt"))
    found = checkpoint.load(some)
    rest = (found.arguments, found.state, found.about)
    checkpoint.save(some, "base", "tests.train.test_fit:another", *rest)
    status, printed = evaluate(space)
    assert status == 1
    assert "not evaluated: 1 run" in printed
    assert "no --architecture names it" in printed
    assert "add --architecture tests.train.test_fit:another" in printed.replace("\n", " ")
    kept = {one["run"] for one in results.evaluations(space, "blobs", "val")}
    assert some.parent.name not in kept
    assert {path.parent.name for path in others} < kept


def test_a_factory_that_is_not_there_or_fails_keeps_its_run_back_alone(
    space: stores.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_here.py").write_text("def make(classes):\n    raise ValueError('not today')\n")
    monkeypatch.chdir(tmp_path)
    runs = sorted(space.runs_folder("blobs").glob("base-*/best.pt"))
    named = ["no_such_place:make", "failing_here:make"]
    for path, name in zip(runs, named, strict=False):
        found = checkpoint.load(path)
        checkpoint.save(path, "base", name, found.arguments, found.state, found.about)
    status, printed = evaluate(space, *(part for name in named for part in ("--architecture", name)))
    words = " ".join(printed.split())
    assert status == 1
    assert "not evaluated: 2 runs" in words
    assert "there is no module no_such_place, neither installed nor in" in words
    assert "failing_here:make cannot be made with arguments (3): ValueError: not today" in words
    kept = {one["run"] for one in results.evaluations(space, "blobs", "val")}
    assert kept == {path.parent.name for path in runs[2:]}


def test_a_damaged_checkpoint_is_listed_and_the_others_go_on(space: stores.Workspace) -> None:
    some = min(space.runs_folder("blobs").glob("base-*-uniform-*/best.pt"))
    some.write_bytes(some.read_bytes()[:-100])
    status, printed = evaluate(space)
    assert status == 1
    assert f"{some.parent.name}: {some} is damaged" in printed
    assert len(results.evaluations(space, "blobs", "val")) == 3


def test_what_was_measured_is_not_measured_again(space: stores.Workspace) -> None:
    evaluate(space)
    path = next(run for run in space.runs("blobs") if "uniform" in run.name).evaluation_file("val")
    before = path.stat().st_mtime_ns
    status, printed = evaluate(space)
    assert status == 0
    assert "0 measured now" in " ".join(printed.split())
    assert path.stat().st_mtime_ns == before
    evaluate(space, "--overwrite")
    assert path.stat().st_mtime_ns > before


def test_other_weights_are_measured_again(space: stores.Workspace) -> None:
    evaluate(space)
    run = next(space.runs_folder("blobs").glob("base-*uniform*seed0*"))
    path = stores.RunFolder(run).evaluation_file("val")
    path.write_text(path.read_text().replace(json.loads(path.read_text())["weights"], "0" * 12))
    _, printed = evaluate(space)
    assert "1 measured now" in " ".join(printed.split())


def test_seeds_are_put_together(space: stores.Workspace) -> None:
    evaluate(space)
    groups = comparison.groups(results.evaluations(space, "blobs", "val"))
    assert [(g.sampler, g.seeds) for g in groups] == [
        ("uniform", (0, 1)),
        ("auxiliary", (0,)),
        ("proposal", (0,)),
    ]
    figure = groups[0].figure("miou")
    assert figure is not None
    assert figure.mean == pytest.approx(sum(figure.values) / 2)
    assert figure.deviation == pytest.approx(abs(figure.values[0] - figure.values[1]) / 2**0.5)


def test_a_file_that_cannot_be_read_is_listed_and_nothing_kept(space: stores.Workspace) -> None:
    image = next((space.path.parent / "blobs" / "images" / "val").glob("*.jpg"))
    image.write_bytes(b"no image")
    status, printed = evaluate(space)
    assert status == 1
    assert image.stem in printed
    assert results.evaluations(space, "blobs", "val") == []


def test_without_a_base_network_the_command_is_named(make_blobs: MakeBlobs, tmp_path: Path) -> None:
    found = make_space(make_blobs(), tmp_path / "w", "train", "val")
    status, printed = evaluate(found)
    assert status == 1
    assert "there is no trained base network" in printed
    assert "Run: adaprep train" in " ".join(printed.split())


def test_a_lost_auxiliary_network_is_named(space: stores.Workspace) -> None:
    auxiliary = next(space.runs_folder("blobs").glob("auxiliary-*"))
    auxiliary.rename(auxiliary.with_name("moved"))
    status, printed = evaluate(space)
    assert status == 1
    assert "was trained on samples of the auxiliary network" in " ".join(printed.split())


def test_weights_are_taken_for_what_the_run_recorded_and_not_hashed_again(
    space: stores.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(r for r in space.runs("blobs") if r.name.startswith("auxiliary-"))
    expected = {checkpoint.load(run.best).identity: run.best}
    read: list[Path] = []
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path, *more: read.append(Path(path)) or load(path, *more))
    assert systems.auxiliary_networks(space.runs("blobs")) == expected
    assert read == []
    run.result_file.unlink()  # as of a run that is not over
    assert systems.auxiliary_networks(space.runs("blobs")) == expected
    assert read == [run.best]


def test_other_weights_than_the_auxiliary_run_recorded_are_refused(space: stores.Workspace) -> None:
    run = next(r for r in space.runs("blobs") if r.name.startswith("auxiliary-"))
    found = checkpoint.load(run.best, "auxiliary")
    other = {name: tensor + 0.25 for name, tensor in found.state.items()}
    checkpoint.save(run.best, "auxiliary", found.network, found.arguments, other, found.about)
    status, printed = evaluate(space)
    assert status == 1
    assert "holds other weights than its run recorded" in " ".join(printed.split())
    assert [one["settings"]["sampler"] for one in results.evaluations(space, "blobs", "val")] == [
        *("uniform", "uniform", "proposal")
    ]


def test_options_of_a_checkpoint_need_one(space: stores.Workspace) -> None:
    status, printed = evaluate(space, "--proposals")
    assert status == 2
    assert "go with BASE, a checkpoint" in " ".join(printed.split())


def test_settings_name_the_precision() -> None:
    cpu = torch.device("cpu")
    assert [command.uses_bfloat16(p, cpu) for p in ("auto", "float32", "bfloat16")] == [False, False, True]
    assert command.uses_bfloat16("auto", torch.device("cuda"))
    assert settings.Request(("base",)).precision == "auto"


def test_a_tagged_variant_is_told_apart_and_keeps_its_baseline(space: stores.Workspace) -> None:
    request = replace(TINY, networks=("base",), epochs=1, tag="other", seed=0)
    command.run(space, None, replace(request, base=replace(request.base, sampler="uniform")))
    status, printed = evaluate(space)
    assert status == 0, printed
    assert "uniform (other)" in printed
    groups = comparison.groups(results.evaluations(space, "blobs", "val"))
    predicted = next(g for g in groups if g.sampler == "auxiliary")
    beside = comparison.baseline(predicted, groups)
    assert beside is not None
    assert (beside.tag, beside.seeds) == ("", (0, 1))


def test_a_run_that_is_over_names_its_best_weights(space: stores.Workspace) -> None:
    from pipeline.networks import checkpoint

    for run in results.complete_runs(space, "blobs"):
        kept = json.loads(run.result_file.read_text(encoding="utf-8"))
        assert kept["weights"] == checkpoint.load(run.best).identity


def test_networks_are_named_by_their_runs_as_by_their_files(space: stores.Workspace) -> None:
    runs = {run.name: run.best for run in space.runs("blobs")}
    base = next(name for name in runs if name.startswith("base") and "auxiliary" in name)
    auxiliary = next(name for name in runs if name.startswith("auxiliary"))
    by_name = evaluate(space, base, "--auxiliary", auxiliary, "--json")
    by_file = evaluate(space, str(runs[base]), "--auxiliary", str(runs[auxiliary]), "--json")
    assert by_name[0] == by_file[0] == 0, by_name[1]
    rows = [json.loads(printed)[0]["systems"][0] for _, printed in (by_name, by_file)]
    assert rows[0]["miou"] == rows[1]["miou"]
    status, printed = evaluate(space, base[:-1] + "9")
    assert status == 1
    assert "Did you mean" in printed
