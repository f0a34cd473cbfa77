"""Which addresses alerts may be posted to: public ones only, unless a target allows private ones.

A name is judged when it is resolved for the connection itself, so a name that points to a public address while it is
checked and to a private one when it is used gains nothing. Redirects are never followed, for the same reason.
"""

import socket
from errno import EACCES
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

NAT64: Final = ip_network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A name leads to private addresses only, and the target does not allow them."""


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable from everywhere; one that carries another is as public as that.

    Examples
    --------
    >>> [is_public(a) for a in ("8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1")]
    [True, False, False, False, False, False]
    >>> is_public("64:ff9b::a00:1"), is_public("2002:7f00:1::"), is_public("2606:4700::1111"), is_public("224.0.0.1")
    (False, False, True, False)
    """
    found = ip_address(address.partition("%")[0])
    inner = _carried(found)
    return found.is_global and not found.is_multicast if inner is None else is_public(str(inner))


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class PublicResolver(AbstractResolver):
    """Resolves names to their public addresses; raises PrivateAddressError where there are none."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the public ones among the addresses of `host`."""
        found = [each for each in await self._resolver.resolve(host, port, family) if is_public(each["host"])]
        if not found:
            raise PrivateAddressError(EACCES, f"{host} leads to private addresses only; the target does not allow them")
        return found

    async def close(self) -> None:
        """Let go of nothing: the threads are the event loop's."""
