"""What operators copy: it parses, and every flag, page and metric in it is one that exists."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client.parser import text_string_to_metric_families

from billing_server.cli.app import app as server_app
from meter_agent.admin import sampler
from meter_agent.cli import app as agent_app
from meter_agent.edge import server as edge
from meter_agent.store import writer
from meter_agent.uplink import shipper
from tests.meter_agent.support import RunningAgent, event

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
RULES = DEPLOY / "prometheus" / "meter-agent.rules.yaml"
STOP_SECONDS = edge.STOP_SECONDS + shipper.STOP_SECONDS + sampler.STOP_SECONDS + writer.STOP_SECONDS
"""The longest stop of an agent, without the pre-stop."""
USER_ID = 64270
FILE_FLAGS = {"--token-file", "--join-token-file", "--tls-cert", "--tls-key"}


def name_of(path: Path) -> str:
    return path.name


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def pods() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, document["spec"]["template"]["spec"])
        for name, document in documents()
        if "template" in document["spec" if "spec" in document else "metadata"]
    ]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def words_of(container: dict[str, Any]) -> list[str]:
    words = [*container.get("command", []), *container.get("args", [])]
    hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    return [word for text in [*words, ";", *hook] for word in shlex.split(text)]


def commands(words: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yields program, command and flags of each call of one of the programs."""
    for index, word in enumerate(words):
        program = word.rpartition("/bin/")[2]
        if program in {"meter-agent", "billing-server"}:
            flags = []
            for following in words[index + 2 :]:
                if following in {";", "&&"}:
                    break
                if following.startswith("--"):
                    flags.append(following.partition("=")[0])
            yield program, words[index + 1], flags


def known_flags(program: str, command: str) -> set[str]:
    group: Any = typer.main.get_command(agent_app if program == "meter-agent" else server_app)
    assert command in group.commands, f"{program} has no command {command}"
    return {flag for parameter in group.commands[command].params for flag in parameter.opts}


