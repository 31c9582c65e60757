"""A policy comes back from its file as it was; anything else in the file is refused, before anything is built."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from cascade_lib import (
    Cascade,
    CascadeRouter,
    LearnedEstimator,
    Outcomes,
    Policy,
    Router,
    TabulatedEstimator,
    ThresholdCascade,
)
from cascade_lib._packing import pack
from truths import STRATEGIES


def pool(n, seed):
    """Return outcomes with features of every kind, some of them missing."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    right = rng.random((n, 3)) < np.column_stack([1 - hard, 1 - hard / 2, 1 - hard / 4])
    says = np.where(right, "yes", rng.choice(["no", "maybe"], (n, 3))).astype(object)
    says[0, 0] = np.nan
    margin = np.where(right, 0.8, 0.3) + rng.normal(0, 0.2, (n, 3))
    margin[1, 1] = np.nan
    query = pd.DataFrame(
        {
            "length": rng.integers(1, 100, n),
            "hard": np.where(rng.random(n) < 0.1, np.nan, hard),
            "asks": rng.random(n) < 0.5,
            "domain": rng.choice(["films", "tweets"], n),
        },
        index=[f"q{seed}-{i}" for i in range(n)],
    )
    cost = rng.uniform(0.9, 1.1, (n, 3)) * [1, 3, 9]
    return Outcomes(right, cost, models=["a", "b", "c"], query=query, answer_features={"margin": margin, "says": says})


TRAIN, TEST = pool(300, 0), pool(100, 1)
FEW = TRAIN.take(np.arange(40))


def wordy(outcomes, word):
    """Return outcomes whose queries are texts and have dates too."""
    n = len(outcomes)
    when = pd.Series(pd.date_range("2026-05-17", periods=n, freq="7h")).where(np.arange(n) % 9 > 0)
    prompt = [f"{word} number {i} is {'good' if i % 3 else 'bad'}" for i in range(n)]
    query = outcomes.query.assign(prompt=prompt, when=when.to_numpy(), day=when.dt.normalize().to_numpy())
    return Outcomes(outcomes.quality, outcomes.cost, outcomes.models, query, outcomes.answer_features)


TEXTS = wordy(TRAIN, "secret")


def same(one, other, outcomes):
    """Whether two policies decide alike, bit for bit in what they believe."""
    before, after = one.play(outcomes, seed=0), other.play(outcomes, seed=0)
    np.testing.assert_array_equal(before.order, after.order)
    np.testing.assert_array_equal(before.chosen, after.chosen)
    for ran in {tuple((row >= 0).tolist()) for row in before.order if (row >= 0).all()} | {(False,) * outcomes.k}:
        first, again = (policy.estimator.beliefs(outcomes.evidence(np.array(ran))) for policy in (one, other))
        for field in ("mean", "spread", "cost"):
            np.testing.assert_array_equal(getattr(first, field), getattr(again, field))


@pytest.mark.parametrize("strategy", [*STRATEGIES, ThresholdCascade(order=(0, 2), ceiling=0.9)], ids=repr)
def test_a_policy_comes_back_as_it_was(strategy, tmp_path):
    policy = strategy.calibrate(LearnedEstimator(calibrate=True, seed=7).fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert repr(again.strategy) == repr(strategy)
    assert (again.lam, again.gamma, again.budget) == (policy.lam, policy.gamma, policy.budget)
    assert (again.schema, again.calibration) == (policy.schema, policy.calibration)
    same(policy, again, TEST)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "policy.json").read_bytes()


