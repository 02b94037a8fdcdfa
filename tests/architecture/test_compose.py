"""docker-compose.yml, .env.example and the Dockerfile keep every rule, and every rule bites."""

import re
import shutil
from pathlib import Path

import pytest

from shared.devtools.compose_env import assignments, filled
from shared.devtools.gen.files import ROOT
from shared.devtools.kube_check import compose, front_door, image

FILES = (
    "docker-compose.yml",
    ".env.example",
    "Caddyfile",
    "Dockerfile",
    "ops",
    "k8s/components",
    "README.md",
    "README.zh.md",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in FILES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_compose_keeps_every_rule() -> None:
    assert compose.check(ROOT) == []


def test_compose_takes_settings_by_their_own_names() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    taken = re.findall(r"^ *BEEGRID_(CITY_\w+): \$\{(\w+):-", text, re.MULTILINE)
    assert {name for name, _ in taken} == {"CITY_NAME_EN", "CITY_NAME_ZH", "CITY_TIMEZONE"}
    assert all(f"BEEGRID_{name}" == source for name, source in taken)


COMPOSE = [
    ("command: [services.points]", "command: [services.cases]", "points must run services.points"),
    ("BEEGRID_KAFKA_USERNAME: cases", "BEEGRID_KAFKA_USER: cases", "cases: required BEEGRID_KAFKA_USERNAME isn't set"),
    ("  demo:\n    <<: [*tools", "  demo:\n    <<: [*image", "demo runs a tool on beegrid"),
    ("  setup:\n    <<: [*image", "  setup:\n    <<: [*tools", "setup runs no tool on beegrid-dev"),
    ("    target: dev", "    target: production", "identity: beegrid-dev is built from production"),
    ("BEEGRID_LOG_LEVEL: ", "BEEGRID_LOG: ", "BEEGRID_LOG is no setting"),
    ('BEEGRID_DRAIN_S: "3"', 'BEEGRID_DRAIN_S: "300"', "BEEGRID_DRAIN_S: Input should be less"),
    ("${POSTGRES_PASSWORD:?run make env}\n", "postgres\n", "POSTGRES_PASSWORD must come from .env"),
    ("${SEALING_KEY:?run make env}", "${SEALING_KEY:-abc}", "BEEGRID_SEALING_KEY must come from .env"),
    ("image: dxflrs/garage:v2.3.0", "image: dxflrs/garage", "objects: the image needs a version"),
    ('limits: {cpus: "0.5", memory: 192m}', 'limits: {cpus: "0.5"}', "valkey: no limits"),
    (
        "postgres: {condition: service_healthy}",
        "postgres: {condition: service_started}",
        "setup must wait for postgres",
    ),
    ("  read_only: true\n  cap_drop", "  cap_drop", "cases: must be read_only"),
    (
        'restart: "no"\n    networks: [data]',
        'restart: "no"\n    networks: [watch]',
        "setup shares no network with postgres, which BEEGRID_POSTGRES_ADMIN_URL",
    ),
    ("http://objects:3900", "http://object:3900", "AWS_ENDPOINT_URL names object, and there is no such service"),
    (
        "    kafka: {condition: service_healthy}\n    valkey",
        "    valkey",
        "points must wait for kafka, which BEEGRID_KAFKA_BOOTSTRAP names",
    ),
    (
        '["127.0.0.1:${BEEGRID_PROMETHEUS_PORT:-9090}:9090"]',
        '["9090:9090"]',
        "prometheus: port 9090 must be bound to 127.0.0.1",
    ),
    (
        "${BEEGRID_GRAFANA_PORT:-3000}",
        "3000",
        "grafana: the published port 127.0.0.1:3000:3000 must",
    ),
    ("jaeger:2.5.0\n    profiles: [monitoring]\n", "jaeger:2.5.0\n", "jaeger must be of the profile monitoring"),
    ("./ops/prometheus:/etc", "./docs:/etc", "prometheus reads docs, which a checkout under umask 077 keeps from it"),
    (
        "[CMD, python, -I, -S, /opt/beegrid/probe.py,",
        "[CMD, python, -m, shared.kit.probe,",
        "cases: its probe loads packages",
    ),
    ("    stop_grace_period: 60s\n    read_only: true\n", "    stop_grace_period: 60s\n", "kafka: must be read_only"),
    (', "/mnt/shared/config:size=1m"', "", "kafka: /mnt/shared/config must be a tmpfs"),
    ("      BEEGRID_KAFKA_PUBLIC: ", "      BEEGRID_TOPIC_PREFIX: ", "toolbox lacks BEEGRID_KAFKA_PUBLIC"),
    ("BEEGRID_PUBLISHED: ${BEEGRID_PUBLISH:-127.0.0.1:8080}", "BEEGRID_PUBLISHED: caddy:8080", "demo says caddy:8080"),
    ("RUST_LOG: garage=warn", "RUST_LOG: garage=info", "RUST_LOG=garage=info"),
    ("Docker Engine 25, Compose 2.26", "Docker", "docker-compose.yml: must say Docker Engine 25 and Compose 2.26"),
    ("KAFKA_PUBLIC_BIND:-127.0.0.1", "KAFKA_PUBLIC_BIND:-0.0.0.0", "kafka: port 9094 must be bound to 127.0.0.1"),
    ("BEEGRID_KAFKA_USERNAME: routing", "BEEGRID_KAFKA_USERNAME: ${SEALING_KEY:?x}", "routing is given SEALING_KEY"),
    (
        "points_app:${POINTS_APP_PASSWORD:?run make env}",
        "points_app:${CASES_APP_PASSWORD:?run make env}",
        "points is given CASES_APP_PASSWORD",
    ),
    ("      BEEGRID_PASSWORD_TRACKING_APP:", "      BEEGRID_PASSWORD_TRACKING_APPS:", "BEEGRID_PASSWORD_TRACKING_APP"),
]


def test_a_careless_compose_file_is_found(copy: Path) -> None:
    # all at once: compose itself is what takes the time
    for old, new, _ in COMPOSE:
        replace(copy / "docker-compose.yml", old, new)
    replace(copy / ".env.example", "VALKEY_PASSWORD=", "VALKEY_PASSWORD=valkey")
    replace(copy / "ops/kafka/server.properties", "allow.everyone.if.no.acl.found=false", "num.io.threads=4")
    replace(copy / "ops/kafka/server.properties", "OUTSIDE://:9094,", "")
    replace(copy / "ops/kafka/start.sh", '"-name kafkaServer"', '"-name kafkaServer -loggc"')
    replace(copy / "ops/kafka/start.sh", "export KAFKA_LOG4J_OPTS", "export NOTHING")
    replace(copy / "ops/kafka/start.sh", "file:/opt/beegrid/log4j2.properties", "log4j2.yaml")
    replace(copy / "ops/kafka/log4j2.properties", "out.type = Console", "out.type = RollingFile")
    replace(copy / "README.md", "Compose ≥ 2.26", "Compose")
    found = compose.check(copy)
    wanted = [finding for *_, finding in COMPOSE]
    wanted += [".env.example: VALKEY_PASSWORD must be empty", "allow.everyone.if.no.acl.found is None"]
    wanted += ["no listener on port 9094, which is published", "must leave -loggc out", "must name log4j2.properties"]
    wanted += [
        "only Console may be written to, not RollingFile",
        "README.md: must say Docker Engine 25",
    ]
    for finding in wanted:
        assert any(finding in sentence for sentence in found), (finding, found)


FRONT_DOOR = [
    ("refresh 2s", "refresh 1m", "one that is added or replaced isn't found"),
    ("lb_policy least_conn", "lb_policy first", "requests must go to who has the fewest"),
    (
        "lb_try_duration {$BEEGRID_DOOR_PATIENCE:15s}",
        "lb_retries 1",
        "requests must wait while the only one is replaced",
    ),
    ("\t\tfail_duration 1s\n", "", "who has just failed is asked again at once"),
    ("\thandle_errors {", "\thandle {", "a service that is away is answered without a problem document"),
    ("Busy, try again later", "Come back later", "busy is not as in shared/kit/problems.py"),
    ('"code":"bad_request"', '"code":"odd"', "no problem of the kit"),
]


@pytest.mark.parametrize(("old", "new", "finding"), FRONT_DOOR, ids=[finding[:40] for *_, finding in FRONT_DOOR])
def test_a_front_door_that_loses_requests_is_found(copy: Path, old: str, new: str, finding: str) -> None:
    replace(copy / "Caddyfile", old, new)
    found = front_door.check(copy)
    assert any(finding in sentence for sentence in found), found


def test_a_front_door_whose_address_others_could_have_is_found(copy: Path) -> None:
    replace(copy / "docker-compose.yml", "&front-door ${BEEGRID_EDGE_CADDY:-172.31.250.2}", "172.31.250.0/24")
    replace(copy / "docker-compose.yml", "*front-door", "172.31.250.130")
    found = compose.check(copy)
    assert "compose: intake believes 172.31.250.0/24, and the front door is 172.31.250.130" in found
    finding = "network edge may give 172.31.250.130, which is the front door's, to another container"
    assert f"compose: {finding}" in found


def test_what_compose_refuses_is_found(copy: Path) -> None:
    replace(copy / "docker-compose.yml", "services:\n", "servces:\n")
    assert any("servces" in sentence for sentence in compose.check(copy))


def test_secrets_are_fresh_kept_and_never_empty() -> None:
    example = (ROOT / ".env.example").read_text()
    first, second = (assignments(filled(example, "")) for _ in range(2))
    assert all(first.values())
    assert all(first[name] != second[name] for name in first)
    again = assignments(filled(example, "".join(f"{name}={value}\n" for name, value in first.items()) + "MINE=1\n"))
    assert again == {**first, "MINE": "1"}


IMAGE = [
    ("USER 10001:10001", "USER root", "hadolint or user"),
    ("USER 10001:10001", "USER 0:0", "must be a number that isn't root"),
    ("FROM python:3.11-slim-trixie AS runtime\n", "FROM python AS runtime\n", "needs a version"),
    ("FROM runtime AS production", "FROM dev AS production", "the last stage has tools"),
    ("STOPSIGNAL SIGTERM", "", "no STOPSIGNAL SIGTERM"),
    (" --refresh-package beegrid", "", "an earlier build's wheel of ours"),
    ('"-I", "-S", ', "", "its probe loads packages"),
    ("# One image for", "# syntax=docker/dockerfile:1.7\n# One image for", "fetches a front end"),
    ("RUN groupadd", "RUN apt-get update && apt-get install -y gcc && groupadd", "installs something"),
    ("WORKDIR /src", "RUN cd /src", "DL3003"),
]


@pytest.mark.parametrize(("old", "new", "finding"), IMAGE, ids=[new or old for old, new, _ in IMAGE])
def test_a_careless_dockerfile_is_found(copy: Path, old: str, new: str, finding: str) -> None:
    replace(copy / "Dockerfile", old, new)
    found = [*image.linted(copy), *image.last_stage(copy)]
    assert found
    if " or " not in finding:
        assert any(finding in sentence for sentence in found), found


def test_the_image_s_install_steps_are_read_from_the_dockerfile() -> None:
    first, second = image.steps(ROOT)
    assert first == "uv sync --frozen --no-dev --no-install-project --no-build"
    assert second == "uv sync --locked --no-dev --no-editable --refresh-package beegrid"