def check_commands(words: list[str]) -> int:
    count = 0
    for program, command, flags in commands(words):
        assert set(flags) <= known_flags(program, command)
        count += 1
    return count


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all samples that a real agent shows, also of those that nothing has happened to."""
    with RunningAgent(tmp_path_factory.mktemp("agent")) as agent:
        agent.record([event("a"), event("b", quantities={"input_tokens": "-1"})])
        agent.agent._service.counters.refused("BUFFER_FULL")
        text = agent.agent._observer.pages().metrics().decode()
    families = list(text_string_to_metric_families(text))
    empty = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if not family.samples
    }
    return empty | {sample.name for family in families for sample in family.samples}


def named_metrics(text: str) -> set[str]:
    return set(re.findall(r"\bmeter_agent_[a-z_]+", text))


def test_every_alert_has_an_expression_over_metrics_that_an_agent_shows(
    exposed: set[str],
) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 15
    for rule in rules:
        metrics = named_metrics(rule["expr"])
        assert metrics <= exposed, rule["alert"]
        assert metrics or rule["expr"].startswith("up{")
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "action"}


@pytest.mark.parametrize(
    "page", [DEPLOY / "prometheus" / "README.md", ROOT / "docs" / "operations" / "agent.md"]
)
def test_every_metric_that_a_page_names_is_shown(page: Path, exposed: set[str]) -> None:
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed}
    assert named_metrics(page.read_text()) <= exposed | families


def test_every_metric_is_explained(exposed: set[str]) -> None:
    text = (ROOT / "docs" / "operations" / "agent.md").read_text()
    own = {name for name in exposed if name.startswith("meter_agent_")}
    histogram = r"_(bucket|count|sum|created)$"
    missing = {re.sub(histogram, "", name) for name in own} - named_metrics(text)
    assert missing == set()


@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_a_unit_calls_what_exists_and_is_hardened(path: Path) -> None:
    text = path.read_text().replace("\\\n", " ")
    [call] = re.findall(r"^ExecStart=(.*)$", text, re.M)
    assert check_commands(shlex.split(call)) == 1
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="):
        assert re.search(rf"^{line}$", text, re.M)
    assert f"User={path.stem}" in text
    assert "StateDirectory=" in text
    assert "LimitNOFILE=65536" in text


def test_a_stop_of_the_agent_fits_its_unit() -> None:
    text = (DEPLOY / "systemd" / "meter-agent.service").read_text()
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.M)
    [pre_stop] = re.findall(r"--pre-stop-seconds (\d+)", text)
    assert int(stop) > int(pre_stop) + STOP_SECONDS
    assert "RuntimeDirectoryMode=0750" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_systemd_reads_a_unit_without_a_word(path: Path, tmp_path: Path) -> None:
    unit = tmp_path / path.name
    unit.write_text(re.sub(r"/opt/meter-agent/bin/[a-z-]+", sys.executable, path.read_text()))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_call_in_a_manifest_exists() -> None:
    counts = {
        name: sum(check_commands(words_of(item)) for item in containers(pod))
        for name, pod in pods()
    }
    assert counts == {"agent-daemonset.yaml": 1, "agent-sidecar.yaml": 2, "billing-server.yaml": 1}


def test_every_container_of_ours_is_confined() -> None:
    for _, pod in pods():
        assert pod["automountServiceAccountToken"] is False
        for item in containers(pod):
            if not item["image"].startswith("meter-agent:") or item["name"] == "own-directories":
                continue
            context = item["securityContext"]
            assert (context["runAsNonRoot"], context["runAsUser"]) == (True, USER_ID)
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_probes_ask_for_pages_and_ports_that_exist() -> None:
    pages = {"admin": {"/livez", "/readyz"}, "http": {"/healthz", "/readyz"}}
    count = 0
    for _, pod in pods():
        for item in containers(pod):
            ports = {port["name"] for port in item.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in item:
                    target = item[probe]["httpGet"]
                    assert target["port"] in ports
                    assert target["path"] in pages[target["port"]]
                    count += 1
            if "livenessProbe" in item:
                # A full disk is not ready, and never not live.
                assert item["livenessProbe"]["httpGet"]["path"] != "/readyz"
    assert count == 9


def test_a_pod_is_given_the_time_that_a_drain_and_a_stop_take() -> None:
    for name, pod in pods():
        for item in containers(pod):
            words = words_of(item)
            if "meter-agent" not in words:
                continue
            drain = [int(word.partition("=")[2]) for word in words if "--timeout=" in word]
            pre = [int(word.partition("=")[2]) for word in words if "--pre-stop-seconds=" in word]
            needed = sum(drain) + sum(pre) + STOP_SECONDS
            assert pod["terminationGracePeriodSeconds"] >= needed, name


def test_the_image_is_built_in_stages_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    assert len(re.findall(r"^FROM ", text, re.M)) == 2
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.M) == [f"{USER_ID}:{USER_ID}"]
    assert "COPY --from=build" in last
    for source in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M):
        for name in source.split():
            assert (ROOT / name).exists(), name
    assert "--constraint" in text


def test_every_event_of_the_log_is_explained() -> None:
    text = (ROOT / "docs" / "operations" / "agent.md").read_text()
    table = text.partition("## The log")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    logged = {
        name
        for path in (ROOT / "src" / "meter_agent").rglob("*.py")
        for name in re.findall(r"_LOG\.\w+\(\s*\"([a-z_]+)\"", path.read_text())
    }
    assert logged <= documented


def test_every_mount_names_a_volume_and_every_file_of_a_flag_lies_in_a_mount() -> None:
    for name, pod in pods():
        volumes = {item["name"] for item in pod["volumes"]}
        template = next(
            document
            for file, document in documents()
            if file == name and document["kind"] in {"StatefulSet", "DaemonSet"}
        )
        volumes |= {
            claim["metadata"]["name"] for claim in template["spec"].get("volumeClaimTemplates", [])
        }
        for item in containers(pod):
            mounts = item.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= volumes, name
            paths = [mount["mountPath"] for mount in mounts]
            for word in words_of(item):
                flag, _, path = word.partition("=")
                if flag in {"--data-dir", "--server-ca"} or flag in FILE_FLAGS:
                    assert any(path.startswith(mount) for mount in paths), (name, word)


def test_every_finding_of_the_doctor_is_explained() -> None:
    text = (ROOT / "docs" / "operations" / "agent.md").read_text().partition("## Doctor")[2]
    found = {
        reason
        for path in (ROOT / "src" / "meter_agent" / "doctor").glob("*.py")
        for reason in re.findall(r"\"([A-Z]+(?:_[A-Z]+)+)\"", path.read_text())
    }
    assert {reason for reason in found if f"`{reason}`" not in text} == set()
