"""The collector: it never asks twice, it does not give up at once, and its parts do not overlap."""

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[1] / "scripts" / "collect_sentiment.py"
    spec = importlib.util.spec_from_file_location("collect_sentiment", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def reply(positive=-1.0, negative=-3.0):
    likely = [{"token": " positive", "logprob": positive}, {"token": " negative", "logprob": negative}]
    choice = {"text": " positive", "logprobs": {"content": [{"top_logprobs": likely}]}}
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}


class FakeServer(ThreadingHTTPServer):
    """Counts the prompts that it is asked; `failures` are the statuses it gives before it begins to answer."""

    daemon_threads = True

    def __init__(self, failures=()):
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.asked, self.failures, self.lock = [], list(failures), threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"


class FakeHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body["prompt"])
            status = self.server.failures.pop(0) if self.server.failures else 200
        content = json.dumps(reply() if status == 200 else {"error": "busy"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    running = []

    def start(**options):
        server = FakeServer(**options)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def texts_of(number, domains=("films", "tweets"), seed=0):
    rng = np.random.default_rng(seed)
    rows = [(f"{domain}-{i:04d}", domain, f"{domain} text {i}") for domain in domains for i in range(number)]
    table = pd.DataFrame(rows, columns=["id", "domain", "text"])
    table.insert(2, "rating", rng.choice([-2.0, -1.0, 1.0, 3.0], len(table)))
    return table


def test_a_journal_gives_back_what_was_recorded(script, tmp_path):
    journal = script.Journal(tmp_path / "deep" / "journal.jsonl")
    journal.record({"prompt": "p", "id": "films-0001", "score": 0.5})
    journal.close()
    again = script.Journal(tmp_path / "deep" / "journal.jsonl")
    assert ("p", "films-0001") in again
    assert ("p", "films-0002") not in again
    assert again.column("p", ["films-0001"], "score").tolist() == [0.5]
    again.close()


def test_a_record_is_on_disk_before_the_journal_is_closed(script, tmp_path):
    journal = script.Journal(tmp_path / "journal.jsonl")
    journal.record({"prompt": "p", "id": "a", "score": 1.0})
    assert json.loads((tmp_path / "journal.jsonl").read_text()) == {"prompt": "p", "id": "a", "score": 1.0}
    journal.close()


@pytest.mark.parametrize(
    ("torn", "kept"),
    [('{"prompt": "p", "id": "b", "sc', ["a"]), ('{"prompt": "p", "id": "b", "score": 2.0}', ["a", "b"])],
    ids=["torn", "lacks nothing but its end"],
)
def test_a_torn_last_line_is_dropped_and_the_journal_goes_on_cleanly(script, tmp_path, torn, kept):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"prompt": "p", "id": "a", "score": 1.0}\n' + torn)
    journal = script.Journal(path)
    assert set(journal.calls) == {("p", name) for name in kept}
    journal.record({"prompt": "p", "id": "c", "score": 3.0})
    journal.close()
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [*kept, "c"]


def test_an_interrupted_collection_goes_on_without_repeating_a_call(script, tmp_path, serve):
    texts, prompt = texts_of(6), script.Prompt("", "sentiment")
    served = serve()
    with httpx.Client(base_url=served.url) as client:

        def ask(text):
            if len(served.asked) == 5:
                raise KeyboardInterrupt
            return script.complete(client, prompt.about(text), prompt.words)

        journal = script.Journal(tmp_path / "journal.jsonl")
        with pytest.raises(KeyboardInterrupt):
            script.collect(ask, prompt.key, texts, journal)
        journal.close()
        assert len(served.asked) == 5
        journal = script.Journal(tmp_path / "journal.jsonl")
        script.collect(
            lambda text: script.complete(client, prompt.about(text), prompt.words),
            prompt.key, texts, journal, slots=3,
        )  # fmt: skip
        journal.close()
    assert sorted(served.asked) == sorted(prompt.about(text) for text in texts["text"])
    assert journal.column(prompt.key, texts["id"], "score").tolist() == [2.0] * 12
    assert journal.column(prompt.key, texts["id"], "tokens").tolist() == [10] * 12
    assert journal.column(prompt.key, texts["id"], "seconds").min() > 0


def test_a_complete_journal_asks_nothing(script, tmp_path):
    texts = texts_of(2)
    journal = script.Journal(tmp_path / "journal.jsonl")
    for name in texts["id"]:
        journal.record({"prompt": "p", "id": name, "score": 0.0})
    script.collect(lambda text: pytest.fail("asked again"), "p", texts, journal)
    journal.close()


def test_busy_servers_are_asked_again(script, serve):
    served = serve(failures=[500, 503, 429])
    with httpx.Client(base_url=served.url) as client:
        answer = script.complete(client, "x", (" positive", " negative"), pause=0.001)
    assert len(served.asked) == 4
    assert answer["score"] == 2.0
    assert answer["tokens"] == 10


def test_a_refused_connection_is_tried_again_and_then_reported_with_the_way_on(script):
    tries = []

    def refuse(request):
        tries.append(request)
        raise httpx.ConnectError("refused", request=request)

    with (
        httpx.Client(transport=httpx.MockTransport(refuse), base_url="http://nowhere") as client,
        pytest.raises(ConnectionError, match=r"http://nowhere failed 3 times.*refused.*same command again"),
    ):
        script.complete(client, "x", (" a", " b"), attempts=3, pause=0.001)
    assert len(tries) == 3


def test_a_wrong_request_is_not_repeated(script, serve):
    served = serve(failures=[400])
    with httpx.Client(base_url=served.url) as client, pytest.raises(httpx.HTTPStatusError, match="400"):
        script.complete(client, "x", (" positive", " negative"), pause=0.001)
    assert len(served.asked) == 1


def test_openais_own_form_of_log_probabilities_is_read_too_and_a_missing_word_is_the_least_likely(script):
    answer = {"choices": [{"logprobs": {"top_logprobs": [{" positive": -0.5, " mixed": -4.0}]}}],
              "usage": {"prompt_tokens": 3, "completion_tokens": 1}}  # fmt: skip

    def respond(request):
        return httpx.Response(200, json=answer)

    with httpx.Client(transport=httpx.MockTransport(respond), base_url="http://fake") as client:
        read = script.complete(client, "x", (" positive", " negative"))
    assert read["score"] == 3.5
    assert read["found"] == 1


def test_parts_are_disjoint_balanced_over_domains_and_repeatable(script):
    texts, parts = texts_of(60), {"shots": 4, "calibration": 10, "queries": 20, "training": 15}
    cut = script.split(texts, parts, seed=3)
    ids = pd.concat(list(cut.values()))["id"]
    assert ids.is_unique
    for part, number in parts.items():
        assert cut[part].groupby("domain").size().to_dict() == {"films": number, "tweets": number}
    assert (cut["shots"]["rating"] > 0).groupby(cut["shots"]["domain"]).sum().tolist() == [2, 2]
    pd.testing.assert_frame_equal(script.split(texts, parts, seed=3)["queries"], cut["queries"])
    assert set(script.split(texts, parts, seed=4)["queries"]["id"]) != set(cut["queries"]["id"])


def test_too_few_texts_are_refused_with_the_numbers(script):
    with pytest.raises(ValueError, match="films has 5 usable texts, but the parts need 1422"):
        script.split(texts_of(5))


def test_only_clear_labels_and_one_copy_of_each_wording_are_usable(script):
    texts = pd.DataFrame(
        {
            "id": list("abcdef"),
            "domain": ["films", "films", "tweets", "tweets", "tweets", "films"],
            "rating": [1.0, 0.9, 2.0, -1.0, 3.0, 2.0],
            "text": ["Good.", "Fine.", "GOOD.", "Bad.", "Great.", ""],
        }
    )
    assert script.usable(texts)["id"].tolist() == ["a", "d", "e"]


def test_candidates_show_one_example_of_each_domain_and_two_positive_ones(script):
    shots = texts_of(8, domains=("editorials", "films", "products", "tweets"))
    shots["rating"] = [1.0, -1.0] * 16
    prompts = script.candidate_prompts(shots, number=6, seed=1)
    assert len({prompt.key for prompt in prompts}) == 6
    for prompt in prompts:
        assert sorted(name.split("-")[0] for name in prompt.shots) == ["editorials", "films", "products", "tweets"]
        assert prompt.prefix.count(prompt.words[0] + "\n") == 2
        assert prompt.about("QUERY").startswith(prompt.prefix)
        assert prompt.about("QUERY").count("QUERY") == 1


def test_a_scale_recovers_the_log_odds_that_made_the_labels(script):
    rng = np.random.default_rng(0)
    score = rng.normal(size=20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-(2 * score - 0.5)))
    scale = script.Scale.fit(score, positive)
    assert scale.slope == pytest.approx(2, abs=0.1)
    assert scale.intercept == pytest.approx(-0.5, abs=0.06)


