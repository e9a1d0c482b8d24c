"""The blocks of scaling.md that are not for a shell: what Kubernetes and dask-jobqueue are given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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
