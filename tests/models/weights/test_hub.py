"""Files at the Hugging Face hub: the cache, a hub that the test runs, no hub at all."""

import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest
from huggingface_hub import constants

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights import hub as hub_module
from ganfp_tf.models.weights.hub import HubFile, is_reachable

FILE = HubFile("timm/some_network", "model.safetensors")
COMMIT = "0" * 40


def put_into_cache(cache, file, content):
    """Writes `content` where the hub's library keeps this file."""
    folder = cache / f"models--{file.repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    path = folder / "snapshots" / COMMIT / file.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def set_endpoint(monkeypatch, address):
    """What HF_ENDPOINT does when the library is imported."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
    monkeypatch.setattr(constants, "ENDPOINT", address)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_module, "is_reachable", lambda url: False)
    return tmp_path / "hub"


@pytest.fixture
def server(monkeypatch):
    """A hub that has one file, "hello", at any address with "some_network" in it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self, body=False):
            known = "some_network/resolve/main/model.safetensors" in self.path
            self.send_response(200 if known else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"hello"')
            self.send_header("Content-Length", "5" if known else "0")
            self.end_headers()
            if body and known:
                self.wfile.write(b"hello")

        def do_GET(self):
            self.do_HEAD(body=True)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    set_endpoint(monkeypatch, address)
    yield address
    server.shutdown()
    server.server_close()


def test_the_cache_comes_first(cache):
    path = put_into_cache(cache, FILE, b"cached")
    assert FILE.find() == path


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_variables_of_the_hub_are_respected(variable, tmp_path):
    """In a process of its own, because the library reads them when it is imported."""
    folder = tmp_path / "hub" if variable == "HF_HOME" else tmp_path
    path = put_into_cache(folder, FILE, b"cached")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    script = (
        "import sys; from ganfp_tf.models.weights.hub import HubFile; "
        f"print(HubFile({FILE.repository!r}, {FILE.name!r}).find()); "
        "assert 'keras' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, variable: str(tmp_path)},
        cwd=pathlib.Path(hub_module.__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(path), done.stderr


def test_without_a_network_the_message_says_how_to_get_the_file(cache):
    with pytest.raises(UserError) as caught:
        FILE.find()
    for part in (FILE.repository, FILE.name, str(cache), "--weights=PATH", "cannot be reached"):
        assert part in str(caught.value)


def test_the_hubs_own_offline_switch_is_respected(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_module, "is_reachable", lambda url: pytest.fail("asked the network"))
    with pytest.raises(UserError, match="cannot be reached"):
        FILE.find()


def test_a_host_that_is_not_there_is_told_quickly(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    set_endpoint(monkeypatch, "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/timm/some_network/.*elsewhere"):
        FILE.find()
    assert time.monotonic() - start < 8


def test_a_file_is_downloaded_once(server, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    path = FILE.find()
    assert path.read_bytes() == b"hello"
    assert path.is_relative_to(tmp_path)
    monkeypatch.setattr(hub_module, "is_reachable", lambda url: pytest.fail("asked again"))
    assert FILE.find() == path


def test_a_download_that_goes_wrong_is_named(server, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub_module, "is_reachable", lambda url: True)
    with pytest.raises(UserError, match=r"download of model.safetensors of timm/other failed \("):
        HubFile("timm/other", "model.safetensors").find()


def test_is_reachable(server):
    assert is_reachable(f"{server}/some_network/resolve/main/model.safetensors")
    assert not is_reachable(f"{server}/b")
    assert not is_reachable("http://127.0.0.1:9/a")


def test_a_server_that_never_answers_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not is_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/a", seconds=0.2)
