"""The blocks of scaling.md that are not for a shell: what Kubernetes and dask-jobqueue are given."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import forecast, scaling
from cli import main

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def block(language: str) -> str:
    """The page's one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return str(found)


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in objects if "template" in one["spec"]]


def test_every_pod_s_command_is_one_that_dask_or_adaprep_takes() -> None:
    from distributed.cli import dask_scheduler, dask_worker

    objects = list(yaml.safe_load_all(block("yaml")))
    known = {"scheduler": dask_scheduler.main, "worker": dask_worker.main, **main.commands}
    for pod in pods(objects):
        (container,) = pod["containers"]
        program, name, *arguments = container["args"]
        assert program in ("dask", "adaprep")
        context = known[name].make_context(name, list(arguments))
        if program == "adaprep":
            assert context.params["scheduler"] == "tcp://adaprep-scheduler:8786"
            assert context.params["wait"] == 600


def test_pods_that_touch_files_mount_one_volume_at_one_path_and_labels_agree() -> None:
    objects = list(yaml.safe_load_all(block("yaml")))
    mounts = [
        (mount["mountPath"], volume["persistentVolumeClaim"]["claimName"])
        for pod in pods(objects)
        for mount, volume in zip(
            pod["containers"][0].get("volumeMounts", []), pod.get("volumes", []), strict=True
        )
    ]
    assert mounts == [("/data", "data")] * 2
    service, *deployments = [one for one in objects if one["kind"] in ("Service", "Deployment")]
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in deployments]
    assert [one["spec"]["selector"]["matchLabels"] for one in deployments] == labels
    assert service["spec"]["selector"] in labels


def test_the_jobs_of_dask_jobqueue_start_workers_as_adaprep_needs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    made: list[Any] = []
    scaled: list[dict[str, int]] = []
    original = jobqueue.SLURMCluster

    def make(**options: Any) -> Any:
        made.append(original(**options))
        monkeypatch.setattr(made[0], "adapt", lambda **limits: scaled.append(limits), raising=False)
        return made[0]

    monkeypatch.setattr(jobqueue, "SLURMCluster", make)
    monkeypatch.setattr("builtins.input", lambda prompt: "")
    exec(compile(block("python"), str(PAGE), "exec"), {})
    try:
        script = made[0].job_script()
        assert scaled == [{"minimum_jobs": 1, "maximum_jobs": 8}]
        assert re.search(r"dask(_| |\.)worker|distributed\.cli\.dask_worker", script)
        assert "--nworkers 8" in script
    finally:
        made[0].close()


def test_tables_are_what_the_benchmarks_make_of_what_was_measured() -> None:
    measured = json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    assert scaling.table([scaling.Scaling(**kind) for kind in measured["scaling"]]) in page
    assert forecast.growth_table(measured, 10_000_000) in page
    assert forecast.forecast_table(measured, (113_000, 10_000_000), (1, 8, 64), (2710, 3384)) in page


def test_ten_million_images_need_no_more_tasks_and_workers_halve_the_hours() -> None:
    measured = json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8"))
    machine = forecast.Machine.of(measured)
    few, many = (forecast.forecast(n, (2710, 3384), 1, machine) for n in (10_000, 10_000_000))
    assert many.tasks <= 4096
    assert (many.reads, many.disk_gib) == (1000 * few.reads, pytest.approx(1000 * few.disk_gib))
    both = forecast.forecast(10_000_000, (2710, 3384), 2, machine)
    assert many.hours / 2 < both.hours < many.hours
    slow = forecast.Machine(1e-9, 1.0, machine.task_seconds, 0.0, forecast.Line(0, 0), forecast.Line(0, 0))
    alone = forecast.forecast(10_000_000, (2710, 3384), 64, slow)  # the scheduler is what it waits for
    assert alone.hours == pytest.approx(alone.tasks * machine.task_seconds / 3600)
