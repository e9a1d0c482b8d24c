"""The rows of the table in docs/your-own-data.md: each a tiny data set."""

# ruff: noqa: E501  (a row per line)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.datasets import trees
from tests.datasets.trees import Case, Ids

TWO, THREE = ("train", "val"), ("train", "val", "test")


def of_pairs(*places: str, **options: Any) -> Callable[[Path], None]:
    return lambda root: trees.pairs(root, *places, **options)


def named(file: str, content: str, **options: Any) -> Callable[[Path], None]:
    """Images and labels beside a file that names the classes."""

    def build(root: Path) -> None:
        trees.pairs(root, **options)
        trees.text(root / file, content)

    return build


def palette(root: Path) -> None:
    trees.pairs(root)
    for path in (root / "labels").iterdir():
        image = Image.open(path).convert("L")
        picture = Image.frombytes("P", image.size, image.tobytes())
        picture.putpalette([channel for color in trees.COLORS for channel in color])
        picture.save(path)


def soft(labels: Ids) -> Ids:
    hard = Image.fromarray((255 * (labels == 1)).astype(np.uint8))
    return np.asarray(
        hard.resize((16, 12), Image.Resampling.BILINEAR).resize(hard.size, Image.Resampling.BILINEAR)
    )


def both(second: str, encode: Callable[[Ids], Any], **places: Any) -> Callable[[Path], None]:
    """Label maps of ids, and others beside them."""

    def build(root: Path) -> None:
        trees.pairs(root, **places)
        trees.pairs(root, **{**places, "label": second}, encode=encode)

    return build


def cityscapes(root: Path) -> None:
    for split, city in (("train", "aachen"), ("val", "lindau")):
        for number in range(3):
            labels = np.array([7, 26, 24], np.uint8)[trees.ids(number)]
            stem = f"{split}/{city}/{city}_000000_{number:06}"
            trees.save(root / f"leftImg8bit/{stem}_leftImg8bit.png", trees.photo(trees.ids(number)))
            trees.save(root / f"gtFine/{stem}_gtFine_labelIds.png", labels)
            trees.save(root / f"gtFine/{stem}_gtFine_color.png", trees.colored(trees.ids(number)))
            trees.save(root / f"gtFine/{stem}_gtFine_instanceIds.png", labels.astype(np.uint16) * 1000)
            trees.text(root / f"gtFine/{stem}_gtFine_polygons.json", '{"objects": []}')


def coco_splits(root: Path) -> None:
    for split in TWO:
        trees.coco(root, f"{split}2017", f"annotations/instances_{split}2017.json")
        trees.coco(root, f"{split}2017", f"annotations/person_keypoints_{split}2017.json", kind="boxes")


def roboflow_coco(root: Path) -> None:
    for split in ("train", "valid"):
        trees.coco(root, split, f"{split}/_annotations.coco.json")


def roboflow_masks(root: Path) -> None:
    trees.pairs(root, "{s}/{n}_jpg.rf.0a1b.jpg", "{s}/{n}_jpg.rf.0a1b_mask.png", ("train", "valid"))
    for split in ("train", "valid"):
        rows = "\n".join(f"{n}, {name}" for n, name in enumerate(trees.NAMES))
        trees.text(root / split / "_classes.csv", f"Pixel Value, Class\n{rows}\n")


def yolo_named(root: Path) -> None:
    trees.yolo(root, "images/{s}/{n}.jpg", "labels/{s}/{n}.txt")
    trees.data_yaml(root)


def yolo_inside(root: Path) -> None:
    trees.yolo(root, "{s}/images/{n}.jpg", "{s}/labels/{n}.txt", ("train", "valid"))
    trees.data_yaml(root)


def scenes(root: Path) -> None:
    for scene in ("kitchen", "garden"):
        trees.pairs(root / scene, "rgb/{n}.png", "semantic/{n}.png")


def mask_suffixes(root: Path) -> None:
    for number in range(trees.COUNT):
        labels = trees.ids(number)
        trees.save(root / "images" / f"{number:03}.jpg", trees.photo(labels))
        for n in (1, 2):
            mask = (255 * (labels == n)).astype(np.uint8)
            trees.save(root / "masks" / f"{number:03}_{trees.NAMES[n]}.png", mask)


