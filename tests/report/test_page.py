"""`adaprep report`: what is collected, compared, shown and named as missing."""

from __future__ import annotations

import base64
import csv
import io
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline.commands import report
from pipeline.errors import AdaprepError
from pipeline.evaluation import comparison
from pipeline.report import page
from pipeline.report.page import cells, charts, collect, compare, findings, paper, tables
from pipeline.workspace import disk, results, stores
from tests.conftest import CLASSES, blobs

NAMES = ("ground", "blob", "stick")
SECTIONS = (
    "findings",
    "results",
    "classes",
    "cost",
    "boundaries",
    "objects",
    "pictures",
    "upper-bound",
    "training",
    "data",
    "parameters",
    "commands",
)
SHORT = "epoch,step,rate,loss,miou\n1,5,0.1,2.5,\n2,10,0.1,1.5,0.4\n"
LONG = "epoch,step,rate,loss,miou\n" + "".join(f"{k},{5 * k},0.1,{3 - k / 2},0.{k}\n" for k in range(1, 5))

VOID_TAGS = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Ids, references, texts of cells by table, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.cells: dict[str, list[list[str]]] = {}
        self.tags: list[str] = []
        self.open: list[str] = []
        self._table = ""
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if found.get("id") else []
        self.references += [
            str(found[k]) for k in ("src", "href", "xlink:href", "action", "data") if k in found
        ]
        if tag == "img":
            self.images.append(found)
        if tag == "table":
            self._table = str(found["id"])
            self.cells[self._table] = []
        if tag == "tr":
            self.cells[self._table].append([])
        if tag == "td":
            self._cell = True
            self.cells[self._table][-1].append("")
        if tag not in VOID_TAGS and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_TAGS and self.open and self.open[-1] == tag:
            self.open.pop()
        if tag == "td":
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.cells[self._table][-1][-1] += data


class Written(NamedTuple):
    """A report, read."""

    space: stores.Workspace
    page: Page
    text: str
    words: str  # of the text, without tags
    folder: Path


