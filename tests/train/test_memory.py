"""How much memory samples may take: the machine's, a container's, shared by the processes of a machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import AdaprepError  # noqa: E402
from pipeline.train import memory  # noqa: E402


def group(folder: Path, limit: str, used: int, names: tuple[str, str] = memory.LIMITS[0]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")


def test_a_container_of_cgroup_2_limits_it(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/jobs/7\n")
    group(tmp_path / "jobs" / "7", "max", 10)
    group(tmp_path / "jobs", "5000", 4000)
    assert memory.free_memory(tmp_path, tmp_path / "self") == 1000


def test_a_container_of_cgroup_1_limits_it(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("5:cpu:/x\n3:memory:/docker/a\n")
    group(tmp_path / "memory" / "docker" / "a", "700", 900, memory.LIMITS[1])
    assert memory.free_memory(tmp_path, tmp_path / "self") == 0


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../etc\n"])
def test_elsewhere_it_is_the_machines(tmp_path: Path, text: str) -> None:
    (tmp_path / "self").write_text(text)
    assert memory.free_memory(tmp_path / "none", tmp_path / "self") > 10**6


def test_files_that_a_container_caches_are_free(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/a\n")
    group(tmp_path / "a", "1000", 990)
    (tmp_path / "a" / "memory.stat").write_text("anon 300\nactive_file 90\ninactive_file 600\n")
    assert memory.free_memory(tmp_path, tmp_path / "self") == 610


def test_copies_and_other_samples_share_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 8000)
    decided = [memory.fits(size, copies) for size, copies in ((3999, 1), (4001, 1), (1999, 2), (2001, 2))]
    assert decided == [True, False, True, False]
    assert [memory.fits(1000, promised=other) for other in (2999, 3001)] == [True, False]


def test_two_pools_take_half_of_it_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 8000)
    assert [memory.pool_that_fits(size) for size in (10, 3000)] == [200, 1]
    monkeypatch.setattr(memory, "free_memory", lambda: 10**12)
    assert memory.pool_that_fits(10) == memory.POOL


def test_what_pytorch_says_of_memory_becomes_advice() -> None:
    with pytest.raises(
        AdaprepError, match="memory ran out at a batch of 8 crops.*--batch-size 4 --overwrite"
    ):
        with memory.explained(8):
            raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_batch_of_one_for_lack_of_images_is_not_blamed_on_the_batch_size() -> None:
    error = ValueError("Expected more than 1 value per channel when training")
    with pytest.raises(AdaprepError, match="the training split has too few images"), memory.explained(8, 1):
        raise error
    with pytest.raises(AdaprepError, match="--batch-size is 1, give 2 or more"), memory.explained(1, 1):
        raise error


def test_without_psutil_the_free_memory_of_the_machine_is_known_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = memory.free_memory(tmp_path / "none", tmp_path / "self")
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert 10**6 < memory.free_memory(tmp_path / "none", tmp_path / "self") < 2 * known
