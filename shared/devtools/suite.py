"""The whole suite on this machine: servers, every service in a process of its own, one front door."""

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shared.cli.whole_files import FOR_THE_OWNER, whole_text
from shared.devtools.infra.caddy import Caddy, start_caddy
from shared.devtools.infra.errors import InfraError
from shared.devtools.infra.forking import Forking
from shared.devtools.infra.ports import free_port, listens, reserve_port
from shared.devtools.infra.process import Child, ManagedProcess, ServerSpec
from shared.devtools.infra.suite import Infra, start_infra
from shared.devtools.infra.watchdog import Guard
from shared.devtools.installation import ROOT, Installation
from shared.kit import clock

FRONT_DOOR_PORT = 8080
READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 25.0
OPERATOR_TOKEN_S = 30 * 24 * 3600
FORKED_FROM = 3
"""Services: fewer are started sooner each by itself than after a process that imports everything."""


class ServiceProcess(ManagedProcess):
    """One service. `url` is its own address, behind the front door."""

    def __init__(self, spec: ServerSpec, guard: Guard, service: str, port: int, forking: Forking | None = None) -> None:
        super().__init__(spec, guard)
        self.service = service
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._forking = forking

    def _spawned(self) -> Child:
        if self._forking is not None and (module := self._forking.module_of(self.spec)) is not None:
            return self._forking.fork(self.spec, module)
        return super()._spawned()


