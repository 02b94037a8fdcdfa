"""The sealing key's rotation, one safe step at a time: announce, seal with it, seal everything again, drop the old one.

Every step is a change of the setting BEEGRID_SEALING_KEY, rolled out like any other, or work on what is stored. Which
one is next follows from what the services themselves report, so a rotation may be broken off and gone on with.
"""

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

from shared.cli.client import Client, CliError, find_suite
from shared.cli.screen import Screen, show_secret, shown
from shared.cli.whole_files import FOR_THE_OWNER, whole_text
from shared.kit import clock
from shared.provision.services import service_names

out = Screen()
SETTING = "BEEGRID_SEALING_KEY"
FOLLOW_S_MAX = 60.0
Answer = dict[str, Any]


def ask(client: Client) -> dict[str, Answer]:
    """What each service that has the sealing key reports of its keys, by service. Raises CliError where none has it."""
    answers = {service: client.get(f"/ops/{service}/keys") for service in service_names()}
    found = {service: keys for service, keys in answers.items() if keys["sealing"]}
    if not found:
        raise CliError("没有服务持有封存密钥 / No service has a sealing key", f"asked: {', '.join(answers)}")
    return found


def counted(found: dict[str, Answer]) -> list[tuple[Answer, int]]:
    """The sealing keys in their order, with how many secrets of all services each has sealed. Raises CliError.

    A service with other keys, or in another order, is in the middle of a roll-out.
    """
    orders = {service: [key["id"] for key in answer["sealing"]] for service, answer in found.items()}
    [first, *others] = orders.items()
    if differing := [service for service, order in others if order != first[1]]:
        raise CliError(
            "各服务密钥不一致 / Services have different sealing keys",
            f"{first[0]} has {first[1]}; not so {', '.join(differing)}",
            hint=f"roll {SETTING} out to all services, then run the same again",
        )
    keys = next(iter(found.values()))["sealing"]
    return [
        (key, sum(one["secrets"] for answer in found.values() for one in answer["sealing"] if one["id"] == key["id"]))
        for key in keys
    ]


def next_step(client: Client, *, apply: bool) -> None:
    """Show the next step, and with `apply` take it. Raises CliError where a step can't be taken now."""
    found = ask(client)
    keys = counted(found)
    if lost := [service for service, answer in found.items() if answer["unknown"]]:
        raise CliError(
            "有密文无法解开 / Some secrets open with none of the keys",
            ", ".join(lost),
            hint=f"was a key dropped too early? Add it to the end of {SETTING} again",
        )
    newest = max(range(len(keys)), key=lambda number: keys[number][0]["made_at"] or "")
    if len(keys) == 1:
        _announce(apply)
    elif newest != 0:
        _setting("2/4 启用新密钥 / Let the new key seal", "move the newest key to the front of", apply, _newest_first)
    elif any(count for _, count in keys[1:]):
        _seal_again(client, apply)
    else:
        _setting(
            "4/4 移除旧密钥 / Nothing is under the former key any more",
            "leave only the first key in (links and vouchers made with the former one end: settings.md) the setting",
            apply,
            lambda setting: setting.split(",")[0],
            last=True,
        )


def _announce(apply: bool) -> None:
    made = f"{clock.now():%Y-%m-%dT%H:%M:%SZ}.{base64.b64encode(secrets.token_bytes(32)).decode()}"
    if apply and _local() is None:
        show_secret("新密钥 / New key", made)
    _setting(
        "1/4 公布新密钥 / Let every service know a new key before any seals with it",
        "append a comma and the new key to",
        apply,
        lambda setting: f"{setting},{made}",
    )


def _newest_first(setting: str) -> str:
    keys = setting.split(",")
    newest = max(keys, key=lambda key: key.rpartition(".")[0])
    return ",".join([newest, *(key for key in keys if key != newest)])


def _setting(title: str, what: str, apply: bool, change: Any, *, last: bool = False) -> None:
    """A step that is a change of the setting: made where the suite is local, else shown."""
    out.print(f"[bold]{title}[/bold]")
    file = _local()
    if file is None:
        out.print(f"{what} {SETTING} of the services that have it, and roll it out", soft_wrap=True)
    elif not apply:
        out.print(f"{what} {SETTING}, in {shown(file)}; 加 --apply 执行 / add --apply", soft_wrap=True)
        return
    else:
        content = json.loads(file.read_text())
        content["sealing_key"] = change(content["sealing_key"])
        with whole_text(file, mode=FOR_THE_OWNER) as target:
            json.dump(content, target)
        out.print(f"[green]已写入 / Written[/green] {shown(file)}: restart `make up`", soft_wrap=True)
    if last:
        out.print("至此完成 / With that the rotation is over")
    else:
        out.print("然后再次运行 / then run the same again: `beegrid keys rotate sealing --apply`")


def _seal_again(client: Client, apply: bool) -> None:
    out.print("[bold]3/4 重新封存 / Seal what is stored again[/bold]")
    if not apply:
        out.print("仅预览，加 --apply 执行 / only shown: add --apply")
        return
    found = ask(client)
    for service, answer in found.items():
        _reseal(client, service, answer)
    deadline_s = clock.monotonic_s() + FOLLOW_S_MAX
    while any(count for _, count in counted(ask(client))[1:]):  # the others follow the riders service's events
        if clock.monotonic_s() > deadline_s:
            raise CliError(
                "尚有旧封存 / Some secrets are still under the former key",
                f"after {FOLLOW_S_MAX:.0f} s",
                hint="`beegrid outbox`: do the consumers follow? Then run the same again",
            )
        time.sleep(0.5)
    out.print(
        "[green]全部在新密钥之下 / Everything is under the new key[/green]; run the same again to drop the old one"
    )


def _reseal(client: Client, service: str, answer: Answer) -> None:
    """One service, share by share; a share that was answered stays done, so breaking off loses nothing."""
    total = sum(key["secrets"] for key in answer["sealing"])
    former = total - answer["sealing"][0]["secrets"]
    cursor, seen, done = "", 0, 0
    while former:
        share = client.post(f"/ops/{service}/keys/reseal?cursor={cursor}")
        seen, done, cursor = seen + share["seen"], done + share["resealed"], share["cursor"]
        out.print(f"  {service}: {seen:,} / {total:,} 已检查 / looked at, {done:,} 已重新封存 / resealed")
        if cursor is None:
            break


def _local() -> Path | None:
    """The secrets of a suite that `make up` runs here."""
    identity = find_suite().facts.get("identity")
    file = Path(identity).parent / "secrets.json" if identity else None
    return file if file is not None and file.is_file() else None
