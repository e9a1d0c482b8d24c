"""What the names of folders and files say: images, labels, or something beside both."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from pipeline.datasets.discovery.tree import SPLIT_WORDS

Role = Literal["image", "label", "other", "unknown"]

_LABEL = """
    labels label masks mask annotations annotation annots annot anno ann gt groundtruth ground_truth gts
    gtfine gtcoarse segmentation segmentations segmentationclass segmentationclasspng segmentationclassraw
    seg segs segmaps semantic semantics labelids labeltrainids lbl lbls lab parsing parsings silhouettes
    trimaps masken maske etiketten
"""
_IMAGE = """
    images image imgs img jpegimages pngimages leftimg8bit rgb photos photo pictures picture pics pic
    originals original orig inputs input raw frames frame bilder bild fotos foto x
"""
_OTHER = """
    instances instance instanceids depth depths disparity disp normals flow segmentationobject panoptic boxes
    bbox bboxes previews preview thumbnails thumbs overlays overlay visualizations visualisation vis viz edges
    boundaries camera
"""
LABEL, IMAGE, OTHER = _LABEL.split(), _IMAGE.split(), _OTHER.split()

COLORED = frozenset(("color", "colour", "colors", "colours", "rgb", "colored", "coloured"))
"""Words that tell label maps in colours from those of ids beside them."""

MAX_TAIL_PARTS = 3
COMMON = 0.1
"""Share of the files from which on what their names end in may be a suffix."""


class PathPart(NamedTuple):
    """A component of a path: its role, the word that says so, and what is left of it."""

    role: Role
    word: str
    rest: str


@functools.cache
def part_of(component: str) -> PathPart:
    """What a folder's name says: `trainannot` is labels of `train`, `images_prepped` images of `prepped`."""
    text = component.lower()
    kinds: tuple[tuple[Role, list[str]], ...] = (("other", OTHER), ("label", LABEL), ("image", IMAGE))
    for role, words in kinds:
        for word in sorted(words, key=len, reverse=True):
            for hit in re.finditer(re.escape(word), text):
                before, after = text[: hit.start()], text[hit.end() :]
                if _bounded(before, -1) and _bounded(after, 0):
                    rest = "_".join(part for part in (before.strip("_-. "), after.strip("_-. ")) if part)
                    return PathPart(role, component, rest)
    return PathPart("unknown", "", text)


def _bounded(text: str, place: int) -> bool:
    """Whether a word may begin or end here: at no letter, unless all that is beside it is a split's name."""
    return not text or not text[place].isalpha() or any(text in words for words in SPLIT_WORDS.values())


def rank(suffix: str) -> int:
    """How likely a suffix is that of label maps of ids; the smallest is the likeliest."""
    words = set(re.split(r"[^a-z0-9]+", suffix.lower()))
    if words & {"labelids"}:
        return 0
    if words & COLORED:
        return 5
    if words & set(OTHER):
        return 9
    if words & {"labeltrainids", "trainids"}:
        return 2
    if words & set(LABEL) or words & {"l"}:
        return 1
    return 3 if suffix else 2


def tails(stems: Collection[str]) -> list[str]:
    """What names may end in beyond what they share with others, "" first: `_mask`, `_gtFine_labelIds`."""
    counts: Counter[str] = Counter()
    for stem in stems:
        cuts = [hit.start() for hit in re.finditer(r"[_\-. ]", stem) if hit.start() > 0][-MAX_TAIL_PARTS:]
        counts.update(stem[cut:] for cut in cuts)
    needed = max(2, COMMON * len(stems))
    usual = [tail for tail, count in counts.most_common(24) if count >= needed or rank(tail) in (0, 1)]
    return ["", *usual[:12]]


def common_head(stems: Iterable[str]) -> str:
    """The letters that all names begin with, as in `img_001`; "" where there are none."""
    heads = {match[0] if (match := re.match(r"[^\W\d]+[_\- ]*(?=.)", stem)) else "" for stem in stems}
    return heads.pop() if len(heads) == 1 else ""
