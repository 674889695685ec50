"""Messages between two processes over a socket that neither of them ever waits on unasked."""

import pickle  # nosec B403 # what our own processes send over our own socket
import selectors
import socket
import struct
import time
from collections import deque
from typing import Any

_HEADER = struct.Struct(">4sQ")  # a mark, and how many bytes follow
_MARK = b"FWM1"
LONGEST = 1 << 32  # bytes of a message
_BLOCK = 1 << 20


class ChannelClosed(Exception):
    """Nothing more will come: the other end is closed, or ours is."""


class ChannelBroken(Exception):
    """What came is no message; the message says why."""


class Channel:
    """One end of a connection that carries whole messages.

    Reading takes what is there and keeps it until a message is complete; writing hands over what
    the other end has room for and keeps the rest. So half a message, and a process that does not
    read, cost nobody's time. A message is a pickled object: both ends are of one user.

    Args:
        end: a connected socket, which the channel owns from now on.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._messages: deque[bytes] = deque()

    def fileno(self) -> int:
        """Return the descriptor to wait for; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def has_message(self) -> bool:
        """Whether `receive` has a message without reading."""
        return bool(self._messages)

    @property
    def is_halfway(self) -> bool:
        """Whether part of a message has come, and its rest is awaited."""
        return bool(self._incoming)

    @property
    def events(self) -> int:
        """What to wait for, as `selectors` says it: to read, and to write where something waits."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)

    def send(self, message: object) -> None:
        """Send a message as far as there is room; `flush` and `wait` send the rest.

        That the other end is gone shows at the next reading.
        """
        content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._outgoing += _HEADER.pack(_MARK, len(content)) + content
        self.flush()

    def flush(self) -> None:
        """Write what the other end has room for."""
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing[:_BLOCK])]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()

    def receive(self) -> Any:
        """Return the next message if it has come as a whole, else None; reads what is there.

        Raises:
            ChannelClosed: nothing more will come; part of a message may have.
            ChannelBroken: what came is no message.
        """
        if not self._messages:
            self._read()
        if not self._messages:
            return None
        content = self._messages.popleft()
        try:
            return pickle.loads(content)  # noqa: S301 # nosec B301 # from our own process
        except Exception as error:
            raise ChannelBroken(f"{type(error).__name__}: {error}") from error

    def wait(self, seconds: float | None = None) -> Any:
        """Return the next message, None where it does not come in so many seconds.

        Args:
            seconds: None to wait for ever.

        Raises:
            ChannelClosed: nothing more will come.
            ChannelBroken: what came is no message.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while (message := self.receive()) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            for channel in ready([self], left):
                channel.flush()
        return message

    def close(self) -> None:
        """Close this end; what was not sent is lost."""
        self._socket.close()

    def _read(self) -> None:
        try:
            block = self._socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not block:
            raise ChannelClosed("in the middle of a message" if self._incoming else "")
        self._incoming += block
        while (length := self._length()) is not None and len(self._incoming) >= length:
            self._messages.append(bytes(self._incoming[_HEADER.size : length]))
            del self._incoming[:length]

    def _length(self) -> int | None:
        """Return how long the message is that begins what has come; None while that is not known.

        Raises:
            ChannelBroken: it is no message.
        """
        if self._incoming[: len(_MARK)] != _MARK[: len(self._incoming)]:
            raise ChannelBroken(f"it begins with {bytes(self._incoming[:20])!r}")
        if len(self._incoming) < _HEADER.size:
            return None
        _, length = _HEADER.unpack_from(self._incoming)
        if length > LONGEST:
            raise ChannelBroken(f"a message of {length:,} bytes is announced")
        return _HEADER.size + int(length)


def ready(channels: list[Channel], seconds: float | None) -> list[Channel]:
    """Return the channels that can be read or written, at the latest after so many seconds.

    Without a descriptor of its own, which a process may have none left for.
    """
    waiting = [channel for channel in channels if channel.has_message]
    with selectors.PollSelector() as selector:
        for channel in channels:
            if channel.fileno() >= 0:
                selector.register(channel, channel.events)
        found = selector.select(0 if waiting else seconds)
    return list(dict.fromkeys([*waiting, *(key.fileobj for key, _ in found)]))  # type: ignore[list-item]