@dataclass
class Suite:
    """Running services of one installation. `url` is the front door's address."""

    installation: Installation
    guard: Guard
    logs: Path
    services: dict[str, ServiceProcess] = field(default_factory=dict)
    front_door: Caddy | None = None
    forking: Forking | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    start_s: float | None = None
    """From the start of the servers to the readiness of the last service, where one call has done it all."""

    @property
    def url(self) -> str:
        """Where people and companies come in."""
        return self.front_door.url if self.front_door is not None else ""

    def add(self, service: str, name: str | None = None, extra: Mapping[str, str] | None = None) -> ServiceProcess:
        """Start one more process of a service (a replica has a `name` of its own) and wait until it is ready."""
        process = self.prepare(service, name, extra)
        process.start()
        return process

    def __post_init__(self) -> None:
        """Be among those that `check_suites` looks at, until stopped."""
        _running[id(self)] = self

    def prepare(self, service: str, name: str | None = None, extra: Mapping[str, str] | None = None) -> ServiceProcess:
        """A process of a service, not yet started."""
        name = name or service
        port = free_port()
        home = self.guard.temp_folder(name)
        environment = {
            **self.installation.environment(service, port),
            "BEEGRID_KAFKA_INSTANCE_ID": name,
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "",  # who calls may have forbidden it: every start would compile the house again
            **self.overrides,
            **(extra or {}),
        }
        spec = ServerSpec(
            name=name,
            argv=[sys.executable, "-m", f"services.{service}"],
            home=home,
            log=self.logs / f"{name}.log",
            # whoever else listens there would answer as well
            ready=lambda pid: _answers(f"http://127.0.0.1:{port}/startupz") and listens(pid, port),
            env=environment,
            ready_timeout_s=READY_TIMEOUT_S,
            grace_s=STOP_GRACE_S,
        )
        process = ServiceProcess(spec, self.guard, service, port, self.forking)
        self.services[name] = process
        return process

    def start(
        self, names: Iterable[str], ready: Callable[[str], None] = lambda _: None, *beside: Callable[[], object]
    ) -> None:
        """Start services side by side, and do what else can be done then; `ready` gets the name of each that is.

        They are forked from one process, which is started here where it isn't there yet.
        """
        wanted = list(names)
        if self.forking is None and len(wanted) >= FORKED_FROM:
            self.forking = fork_server(self.guard, self.logs, wanted)
            if self.forking is not None:
                self.forking.start()
        processes = [self.prepare(name) for name in wanted]

        def start(process: ServiceProcess) -> None:
            process.start()
            ready(process.service)

        work: list[Callable[[], object]] = [*beside, *(partial(start, process) for process in processes)]
        with ThreadPoolExecutor(max_workers=len(work)) as threads:
            for done in [threads.submit(one) for one in work]:
                done.result()

    def open_front_door(self, port: int | None = None) -> None:
        """Start Caddy in front of the services, on 8080 or, where that is taken, on a free port."""
        chosen = port or (FRONT_DOOR_PORT if reserve_port(FRONT_DOOR_PORT) else free_port())
        upstreams = {
            f"{p.service.upper()}_{what}": value
            for name, p in self.services.items()
            if name == p.service
            for what, value in (("HOST", "127.0.0.1"), ("PORT", str(p.port)))
        }
        self.front_door = start_caddy(
            self.guard,
            (ROOT / "Caddyfile").read_text(),
            chosen,
            {"BEEGRID_PORT": str(chosen), **upstreams},
            log=self.logs / "caddy.log",
        )

    def operator_token(self, ttl_s: int = OPERATOR_TOKEN_S, areas: Iterable[str] = ()) -> str:
        """A token for an operator of this suite, of these areas or of the whole city."""
        return self.installation.identity.token("operator", "运维 Operator", ["operator"], areas, ttl_s=ttl_s)

    def write_address(self, file: Path) -> None:
        """Write down where the suite is, for the operator's command; only the owner may read the file."""
        infra = self.installation.infra
        facts = {
            "url": self.url,
            "token": self.operator_token(),
            "topic_prefix": self.installation.topic_prefix,
            "user_prefix": self.installation.user_prefix,
            "kafka_bootstrap": infra.kafka_bootstrap,
            "kafka_admin_user": infra.kafka_admin_user,
            "kafka_admin_password": infra.kafka_admin_password,
            "postgres_admin_url": infra.postgres_admin_url,
            "postgres_database": self.installation.name,
            "photo_store_url": self.overrides.get("BEEGRID_PHOTO_STORE_URL", ""),
            "identity": str((self.installation.folder / "identity").resolve()),
            "services": {name: process.url for name, process in self.services.items()},
            "pid": os.getpid(),
            "fork_server": self.forking.pid if self.forking is not None and self.forking.running else None,
            "start_s": self.start_s,
        }
        with whole_text(file, mode=FOR_THE_OWNER) as out:  # commands read it at any time
            json.dump(facts, out, indent=1)

    def parts(self) -> dict[str, ManagedProcess]:
        """Every process of ours that the suite can't do without, by what people call it."""
        infra = self.installation.infra
        found: dict[str, ManagedProcess | None] = {
            "Postgres": infra.postgres,
            "Kafka": infra.kafka,
            "Valkey": infra.valkey,
            "Caddy": self.front_door,
            "fork server": self.forking,  # before the services, which are forked from its new life
        }
        return {**{name: part for name, part in found.items() if part is not None}, **self.services}

    def check(self) -> None:
        """For whoever waits for the suite: raises InfraError, with its log's end, when a part of it has died.

        What was stopped or killed through its handle has not died.
        """
        if dead := [part for part in self.parts().values() if part.died]:
            raise InfraError("\n".join(part.obituary() for part in dead))

    def stop(self) -> None:
        """Stop the front door, then all services side by side."""
        _running.pop(id(self), None)
        if self.front_door is not None:
            self.front_door.stop()
        with ThreadPoolExecutor(max_workers=8) as threads:
            list(threads.map(lambda process: process.stop(), self.services.values()))
        if self.forking is not None:
            self.forking.stop()


def fork_server(guard: Guard, logs: Path, services: Iterable[str]) -> Forking | None:
    """What services are forked from, not yet started; None where a fork isn't safe: each is started by itself then."""
    if sys.platform != "linux":
        return None
    packages = [f"services.{service}" for service in services]
    return Forking(guard, logs / "fork-server.log", packages, ROOT)


_running: weakref.WeakValueDictionary[int, Suite] = weakref.WeakValueDictionary()


