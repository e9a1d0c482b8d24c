"""Where commands write: nothing that adaprep did not make is replaced, and never a file that is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline import marks
from pipeline.errors import AdaprepError
from pipeline.marks import Writer
from pipeline.report import canvas
from tests.conftest import tree

MakeBlobs = Callable[..., Path]


def adaprep(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


def picture(path: Path) -> None:
    made = canvas.figure(1, 1, dpi=20)
    made.add_subplot().plot([0, 1])
    canvas.save(made, path, Writer())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set whose label maps are called as the picture of an image would be."""
    root = tmp_path_factory.mktemp("small")
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True)
    labels = np.zeros((16, 16), np.uint8)
    labels[4:9, 4:9] = 1
    for name in ("a", "b"):
        Image.fromarray(labels).save(root / "labels" / "val" / f"{name}.png")
        Image.fromarray(np.repeat(labels[..., None] * 90, 3, 2)).save(root / "images" / "val" / f"{name}.jpg")
    text = "name: small\nclasses:\n  - {id: 0, name: ground}\n  - {id: 1, name: blob}\ntargets: [blob]\n"
    (root / "d.yaml").write_text(text + "splits:\n  val: {images: images/val, labels: labels/val}\n")
    return root


@pytest.fixture
def data(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, with an empty folder `here` to work in."""
    root = Path(shutil.copytree(small, tmp_path / "data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return root


@pytest.mark.parametrize("suffix", marks.FORMATS)
def test_every_format_of_pictures_bears_the_mark(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    picture(path)
    assert marks.is_ours(path)
    picture(path)  # replaced
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", marks.FORMATS)
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", bytes(range(256)) * 9])
def test_what_adaprep_did_not_make_is_kept(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(AdaprepError, match="adaprep did not make it: .* with --force"):
        picture(path)
    assert tree(tmp_path).keys() == {path.name}
    assert path.read_bytes() == content
    Writer(force=True).check(path)


def test_a_file_that_appears_during_the_work_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.png"

    def write() -> None:
        with Writer().replacing(path) as partial:
            partial.write_bytes(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(AdaprepError, match="did not make it"):
        write()
    assert path.read_bytes() == b"theirs"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["itself", "hard link", "link"])
def test_an_input_is_never_written_over(tmp_path: Path, kind: str, force: bool) -> None:
    source, path = tmp_path / "in.png", tmp_path / "x.png"
    picture(source)
    if kind == "itself":
        path = source
    elif kind == "hard link":
        path.hardlink_to(source)
    else:
        path.symlink_to(source)
    with pytest.raises(AdaprepError, match="is read by this command"):
        Writer([source], force).check(path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "file as folder", "long"])
def test_what_cannot_be_a_file_is_refused_whatever_is_allowed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "long":
        path = tmp_path / f"{'x' * 250}.png"
    else:
        path.write_text("x")
        path = path / "y.png"
    with pytest.raises(AdaprepError, match="cannot write"):
        Writer(force=True).check(path)


def test_a_link_of_the_user_s_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(AdaprepError, match="did not make it"):
        Writer().check(path)


@pytest.mark.parametrize("options", [[], ["--sampled", "8"], ["--force"]])
def test_show_keeps_the_label_map_of_the_image_it_shows(
    data: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data / "labels" / "val")
    before = tree(data)
    code, said = adaprep("show", "0", "--dataset", data / "d.yaml", *options)
    assert (code, tree(data)) == (1, before)
    assert "a.png is read by this command and not written over" in said
    code, said = adaprep("show", "0", "--dataset", data / "d.yaml", "-o", "b.png", *options)
    assert (code, tree(data)) == (1, before)


def test_show_replaces_its_own_picture_alone(data: Path) -> None:
    command, path = ("show", "0", "--dataset", data / "d.yaml"), Path("a.png")
    assert [adaprep(*command)[0] for _ in range(2)] == [0, 0]
    path.write_text("mine")
    code, said = adaprep(*command)
    assert (code, path.read_text()) == (1, "mine")
    assert "--force" in said
    assert adaprep(*command, "--force")[0] == 0
    assert marks.is_ours(path)


PLOTS = {
    "show": ("show", "0", "--dataset", "D", "-o"),
    "upper-bound": ("upper-bound", "--dataset", "D", "--split", "val", "--resolution", "8", "--plot"),
    "boundary-error": ("boundary-error", "--dataset", "D", "--plot"),
}


@pytest.mark.parametrize("command", PLOTS.values(), ids=PLOTS.keys())
def test_pictures_that_cannot_be_are_refused_before_any_work(
    data: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object, **__: object) -> None:
        pytest.fail("work was begun")

    for place in ("report.show.load_scene", "stages.upper_bound.run", "stages.boundary_error.run_dataset"):
        monkeypatch.setattr(f"pipeline.{place}", work)
    chosen = [str(data / "d.yaml") if word == "D" else word for word in command]
    Path("file.png").write_text("mine")
    Path("folder.png").mkdir()
    for name, said in {
        "x.xyz": ".xyz is no format of pictures here. Use one of: png, jpg",
        "x": "the name has no suffix",
        "file.png": "adaprep did not make it",
        "folder.png": "that is a folder",
        "file.png/x.png": "is not a folder",
        str(data / "images" / "val" / "a.jpg"): "is read by this command",
    }.items():
        before = tree(Path.cwd()), tree(data)
        code, output = adaprep(*chosen, name)
        assert code in (1, 2)
        assert said in " ".join(output.split()), output
        assert (tree(Path.cwd()), tree(data)) == before


def test_plots_are_written_and_written_again(data: Path) -> None:
    chosen = [str(data / "d.yaml") if word == "D" else word for word in PLOTS["upper-bound"]]
    for _ in range(2):
        code, said = adaprep(*chosen, "plot.png")
        assert code == 0, said
    assert marks.is_ours(Path("plot.png"))


@pytest.mark.parametrize("place", ["file", "file/w", "file/w/x"])
def test_a_workspace_below_a_file_is_a_sentence(data: Path, place: str) -> None:
    Path("file").write_text("mine")
    for command in (("boundaries", "--dataset", data / "d.yaml"), ("status",), ("report",), ("evaluate",)):
        code, said = adaprep(*command, "--workspace", place)
        assert code in (1, 2)
        assert "is not a folder" in said or "is a file" in said
    assert Path("file").read_text() == "mine"


def test_predictions_keep_files_of_the_user_s(tmp_path: Path) -> None:
    from pipeline.inference import predict as label_maps

    image = tmp_path / "photo.jpg"
    picture(image)
    for name in ("labels/photo.png", "overlays/photo.jpg"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("mine")
        with pytest.raises(AdaprepError, match="adaprep did not make it"):
            label_maps.plan([image], tmp_path, Writer([image]))
        path.unlink()
    assert label_maps.plan([image], tmp_path, Writer([image]))[0].labels == tmp_path / "labels" / "photo.png"


@pytest.fixture
def bound(data: Path) -> Path:
    """A workspace with boundaries."""
    assert adaprep("boundaries", "--dataset", data / "d.yaml", "--workspace", "w")[0] == 0
    return Path("w").resolve()


def test_a_report_keeps_pages_and_tables_that_are_not_its_own(bound: Path) -> None:
    for name in ("index.html", "tables/classes.csv"):
        path = Path("out") / name
        path.parent.mkdir(parents=True)
        path.write_text("<html>mine</html>")
        code, said = adaprep("report", "--workspace", bound, "-o", "out", "--device", "cpu")
        assert (code, tree(Path("out")).keys()) == (1, {name})
        assert f"{path} is there already" in said
        shutil.rmtree("out")
    Path("out").write_text("mine")
    code, said = adaprep("report", "--workspace", bound, "-o", "out", "--device", "cpu")
    assert (code, Path("out").read_text()) == (1, "mine")
    assert "that is a file. Give a folder to -o." in said


@pytest.mark.slow
def test_a_report_replaces_an_earlier_one_though_that_was_interrupted(bound: Path) -> None:
    for _ in range(2):
        assert adaprep("report", "--workspace", bound, "-o", "out", "--device", "cpu")[0] == 0
    files = tree(Path("out")).keys()
    assert {"index.html", "tables/classes.csv", marks.FOLDER_MARK} <= files
    Path("out/index.html").unlink()
    Path("out/notes.txt").write_text("mine")
    assert adaprep("report", "--workspace", bound, "-o", "out", "--device", "cpu")[0] == 0
    assert tree(Path("out")).keys() == {*files, "notes.txt"}


def test_a_table_holds_plain_numbers(bound: Path) -> None:
    assert adaprep("report", "--workspace", bound, "-o", "out", "--device", "cpu")[0] == 0
    line = Path("out/tables/classes.csv").read_text().splitlines()[1].split(",")
    assert line[0] == "ground"
    assert float(line[2]) == pytest.approx(1 - 25 / 256, abs=1e-12)
    for table in Path("out/tables").glob("*.csv"):
        assert "np." not in table.read_text()


def test_the_picture_of_the_demo_keeps_a_file_of_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w").mkdir()
    Path("w/demo.png").write_text("mine")
    code, said = adaprep("demo", "--train", "1", "--val", "1", "--workspace", "w", "--root", "d")
    assert (code, tree(tmp_path).keys()) == (1, {"w/demo.png"})
    assert "adaprep did not make it" in said


@pytest.mark.parametrize("name", ["demo.json", "road01_ins_train.lst", "road01_ins"])
def test_the_demo_keeps_data_that_are_not_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[]")
    code, said = adaprep("demo", "--data-only", "--root", tmp_path)
    assert (code, tree(tmp_path).keys()) == (1, {name})
    assert "was not generated here" in said


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", pytest.param("nonsense", marks=pytest.mark.slow)]
)
def test_pictures_are_written_whatever_the_backend_of_a_notebook(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    code = (
        "from pathlib import Path; from pipeline.report import canvas; made = canvas.figure(1, 1); "
        "made.add_subplot(); canvas.save(made, Path('x.png')); import os; assert os.environ['MPLBACKEND']"
    )
    repository = str(Path(__file__).parents[2])
    env = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": repository}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)
    assert Image.open(tmp_path / "x.png").size == (150, 150)


@pytest.mark.parametrize("name", ["$x_$", "a$b$c", r"\frac{$", "\x1b[2J\u202e\udce9\x00", "日本", "a\nb"])
def test_titles_and_labels_of_any_name_are_drawn(tmp_path: Path, name: str) -> None:
    from pipeline.report.page.drawing import Axes, Line, draw_bars, draw_lines

    made = canvas.figure(2, 2, dpi=30)
    made.add_subplot().set_title(canvas.words(name))
    canvas.save(made, tmp_path / "x.png")
    chart = draw_lines("x", "title", name, [Line(name, [1, 2], [1, 2])], Axes("x", "y"))
    bars = draw_bars("x", "title", name, [name], [Line(name, [0], [1])], Axes("x", "y"))
    for drawn in (chart, bars):
        drawn.svg.encode()
        assert "\x1b" not in drawn.svg
        assert "\x00" not in drawn.svg
