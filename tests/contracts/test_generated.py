"""What is generated is current, made alike by every process, and a stale file is named."""

from pathlib import Path

import pytest

from shared.devtools.gen import files, flow, metrics_doc, openapi, schemas, settings_doc
from shared.devtools.gen.__main__ import GENERATORS, run
from shared.devtools.gen.files import ROOT, Generated
from shared.events.registry import topics
from shared.provision.services import service_names

NAMES = [generator.__module__.rsplit(".", 1)[-1] for generator in GENERATORS]


@pytest.fixture(scope="module")
def results() -> dict[str, Generated]:
    """What every generator makes now."""
    return dict(zip(NAMES, (generator(ROOT) for generator in GENERATORS), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_tree_is_clean(results: dict[str, Generated], name: str) -> None:
    assert files.differences(ROOT, [results[name]]) == [], "run `make gen`"


def test_nothing_is_skipped(results: dict[str, Generated]) -> None:
    assert [line for generated in results.values() for line in generated.skipped] == []


def test_check_names_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.devtools.gen.__main__.GENERATORS", (schemas.generate, flow.generate))
    assert run(tmp_path, check=True, strict=False) == 1
    assert run(tmp_path, check=False, strict=False) == 0
    assert run(tmp_path, check=True, strict=False) == 0
    folder = tmp_path / schemas.FOLDER
    (folder / "cases.case-changed.v1.json").write_text("{}")
    (folder / "gone.v1.json").write_text("{}")
    (tmp_path / "docs/flow.md").unlink()
    capsys.readouterr()
    assert run(tmp_path, check=True, strict=False) == 1
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "docs/flow.md: missing",
        f"{schemas.FOLDER}/cases.case-changed.v1.json: differs",
        f"{schemas.FOLDER}/gone.v1.json: left over",
    ]
    run(tmp_path, check=False, strict=False)
    assert not (folder / "gone.v1.json").exists()
    assert run(tmp_path, check=True, strict=False) == 0


def test_strict_fails_on_what_was_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "shared.devtools.gen.__main__.GENERATORS", (lambda _: Generated(files={}, skipped=("x: no app",)),)
    )
    assert run(tmp_path, check=False, strict=False) == 0
    assert run(tmp_path, check=False, strict=True) == 1


def test_the_flow_names_every_topic(results: dict[str, Generated]) -> None:
    files = results["flow"].files
    for text in (files["docs/flow.md"], "".join(files[name] for name in files if name.endswith(".svg"))):
        assert all(topic.name in text for topic in topics())


def test_documents_are_made_by_the_code_itself() -> None:
    settings = settings_doc.generate(ROOT).files["docs/settings.md"]
    assert "`BEEGRID_POSTGRES_DSN` | secret | **required**" in settings
    metrics = metrics_doc.generate(ROOT).files["docs/metrics.md"]
    assert "`beegrid_outbox_rows` | gauge" in metrics
    assert "`beegrid_http_requests_total` | counter | `method`, `route`, `status`" in metrics


def test_every_service_has_an_openapi_document(results: dict[str, Generated]) -> None:
    documents = results[openapi.__name__.rsplit(".", 1)[-1]].files
    assert set(documents) == {openapi.SUITE, *(f"{openapi.FOLDER}/{name}.json" for name in service_names(ROOT))}
