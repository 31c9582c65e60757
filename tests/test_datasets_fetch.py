"""Files from elsewhere are looked for in the right order, checked, never half there, and their lack is explained."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from cascade_lib.datasets import MIRROR, fetch, fetch_file, have_file

CONTENT = b"what was asked for" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no mirror, and no waiting between attempts."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: None)
    return tmp_path / "cache" / "cascade_lib"


class Server:
    """A web server that answers each request with the next of its answers and then with the last one for good."""

    def __init__(self, answers):
        self.answer_features, self.asked = answers, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                status, body, length = server.answer_features[min(len(server.asked), len(server.answer_features)) - 1]
                self.send_response(status)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


GOOD = (200, CONTENT, len(CONTENT))
TRUNCATED = (200, CONTENT[:500], len(CONTENT))
CUT = (200, CONTENT[:500], None)  # nothing says that more should come: only the hash can tell
WRONG = (200, b"something else", 14)
DOWN = (500, b"", 0)
NOT_THERE = (404, b"", 0)


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        servers.append(Server(answers))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def closed():
    """The address of a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def left_over(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("fault", [DOWN, TRUNCATED, CUT, WRONG, (429, b"", 0)])
def test_a_passing_fault_is_mended_by_another_attempt(serve, cache, fault):
    server = serve(fault, GOOD)
    file = fetch_file(f"{server.url}/data.csv", SHA256)
    assert file == cache / "data.csv"
    assert file.read_bytes() == CONTENT
    assert len(server.asked) == 2
    assert left_over(cache) == [file]


def test_what_is_in_the_cache_is_not_asked_for_again(serve):
    server = serve(GOOD, NOT_THERE)
    first = fetch_file(f"{server.url}/data.csv?download=true", SHA256)
    assert fetch_file(f"{server.url}/data.csv?download=true", SHA256) == first
    assert len(server.asked) == 1
    assert first.name == "data.csv"


def test_a_spoilt_copy_in_the_cache_is_replaced(serve, cache):
    cache.mkdir(parents=True)
    (cache / "data.csv").write_bytes(b"spoilt")
    assert fetch_file(f"{serve(GOOD).url}/data.csv", SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [DOWN, TRUNCATED])
def test_a_lasting_fault_ends_after_three_attempts_and_leaves_nothing(serve, cache, fault):
    server = serve(fault)
    with pytest.raises(ConnectionError, match="could not be fetched"):
        fetch_file(f"{server.url}/data.csv", SHA256)
    assert len(server.asked) == 3
    assert not left_over(cache)


@pytest.mark.parametrize("fault", [WRONG, CUT])
def test_wrong_bytes_are_refused_and_leave_nothing(serve, cache, fault):
    with pytest.raises(ValueError, match=r"data\.csv from http://.* is not the expected file"):
        fetch_file(f"{serve(fault).url}/data.csv", SHA256)
    assert not left_over(cache)


def test_a_file_that_is_not_there_is_asked_for_once(serve):
    server = serve(NOT_THERE)
    with pytest.raises(ConnectionError, match="HTTP 404"):
        fetch_file(f"{server.url}/data.csv", SHA256)
    assert len(server.asked) == 1


def test_without_network_the_error_says_what_to_do(closed, cache):
    url = f"{closed}/far/data.csv"
    with pytest.raises(ConnectionError) as caught:
        fetch_file(url, SHA256, path="near/data.csv")
    for word in (f"Download {url}", str(cache / "near" / "data.csv"), "near/data.csv in a folder", MIRROR):
        assert word in str(caught.value)
    assert str(caught.value).count("ConnectionError") == 1


@pytest.mark.parametrize("place", ["near/data.csv", "data.csv"])
def test_a_folder_as_mirror_has_the_file_under_its_path_or_its_plain_name(tmp_path, monkeypatch, closed, cache, place):
    file = tmp_path / "mirror" / place
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    monkeypatch.setenv(MIRROR, f"{tmp_path}/mirror/")
    assert fetch_file(f"{closed}/data.csv", SHA256, path="near/data.csv").read_bytes() == CONTENT
    file.unlink()
    assert fetch_file(f"{closed}/data.csv", SHA256, path="near/data.csv") == cache / "near" / "data.csv"


def test_files_of_one_name_have_places_of_their_own(tmp_path, monkeypatch, closed):
    contents = {f"{model}/annotations.json": model.encode() for model in ("small", "large")}
    for path, content in contents.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(content)
    monkeypatch.setenv(MIRROR, str(tmp_path))
    files = {
        path: fetch_file(f"{closed}/{path}", hashlib.sha256(content).hexdigest(), path=path)
        for path, content in contents.items()
    }
    assert {path: file.read_bytes() for path, file in files.items()} == contents


def test_a_mirrors_wrong_file_is_refused_and_not_kept(tmp_path, monkeypatch, serve, cache):
    (tmp_path / "data.csv").write_bytes(b"something else")
    monkeypatch.setenv(MIRROR, str(tmp_path))
    server = serve(GOOD)
    with pytest.raises(ValueError, match="is not the expected file: its SHA-256 is"):
        fetch_file(f"{server.url}/data.csv", SHA256)
    assert not left_over(cache)
    assert not server.asked


def test_a_folder_without_the_file_falls_back_on_the_address(tmp_path, monkeypatch, serve):
    monkeypatch.setenv(MIRROR, str(tmp_path))
    assert fetch_file(f"{serve(GOOD).url}/data.csv", SHA256).read_bytes() == CONTENT


def test_an_address_as_mirror_is_asked_first_by_path_then_by_plain_name(monkeypatch, serve):
    mirror, origin = serve(NOT_THERE, GOOD), serve(GOOD)
    monkeypatch.setenv(MIRROR, f"{mirror.url}/base/")
    assert fetch_file(f"{origin.url}/data.csv", SHA256, path="near/data.csv").read_bytes() == CONTENT
    assert (mirror.asked, origin.asked) == (["/base/near/data.csv", "/base/data.csv"], [])


def test_an_address_without_the_file_falls_back_on_the_origin(monkeypatch, serve, closed):
    monkeypatch.setenv(MIRROR, closed)
    assert fetch_file(f"{serve(GOOD).url}/data.csv", SHA256).read_bytes() == CONTENT


def test_an_address_with_a_wrong_file_is_refused(monkeypatch, serve):
    monkeypatch.setenv(MIRROR, serve(WRONG).url)
    with pytest.raises(ValueError, match="not the expected file"):
        fetch_file(f"{serve(GOOD).url}/data.csv", SHA256)


@pytest.mark.parametrize("path", ["/data.csv", "a/../../data.csv", "a//data.csv", ".."])
def test_a_path_must_stay_in_the_cache(path):
    with pytest.raises(ValueError, match="path must be relative and stay in the cache"):
        fetch_file("https://example.org/data.csv", SHA256, path=path)


@pytest.mark.parametrize(("large", "shown"), [(len(CONTENT), True), (len(CONTENT) + 1, False)])
def test_progress_is_shown_for_large_files_only(serve, monkeypatch, capsys, large, shown):
    monkeypatch.setattr(fetch, "LARGE", large)
    fetch_file(f"{serve(DOWN, GOOD).url}/data.csv", SHA256)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("data.csv: 100%" in captured.err) == shown
    assert bool(captured.err) == shown


@pytest.mark.parametrize("place", ["cache/cascade_lib/near", "mirror/near", "mirror"])
def test_a_file_that_is_here_is_seen_without_being_touched(serve, cache, tmp_path, monkeypatch, place):
    monkeypatch.setenv(MIRROR, str(tmp_path / "mirror"))
    server, wanted = serve(GOOD), {"path": "near/data.csv"}
    url = f"{server.url}/far/data.csv"
    assert not have_file(url, SHA256, **wanted)
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "data.csv").write_bytes(b"spoilt")
    assert not have_file(url, SHA256, **wanted)
    (tmp_path / place / "data.csv").write_bytes(CONTENT)
    before = left_over(tmp_path)
    assert have_file(url, SHA256, **wanted)
    assert left_over(tmp_path) == before
    fetch_file(url, SHA256, **wanted)
    assert not server.asked


def test_a_mirror_with_an_address_is_not_asked_whether_it_has_a_file(serve, monkeypatch):
    server = serve(GOOD)
    monkeypatch.setenv(MIRROR, server.url)
    assert not have_file(f"{server.url}/data.csv", SHA256)
    assert not server.asked
