"""A service holds the secrets that it declares, its own passwords, and no other: a lost pod gives away no more."""

from dataclasses import replace

import pytest

from shared.devtools.installation import Installation
from shared.devtools.kube_check import given
from shared.devtools.kube_check.render import Yaml
from shared.kit.about import Outside, Secret
from shared.provision.services import about, holders, service_names
from tests.architecture.support.objects import container, pod


def test_the_sealing_key_is_with_those_who_seal() -> None:
    assert {"riders", "intake"} <= set(holders(Secret.SEALING_KEY))
    assert not {"cases", "points", "routing"} & set(holders(Secret.SEALING_KEY))
    assert holders(Secret.PHOTO_STORE) == ["intake"]


def test_declarations_manifests_and_settings_agree(rendered: dict[str, list[Yaml]]) -> None:
    assert list(given.declared()) == []
    for objects in rendered.values():
        assert list(given.of_manifests(objects)) == []


def test_a_secret_in_a_variable_of_any_name_is_found(kind: list[Yaml]) -> None:
    reference = {"secretKeyRef": {"name": "beegrid-sealing", "key": "key"}}
    container(kind, "cases")["env"].append({"name": "WHATEVER", "valueFrom": reference})
    assert list(given.of_manifests(kind)) == [
        "Deployment/cases: is given the Secret beegrid-sealing, which services/cases/about.py doesn't declare"
    ]


def test_a_secret_in_a_volume_or_as_a_whole_environment_is_found(kind: list[Yaml]) -> None:
    pod(kind, "points")["volumes"].append({"name": "x", "secret": {"secretName": "beegrid-passwords"}})
    container(kind, "routing")["envFrom"].append({"secretRef": {"name": "beegrid-photo-store"}})
    found = list(given.of_manifests(kind))
    assert any("points: is given the Secret beegrid-passwords" in sentence for sentence in found), found
    assert any("routing: is given the Secret beegrid-photo-store" in sentence for sentence in found), found


def test_another_service_s_password_is_found(kind: list[Yaml]) -> None:
    container(kind, "cases")["env"][0]["valueFrom"]["secretKeyRef"]["name"] = "points-postgres"
    assert any("given the Secret points-postgres" in sentence for sentence in given.of_manifests(kind))


def test_a_declaration_for_nothing_and_a_silent_use_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {
        "cases": replace(about("cases"), secrets=(Secret.SEALING_KEY,)),
        "riders": replace(about("riders"), secrets=()),
        "notifications": replace(about("notifications"), needs=()),
    }
    monkeypatch.setattr(given, "about", lambda name: changed.get(name) or about(name))
    found = "\n".join(given.declared())
    assert "services/cases/about.py: sealing_key is declared, and the settings have no sealing_key" in found
    assert "services/riders/about.py: sealing_key is not declared, and the settings have sealing_key" in found
    assert f"{Outside.MAIL_SERVER.value} is not declared, and the settings have mail_gateway" in found


@pytest.mark.parametrize("service", service_names())
def test_a_local_process_is_given_no_more(service: str, installation: Installation) -> None:
    environment = installation.environment(service)
    whole = "\n".join(environment.values())
    secrets = installation.secrets
    assert ("BEEGRID_SEALING_KEY" in environment) == (secrets.sealing_key in whole)
    assert (secrets.sealing_key in whole) == (Secret.SEALING_KEY in about(service).secrets)
    passwords = {**secrets.postgres, **{f"{name} on Kafka": word for name, word in secrets.kafka.items()}}
    assert {name for name, word in passwords.items() if word in whole} == {f"{service}_app", f"{service} on Kafka"}