def supervisely_sets(root: Path) -> None:
    trees.supervisely(root, "ds1")
    trees.supervisely(root, "ds2")


def supervisely_splits(root: Path) -> None:
    trees.supervisely(root, "train")
    trees.supervisely(root, "val")


def coco_absent(root: Path) -> None:
    trees.coco(root, "images", "coco.json")
    (root / "images" / f"{1:012}.jpg").unlink()


def coco_bare(root: Path) -> None:
    trees.coco(root, "images", "coco.json")
    content = json.loads((root / "coco.json").read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 7]
    trees.text(root / "coco.json", json.dumps(content))


def coco_twice(root: Path) -> None:
    trees.coco(root, "images", "coco.json")
    trees.coco(root, "images", "coco-older.json")


def one_black(root: Path) -> None:
    def filled(labels: Ids) -> Ids:
        return np.where(labels == 0, 2, labels).astype(np.uint8)

    trees.pairs(root, encode=lambda labels: trees.colored(filled(labels)))
    trees.save(root / "labels/003.png", np.zeros((trees.HEIGHT, trees.WIDTH, 3), np.uint8))


def dark(root: Path) -> None:
    trees.pairs(root, "images/{n}.png")
    for path in sorted((root / "images").iterdir()):
        gray = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        trees.save(path, gray * 16)


def turned(root: Path) -> None:
    for number in range(trees.COUNT):
        labels, exif = trees.ids(number), Image.Exif()
        exif[0x0112] = 6
        trees.save(root / "images" / f"{number}.jpg", np.rot90(trees.photo(labels)), exif=exif)
        trees.save(root / "labels" / f"{number}.png", labels)


def jpeg_labels(root: Path) -> None:
    trees.pairs(root, label="labels/{n}.jpg")


def xml(root: Path) -> None:
    trees.pairs(root, label="unused/{n}.png")
    for path in sorted((root / "unused").iterdir()):
        trees.text(root / "Annotations" / f"{path.stem}.xml", "<annotation/>")
        path.unlink()


def matlab(root: Path) -> None:
    for number in range(3):
        trees.save(root / f"images/{number}.jpg", trees.photo(trees.ids(number)))
        trees.text(root / f"labels/{number}.mat", "MATLAB 5.0")


def unpaired(root: Path) -> None:
    trees.pairs(root)
    for number in (1, 2):
        (root / f"labels/00{number}.png").unlink()


def one_pair(root: Path) -> None:
    trees.save(root / "images/a.jpg", trees.photo(trees.ids(0)))
    trees.save(root / "labels/a.png", trees.ids(0))


def broken(root: Path) -> None:
    trees.pairs(root)
    (root / "labels/003.png").write_bytes(b"")


def instances(root: Path) -> None:
    def numbers(labels: Ids) -> Any:
        return np.arange(labels.size, dtype=np.uint16).reshape(labels.shape) * 3

    trees.pairs(root, encode=numbers)


def two_of_one_colour(root: Path) -> None:
    trees.pairs(root, encode=trees.colored)
    trees.text(root / "label_colors.txt", "0 0 0 ground\n128 64 0 blob\n128 64 0 heap\n0 192 64 stick\n")


def videos(root: Path) -> None:
    trees.text(root / "drive.mp4", "x")


def csv_list(root: Path) -> None:
    trees.pairs(root, "shots/{n}.jpg", "truth/{n}_t.png")
    rows = [f"shots/{n:03}.jpg,truth/{n:03}_t.png\n" for n in range(1, 7)]
    trees.text(root / "pairs.csv", "image,label\n" + "".join(rows))


def voc_list(root: Path) -> None:
    trees.voc(root)


COLOR_LINES = "".join(f"{r} {g} {b}\t{n}\n" for n, (r, g, b) in zip(trees.NAMES, trees.COLORS, strict=True))
CVAT = "# label:color_rgb:parts:actions\n" + "".join(
    f"{n}:{r},{g},{b}::\n" for n, (r, g, b) in zip(trees.NAMES, trees.COLORS, strict=True)
)
CLASS_DICT = "name,r,g,b\n" + "".join(
    f"{n},{r},{g},{b}\n" for n, (r, g, b) in zip(trees.NAMES, trees.COLORS, strict=True)
)
OBJECT_INFO = "Idx\tRatio\tTrain\tVal\tStuff\tName\n1\t0.6\t9\t2\t1\tblob\n2\t0.1\t9\t2\t0\tstick\n"
NNUNET = json.dumps({"labels": {"background": 0, "blob": 1, "stick": 2}, "numTraining": 6})
ID2LABEL = json.dumps({"0": "ground", "1": "blob", "2": "stick"})


