"""What is stored, in a report: the splits, what shaped each store and training run, and what wrote it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.report.page.cells import Cell, Table, numbers, words
from pipeline.report.page.collect import Facts, RunFacts
from pipeline.report.page.parts import PageBlock, Section


def splits(facts: Facts) -> Table:
    """Images, sizes and boundaries, a row a split."""
    rows = []
    for part in facts.splits:
        sizes = part.sizes
        named = ", ".join(f"{size} ({count:,})" for size, count in list(sizes.items())[:3])
        more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
        share = part.crops_without / part.crops if part.crops else None
        rows.append(
            (
                Cell(part.split),
                Cell(f"{len(part.found):,}", len(part.found)),
                Cell(named + more),
                Cell(f"{part.done:,}" + (f", {part.failed} failed" if part.failed else ""), part.done),
                Cell(f"{part.crops:,}", part.crops),
                Cell("–") if share is None else Cell(f"{100 * share:.1f} %", share),
                Cell("–") if not part.crops else _pixels(part.boundary_pixels, part.crops),
            )
        )
    columns = (
        *words("split"),
        *numbers("images"),
        *words("width x height (images)"),
        *numbers("boundaries found", "crops", "crops without boundary", "boundary pixels a crop"),
    )
    caption = (
        f"Target classes: {', '.join(facts.targets)}. A crop without target boundary is sampled uniformly."
    )
    return Table("splits", caption, columns, tuple(rows))


def _pixels(counts: dict[str, int], crops: int) -> Cell:
    value = sum(counts.values()) / crops
    return Cell(f"{value:,.0f}", value)


def parameters(facts: Facts) -> Section:
    """What shaped every store and run, and what wrote them."""
    stores = [(f"{p.split}: boundaries", p.store) for p in facts.splits if p.store]
    stores += [(f"{p.split}: {_tensor_name(t)}", t) for p in facts.splits for t in p.tensors]
    blocks = [PageBlock(table=_stores(stores))]
    for network in ("auxiliary", "base"):
        runs = [run for run in facts.runs if run.network == network]
        if runs:
            same, different = _settings(runs)
            blocks.append(PageBlock(folded=(f"What all {network} runs share", _shared(network, same))))
            if different:
                blocks.append(
                    PageBlock(folded=(f"Where {network} runs differ", _differing(network, runs, different)))
                )
    blocks.append(PageBlock(table=_versions(stores, facts.runs)))
    return Section("parameters", "Parameters and versions", tuple(blocks))


def _tensor_name(store: dict[str, Any]) -> str:
    about = store["parameters"]
    return f"tensors {about['grid'][0]}x{about['grid'][1]}, λ {about['lambda']:g}"


def _plain(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(v, (list, dict)) for v in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _stores(stores: Sequence[tuple[str, dict[str, Any] | None]]) -> Table:
    """One row a store, a column a parameter."""
    hidden = ("dataset", "split", "classes")
    found = [
        (
            name,
            {
                **{k: v for k, v in store["parameters"].items() if k not in hidden and v not in (None, {})},
                "images": store["inputs"]["count"],
                "input list": store["inputs"]["sha256"][:16],
            },
        )
        for name, store in stores
        if store
    ]
    keys = sorted({k for _, about in found for k in about}, key=lambda k: (k == "targets", k))
    rows = tuple(
        (Cell(name), *(Cell(_plain(about[k]) if k in about else "–") for k in keys)) for name, about in found
    )
    caption = (
        "What shaped each store; 'input list' begins the fingerprint of the list of files. The class table "
        "stands in the store itself."
    )
    return Table("stores", caption, words("store", *keys), rows)


def _settings(runs: Sequence[RunFacts]) -> tuple[dict[str, Any], list[str]]:
    """What all runs share, and the names of what differs."""
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    first = runs[0].settings
    same = [k for k in keys if all(_plain(r.settings.get(k)) == _plain(first.get(k)) for r in runs)]
    return {k: first.get(k) for k in same}, [k for k in keys if k not in same]


def _shared(network: str, same: dict[str, Any]) -> Table:
    rows = tuple((Cell(k), Cell(_plain(v))) for k, v in same.items())
    caption = f"Settings that are the same in all {network} runs."
    return Table(f"settings-{network}", caption, words("setting", "value"), rows)


def _differing(network: str, runs: Sequence[RunFacts], keys: Sequence[str]) -> Table:
    rows = tuple((Cell(run.name), *(Cell(_plain(run.settings.get(k))) for k in keys)) for run in runs)
    caption = f"Settings that are not the same in all {network} runs."
    return Table(f"settings-{network}-differing", caption, words("run", *keys), rows)


def _versions(stores: Sequence[tuple[str, dict[str, Any] | None]], runs: Sequence[RunFacts]) -> Table:
    wrote: dict[str, list[str]] = {}
    for name, versions in [(n, s["versions"]) for n, s in stores if s] + [(r.name, r.versions) for r in runs]:
        wrote.setdefault(", ".join(f"{k} {v}" for k, v in versions.items()), []).append(name)
    rows = tuple((Cell(v), Cell(", ".join(names))) for v, names in wrote.items())
    return Table("versions", "What wrote what.", words("versions", "wrote"), rows)
