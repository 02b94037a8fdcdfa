"""Webhooks and bots behind a private authority and a proxy: real TLS, a real proxy, the guard as strict as without."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from services.notifications.domain import Outcome, WebhookParcel
from services.notifications.outbound import channel, webhook
from services.notifications.outbound.guard import Forbidden, Guard
from services.notifications.outbound.tls import SERVER_NAME, Ways, context
from services.notifications.settings import Settings
from services.notifications.texts import Texts
from shared.devtools.infra.ports import free_port
from shared.kit import clock
from shared.kit.auth import Sealer
from tests.services.notifications.mail import Mailbox
from tests.services.notifications.test_bots import ADDRESSES

NAME = "localhost"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A private authority's file, and a server's side with a certificate of it for `localhost` alone."""
    now = clock.now()

    def certificate(name: str, key: Any, signer: Any, issuer: str, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(signer, hashes.SHA256())
        )

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    ca_file, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
    ca_file.write_bytes(certificate("city", root, root, "city", ca=True).public_bytes(pem))
    key = leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(key + certificate(NAME, leaf, root, "city", ca=False).public_bytes(pem))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain)
    return ca_file, serving


@contextlib.asynccontextmanager
async def receiver(
    serving: ssl.SSLContext, answer: bytes = b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n"
) -> AsyncIterator[int]:
    """A company's or a bot maker's server; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length: " in head:
                await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def proxy(asked: list[str], names: tuple[str, ...] = (NAME,)) -> AsyncIterator[str]:
    """A forward proxy that knows CONNECT; what it was asked for. All `names` are here, others it refuses."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(65_536):
                target.write(part)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        where = head.split(" ")[1]
        asked.append(where)
        host, _, port = where.rpartition(":")
        if host not in (*names, "127.0.0.1"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def attempt(ca_file: Path | None, port: int, through: str | None, name: str = NAME) -> int:
    """As WebhookSender makes it: to the checked address, by the name."""
    guard = Guard(http_allowed=False, hosts=(), networks_allowed=[str(ip_network("127.0.0.0/8")), "::1/128"])
    target = await guard.resolve(f"https://{NAME}:{port}/hook")
    token = SERVER_NAME.set(name)
    try:
        async with httpx.AsyncClient(trust_env=False, proxy=through, verify=context(ca_file), timeout=5) as client:
            extensions = {"sni_hostname": name}
            return (await client.post(target.url, headers={"host": target.host}, extensions=extensions)).status_code
    finally:
        SERVER_NAME.reset(token)


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_private_authority_is_trusted_where_the_settings_say_so(
    authority: tuple[Path, ssl.SSLContext], proxied: bool
) -> None:
    ca_file, serving = authority
    asked: list[str] = []
    async with receiver(serving) as port, proxy(asked) as address:
        through = address if proxied else None
        assert await attempt(ca_file, port, through) == 204
        with pytest.raises(httpx.ConnectError):
            await attempt(None, port, through)
        with pytest.raises(httpx.ConnectError):
            await attempt(ca_file, port, through, name="elsewhere.example")
    # it gets no name to look up: between check and connection nothing can point elsewhere
    assert set(asked) == ({f"127.0.0.1:{port}"} if proxied else set())


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxy resolves names."""

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(webhook, "unsealed", lambda *_: [b"x" * 24])


async def sent(url: str, ca_file: Path, through: str | None, hosts: tuple[str, ...]) -> Outcome:
    """One attempt of the sender itself."""
    settings = Settings.model_construct(
        webhook_hosts=hosts, outbound_ca_file=ca_file, outbound_proxy=SecretStr(through) if through else None
    )
    sender = webhook.WebhookSender(settings, cast(Sealer, None))
    parcel = SimpleNamespace(
        webhook=SimpleNamespace(url=url, company="mt"),
        delivery=SimpleNamespace(params={}, delivery_id="d"),
        at=clock.now(),
    )
    try:
        return await sender.send(cast(WebhookParcel, parcel))
    finally:
        await sender.aclose()


@pytest.mark.parametrize(
    ("host", "good"),
    [(NAME, True), (f"{NAME.upper()}.", True), (f"elsewhere.{NAME}", False), (f"refused.{NAME}", False)],
)
@pytest.mark.usefixtures("no_names")
async def test_where_only_the_proxy_knows_names_listed_hosts_are_asked_for_by_name(
    authority: tuple[Path, ssl.SSLContext], host: str, good: bool
) -> None:
    ca_file, serving = authority
    asked: list[str] = []
    async with receiver(serving) as port, proxy(asked, (NAME, f"elsewhere.{NAME}")) as address:
        outcome = await sent(f"https://{host}:{port}/hook?a=b", ca_file, address, (NAME,))
        assert asked == [f"{host.lower().rstrip('.')}:{port}"]
    # elsewhere shows a certificate of another name
    assert outcome.ok == good and not outcome.permanent, outcome
    assert good or outcome.detail in {"no answer: ConnectError", "no answer: ProxyError"}


@pytest.mark.parametrize(
    ("url", "hosts", "permanent"),
    [
        (f"https://{NAME}", (), False),  # the guard needs its address, and has none
        (f"https://{NAME}", ("example.com",), True),
        ("https://127.0.0.1", ("127.0.0.1",), True),
        ("https://[::ffff:127.0.0.1]", ("::ffff:127.0.0.1",), True),
        ("https://evil.org%2f.example.com", ("example.com",), True),
        ("https://evil.org\\.example.com", ("example.com",), True),
    ],
)
@pytest.mark.usefixtures("no_names")
async def test_the_proxy_is_asked_for_no_other_host(
    authority: tuple[Path, ssl.SSLContext], url: str, hosts: tuple[str, ...], permanent: bool
) -> None:
    asked: list[str] = []
    async with proxy(asked) as address:
        outcome = await sent(f"{url}/hook", authority[0], address, hosts)
    assert (outcome.ok, outcome.permanent, asked) == (False, permanent, []), outcome


@pytest.mark.usefixtures("no_names")
async def test_without_a_proxy_the_list_is_no_way_around_the_check(authority: tuple[Path, ssl.SSLContext]) -> None:
    outcome = await sent(f"https://{NAME}/hook", authority[0], None, (NAME,))
    assert outcome.detail == "the host has no address now"


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_bots_go_the_ways_of_the_settings_too(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, kind: str, proxied: bool
) -> None:
    ca_file, serving = authority
    asked: list[str] = []
    body = json.dumps({"code": 0} if kind == "feishu" else {"errcode": 0}).encode()
    answer = b"HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    async with receiver(serving, answer) as port, proxy(asked) as address:
        plugin = type(channel._target(kind, ADDRESSES[kind]))
        real = urlsplit(plugin.notify_url)
        monkeypatch.setattr(plugin, "notify_url", real._replace(netloc=f"{NAME}:{port}").geturl())
        for trusted in (ca_file, None):
            settings = Settings.model_construct(
                outbound_ca_file=trusted, outbound_proxy=SecretStr(address) if proxied else None
            )
            ways = channel.ChannelSender(settings, Sealer("a" * 43 + "="), cast(Texts, None)).ways
            outcome = await asyncio.to_thread(channel._notify, kind, ADDRESSES[kind], "标题", "内容", 5.0, ways)
            assert outcome.ok == (trusted is not None), outcome
    assert asked == ([f"{NAME}:{port}"] * 2 if proxied else [])


async def test_mail_trusts_the_authorities_that_the_system_does(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A city's own gateway has a certificate of its own authority: SSL_CERT_FILE names it."""
    ca_file, serving = authority
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port(), ssl_context=serving)
    server.start()
    try:
        url = (
            f"mailtos://{NAME}:{server.port}?smtp={NAME}&mode=ssl&from=beegrid@example.cn&to=li@example.cn&cto=5&rto=5"
        )
        for trusted in (ca_file, None):
            if trusted is None:
                monkeypatch.delenv("SSL_CERT_FILE")
            else:
                monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
            ways = cast(Ways, None)  # of what goes over HTTP
            outcome = await asyncio.to_thread(channel._notify, "mail", url, "标题", "内容", 5.0, ways)
            assert outcome.ok == (trusted is not None), outcome
    finally:
        server.stop()
    assert [to for to, _ in box.mails] == [["li@example.cn"]]


async def test_a_private_address_is_refused_with_a_proxy_too() -> None:
    with pytest.raises(Forbidden):
        await Guard(http_allowed=False, hosts=(), networks_allowed=()).resolve(f"https://{NAME}/hook")


def test_a_file_without_certificates_is_noticed_at_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(OSError):  # ssl's own kind has no stable text
        context(tmp_path / "ca.pem")
