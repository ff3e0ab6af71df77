"""Many clients in a closed loop, in one thread: each has a request under way at any time."""

import contextlib
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator

READ_BYTES = 1 << 16


class Hammer:
    """Counts answers by their status; `broken` are connections that ended without one."""

    def __init__(self, address: str, clients: int, request: Callable[[int], bytes]):
        host, port = address.rsplit(":", 1)
        self.target, self.clients, self.request = (host, int(port)), clients, request
        self.statuses: Counter[int] = Counter()
        self.broken, self.sent, self.ended = 0, 0, False

    @contextlib.contextmanager
    def swinging(self) -> Iterator["Hammer"]:
        thread = threading.Thread(target=self.swing)
        thread.start()
        try:
            yield self
        finally:
            self.ended = True
            thread.join()

    def swing(self) -> None:
        with selectors.DefaultSelector() as selector:
            for _ in range(self.clients):
                self.open(selector)
            while not self.ended:
                for key, _ in selector.select(0.1):
                    self.read(selector, key.fileobj, key.data)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def open(self, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(self.target, timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, bytearray())
        self.send(connection)

    def send(self, connection: socket.socket) -> None:
        self.sent += 1
        connection.sendall(self.request(self.sent))

    def read(self, selector: selectors.BaseSelector, connection: socket.socket, answer: bytearray) -> None:
        try:
            piece = connection.recv(READ_BYTES)
        except OSError:
            piece = b""
        if not piece:
            self.broken += 1
            selector.unregister(connection)
            connection.close()
            return self.open(selector)
        answer += piece
        if is_whole(answer):
            self.statuses[int(answer[9:12])] += 1
            answer.clear()
            self.send(connection)


def is_whole(answer: bytearray) -> bool:
    head, end, body = bytes(answer).partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return body.endswith(b"0\r\n\r\n")