@pytest.mark.parametrize(
    "estimator",
    [
        LearnedEstimator(Ridge(), Ridge(), future="joint"),
        LearnedEstimator(LogisticRegression(solver="liblinear"), calibrate=True, future="empirical", folds=2),
        LearnedEstimator(
            make_pipeline(StandardScaler(), LogisticRegression()), make_pipeline(StandardScaler(), Ridge())
        ),
    ],
    ids=["ridge", "logistic", "pipelines"],
)
def test_estimates_come_back_bit_for_bit(estimator, tmp_path):
    policy = CascadeRouter().calibrate(estimator.fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    same(policy, Policy.load(tmp_path / "policy.json"), TEST)


def test_texts_and_dates_come_back_bit_for_bit(tmp_path):
    policy = CascadeRouter().calibrate(LearnedEstimator().fit(TEXTS), TEXTS, budget=4.0)
    policy.save(tmp_path / "policy.json")
    same(policy, Policy.load(tmp_path / "policy.json"), wordy(TEST, "open"))


def test_step_prices_and_infinite_budgets_are_kept(tmp_path):
    estimator = LearnedEstimator().fit(TRAIN)
    strategy = Cascade().with_step_prices(estimator, TRAIN, lam=0.02)
    strategy.calibrate(estimator, TRAIN, budget=np.inf).save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert again.strategy.step_prices == strategy.step_prices
    assert again.budget == np.inf


def test_a_file_holds_no_row_no_text_and_no_name_of_a_query(tmp_path):
    policy = Router().calibrate(LearnedEstimator().fit(TEXTS), TEXTS, budget=4.0)
    policy.save(tmp_path / "policy.json")
    text = (tmp_path / "policy.json").read_text()
    assert "secret" not in text
    assert "q0-" not in text
    assert '"films"' in text, "levels of labels are in the file, as the documentation says"


def test_nothing_is_fitted_after_loading(tmp_path, monkeypatch):
    policy = CascadeRouter().calibrate(LearnedEstimator(Ridge()).fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")

    def refuse(*_, **__):
        raise AssertionError("a learner is fitted")

    monkeypatch.setattr(Ridge, "fit", refuse)
    monkeypatch.setattr("cascade_lib.estimators._predictors.clone", refuse)
    for fails in (set(), {"a"}, {"b"}, {"c"}, {"a", "b"}):
        session = again.start(dict(TEST.query.iloc[0]), name="new", seed=0)
        while (model := session.next()) is not None:
            if model in fails:
                session.fail(model)
            else:
                session.observe(model, cost=1.0, answer={"margin": 0.5, "says": "no"})
    again.play(TEST, seed=0)


def test_a_warm_policy_fits_nothing_later(monkeypatch):
    policy = CascadeRouter().calibrate(LearnedEstimator(Ridge()).fit(TRAIN), TRAIN, budget=4.0).warm()
    monkeypatch.setattr("cascade_lib.estimators._predictors.clone", None)
    for number in range(8):
        policy.estimator.beliefs(TEST.evidence(np.array([number >> i & 1 for i in range(3)], dtype=bool)))


def test_answers_beyond_the_plan_leave_a_sensible_session(tmp_path):
    policy = Router().calibrate(LearnedEstimator(Ridge()).fit(TRAIN), TRAIN, budget=4.0)
    policy.save(tmp_path / "policy.json")
    session = Policy.load(tmp_path / "policy.json").start(dict(TEST.query.iloc[0]))
    for model in ("c", "a", "b"):
        session.observe(model, cost=2.0, answer={"margin": 0.9, "says": "yes"})
        assert session.next() is None
        assert session.choice in session.order


class Own(LearnedEstimator):
    """A class derived from the estimator may say anything."""


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (TabulatedEstimator(FEW.quality, cost_ex_ante=FEW.cost), "this one has TabulatedEstimator"),
        (Own(Ridge()), "this one has Own"),
        (
            LearnedEstimator(KNeighborsRegressor(), Ridge()),
            "KNeighbors.*Take one of LinearRegression",
        ),
        (LearnedEstimator(Ridge(), features=FunctionTransformer(lambda x: x[["length"]])), "FunctionTransformer"),
    ],
    ids=["tabulated", "derived", "learner", "transformer"],
)
def test_what_is_not_known_as_numbers_is_not_saved(estimator, message, tmp_path):
    if isinstance(estimator, LearnedEstimator):
        estimator.set_params(folds=2).fit(FEW)
    policy = Router().calibrate(estimator, FEW, budget=9.0)
    with pytest.raises(TypeError, match=message):
        policy.save(tmp_path / "policy.json")
    assert not list(tmp_path.iterdir())


def test_too_many_states_are_counted_before_any_is_learned(tmp_path):
    pool = Outcomes(np.tile([0.0, 1.0], (20, 10)), np.ones((20, 20)))
    estimator = LearnedEstimator(Ridge(), Ridge()).fit(pool)
    policy = Policy(**(vars(Router().calibrate(estimator, pool, budget=4.0)) | {"strategy": CascadeRouter()}))
    with pytest.raises(ValueError, match="may reach 1,048,576 sets of models.*smaller depth"):
        policy.save(tmp_path / "policy.json")