def cli(*args: object) -> str:
    result = CliRunner().invoke(main, [*map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


def write_blobs(root: Path, name: str = "blobs") -> Path:
    """A data set of the user's own: six images to train on, two to validate on."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i in range(count):
            labels = blobs(rng, 40, 56)
            labels[20:30, 10:30] = 1  # every image has a target boundary
            Image.fromarray(np.repeat(labels[..., None], 3, 2)).save(root / "images" / split / f"{i}.png")
            Image.fromarray(labels).save(root / "labels" / split / f"{i}.png")
    yaml = root / f"{name}.yaml"
    yaml.write_text(CLASSES.replace("name: blobs", f"name: {name}"), encoding="utf-8")
    return yaml


def row(miou: float, target: float, resolution: int, sampler: str) -> dict[str, Any]:
    extra = 0.01 if sampler == "auxiliary" else 0.0
    return {
        "name": sampler,
        "sampler": sampler,
        "resolution": resolution,
        "gmacs": 0.3 * (resolution / 32) ** 2 + extra,
        "auxiliary_gmacs": extra,
        "parameters": 1000,
        "miou": miou,
        "target_miou": target,
        "accuracy": 0.9,
        "iou": {"ground": 0.9, "blob": target + 0.05, "stick": None},
        "trimap": {str(w): target + w / 1000 for w in (1, 2, 4, 8)},
        "object_recall": target,
        "recall_by_size": [
            {"objects": 12, "pixels": [10 * k, 10 * k + 9], "recall": target + k / 10} for k in range(4)
        ],
        "recall_by_class": {
            "blob": [{"objects": 10, "pixels": [1, 2], "recall": target + k / 10} for k in range(4)]
        },
        "folded_cells": 0,
    }


def add_run(
    space: stores.Workspace,
    sampler: str,
    resolution: int,
    seed: int,
    miou: float,
    target: float,
    architecture: str = "unet",
    evaluated: bool = True,
    tag: str = "",
    history: str = SHORT,
) -> Path:
    """A run as training and evaluating leave it, without weights."""
    name = f"base-{architecture}-{sampler}-{resolution}-seed{seed}{tag}"
    folder = space.runs_folder("blobs") / name
    settings = {
        "network": "base",
        "rate": 0.001,
        "epochs": 2,
        "batch_size": 4,
        "weight_decay": 0.0,
        "validate_every": 1,
        "augmentation": {"flip": 0.5},
        "seed": seed,
        "architecture": architecture,
        "sampler": sampler,
        "resolution": resolution,
        "grid": None if sampler == "uniform" else [8, 8],
        "lambda": 1.0 if sampler == "proposal" else None,
        "auxiliary": "abc" if sampler == "auxiliary" else None,
        "training_split": "train",
    }
    results.write(
        folder / "settings.json", {"settings": settings, "versions": {"torch": "2.0"}, "machine": {}}
    )
    results.write(
        folder / "result.json", {"epochs": 2, "best_epoch": 2, "figures": {"miou": miou}, "seconds": 1.0}
    )
    disk.write_text(folder / "history.csv", history)
    if evaluated:
        facts = {
            "dataset": "blobs",
            "split": "val",
            "images": 2,
            "measured_at": "full resolution of the central square crop",
            "crop_sides": [40, 40],
            "targets": ["blob", "stick"],
            "objects_from": "components",
            "classes_never_seen": ["stick"],
            "systems": [row(miou, target, resolution, sampler)],
            "notes": [],
            "failures": [],
            "run": name,
            "settings": settings,
            "weights": "0",
        }
        results.write(stores.RunFolder(folder).evaluation_file("val"), facts)
    return folder


def read(space: stores.Workspace, **options: Any) -> Written:
    path = page.write(space, None, "val", **options)
    text = path.read_text(encoding="utf-8")
    return Written(space, Page(text), text, words_of(text), path.parent)


def words_of(text: str) -> str:
    """The text without tags, on one line."""
    import html

    body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split()))


def test_every_section_is_there_and_in_the_contents(trained: Written) -> None:
    found = trained.page
    assert [name for name in found.ids if name in (*SECTIONS, "missing")] == [*SECTIONS, "missing"]
    assert {f"#{name}" for name in SECTIONS} <= set(found.references)


def test_the_page_needs_no_other_file(trained: Written) -> None:
    found, text = trained.page, trained.text
    assert all(ref.startswith(("#", "data:")) for ref in found.references), found.references
    assert not {"script", "iframe", "object", "embed"} & set(found.tags)
    assert "@import" not in text
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", text))
    assert found.open == []


def test_every_picture_has_words_and_data_of_its_kind(trained: Written) -> None:
    found, text = trained.page, trained.text
    assert len(found.images) >= 12
    for image in found.images:
        head, _, data = str(image["src"]).partition(";base64,")
        assert Image.open(io.BytesIO(base64.b64decode(data))).format == head.rsplit("/", 1)[1].upper()
        assert len(str(image["alt"])) > 10
    assert text.count("<svg") == text.count('role="img"') > 8


def test_anchors_of_charts_do_not_meet(trained: Written) -> None:
    text = trained.text
    outside = re.sub(r"<defs>.*?</defs>", "", text, flags=re.DOTALL)
    names = re.findall(r' id="([^"]+)"', outside)
    assert len(names) == len(set(names))


def test_figures_in_the_page_are_those_measured(trained: Written) -> None:
    found, folder = trained.page, trained.folder
    shown = found.cells["table-systems"][1:]
    with (folder / "tables" / "systems.csv").open(encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))
    assert len(shown) == len(kept) == 7
    measured = {}
    for one in evaluations(trained.space):
        key = (one["settings"]["sampler"], one["settings"]["resolution"])
        measured.setdefault(key, []).append(one["systems"][0]["target_miou"])
    roles = {"adaptive": "auxiliary", "uniform": "uniform", "proposals": "proposal"}
    for texts, exact in zip(shown, kept, strict=True):
        values = measured[roles[exact["sampling"]], int(exact["resolution"])]
        mean = sum(values) / len(values)
        assert float(exact["mIoU targets"]) == pytest.approx(mean, abs=1e-12)
        assert texts[2].startswith(f"{mean:.3f}")
        assert float(exact["GMACs"]) > 0
        assert exact["network"] == "unet"


def test_every_csv_parses_into_rows_of_one_length(trained: Written) -> None:
    found, folder = trained.page, trained.folder
    files = sorted((folder / "tables").glob("*.csv"))
    assert {f"table-{path.stem}" for path in files} == set(found.cells)
    for path in files:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert len({len(r) for r in rows}) == 1, path
        assert len(rows) == len(found.cells[f"table-{path.stem}"])


def test_pictures_and_charts_lie_beside_the_page(trained: Written) -> None:
    folder = trained.folder
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"cost-targets.png", "trimap-gain.png", "recall-relative.png", "image-1-truth.png"} <= names
    for path in (folder / "figures").iterdir():
        Image.open(path).verify()


def test_findings_say_gains_losses_and_how_the_seeds_differ(trained: Written) -> None:
    said = trained.words
    assert "unet, 16 x 16: +6.0 points on targets, +2.0 over all" in said
    assert "gains 6.0 points on the target classes (mIoU 0.360, uniform 0.300; seeds: +5.0 to +7.0)" in said
    assert "loses 2.0 points over all classes (mIoU 0.480, uniform 0.500" in said
    assert "The 2 seeds disagree on the sign for the target classes" in said
    assert "measured on 2 images of blobs/val, at the full resolution of the central square crop" in said
    assert "(40 x 40 pixels); networks were trained with 2 seeds (0, 1)" in said


def test_what_is_missing_is_named_and_the_rest_is_there(space: stores.Workspace) -> None:
    _, found, _, said, _ = read(space)
    there = ["findings", "pictures", "data", "parameters", "commands", "missing"]
    assert [name for name in found.ids if name in (*SECTIONS, "missing")] == there
    assert "no trained base network: adaprep train && adaprep train --sampler uniform" in said
    assert "no upper bound: adaprep upper-bound --split val --lambda 0.1,0.3,1,3,10 --save" in said
    assert "No network has been evaluated on blobs/val yet." in said
    assert len(found.images) >= 12
    assert "table-splits" in found.cells


def test_without_tensors_they_are_asked_for_first(space: stores.Workspace) -> None:
    shutil.rmtree(space.folder("blobs", "val").path / "tensors")
    assert "adaprep solve-tensors && adaprep train && adaprep train --sampler uniform" in read(space).words


def test_beside_other_data_sets_commands_name_this_one(space: stores.Workspace) -> None:
    shutil.copytree(space.path / "blobs" / "val", space.path / "others" / "val")
    said = words_of(page.write(space, "blobs", "val").read_text(encoding="utf-8"))
    assert "adaprep train --dataset blobs && adaprep train --sampler uniform --dataset blobs" in said
    assert "adaprep report --split val --dataset blobs" in said


def test_runs_without_evaluation_ask_for_it(space: stores.Workspace) -> None:
    add_run(space, "uniform", 16, 0, 0.4, 0.3, evaluated=False, history=LONG)
    said = read(space).words
    assert "no evaluation: adaprep evaluate " in said
    assert "Validation mIoU, unet at 16 px" in said


def test_a_system_without_baseline_names_what_to_train(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.4, 0.3)
    said = read(space).words
    command = "adaprep train --sampler uniform --resolution 16"
    assert f"Results: no uniform system beside unet, adaptive, at 16 px: {command}" in said
    assert said.count(command) == 1
    assert "unet, adaptive, at 16 px mIoU 0.300. There is nothing to compare it with yet." in said


def test_without_the_data_the_figures_are_still_reported(trained: Written, tmp_path: Path) -> None:
    _, found, _, said, _ = read(trained.space, root=tmp_path / "elsewhere", output=tmp_path / "r")
    assert found.images == []
    assert "no image that can be read in" in said
    assert "table-systems" in found.cells
    assert "table-classes" not in found.cells


def test_an_empty_workspace_says_how_to_begin(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", "--workspace", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "holds nothing yet. Start with: adaprep boundaries" in result.output


def test_nothing_done_says_so(space: stores.Workspace) -> None:
    for split in ("train", "val"):
        stores.remove(space.folder("blobs", split).boundaries)
    with pytest.raises(AdaprepError, match=r"nothing to report on blobs/val .* adaprep boundaries"):
        page.write(space, None, "val")


def test_a_split_that_is_not_there_is_named(space: stores.Workspace) -> None:
    with pytest.raises(AdaprepError, match="no split test"):
        page.write(space, "blobs", "test")


def test_the_command_writes_where_it_says(space: stores.Workspace, tmp_path: Path) -> None:
    said = cli("report", "--workspace", space.path, "-o", tmp_path / "r")
    assert f"report: {tmp_path / 'r' / 'index.html'}" in said
    assert (tmp_path / "r" / "tables" / "splits.csv").exists()


def test_commands_name_every_run_and_store(trained: Written) -> None:
    said = trained.words
    assert re.search(
        r"adaprep boundaries --dataset \S*blobs.yaml --root \S+ --split train --targets blob,stick", said
    )
    assert "adaprep solve-tensors --grid 4x4 --lambda 1" in said
    bound = "adaprep upper-bound --split val --resolution 32,64,128 --grid 8x8 --lambda 0.1,1,10 --save"
    assert bound in said
    assert "adaprep train --network base --architecture unet --sampler auxiliary --resolution 32" in said
    assert said.count("adaprep train --network base") == 13


def test_names_from_data_cannot_become_markup(space: stores.Workspace) -> None:
    add_run(space, "uniform", 16, 0, 0.4, 0.3, architecture="<b>net")
    text = read(space).text
    assert "<b>net" not in text
    assert "&lt;b&gt;net" in text


def test_writing_again_gives_the_same_page(trained: Written, tmp_path: Path) -> None:
    again = page.write(trained.space, None, "val", tmp_path).read_text(encoding="utf-8")
    assert again == trained.text


def test_a_report_is_done_while_it_shows_the_figures_that_there_are(space: stores.Workspace) -> None:
    options = report.Options(workspace=space.path)
    assert report.state(options) == "to do"
    run = add_run(space, "uniform", 16, 0, 0.4, 0.3)
    path = read(space).folder / "index.html"
    os.utime(path, (0, 0))
    assert report.state(options) == "done"
    moved = space.path.rename(space.path.with_name("moved"))
    assert report.state(report.Options(workspace=moved)) == "done"
    moved.rename(space.path)
    for name in ("evaluation-val.json", "result.json", "history.csv", "settings.json"):
        before = (run / name).read_bytes()
        (run / name).write_bytes(before + b"\n")
        os.utime(run / name, (0, 0))
        assert report.state(options) == "to do", name
        (run / name).write_bytes(before)
    assert report.state(options) == "done"
    assert report.state(report.Options(workspace=space.path, split="train")) == "to do"


def test_a_page_without_a_digest_is_made_again(space: stores.Workspace) -> None:
    folder = read(space).folder
    text = (folder / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(text.replace("adaprep-shown", "other"), encoding="utf-8")
    assert report.state(report.Options(workspace=space.path)) == "to do"


def evaluations(space: stores.Workspace) -> list[dict[str, Any]]:
    return results.evaluations(space, "blobs", "val")


def test_gains_are_taken_seed_by_seed(trained: Written) -> None:
    found = compare.gains(compare.systems(evaluations(trained.space)))
    assert [gain.ours.group.resolution for gain in found] == [16, 32, 64]
    spread = found[1].difference("target_miou")
    assert found[1].paired
    assert spread is not None
    assert spread.values == pytest.approx((0.01, -0.02))


def test_other_seeds_are_compared_by_their_means(space: stores.Workspace) -> None:
    add_run(space, "uniform", 16, 0, 0.4, 0.3)
    for seed in (5, 6):
        add_run(space, "auxiliary", 16, seed, 0.4, 0.4 + seed / 100)
    (gain,) = compare.gains(compare.systems(evaluations(space)))
    spread = gain.difference("target_miou")
    assert not gain.paired
    assert spread is not None
    assert spread.values == pytest.approx((0.155,))
    assert "Means of 2 and 1 seeds" in findings.of_gains([gain], None)[0].text


def test_tagged_runs_are_compared_with_the_baseline_of_their_tag(space: stores.Workspace) -> None:
    for tag, base in (("", 0.3), ("-long", 0.5)):
        add_run(space, "uniform", 16, 0, 0.4, base, tag=tag)
        add_run(space, "auxiliary", 16, 0, 0.4, base + 0.1, tag=tag)
    found = compare.gains(compare.systems(evaluations(space)))
    spreads = [gain.difference("target_miou") for gain in found]
    assert [s.mean for s in spreads if s] == pytest.approx([0.1, 0.1])
    assert len({gain.ours.sampler for gain in found}) == 2


def test_larger_uniform_images_of_the_same_cost_are_compared_with(space: stores.Workspace) -> None:
    for seed in (0, 1):
        add_run(space, "uniform", 16, seed, 0.40, 0.30)
        add_run(space, "auxiliary", 16, seed, 0.46, 0.36 + 0.02 * seed)
        add_run(space, "uniform", 17, seed, 0.43, 0.32)
    add_run(space, "uniform", 17, 0, 0.9, 0.9, tag="-long")
    add_run(space, "uniform", 17, 0, 0.9, 0.9, architecture="pspnet")
    add_run(space, "uniform", 20, 0, 0.9, 0.9)
    every = compare.systems(evaluations(space))
    (gain,) = compare.gains_at_cost(every)
    assert (gain.ours.group.resolution, gain.baseline.group.resolution) == (16, 17)
    assert abs(gain.extra) < 0.01
    assert gain.baseline.group.tag == ""
    found = read(space)
    assert "unet, 16 x 16, at the same cost: +5.0 points on targets, +3.0 over all" in found.words
    assert "Against uniform sampling at 17 x 17, adaptive sampling gains 5.0 points" in found.words
    assert "at 0.085 GMACs an image against 0.0847." in found.words
    assert "mIoU 0.320. There is nothing to compare" not in found.words


def test_systems_trained_unequally_print_no_points(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    folder = add_run(space, "uniform", 16, 0, 0.40, 0.30)
    for path in (folder / "settings.json", folder / "evaluation-val.json"):
        results.write(
            path, disk.read_json(path) | {"settings": disk.read_json(path)["settings"] | {"epochs": 40}}
        )
    found = read(space)
    (texts,) = found.page.cells["table-gains"][1:]
    assert texts[2:6] == ["epochs 2 / 40"] * 4
    assert "unet, 16 x 16: not compared" in found.words
    assert "no difference is taken (adaptive / uniform): epochs 2 / 40." in found.words
    assert "points on targets" not in found.words
    assert "table-recall-by-class" not in found.page.cells


def test_a_run_still_improving_says_so(trained: Written) -> None:
    assert all(texts[-1] == "still improving" for texts in trained.page.cells["table-systems"][1:])
    assert "Trained too briefly (adaptive: still improving; uniform: still improving)." in trained.words
    assert all(texts[6] == "2 still improving" for texts in trained.page.cells["table-runs"][1:])


def test_a_baseline_of_another_cost_is_none_of_the_same_cost(trained: Written) -> None:
    assert compare.gains_at_cost(compare.systems(evaluations(trained.space))) == []


def test_a_figure_that_is_nowhere_is_a_dash(trained: Written) -> None:
    found = compare.systems(evaluations(trained.space))
    assert found[0].spread(comparison.class_iou("stick")) is None
    assert cells.mean(None).exact == ""
    assert cells.number(float("nan")).text == "–"


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (2.13, "gains 2.1 points"),
        (-0.96, "loses 1.0 point"),
        (0.04, "neither gains nor loses"),
        (-0.04, "neither gains nor loses"),
    ],
)
def test_differences_in_words(points: float, words: str) -> None:
    assert findings.verb(points) == words


def test_signs_are_shown_and_no_minus_stands_before_zero() -> None:
    assert [cells.signed(v) for v in (1.26, -0.34, -0.01)] == ["+1.3", "−0.3", "0.0"]


def test_spaced_numbers_hold_both_ends() -> None:
    assert collect.spaced(10, 3) == [0, 4, 9]
    assert collect.spaced(2, 3) == [0, 1]
    assert collect.spaced(0, 3) == []


def test_shares_of_the_classes_add_up(space: stores.Workspace) -> None:
    counted = collect.collect(space, None, "val").shares["train"]
    assert counted.images == 6
    assert sum(counted.share.values()) == pytest.approx(1)
    assert counted.images_with["ground"] == 6


# What the paper prints


def test_target_miou_of_table_2_is_the_mean_of_its_target_classes() -> None:
    table = paper.table_for("apolloscape")
    assert table is not None
    assert len(table.entries) == 10
    first = len(table.classes) - len(paper.TARGETS["apolloscape"])
    for entry in table.entries:
        targets = entry.iou[first:]
        assert len(entry.iou) == len(table.classes) == 22
        assert entry.target_miou == pytest.approx(sum(targets) / 8, abs=0.0101)


def test_miou_of_table_5_is_the_mean_of_its_two_classes() -> None:
    table = paper.table_for("supervisely")
    assert table is not None
    for entry in table.entries:
        assert entry.miou == pytest.approx(sum(entry.iou) / 2, abs=0.0101)
        assert entry.target_miou == entry.iou[1]


@pytest.mark.parametrize("table", paper.TABLES, ids=lambda table: table.dataset)
def test_each_adaptive_row_has_its_cheaper_uniform_one(table: paper.PaperTable) -> None:
    ours = {(e.network, e.resolution): e for e in table.entries if e.adaptive}
    base = {(e.network, e.resolution): e for e in table.entries if not e.adaptive}
    assert ours.keys() == base.keys()
    assert all(ours[key].gmacs > base[key].gmacs for key in ours)
    costs = [e.gmacs for e in table.entries if e.adaptive and e.network == table.entries[0].network]
    assert costs == sorted(costs)


def test_gains_of_the_paper_are_those_of_its_text() -> None:
    apolloscape, supervisely = paper.table_for("apolloscape"), paper.table_for("supervisely")
    assert apolloscape is not None
    assert supervisely is not None
    on_targets = [found[3] for found in tables.paper_gains(apolloscape)]
    assert all(g is not None and 2.5 < g < 5.5 for g in on_targets)  # "3-5% for target classes"
    over_all = [found[2] for found in tables.paper_gains(apolloscape)]
    assert max(over_all) < 2.5  # "up to 2% overall"
    assert max(found[2] for found in tables.paper_gains(supervisely)) <= 5.8


@pytest.mark.parametrize("name", ["apolloscape", "cityscapes", "synthia-rand-cityscapes", "supervisely-mine"])
def test_the_papers_table_is_found_by_name(name: str) -> None:
    table = paper.table_for(name)
    assert table is not None
    assert tables.of_paper(table).csv().count("\n") == len(table.entries) + 1
    assert len(charts.cost_of_paper(table)) == (1 if name == "cityscapes" else 2)


def test_other_data_sets_have_no_table_of_the_paper() -> None:
    assert paper.table_for("camvid") is None


def test_the_papers_figures_stand_beside_those_of_its_data_sets(tmp_path: Path) -> None:
    space = stores.Workspace(tmp_path / "w")
    yaml = write_blobs(tmp_path / "data", "supervisely-mine")
    cli("boundaries", "--dataset", yaml, "--workspace", space.path)
    found = read(space)
    assert len(found.page.cells["table-paper-table-5"]) == 11
    assert "The paper: mIoU, target classes" in found.words
