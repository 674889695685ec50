"""The address a server is bound to: who can reach it, and under which names."""

import ipaddress
import socket
from dataclasses import dataclass

import psutil

from search.errors import SettingsError

LOOPBACK = "127.0.0.1"
_HERE = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Binding:
    """Where a server listens.

    Attributes:
        host: name or address of this machine; `0.0.0.0` or `::` for all its addresses.
        port: 1 to 65535.
    """

    host: str
    port: int

    def check(self) -> None:
        """Raise SettingsError unless a server could listen there now."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, place in found:
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if not _is_local(str(place[0])):
                        raise OSError("it is another machine's")
                    if self._is_taken(probe, place):
                        raise SettingsError(
                            f"`--port {self.port}` is in use; name another, for example"
                            f" {self.port % 65535 + 1}"
                        )
        except (OSError, UnicodeError) as error:
            raise SettingsError(
                f"`--host` must be an address of this machine, such as {LOOPBACK}, or 0.0.0.0 for"
                f" all of them; got {self.host!r} ({error})"
            ) from error

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine's own users can reach it."""
        return all(ipaddress.ip_address(address).is_loopback for address in self._addresses())

    @property
    def address(self) -> str:
        """Where this machine's own browser finds it."""
        return f"http://{_bracketed(LOOPBACK if self._is_everywhere else self.host)}:{self.port}"

    def names(self) -> tuple[str, ...]:
        """Return the names and addresses that lead to it, IPv6 in brackets, without port."""
        names = [*_HERE, self.host]
        if not self.is_loopback:
            names += [socket.gethostname(), socket.getfqdn()]
        if self._is_everywhere:
            names += _own_addresses()
        return tuple(dict.fromkeys(_bracketed(name) for name in names if name))

    @property
    def _is_everywhere(self) -> bool:
        return any(ipaddress.ip_address(one).is_unspecified for one in self._addresses())

    def _addresses(self) -> list[str]:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return [str(place[0]).partition("%")[0] for *_, place in found]

    def _is_taken(self, probe: socket.socket, place: tuple[object, ...]) -> bool:
        try:
            probe.bind(place)
        except OSError:
            return True
        return False


def _is_local(address: str) -> bool:
    one = ipaddress.ip_address(address.partition("%")[0])
    return one.is_unspecified or one.is_loopback or str(one) in _own_addresses()


def _own_addresses() -> list[str]:
    return [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
