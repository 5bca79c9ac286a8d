"""The container files, checked without an engine: lint, schema, and that each image installs what it should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
SECRETS = {"S2E_POSTGRES_PASSWORD": "x", "S2E_API_KEY": "y" * 32, "S2E_RAY_TOKEN": "z" * 32}
CLUSTER = ROOT / "docker" / "kubernetes"


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environment, timeout=60
    )


@pytest.mark.parametrize("image", ["service", "worker"])
def test_dockerfile_has_no_findings(image: str) -> None:
    done = run([str(TOOLS / "hadolint"), f"docker/{image}.Dockerfile"])
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_file_is_valid_and_publishes_on_loopback_only() -> None:
    command = [str(TOOLS / "docker-compose"), "-f", "docker/compose.yaml", "config"]
    done = run([*command[:3], "--profile", "gpu", "config"], **SECRETS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("published:") == done.stdout.count("host_ip: 127.0.0.1") == 1
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"postgres", "api", "ray-head", "ray-node", "ray-gpu-node", "dispatcher"}
    for name, service in services.items():
        environment = service.get("environment", {})
        assert ("S2E_DATABASE_URL" in environment) == (name in ("api", "dispatcher"))  # trainers know no password
        assert ("RAY_AUTH_TOKEN" in environment) == (name not in ("api", "postgres"))
    assert services["dispatcher"]["environment"]["S2E_RAY_ADDRESS"] == "ray-head:6379"
    assert services["ray-gpu-node"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_compose_refuses_to_start_without_secrets() -> None:
    done = subprocess.run(
        [str(TOOLS / "docker-compose"), "-f", "docker/compose.yaml", "config", "-q"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("S2E_")},
    )  # fmt: skip
    assert done.returncode != 0
    assert "set a password" in done.stderr


def test_every_copied_path_exists() -> None:
    for image in ("service", "worker"):
        for line in (ROOT / f"docker/{image}.Dockerfile").read_text().splitlines():
            if line.startswith("COPY "):
                assert all((ROOT / source).exists() for source in line.split()[1:-1]), line


def test_install_script_is_plain_shell() -> None:
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell is not None
    assert run([shell, "-n", "docker/install.sh"]).returncode == 0
    assert run([shell, "docker/install.sh", "other"]).returncode == 2


# --- Kubernetes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> dict[tuple[str, str], dict[str, Any]]:
    """Every object of the base, by kind and name: as kubectl makes them, or as the files have them."""
    if kubectl := shutil.which("kubectl"):
        done = run([kubectl, "kustomize", str(CLUSTER)])
        assert done.returncode == 0, done.stderr
        texts = [done.stdout]
    else:
        files = yaml.safe_load((CLUSTER / "kustomization.yaml").read_text())["resources"]
        texts = [(CLUSTER / file).read_text() for file in files]
    objects = [one for text in texts for one in yaml.safe_load_all(text)]
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def pods(cluster: dict[tuple[str, str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    ray = cluster["RayCluster", "s2e-ray"]["spec"]
    templates = {name: one["spec"]["template"] for (kind, name), one in cluster.items() if kind == "Deployment"}
    templates["head"] = ray["headGroupSpec"]["template"]
    templates |= {group["groupName"]: group["template"] for group in ray["workerGroupSpecs"]}
    return {name: template["spec"] for name, template in templates.items()}


def test_every_pod_of_the_cluster_is_bounded_without_rights_and_sees_the_artifacts(cluster: Any) -> None:
    assert set(pods(cluster)) == {"s2e-api", "s2e-dispatcher", "head", "cpu", "gpu"}
    for pod in pods(cluster).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "emptyDir" not in v}
        assert ("PersistentVolumeClaim", claims[mounts["/data"]]) in cluster
    gpu = pods(cluster)["gpu"]["containers"][0]["resources"]
    assert gpu["limits"]["nvidia.com/gpu"] == "1"


def test_only_api_and_dispatcher_see_the_secret_of_the_service(cluster: Any) -> None:
    for name, pod in pods(cluster).items():
        (container,) = pod["containers"]
        secrets = [source["secretRef"]["name"] for source in container.get("envFrom", [])]
        assert secrets == (["s2e"] if name.startswith("s2e-") else [])
        tokens = [e["valueFrom"]["secretKeyRef"]["name"] for e in container.get("env", []) if "valueFrom" in e]
        assert tokens == ([] if name == "s2e-api" else ["s2e-ray"])
    assert not [name for kind, name in cluster if kind == "Secret"]
    selector = cluster["Service", "s2e-api"]["spec"]["selector"]
    labels = cluster["Deployment", "s2e-api"]["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


# --- SLURM ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_allocation_starts_ray_then_the_dispatcher_and_ends_both(tmp_path: Path) -> None:
    """With programs in the place of SLURM's and Ray's that write down how they were called."""
    log = tmp_path / "log"
    log.touch()  # the loop below counts its lines from the first moment on
    stubs = {
        "scontrol": "printf '%s\\n' n1 n2 n3",
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
        "ray": f"trap 'echo ray ends >> {log}; kill $!; exit' TERM; sleep 30 & "
        f'echo "ray $* db=${{S2E_DATABASE_URL:-none}} token=${{#RAY_AUTH_TOKEN}}" >> {log}; wait',
        "python": "exit 0",
        "s2e": f'while [ "$(grep -c start {log})" -lt 3 ]; do sleep 0.02; done; '
        f'echo "s2e $* at $S2E_RAY_ADDRESS db=$S2E_DATABASE_URL" >> {log}; exit 3',
    }
    for name, body in stubs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "S2E_DATABASE_URL": "postgresql://x", "S2E_HOME": str(tmp_path),
        "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_PER_TASK": "8", "SLURM_GPUS_ON_NODE": "2",
    }  # fmt: skip
    done = run(["bash", "docker/slurm/s2e.sbatch"], **environment)
    assert done.returncode == 3, done.stderr  # as the dispatcher's
    lines = log.read_text().splitlines()
    starts = [line for line in lines if line.startswith("ray start")]
    (head,) = [line for line in starts if "--head" in line]
    assert "--head --node-ip-address=n1 --port=6379" in head
    assert sum("--address=n1:6379" in line for line in starts) == 2
    assert all("--num-cpus=8 --num-gpus=2 --block db=none token=64" in line for line in starts)
    assert lines[3] == "s2e dispatcher at n1:6379 db=postgresql://x"
    assert lines[4:] == ["ray ends"] * 3
    refused = run(["bash", "docker/slurm/s2e.sbatch"], S2E_HOME="x", S2E_DATABASE_URL="")
    assert refused.returncode != 0
    assert "the database of the service" in refused.stderr


def test_every_setting_that_is_named_is_one() -> None:
    """In containers, manifests, the batch script and the runbook."""
    others = {"POSTGRES_PASSWORD", "RAY_TOKEN", "VENV", "RAY_PORT", "RAY_WAIT_S", "URL", "CACHE_ROOT", "NATIVE"}
    known = {name.upper() for name in Settings.model_fields} | others
    for path in [*(ROOT / "docker").rglob("*"), ROOT / "docs" / "runbook.md"]:
        if path.is_file():
            named = set(re.findall(r"\bS2E_([A-Z_]*[A-Z])\b", path.read_text()))
            assert named <= known, (path, named - known)