def check_suites() -> None:
    """For whoever waits and has no suite at hand: `Suite.check` of every suite of this process that isn't stopped."""
    for suite in list(_running.values()):
        suite.check()


def _answers(url: str) -> bool:
    """Whether a probe says yes."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 our own address
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


@contextlib.contextmanager
def running_suite(
    state: Path,
    say: Callable[[str], None] = lambda _: None,
    *,
    port: int | None = None,
    overrides: Mapping[str, str] | None = None,
    persistent: bool = True,
    address: Path | None = None,
) -> Iterator[Suite]:
    """Servers, schemas, topics, all services and the front door; everything ends with the block.

    Args:
        state: folder for secrets, logs and, where `persistent`, the servers' data.
        say: is called with each step in words for people.
        port: of the front door.
        overrides: settings for all services.
        persistent: keep data for the next start.
        address: folder for suite.json, by which the operator's command finds the suite; `state` if not given.
    """
    state.mkdir(parents=True, exist_ok=True)
    logs = state / "logs"
    logs.mkdir(exist_ok=True)
    address_file = (address or state) / "suite.json"
    started_s = clock.monotonic_s()
    say("启动 Postgres、Kafka、Valkey，建库与主题 / starting Postgres, Kafka, Valkey; schemas, topics and rights")
    setting = _Setting(state, logs)
    with start_infra(state / "servers" if persistent else None, brief=True, beside=setting.beside) as infra:
        guard = infra.guard or Guard()
        try:
            installation = setting.installation
            settings = {**local_settings(state), **(overrides or {})}
            suite = Suite(installation, guard, logs, forking=setting.forking, overrides=settings)
            try:
                say(f"启动服务 / starting services ({clock.monotonic_s() - started_s:.1f} s)")
                suite.start(installation.services, lambda name: say(f"  ✓ {name}"), lambda: suite.open_front_door(port))
                suite.start_s = clock.monotonic_s() - started_s
                suite.write_address(address_file)
                if port is None and suite.front_door is not None and suite.front_door.port != FRONT_DOOR_PORT:
                    say(f"{FRONT_DOOR_PORT} 端口被占用 / is taken by somebody else: another port was chosen")
                say(f"就绪 / ready: {suite.url} ({suite.start_s:.1f} s)")
                yield suite
            finally:
                # before the servers, also after a failure: services that lose Kafka first fill their logs with it
                suite.stop()
        finally:
            address_file.unlink(missing_ok=True)
            if infra.guard is None:
                guard.close()


class _Setting:
    """What is done for a suite while its servers start: each step as soon as what it needs is there."""

    def __init__(self, state: Path, logs: Path) -> None:
        self._state, self._logs = state, logs
        self.forking: Forking | None = None

    def beside(self, infra: Infra) -> dict[str, Callable[[Guard], None]]:
        """Schemas once Postgres is there, topics once Kafka is, and meanwhile the import of all services."""
        self.installation = made = Installation(infra, self._state)
        return {
            "postgres": lambda _: made.set_up_postgres(),
            "kafka": lambda _: made.set_up_kafka(),
            "services": self._import_services,
        }

    def _import_services(self, guard: Guard) -> None:
        self.forking = fork_server(guard, self._logs, self.installation.services)
        if self.forking is not None:
            self.forking.start()


def local_settings(state: Path) -> dict[str, str]:
    """Settings that only a suite on one machine has."""
    photos = state / "photos"
    photos.mkdir(exist_ok=True)
    return {
        "BEEGRID_PHOTO_STORE_URL": photos.resolve().as_uri(),
        # whoever tries their webhook out here has its receiver here, too
        "BEEGRID_WEBHOOK_HTTP_ALLOWED": "true",
        "BEEGRID_WEBHOOK_NETWORKS_ALLOWED": '["127.0.0.0/8", "::1/128"]',
        # nobody rolls or scales here all day, and some forty consumers that report each second cost a core's percent
        "BEEGRID_KAFKA_HEARTBEAT_MS": "3000",
    }
