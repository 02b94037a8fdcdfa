"""Wrong passwords, a Kafka that is away, a lost .env, new passwords: each with what an operator reads."""

import re
import shutil
import time

from shared.devtools.containers.check.place import Place, must
from shared.devtools.containers.engine import EngineError
from shared.kit import clock
from shared.provision.services import service_names

AT_ONCE_S = 40.0
AWAY_S = 75
LINES_A_MINUTE = 8
"""Of one process while Kafka is away: the relay's, and one for each topic that it hears."""
ROTATED = ("POSTGRES_PASSWORD", "KAFKA_ADMIN_PASSWORD")


def wrong_passwords(place: Place) -> str:
    """Set-up, a command and a service end at once with the reason, and no traceback."""
    tried = {
        "set-up": ("setup", "BEEGRID_KAFKA_ADMIN_PASSWORD", ()),
        "a service": ("cases", "BEEGRID_KAFKA_PASSWORD", ()),
        "a command": ("toolbox", "BEEGRID_KAFKA_ADMIN_PASSWORD", ("systems", "add", "nobody")),
    }
    took = []
    for what, (service, variable, words) in tried.items():
        began_s = clock.monotonic_s()
        try:
            place.compose(
                "--profile", "tools", "run", "--rm", "-T", "--no-deps", "-e", f"{variable}=wrong", service, *words
            )
        except EngineError as error:
            said = str(error)
        else:
            said = "it went well"
        seconds = clock.monotonic_s() - began_s
        must("refuses" in said and "Traceback" not in said, f"{what}: {said}")
        must(seconds < AT_ONCE_S, f"{what}: only after {seconds:.0f} s")
        took.append(f"{what} {seconds:.0f} s")
    return ", ".join(took)


def kafka_away(place: Place) -> str:
    """Few lines a minute; who starts meanwhile waits; all goes on by itself."""
    place.compose("stop", "kafka")
    try:
        time.sleep(20)
        before = _lines(place)
        time.sleep(AWAY_S)
        most = max((_lines(place)[name] - before[name]) * 60 / AWAY_S for name in before)
        must(most <= LINES_A_MINUTE, f"{most:.0f} lines a minute of one service")
        place.compose("restart", "points")
        time.sleep(20)
        states = {one["State"]["Status"] for one in place.containers("points")}
        must(states == {"running"}, f"points doesn't wait: {states}")
        words = place.compose("logs", "--no-log-prefix", "--tail", "40", "points")
        must("server_awaited" in words and "Traceback" not in words, words)
    finally:
        place.compose("start", "kafka")
    place.compose("up", "--detach", "--no-build", "--no-deps", "--wait", "points", "kafka")
    _until_well(place)
    return f"at most {most:.1f} lines a minute of a service; points waited"


def _lines(place: Place) -> dict[str, int]:
    names = service_names()
    return {name: len(place.compose("logs", "--no-log-prefix", name).splitlines()) for name in names}


def _until_well(place: Place) -> None:
    deadline_s, token = clock.monotonic_s() + 180, place.token()
    while True:
        try:
            place.beegrid("doctor", token=token)
        except EngineError as error:
            must(clock.monotonic_s() < deadline_s, f"not well again: {error}")
            time.sleep(3)
        else:
            return


def lost_environment(place: Place) -> str:
    """`make env` makes no new secrets beside volumes that were made with others."""
    file, kept = place.folder / ".env", place.folder / "kept.env"
    shutil.move(file, kept)
    try:
        place.tool("shared.devtools.compose_env")
    except EngineError as error:
        must("KAFKA_ADMIN_PASSWORD" in str(error) or "ANYWAY=1" in str(error), str(error))
    else:
        must(False, "new secrets were made beside old volumes")
    finally:
        made = file.exists()
        shutil.move(kept, file)
    must(not made, ".env was written all the same")
    return "refused"


def rotated(place: Place) -> str:
    """Both administrators get a new password; the former one is refused, and all is well."""
    before = place.secrets()
    for name in ROTATED:
        place.tool("shared.devtools.containers.rotate", name)
    after = place.secrets()
    must({name for name in before if before[name] != after.get(name)} == set(ROTATED), "other secrets changed")
    for variable, value in (
        ("BEEGRID_KAFKA_ADMIN_PASSWORD", before["KAFKA_ADMIN_PASSWORD"]),
        ("BEEGRID_POSTGRES_ADMIN_URL", f"postgresql://postgres:{before['POSTGRES_PASSWORD']}@postgres:5432/postgres"),
    ):
        try:
            place.compose("run", "--rm", "-T", "--no-deps", "-e", f"{variable}={value}", "setup")
        except EngineError as error:
            must("refuses" in str(error), str(error))
        else:
            must(False, f"the former {variable} is still good")
    _until_well(place)
    return " and ".join(ROTATED)


def toolbox(place: Place) -> str:
    """Companies, systems, Kafka's administration, a backup, and back into an empty suite."""
    token = place.token()
    place.beegrid("doctor", token=token)
    said = place.beegrid("companies", "add", "checked", "--name", "校验速递", token=token)
    public = f"localhost:{place.ports['BEEGRID_KAFKA_PUBLIC_PORT']}"
    must(f"Kafka {public}" in said, f"companies are not shown Kafka's public address: {said}")
    said = place.beegrid("systems", "add", "dispatch", token=token)
    must("system-dispatch" in said, said)
    place.beegrid("keys", "rotate", "kafka", "checked", token=token)
    listed = place.beegrid("keys", "list", token=token)
    must("SCRAM" in listed, f"keys list names no Kafka user: {listed[-600:]}")
    said = place.beegrid("backup", "/work/one", token=token)
    rows = re.search(r"(\d+) rows", said)
    must(rows is not None, said)
    # what docs/operating.md does with tar alone, as text
    words = ["run", "--rm", "-T", "--no-deps", "--entrypoint", "bash", "toolbox", "-c"]
    packed = place.compose(*words, "tar -cz -C /work one | base64")
    must(len(packed) > 50_000, f"the backup's tar has {len(packed)} characters")
    place.compose("down", "--volumes", "--timeout", "20")
    place.compose("up", "--detach", "--no-build", "--scale", "demo=0", timeout_s=1_200)
    place.compose(*words, "base64 -d | tar -xz -C /work", given=packed)
    token = place.token()
    place.beegrid("restore", "/work/one", "--dry-run", token=token)
    place.beegrid("restore", "/work/one", token=token)
    _until_well(place)
    must("checked" in place.beegrid("companies", "list", token=token), "the restored suite doesn't know the company")
    return f"{rows[0]} backed up and restored" if rows else ""
