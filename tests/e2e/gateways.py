"""Gateways of a run's own on one PostgreSQL, a pooler between them, and whoever asks."""

import contextlib
import http.client
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import servers
from programs import BINARIES, free_port, listens, running

PASSWORD, LOGIN = "correct horse battery", "/api/v1/auth/login"
CHAT = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}


class Client:
    """One kept connection. `http.client` sets TCP_NODELAY."""

    def __init__(self, address: str, credential: str = "", **headers: str):
        self.connection = http.client.HTTPConnection(address, timeout=30)
        self.headers = {"authorization": f"Bearer {credential}"} if credential else {}
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}

    def ask(self, method: str, path: str, body: dict | None = None, **headers: str) -> tuple[int, dict]:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        text = None
        if body is not None:
            text, sent["content-type"] = json.dumps(body), "application/json"
        self.connection.request(method, path, text, sent)
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else {}

    def expect(self, status: int, method: str, path: str, body: dict | None = None, **headers: str) -> dict:
        got, answer = self.ask(method, path, body, **headers)
        assert got == status, f"{method} {path}: {got} instead of {status}: {answer}"
        return answer


class Stack:
    """Gateways in front of one model server, on one database."""

    def __init__(self, folder: Path, database: str, redis: str, model_server: str):
        self.folder, self.database = folder, database
        self.settings = {"REDIS_URL": redis, "DOWNSTREAM_AI_URLS": model_server}

    @contextlib.contextmanager
    def gateway(self, name: str, database: str = "", **settings: str) -> Iterator[dict]:
        folder = self.folder / name
        folder.mkdir()
        with servers.gateway(folder, self.settings | {"DATABASE_URL": database or self.database} | settings) as ports:
            yield ports

    def sql(self, statement: str) -> None:
        psql = [shutil.which("psql") or Path(servers.newest_initdb()).with_name("psql"), self.database, "-qc", statement]
        subprocess.run(psql, check=True, capture_output=True, timeout=60)


def operator(ports: dict) -> Client:
    return Client(ports["admin"], servers.ADMIN_TOKEN)


def make_user(ports: dict, email: str) -> str:
    return operator(ports).expect(201, "POST", "/api/v1/admin/users", {"email": email, "password": PASSWORD})["id"]


def log_in(ports: dict, email: str, password: str = PASSWORD) -> dict:
    return Client(ports["http"]).expect(200, "POST", LOGIN, {"email": email, "password": password, "grant": "bearer"})


@contextlib.contextmanager
def mock_upstream(folder: Path) -> Iterator[str]:
    log = folder / "mock.log"
    with running("mock", [BINARIES / "fluxgate-bench", "upstream"], folder, lambda: log.read_text().endswith("\n")):
        yield f"http://{json.loads(log.read_text())['listen']}"


@contextlib.contextmanager
def pgbouncer(stack: Stack) -> Iterator[str]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "PgBouncer isn't installed: apt-get install pgbouncer"
    folder, port = stack.folder / "pgbouncer", free_port()
    folder.mkdir()
    (folder / "users.txt").write_text('"fluxgate" ""\n')
    server = stack.database.rsplit("@", 1)[1].split("/")[0]
    host, server_port = server.split(":")
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users.txt\n"
        "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 100\n"
    )
    account = {}
    if os.geteuid() == 0:
        # It refuses to run as root.
        owner = pwd.getpwnam("postgres")
        account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with running("pgbouncer", [program, folder / "pgbouncer.ini"], folder, lambda: listens(port), **account):
        yield stack.database.replace(server, f"127.0.0.1:{port}")