def binary(labels: Ids) -> Ids:
    return (255 * (labels == 1)).astype(np.uint8)


CASES = (
    Case("folders", "`images/N.jpg`, `labels/N.png`", of_pairs()),
    Case("folders", "`images/{train,val}/`, `labels/{train,val}/`", of_pairs("images/{s}/{n}.jpg", "labels/{s}/{n}.png", splits=TWO)),
    Case("folders", "`train/images/`, `train/labels/`, `val/...`", of_pairs("{s}/images/{n}.jpg", "{s}/labels/{n}.png", splits=TWO)),
    Case("folders", "`train/image/`, `train/label/`, `valid/...`, `test/...`", of_pairs("{s}/image/{n}.png", "{s}/label/{n}.png", splits=("train", "valid", "test"))),
    Case("folders", "`imgs/N.jpg`, `masks/N_mask.png`", of_pairs("imgs/{n}.jpg", "masks/{n}_mask.png")),
    Case("folders", "`N.jpg` and `N_mask.png` in one folder", of_pairs("{n}.jpg", "{n}_mask.png")),
    Case("folders", "`N.jpg` and `N.png` in one folder", of_pairs("{n}.jpg", "{n}.png")),
    Case("folders", "`N.png` and `N_L.png` in one folder", of_pairs("{n}.png", "{n}_L.png")),
    Case("folders", "one folder, names without anything in common", of_pairs("{n}.jpg", "{n}-labels.png", words=True)),
    Case("folders", "photos in the folder itself, `masks/`", of_pairs("{n}.jpg", "masks/{n}.png")),
    Case("folders", "`train/`, `trainannot/`, `val/...`, `test/...` (CamVid as SegNet has it)", of_pairs("{s}/{n}.png", "{s}annot/{n}.png", splits=THREE)),
    Case("folders", "`images_prepped_train/`, `annotations_prepped_train/`, `..._test/`", of_pairs("images_prepped_{s}/{n}.png", "annotations_prepped_{s}/{n}.png", splits=("train", "test"))),
    Case("folders", "`img_dir/train/`, `ann_dir/train/`, `.../val/`", of_pairs("img_dir/{s}/{n}.jpg", "ann_dir/{s}/{n}.png", splits=TWO)),
    Case("folders", "`leftImg8bit/train/CITY/`, `gtFine/train/CITY/` (Cityscapes)", cityscapes),
    Case("folders", "`images/training/`, `annotations/training/`, `.../validation/` (ADE20K)", of_pairs("images/{s}/ADE_{s}_{n}.jpg", "annotations/{s}/ADE_{s}_{n}.png", splits=("training", "validation"))),
    Case("folders", "`JPEGImages/`, `SegmentationClass/`, `ImageSets/Segmentation/*.txt` (VOC)", trees.voc),
    Case("folders", "VOC without lists", lambda root: trees.voc(root, lists=False)),
    Case("folders", "VOC, the list `ImageSets/Segmentation/val.txt` alone", voc_list, "ImageSets/Segmentation/val.txt"),
    Case("folders", "`training/image_2/`, `training/semantic/`, `training/semantic_rgb/` (KITTI)", both("training/semantic_rgb/{n}.png", trees.colored, image="training/image_2/{n}.png", label="training/semantic/{n}.png")),
    Case("folders", "`training/images/`, `training/v1.2/labels/`, `validation/...` (Mapillary)", of_pairs("{s}/images/{n}.jpg", "{s}/v1.2/labels/{n}.png", splits=("training", "validation"))),
    Case("folders", "`imagesTr/N_0000.png`, `labelsTr/N.png`, `dataset.json` (nnU-Net)", named("dataset.json", NNUNET, image="imagesTr/case_{n}_0000.png", label="labelsTr/case_{n}.png")),
    Case("folders", "`original_images/`, `label_images_semantic/`", of_pairs("dataset/original_images/{n}.jpg", "dataset/label_images_semantic/{n}.png")),
    Case("folders", "`Bilder/`, `Masken/`", of_pairs("Bilder/{n}.jpg", "Masken/{n}.png")),
    Case("folders", "`a/`, `b/`: names that say nothing", of_pairs("a/{n}.png", "b/{n}.png")),
    Case("folders", "`SCENE/rgb/`, `SCENE/semantic/`", scenes),
    Case("folders", "`images/img_001.jpg`, `masks/mask_001.png`", of_pairs("images/img_{n}.jpg", "masks/mask_{n}.png")),
    Case("folders", "`images/N.jpg`, `labels/N.jpg.png`", of_pairs("images/{n}.jpg", "labels/{n}.jpg.png")),
    Case("folders", "`images/N.JPG`, `labels/N.PNG`", of_pairs("images/{n}.JPG", "labels/{n}.PNG")),
    Case("folders", "labels of ids and, beside them, in colours", both("labels_color/{n}.png", trees.colored)),
    Case("folders", "some images without a label map", unpaired),
    Case("folders", "one image, one label map", one_pair),
    Case("label maps", "PNG, gray, 8 bit, 255 in places", of_pairs(void=True)),
    Case("label maps", "PNG with a palette", palette),
    Case("label maps", "PNG, gray, 16 bit", of_pairs(encode=lambda labels: labels.astype(np.uint16) * 300)),
    Case("label maps", "PNG, RGB with R = G = B", of_pairs(encode=lambda labels: np.repeat(labels[..., None], 3, axis=2))),
    Case("label maps", "PNG, 0 and 255", of_pairs(encode=binary)),
    Case("label maps", "PNG, 0 and 1", of_pairs(encode=lambda labels: (labels == 1).astype(np.uint8))),
    Case("label maps", "PNG, 0 to 255 with smoothed edges", of_pairs(encode=soft)),
    Case("label maps", "PNG in colours, no names", of_pairs(encode=trees.colored)),
    Case("label maps", "PNG in colours, `label_colors.txt`", named("label_colors.txt", COLOR_LINES, encode=trees.colored)),
    Case("label maps", "PNG in colours, `labelmap.txt` (CVAT)", named("labelmap.txt", CVAT, encode=trees.colored)),
    Case("label maps", "PNG in colours, `class_dict.csv`", named("class_dict.csv", CLASS_DICT, encode=trees.colored)),
    Case("label maps", "PNG in colours, two classes of one colour", two_of_one_colour),
    Case("label maps", "PNG in colours, one of them black all over", one_black),
    Case("label maps", "TIFF", of_pairs("images/{n}.tif", "labels/{n}.tif")),
    Case("label maps", "BMP", of_pairs("images/{n}.bmp", "labels/{n}.bmp")),
    Case("label maps", "PGM, images PPM", of_pairs("images/{n}.ppm", "labels/{n}.pgm")),
    Case("label maps", "NumPy arrays, `labels/N.npy`", of_pairs("images/{n}.png", "labels/{n}.npy")),
    Case("label maps", "images of 12 bits in 16", dark),
    Case("label maps", "images with an EXIF orientation, labels as shown", turned),
    Case("label maps", "images WebP", of_pairs("images/{n}.webp")),
    Case("names", "`classes.txt`, a name per line", named("classes.txt", "ground\nblob\nstick\n")),
    Case("names", "`labels.txt`, `0: ground`", named("labels.txt", "0: ground\n1: blob\n2: stick\n")),
    Case("names", "`classes.txt` of fewer names than ids", named("classes.txt", "blob\nstick\n")),
    Case("names", "`_classes.csv` (Roboflow), masks beside the images", roboflow_masks),
    Case("names", "`objectInfo150.txt`", named("objectInfo150.txt", OBJECT_INFO)),
    Case("names", "`id2label.json`", named("id2label.json", ID2LABEL)),
    Case("names", "a class that is called unlabeled", named("classes.txt", "unlabeled\nblob\nstick\n")),
    Case("masks", "`images/`, `masks/CLASS/N.png`", trees.mask_folders),
    Case("masks", "`images/N.jpg`, `masks/N_CLASS.png`", mask_suffixes),
    Case("COCO", "`train2017/`, `annotations/instances_train2017.json`, `val...`", coco_splits),
    Case("COCO", "one file, `images/`", lambda root: trees.coco(root, "images", "annotations.json")),
    Case("COCO", "one file with run lengths (RLE)", lambda root: trees.coco(root, "images", "coco.json", kind="rle")),
    Case("COCO", "category ids with gaps", lambda root: trees.coco(root, "images", "coco.json", gaps=(18, 90))),
    Case("COCO", "`train/_annotations.coco.json`, `valid/...` (Roboflow)", roboflow_coco),
    Case("COCO", "file names with a folder", lambda root: trees.coco(root, "data/images", "coco.json", relative="images/")),
    Case("COCO", "images that are listed, and some are not there", coco_absent),
    Case("COCO", "an image without annotations", coco_bare),
    Case("COCO", "two files for the same images", coco_twice),
    Case("COCO", "bounding boxes alone", lambda root: trees.coco(root, "images", "coco.json", kind="boxes")),
    Case("Labelme", "`N.json` beside `N.jpg`", trees.labelme),
    Case("Labelme", "`images/N.jpg`, `annotations/N.json`", lambda root: trees.labelme(root, "images/{n}.jpg", "annotations/{n}.json")),
    Case("Labelme", "with shapes called `__ignore__`", lambda root: trees.labelme(root, extra="__ignore__")),
    Case("YOLO", "`images/train/`, `labels/train/`, `data.yaml`", yolo_named),
    Case("YOLO", "`train/images/`, `train/labels/`, `valid/...`, `data.yaml` (Roboflow)", yolo_inside),
    Case("YOLO", "no file of names", lambda root: trees.yolo(root, "images/{n}.jpg", "labels/{n}.txt", ("",))),
    Case("YOLO", "bounding boxes alone", lambda root: trees.yolo(root, "images/{n}.jpg", "labels/{n}.txt", ("",), boxes=True)),
    Case("Supervisely", "`meta.json`, `ds1/img/`, `ds1/ann/`", trees.supervisely),
    Case("Supervisely", "the project one folder down", lambda root: trees.supervisely(root / "project", "dataset")),
    Case("Supervisely", "several data sets in one project", supervisely_sets),
    Case("Supervisely", "data sets called `train` and `val`", supervisely_splits),
    Case("lists", "`train.txt`, `val.txt`: an image and its label map per line", trees.lists),
    Case("lists", "the same with tabs, in `lists/`", lambda root: trees.lists(root, "\t", "lists")),
    Case("lists", "the same, relative to the list's own folder", lambda root: trees.lists(root, "\t", "lists", "../")),
    Case("lists", "`pairs.csv` with a heading", csv_list),
    Case("lists", "the list `train.txt` alone", trees.lists, "train.txt"),
    Case("archives", "zip", lambda root: trees.archive(root, "data.zip"), "data.zip"),
    Case("archives", "zip, `--extract-to`", lambda root: trees.archive(root, "data.zip"), "data.zip", ("--extract-to", "unpacked")),
    Case("archives", "tar.gz, `--extract-to`", lambda root: trees.archive(root, "data.tar.gz"), "data.tar.gz", ("--extract-to", "unpacked")),
    Case("archives", "zip with a member `../evil.txt`", lambda root: trees.archive(root, "data.zip", "../evil.txt"), "data.zip", ("--extract-to", "unpacked")),
    Case("archives", "tar.gz with a link to `/etc/passwd`", lambda root: trees.archive(root, "data.tar.gz", "link"), "data.tar.gz", ("--extract-to", "unpacked")),
    Case("not enough", "an empty folder", lambda root: None),
    Case("not enough", "images alone", lambda root: trees.save(root / "a.jpg", trees.photo(trees.ids(0)))),
    Case("not enough", "label maps as JPEG", jpeg_labels),
    Case("not enough", "bounding boxes as XML", xml),
    Case("not enough", "label maps as MATLAB files", matlab),
    Case("not enough", "names that do not match", of_pairs("images/{n}.jpg", "labels/x{n}y.png", words=True)),
    Case("not enough", "a video", videos),
    Case("not enough", "one label map that is empty (0 bytes)", broken),
    Case("not enough", "numbers of objects in place of classes", instances),
)  # fmt: skip
