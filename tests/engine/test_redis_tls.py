"""Redis by TLS, with a certificate authority of its owner's own that the URL names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from scheduler.redis_pool import open_pool
from scheduler.settings import Settings
from tests.support.certificates import own_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_certificate(tmp_path_factory.mktemp("tls") / "redis.pem")


@pytest.fixture
async def address(redis_url: str, certificate: Path) -> AsyncIterator[str]:
    """The bundled Redis speaks no TLS: what stands before it does, as stunnel would."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    lines: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = redis_url.removeprefix("unix://")
        behind_reader, behind_writer = await asyncio.open_unix_connection(path)
        try:
            await asyncio.gather(
                pipe(reader, behind_writer), pipe(behind_reader, writer), return_exceptions=True
            )
        finally:
            behind_writer.transport.abort()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.add(line := asyncio.create_task(pass_on(reader, writer)))
        await asyncio.wait([line])
        writer.transport.abort()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for line in lines:
        line.cancel()
    async with asyncio.timeout(30):
        while server._active_count:  # type: ignore[attr-defined]  # noqa: ASYNC110 -- no event
            await asyncio.sleep(0)


@pytest.mark.parametrize("further", ["", "&ssl_check_hostname=true"])
async def test_an_authority_of_ones_own_is_named_in_the_url(
    address: str, certificate: Path, further: str
) -> None:
    url = f"rediss://{address}/0?ssl_ca_certs={certificate}{further}"
    pool = await open_pool(url, Settings(redis_url=url))
    assert await pool.ping()
    await pool.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_refused(address: str) -> None:
    url = f"rediss://{address}/0"
    with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
        await open_pool(url, Settings(redis_url=url))