def test_models_choose_different_prompts_and_the_first_chooses_first(script):
    rng = np.random.default_rng(1)
    positive = rng.random(400) < 0.5
    log_odds = {f"p{noise}": 4 * positive - 2 + noise * rng.normal(size=400) for noise in (1, 2, 3, 4, 8)}
    chosen = script.choose(log_odds, positive, {"vote-2": 2, "four-shot": 1})
    assert [len(members) for members in chosen.values()] == [2, 1]
    assert not set(chosen["vote-2"]) & set(chosen["four-shot"])
    assert chosen["vote-2"][0] == "p1"


def test_a_votes_cost_is_that_of_all_its_calls_and_its_answer_the_sign_of_its_margin(script, tmp_path):
    parts = {"calibration": texts_of(40), "queries": texts_of(30, seed=1).assign(id=lambda t: "q" + t["id"])}
    journal, rng = script.Journal(tmp_path / "journal.jsonl"), np.random.default_rng(2)
    for key, tokens in {"one": 10, "two": 20, "three": 30}.items():
        for part in parts.values():
            for name, rating in zip(part["id"], part["rating"], strict=True):
                score = np.sign(rating) + rng.normal()
                call = {"prompt": key, "id": name, "score": score, "tokens": tokens, "seconds": tokens / 100}
                journal.record(call)
    table = script.build_table({"single": ("one",), "vote": ("one", "two", "three")}, journal, parts)
    journal.close()
    assert (table["vote|tokens"] == 60).all()
    assert table["vote|seconds"].tolist() == pytest.approx([0.6] * 60)
    assert (table["vote|answer"] == np.sign(table["vote|margin"])).all()
    label = np.sign(table["rating"])
    assert (table["vote|answer"] == label).mean() > (table["single|answer"] == label).mean()


def test_equal_tables_give_equal_bytes_and_the_hash_is_that_of_the_file(script, tmp_path):
    table = texts_of(3).drop(columns="text")
    first, second = (script.write_table(table, tmp_path / name) for name in ("a.csv.gz", "b.csv.gz"))
    assert first == second
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv.gz"), table)
