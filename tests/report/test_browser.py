"""A report in a browser at the widths of a desk and of a phone: what is seen there without scrolling."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_page import Written

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]

MEASURE = """<script>
const right = e => Math.round(e.getBoundingClientRect().right);
const left = e => Math.round(e.getBoundingClientRect().left);
const table = document.getElementById("table-systems"), heads = [...table.querySelectorAll("th")];
const found = {width: innerWidth, page: document.documentElement.scrollWidth,
  rights: Object.fromEntries(heads.map(h => [h.textContent, right(h)])),
  first: document.querySelector(".first").getBoundingClientRect().top,
  pictures: document.querySelectorAll(".first img").length};
const before = left(heads[0]);
table.parentElement.scrollLeft = 80;
found.moved = left(heads[0]) - before;
found.shadow = getComputedStyle(table.parentElement).backgroundAttachment;
parent.postMessage(JSON.stringify(found), "*");
</script></body>"""

FRAME = """<body style="margin:0">
<iframe src="page.html" style="border:0;width:{width}px;height:844px"></iframe>
<script>addEventListener("message", e => {{ document.body.dataset.found = e.data; }});</script></body>"""


def measured(text: str, width: int, folder: Path) -> dict[str, Any]:
    """What the page's own script finds in a frame of that width; windows do not get as narrow as phones."""
    assert BROWSER is not None
    (folder / "page.html").write_text(text.replace("</body>", MEASURE), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += ["--disable-background-networking", f"--user-data-dir={folder / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--window-size=1280,844", "--dump-dom"]
    done = subprocess.run(
        [*command, (folder / "frame.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    told = re.search(r'data-found="([^"]*)"', done.stdout)
    assert told is not None, done.stdout[:500]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_figures_and_pictures_are_seen_without_scrolling(
    trained: Written, tmp_path: Path, width: int
) -> None:
    found = measured(trained.text, width, tmp_path)
    assert found["width"] == width
    assert found["page"] <= width  # tables scroll, the page does not
    assert found["rights"]["mIoU targets"] <= width
    assert found["rights"]["mIoU all"] <= width
    assert found["first"] < 844
    assert found["pictures"] == 5
    assert "local" in found["shadow"]


def test_the_first_column_stays_while_a_table_scrolls(trained: Written, tmp_path: Path) -> None:
    assert measured(trained.text, 390, tmp_path)["moved"] == 0
