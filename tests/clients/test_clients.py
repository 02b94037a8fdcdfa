"""Clients generated from the OpenAPI document compile, and read single answers, batches and refusals.

`make clients` runs them: generators and packages are downloaded into build/clients, which takes minutes the first time.
In `make test` they are skipped, and say so. What has passed is noted in passed.json: `make check` asks for it when the
document has changed.
"""

import json
import os
import shutil
import venv
from collections.abc import Iterator

import pytest

from shared.devtools import clients
from tests.clients.answers import CASE_ID, READ, check, served
from tests.clients.tools import DOCUMENT, MAVEN, PROGRAMS, fresh, generated, needs, read, run

asked = pytest.mark.skipif("BEEGRID_CLIENTS" not in os.environ, reason="downloads generators: make clients")
long = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def door() -> Iterator[str]:
    with served() as address:
        yield address


def test_the_answers_are_those_of_the_document() -> None:
    check(json.loads(DOCUMENT.read_text("utf-8")))


def test_a_change_of_the_document_is_to_be_tried_and_a_better_sentence_is_not() -> None:
    document = json.loads(DOCUMENT.read_text("utf-8"))
    now = clients.mark(document)
    assert now == clients.current()
    problem = document["components"]["schemas"]["Problem"]
    problem["properties"]["code"]["description"] = "other words"
    assert clients.mark(document) == now
    problem["properties"]["description"] = {"type": "string"}
    assert clients.mark(document) != now, "a field of that name is no sentence"
    assert clients.faults("now", {"python": "now", "go": "now"}) == (["typescript"], ["java"])
    assert clients.faults("now", dict.fromkeys(("python", "typescript", "go", "java"), "now")) == ([], [])


@asked
@long
def test_typescript(door: str) -> None:
    needs("node", "npm")
    folder = fresh("typescript", "node_modules", "package-lock.json")
    for name in ("package.json", "tsconfig.json", "main.ts"):
        shutil.copy(PROGRAMS / "typescript" / name, folder)
    run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], folder)
    run(["npx", "--no-install", "openapi-typescript", DOCUMENT, "-o", "suite.d.ts"], folder)
    run(["npx", "--no-install", "tsc"], folder)
    assert read(run(["node", "main.js", door, CASE_ID], folder)) == READ
    clients.record("typescript")


@asked
@long
def test_python(door: str) -> None:
    folder = fresh("python", "tools")
    python = folder / "tools/bin/python"
    if not python.exists():
        venv.create(folder / "tools", with_pip=True)
    wanted = ["openapi-python-client==0.29.1", "mypy==1.18.2"]
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], folder)
    config = folder / "config.yml"
    config.write_text("project_name_override: suite\npackage_name_override: suite\npost_hooks: []\n")
    tool = folder / "tools/bin/openapi-python-client"
    run(
        [tool, "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", folder / "suite", "--config", config],
        folder,
    )
    shutil.copy(PROGRAMS / "main.py.in", folder / "main.py")
    # Python finds out what is missing when a module is imported
    run(
        [
            python,
            "-c",
            "import pkgutil, suite; [__import__(m.name) for m in pkgutil.walk_packages(suite.__path__, 'suite.')]",
        ],
        folder,
    )
    run([python, "-m", "mypy", "--no-incremental", "main.py"], folder)
    assert read(run([python, "main.py", door, CASE_ID], folder)) == READ
    clients.record("python")


@asked
@long
def test_go(door: str) -> None:
    needs("go")
    folder = generated("go", fresh("golang"), packageName="suite", isGoSubmodule="false", withGoMod="false")
    (folder / "go.mod").write_text("module example.org/suite\n\ngo 1.23\n")
    (folder / "main").mkdir()
    shutil.copy(PROGRAMS / "main.go", folder / "main/main.go")
    run(["go", "mod", "tidy"], folder)
    run(["go", "vet", "./main"], folder)
    assert read(run(["go", "run", "./main", door, CASE_ID], folder)) == READ
    clients.record("go")


@asked
@long
def test_java(door: str) -> None:
    needs("javac")
    folder = generated(
        "java", fresh("java"), library="native", invokerPackage="org.example", apiPackage="org.example.api",
        modelPackage="org.example.model", hideGenerationTimestamp="true", openApiNullable="false",
    )  # fmt: skip
    shutil.copy(PROGRAMS / "Main.java", folder / "src/main/java/org/example/Main.java")
    run([*MAVEN, "-DskipTests", "compile"], folder)
    exec_ = "org.codehaus.mojo:exec-maven-plugin:3.5.0:java"
    assert (
        read(run([*MAVEN, exec_, "-Dexec.mainClass=org.example.Main", f"-Dexec.args={door} {CASE_ID}"], folder)) == READ
    )
    clients.record("java")