def test_what_words_say_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    sign = rng.integers(2, size=300)
    prompt = [f"{'left' if i else 'right'} w{rng.integers(90)} w{rng.integers(90)}" for i in sign]
    quality = rng.random((300, 2)) < np.where((sign == 1)[:, None], [0.9, 0.1], [0.1, 0.9])
    pool = Outcomes(quality, np.tile([1.0, 2.0], (300, 1)), query=pd.DataFrame({"prompt": prompt}))
    policy = Router().calibrate(LearnedEstimator().fit(pool), pool, budget=1.5)
    path = tmp_path / "policy.json"
    policy.save(path)
    new = Outcomes(quality, pool.cost, query=pool.query.set_axis([f"new {i}" for i in range(300)]))
    same(policy, Policy.load(path), new)
    tree = json.loads(path.read_text())
    state = tree["estimator"]["numbers"]["states"][0]["quality"]
    assert 0 < state["blend"] <= 1
    for wrong in (1.5, -0.1, "0.5"):
        state["blend"] = wrong
        path.write_text(json.dumps(tree))
        with pytest.raises(ValueError, match=r"a blend must be a share|entries of type float"):
            Policy.load(path)


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.json"
    few = wordy(FEW, "open").select(["a", "b"])
    few = Outcomes(few.quality, few.cost, few.models, few.query.drop(columns="prompt"), few.answer_features)
    trees = ExtraTreesRegressor(2, max_depth=2)
    Router().calibrate(LearnedEstimator(trees, Ridge(), folds=2, calibrate=True).fit(few), few, budget=9.0).save(path)
    return path.read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": "cascade_lib policy"', '"format": "recipe"', 'lacks the line "format"'),
        ('"version": 5', '"version": 6', "of version 6, but this library reads version 5: update it"),
        ('"version": 5', '"version": 4', "of version 4, which is no longer read: fit the policy anew"),
        ('"class": "Router"', '"class": "Bandit"', "there is no strategy 'Bandit'; there are Router"),
        ('"gamma": ', '"gamma": 2', "gamma is 2"),
        ('"lam": ', '"lam": "nan", "mal": ', "must have format, version"),
        ('"lam": ', '"lam": NaN, "mal": ', "NaN is no number"),
        ('"gamma": ', '"delta": ', "must have format, version"),
        ('"features": ["length"', '"features": ["width"', "not those of the strategy and of the features"),
        ('"options": {}', '"options": {"memory": "/tmp"}', "nothing else"),
        ("{", "[", "it is no JSON that can be read"),
    ],
)
def test_a_damaged_file_is_refused(document, old, new, message, tmp_path):
    assert old in document
    path = tmp_path / "policy.json"
    path.write_text(document.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        Policy.load(path)


def trees_of(tree):
    return tree["estimator"]["numbers"]["states"][0]["quality"]["columns"]["fits"][0]


def dates_of(tree):
    return tree["estimator"]["numbers"]["reader"]["features"]["dates"]["reader"]


def loop(tree):
    """A node that is a child of its own child."""
    trees = trees_of(tree)
    nodes = trees["left"]["shape"][0]
    trees["left"] = trees["right"] = pack(np.array([1, 0, *range(2, nodes)]), "<i4")


def set_array(name, value):
    return lambda tree: trees_of(tree).update({name: pack(np.full(trees_of(tree)[name]["shape"], value), "<i4")})


def deep(tree):
    entry = []
    for _ in range(900):
        entry = [entry]
    tree["schema"]["features"] = entry


def bomb(tree):
    weights = pack(np.zeros(10**6), "<f8")
    trees_of(tree)["root"] = {**weights, "dtype": "<i4", "shape": [1]}


HOSTILE = {
    "endless tree": loop,
    "node beyond": set_array("left", 10**6),
    "node below": set_array("right", -1),
    "feature beyond": set_array("feature", 10**6),
    "deep tree": lambda tree: trees_of(tree).update(depth=10**9),
    "10**9 trees": lambda tree: trees_of(tree)["root"].update(shape=[10**9]),
    "huge and negative": lambda tree: trees_of(tree)["root"].update(shape=[-(10**9)]),
    "pipeline with memory": lambda tree: trees_of(tree).update(kind="pipeline", memory="folder"),
    "option of a learner": lambda tree: trees_of(tree).update(n_jobs=400),
    "text from a file": lambda tree: tree["estimator"]["numbers"]["reader"]["features"].update(input="filename"),
    "date without end": lambda tree: dates_of(tree).update(first=pack(np.array([0.0, np.inf]), "<f8")),
    "date of other parts": lambda tree: dates_of(tree).update(timed=[True, True]),
    "date of another type": lambda tree: dates_of(tree)["first"].update(dtype="<M8[ns]"),
    "object array": lambda tree: trees_of(tree)["value"].update(dtype="O"),
    "deep nesting": deep,
    "more bytes than declared": bomb,
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_content_is_refused(document, change, tmp_path):
    tree = json.loads(document)
    change(tree)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(ValueError, match="damaged policy|no JSON"):
        Policy.load(path)


def test_values_are_counted_before_any_is_built(document, tmp_path, monkeypatch):
    """Three bytes of a file can become a list of 56 bytes: so the size of a file does not bound what it takes."""
    path = tmp_path / "policy.json"
    path.write_text(document.replace("{", '{"many": [' + "[]," * 4_000_001 + "0],", 1))
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(ValueError, match="over 4,000,000 values"):
        Policy.load(path)


def test_files_that_are_too_long_are_not_even_read(document, tmp_path, monkeypatch):
    monkeypatch.setattr("cascade_lib.deploy.serialization._LARGEST_FILE", 100)
    path = tmp_path / "policy.json"
    path.write_text(document)
    with pytest.raises(ValueError, match="over 100"):
        Policy.load(path)


# Runs apart from the tests, since an audit hook and a limit of memory cannot be taken back.
_ATTACK = """
    import json, random, resource, sys, warnings
    import numpy as np
    from cascade_lib import Outcomes, Policy
    warnings.simplefilter("ignore")
    text, path = open(sys.argv[1]).read(), sys.argv[2]
    query = {"length": 1, "hard": 0.5, "asks": True, "domain": "films"}
    query |= {"when": "2026-05-18T12:00Z", "day": "2026-05-18"}
    Policy.load(sys.argv[1]).start(query, seed=0).next()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
    resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
    armed = False
    def hook(event, args):
        writes = event == "open" and args[0] != path and (str(args[1]) not in ("r", "rb"))
        if armed and (writes or event.split(".")[0] in ("exec", "subprocess", "socket", "pickle", "os", "import")):
            print("ATTACK", event, args, file=sys.stderr)
            raise SystemExit(3)
    sys.addaudithook(hook)
    draw = random.Random(0)
    JUNK = [None, True, -1, 0, 2, 10**9, 10**30, 1e308, -0.5, "", "x", "\\ud800", [], {}, [None], [[[[]]]], "eJwDAA=="]
    def places(tree):
        pending, found = [tree], []
        while pending:
            entry = pending.pop()
            for key in (entry if isinstance(entry, dict) else range(len(entry))):
                found.append((entry, key))
                if isinstance(entry[key], (dict, list)):
                    pending.append(entry[key])
        return found
    def mutated(number):
        if number % 3 == 0:
            data = bytearray(text.encode())
            for _ in range(draw.randint(1, 3)):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            return bytes(data)
        tree = json.loads(text)
        for _ in range(draw.randint(1, 2)):
            found = places(tree)
            place, key = draw.choice(found)
            if number % 3 == 1:
                place[key] = draw.choice(JUNK)
            elif isinstance(place, dict):
                place[draw.choice(["x", "dtype", "shape"])] = place.pop(key)
            else:
                other, where = draw.choice(found)
                place[key] = other[where] if not isinstance(other[where], (dict, list)) else 0
        return json.dumps(tree).encode()
    counts = {"refused": 0, "decided": 0, "refused later": 0}
    for number in range(5000):
        with open(path, "wb") as file:
            file.write(mutated(number))
        armed = True
        try:
            policy = Policy.load(path)
        except ValueError:
            counts["refused"] += 1
        else:
            assert type(policy) is Policy
            try:
                session = policy.start(query, seed=0)
                while (model := session.next()) is not None:
                    session.observe(model, cost=1.0)
                assert session.choice in policy.schema.models
                counts["decided"] += 1
            except ValueError:
                counts["refused later"] += 1
        armed = False
    print(json.dumps(counts))
"""


def test_five_thousand_damaged_files_do_no_harm(document, tmp_path):
    """Each is refused with a ValueError or decides; none writes, runs, connects, or takes more than its share."""
    (tmp_path / "good.json").write_text(document)
    command = [sys.executable, "-c", textwrap.dedent(_ATTACK), tmp_path / "good.json", tmp_path / "bad.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["refused"] > 2_500
    assert counts["decided"] > 100


def test_a_file_appears_whole_or_not_at_all(document, tmp_path, monkeypatch):
    path = tmp_path / "policy.json"
    path.write_text(document)
    policy = Policy.load(path)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        policy.save(path)
    assert path.read_text() == document
