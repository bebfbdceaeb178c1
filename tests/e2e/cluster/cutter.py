"""A link to MariaDB that is cut while a COMMIT is on its way."""
import contextlib
import socket
import threading

# [length 7, sequence 0] COM_QUERY "COMMIT": the driver waits for each answer, so it comes alone.
COMMIT = b"\x07\x00\x00\x00\x03COMMIT"


class Cutter:
    """Stands before `database`: once `armed`, every so many COMMITs one is cut off, in turn before the server has it and
    after."""

    armed = False

    def __init__(self, database, every=40):
        self.database, self.every = database, every
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.lock = threading.Lock()
        self.commits = self.cuts = 0
        self.links = []
        self.thread = threading.Thread(target=self.accept, daemon=True)

    @property
    def flags(self):
        port = self.listener.getsockname()[1]
        return [word.replace(str(self.database.nodes[0].port), str(port)) if isinstance(word, str) else word
                for word in self.database.flags]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for link in self.links:
            self.end(*link)

    @staticmethod
    def end(*sockets):
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.database.nodes[0].port))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.links.append((client, server))
            threading.Thread(target=self.to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client), daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        self.end(source, sink)

    def to_server(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                how = self.count() if data == COMMIT else None
                if how == "before":
                    break
                if how == "after":
                    self.end(client)  # its answer has nowhere to go
                server.sendall(data)
        self.end(client)
        # What was sent is still done.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def count(self):
        with self.lock:
            self.commits += 1
            if not self.armed or self.commits % self.every:
                return None
            self.cuts += 1
            return "before" if self.cuts % 2 else "after"
