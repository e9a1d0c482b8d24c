"""The first screen of a report: method, date, gain and pictures; and that it is one file that prints."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.base import ClassTable, LabelClass
from pipeline.errors import AdaprepError
from pipeline.evaluation import best, comparison
from pipeline.evaluation.intervals import Interval
from pipeline.report import page
from pipeline.report.page import (
    bound_charts,
    cells,
    charts,
    compare,
    drawing,
    findings,
    opening,
    tables,
    upper,
)
from pipeline.samplers import registry
from pipeline.workspace import disk, results, stores
from tests.report.test_page import Written, add_run, read, row, words_of


def first_screen(text: str) -> str:
    """What stands before the findings, in words."""
    return words_of(text[text.index("<header>") : text.index("</header>")])


def test_the_first_screen_says_method_date_and_gain(
    space: stores.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    for seed in (0, 1):
        add_run(space, "uniform", 16, seed, 0.40, 0.30)
        add_run(space, "auxiliary", 16, seed, 0.42, 0.35 + 0.02 * seed)
    said = first_screen(read(space).text)
    assert "adaprep report, 1970-01-02 blobs, val Adaptive downsampling (Marin et al., ICCV 2019)" in said
    assert "towards boundaries of the target classes (blob, stick)" in said
    assert "+6.0 points of mIoU on the target classes +2.0 points of mIoU over all classes" in said
    assert "Adaptive against uniform sampling: unet at 16 x 16 px, seeds 0, 1" in said
    assert "on 2 images of blobs/val, at the full resolution of the central square crop (40 x 40" in said


def test_a_date_that_is_none_is_a_sentence(space: stores.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(AdaprepError, match="SOURCE_DATE_EPOCH must be seconds since 1970, found yesterday"):
        page.date()


def test_one_row_of_pictures_goes_from_image_to_error(trained: Written) -> None:
    names = {path.name for path in (trained.folder / "figures").iterdir()}
    row = {f"image-1-first-{part}.jpg" for part in ("image", "samples", "uniform", "adaptive", "errors")}
    assert row <= names
    head = trained.text[trained.text.index("<header>") : trained.text.index("</header>")]
    assert head.count("<img") == 5
    assert re.search(r"only uniform \d+\.\d %.*only adaptive \d+\.\d %.*both \d+\.\d %", words_of(head))


def test_no_gain_is_printed_where_two_may_not_be_compared(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    for path in (
        add_run(space, "uniform", 16, 0, 0.40, 0.30) / n for n in ("settings.json", "evaluation-val.json")
    ):
        kept = disk.read_json(path)
        results.write(path, kept | {"settings": kept["settings"] | {"epochs": 40}})
    text = read(space).text
    assert "No gain is given for unet at 16 x 16 px. Trained unequally" in first_screen(text)
    assert 'class="figure"' not in text


@pytest.mark.parametrize(("low", "value"), [(0.02, "+5.0"), (-0.01, "none")])
def test_a_gain_that_may_be_chance_is_none(
    space: stores.Workspace, monkeypatch: pytest.MonkeyPatch, low: float, value: str
) -> None:
    add_run(space, "auxiliary", 16, 0, 0.42, 0.35)
    add_run(space, "uniform", 16, 0, 0.40, 0.30)
    found = compare.systems(results.evaluations(space, "blobs", "val"))
    known = (Interval(low, 0.07, 16, "images"),)
    monkeypatch.setattr(compare.Gain, "intervals", lambda gain, name: known)
    figure = opening.opening(["blob"], found, compare.gains(found), None).figures[0]
    assert figure.value == value
    assert f"95 % interval over 16 images: {cells.signed(100 * low)} to +7.0" in figure.sure
    assert ("+5.0 cannot be told from chance" in figure.sure) == (value == "none")


def test_without_a_pair_the_first_screen_says_where_to_go_on(space: stores.Workspace) -> None:
    text = read(space).text
    assert "No gain is known yet" in first_screen(text)
    assert 'href="#missing"' in text[: text.index("</header>")]


def test_the_report_says_adaptive_and_never_ours(trained: Written) -> None:
    assert not re.search(r"\bours\b", trained.words, re.IGNORECASE)
    assert not re.search(r"\bours\b|predicted sampling", trained.text, re.IGNORECASE)


def test_the_best_pair_is_the_highest_that_may_be_compared(space: stores.Workspace) -> None:
    for seed, target in ((0, 0.50), (1, 0.60)):
        add_run(space, "auxiliary", 16, seed, 0.4, target)
        add_run(space, "uniform", 16, seed, 0.4, 0.3)
    add_run(space, "auxiliary", 32, 0, 0.4, 0.40)
    add_run(space, "uniform", 32, 0, 0.4, 0.3)
    add_run(space, "auxiliary", 64, 0, 0.9, 0.90)  # higher, with nothing beside it
    groups = comparison.groups(results.evaluations(space, "blobs", "val"))
    assert best.best_runs(groups) == {
        "adaptive": "base-unet-auxiliary-16-seed1",
        "baseline": "base-unet-uniform-16-seed1",
    }


def test_a_uniform_system_alone_is_the_best_there_is(space: stores.Workspace) -> None:
    assert best.best_runs([]) == {}
    for resolution in (16, 32):
        add_run(space, "uniform", resolution, 0, 0.4, 0.3)
    groups = comparison.groups(results.evaluations(space, "blobs", "val"))
    assert best.best_runs(groups) == {"baseline": "base-unet-uniform-32-seed0"}


def test_regions_are_told_apart_and_never_compared(space: stores.Workspace) -> None:
    for sampler, target in (("uniform", 0.3), ("auxiliary", 0.35)):
        folder = add_run(space, sampler, 16, 0, 0.4, target)
        whole = disk.read_json(folder / "evaluation-val.json") | {
            "region": "whole image",
            "measured_at": "full resolution of the whole image",
            "squares": [2, 2],
            "systems": [row(0.3, target - 0.1, 16, sampler)],
        }
        results.write(folder / "whole-image-val.json", whole)
    found = read(space)
    first = [texts[0] for texts in found.page.cells["table-systems"][1:]]
    assert first == ["adaptive", "uniform", "adaptive (whole image)", "uniform (whole image)"]
    assert "at the full resolution of the central square crop" in first_screen(found.text)
    assert "unet, 16 x 16, whole image: +5.0 points on targets" in found.words


# Colours


def test_every_sampler_has_one_colour_and_no_other_has_it() -> None:
    looks = registry.styles(["uniform", "auxiliary", "proposal", "mean", "a.b:c", "a.b:d"])
    colors = [drawing.COLORS[drawing.hue(style)] for style in looks.values()]
    assert len(set(colors)) == len(looks) == 6
    own = {drawing.hue(registry.kind(name).style) for name in registry.names()}
    assert own == set(range(drawing.OWN))
    assert all(drawing.hue(style) not in own for style in range(drawing.OWN, 40))


def test_colours_of_the_style_sheet_are_those_of_charts_and_pictures() -> None:
    style = (Path(page.__file__).parent / "style.css").read_text(encoding="utf-8")
    found = re.findall(r"--c(\d): (#[0-9a-f]{6})", style)
    assert [color for _, color in found] == [*drawing.COLORS, *drawing.BRIGHT]


def test_a_line_has_its_samplers_colour_whatever_its_place(trained: Written) -> None:
    found = compare.systems(results.evaluations(trained.space, "blobs", "val"))
    for system in found:
        look = charts._look(system, found)
        assert look["family"] == registry.kind(system.group.sampler).style
    for texts in tables.overall(found).rows:
        assert texts[0].style in {0, 1, 2}


def test_a_background_class_is_neutral_unless_it_is_a_target() -> None:
    assert LabelClass(0, "Background", 0).is_background
    assert not LabelClass(0, "background", 0, target=True).is_background
    assert not LabelClass(0, "sky", 0).is_background
    assert ClassTable((LabelClass(0, "background", 0, color=(1, 2, 3)),)).colors[0].tolist() == [1, 2, 3]


# Charts that are worth drawing


def test_curves_of_two_points_are_not_drawn(space: stores.Workspace) -> None:
    for resolution in (16, 32):
        for sampler in ("uniform", "auxiliary"):
            add_run(space, sampler, resolution, 0, 0.4, 0.3)
    found = compare.systems(results.evaluations(space, "blobs", "val"))
    assert charts.cost(found) == []
    said = read(space).words
    assert "Cost and performance: no curve over three resolutions: adaprep train --resolution 64" not in said
    assert "no curve over three resolutions: adaprep train && adaprep train --sampler uniform && " in said


def test_bins_of_fewer_than_ten_objects_are_not_drawn(space: stores.Workspace) -> None:
    for sampler in ("uniform", "auxiliary"):
        add_run(space, sampler, 16, 0, 0.4, 0.3)
    kept = results.evaluations(space, "blobs", "val")
    found = compare.systems(kept)
    assert charts.recall(compare.gains(found), found)
    assert charts.recall_by_class(compare.gains(found), ["blob"])
    for one in kept:
        one["systems"][0]["recall_by_size"][2]["objects"] = 9
        one["systems"][0]["recall_by_class"]["blob"][0]["objects"] = 9
    few = compare.systems(kept)
    assert charts.recall(compare.gains(few), few) == []
    assert charts.recall_by_class(compare.gains(few), ["blob"]) == []


@pytest.mark.parametrize(("low", "high"), [(0.085, 1.21), (0.31, 79.7), (1e-3, 1e4), (4.2, 4.37), (0.9, 1.0)])
def test_ticks_of_a_logarithmic_axis_are_round(low: float, high: float) -> None:
    ticks = drawing.round_ticks(low, high)
    assert len(ticks) > 1
    assert all(low <= tick <= high for tick in ticks)
    assert all(len(f"{tick:g}".replace("0", "").replace(".", "").replace("e-", "")) <= 3 for tick in ticks)


# Findings agree with their tables

LAMBDAS = {0.1: (0.60, 0.50), 1.0: (0.70, 0.55), 10.0: (0.65, 0.56)}


def kept_bound(resolutions: tuple[int, ...] = (16, 32, 64)) -> dict[str, object]:
    """An upper bound whose best lambda is 1 on targets, 10 over all."""
    rows = []
    for resolution in resolutions:
        for lam, (target, miou) in ((None, (0.4, 0.45)), *LAMBDAS.items()):
            about = {"sampler": "uniform", "grid": None, "lambda": None}
            if lam is not None:
                about = {"sampler": f"8x8, lambda {lam:g}", "grid": [8, 8], "lambda": lam}
            figures = {"target_miou": target, "miou": miou, "trimap": {"4": 0.5}, "object_recall": 0.5}
            rows.append({"resolution": resolution, "auxiliary": None, "folded_cells": 0, **about, **figures})
    return {"settings": rows, "images": 3, "measured_at": "full resolution"}


def test_the_upper_bound_names_the_lambdas_that_its_table_prints_in_bold() -> None:
    found = kept_bound()
    bold = {row[0].text for row in tables.bound(found).rows for place in (2, 3) if row[place].bold}
    assert bold == {"proposals 8x8, λ 1", "proposals 8x8, λ 10"}
    (finding,) = findings.of_bound(found)
    assert finding.items[0] == (
        "16 px: best on targets with λ 1 (8x8): +30.0 on targets, +10.0 over all; "
        "best over all with λ 10 (8x8): +25.0 on targets, +11.0 over all"
    )
    assert upper.best_lambda(found["settings"]) == 1.0  # type: ignore[arg-type]


def test_lambdas_that_are_equally_good_are_all_named() -> None:
    found = kept_bound((16,))
    for one in found["settings"]:  # type: ignore[attr-defined]
        one |= {"target_miou": 0.7, "miou": 0.6}
    (finding,) = findings.of_bound(found)
    assert finding.items == ("16 px: best with λ 0.1, 1, 10 (8x8): 0.0 on targets, 0.0 over all",)


def test_charts_of_the_upper_bound_show_the_best_lambda() -> None:
    drawn = {chart.name: chart.alt for chart in bound_charts.bound(kept_bound())}
    assert "proposals 8x8, λ 1 0.700 at 16" in drawn["upper-bound-targets"]
    assert bound_charts.bound(kept_bound((16, 32))) == []
    assert len(bound_charts.trade_off(kept_bound())) == 3


# One file that prints, and is read on a phone


def test_what_is_missing_is_said_once(space: stores.Workspace) -> None:
    add_run(space, "auxiliary", 16, 0, 0.4, 0.3)
    text = read(space).text
    commands = re.findall(r"<code>(adaprep [^<]*)</code>", text)
    assert len(commands) == len(set(commands)) > 1
    assert text.count('class="missing"') == 1


def test_the_first_column_stays_and_figures_come_before_details(trained: Written) -> None:
    style = trained.text[trained.text.index("<style>") : trained.text.index("</style>")]
    assert re.search(r"td:first-child \{[^}]*position: sticky; left: 0", style)
    heads = re.search(r'<table id="table-systems".*?</thead>', trained.text, re.DOTALL)
    assert heads is not None
    titles = re.findall(r"<th[^>]*>([^<]*)</th>", heads[0])
    assert titles[:4] == ["sampling", "resolution", "mIoU targets", "mIoU all"]


def test_a_page_of_paper_is_a4_and_no_row_is_cut(trained: Written) -> None:
    style = trained.text[trained.text.index("<style>") : trained.text.index("</style>")]
    assert "@page { size: A4" in style
    printed = style[style.index("@media print") :]
    assert re.search(r"\.table, figure, tr, [^{]*\{ break-inside: avoid; \}", printed)
    assert "thead { display: table-header-group; }" in printed


def test_wrong_pixels_have_the_colours_of_their_samplers() -> None:
    from pipeline.report.page import pen

    assert len({drawing.COLORS[0], drawing.COLORS[1], "#{:02x}{:02x}{:02x}".format(*pen.BOTH)}) == 3
    assert np.asarray(pen.BOTH).max() < 128
