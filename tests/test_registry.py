"""A class that is defined is known: to files, figures, studies and the command line, with no list to keep by hand."""

import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from cascade_lib import LearnedEstimator, Outcomes, Policy, Router, plots, study
from cascade_lib.deploy import serialization
from cascade_lib.estimators import Beliefs, StoredEstimator
from cascade_lib.estimators import base as estimators
from cascade_lib.evaluation.studies import candidates
from cascade_lib.strategies import PlanningStrategy, Plans
from cascade_lib.strategies import base as strategies
from truths import scene


@pytest.fixture(autouse=True)
def _what_is_registered_here_is_forgotten(monkeypatch):
    for room in (strategies, estimators):
        room.registered()
        monkeypatch.setattr(room._KINDS, "_kinds", dict(room._KINDS._kinds))


def author_s_strategy(title="dearest first", **attributes):
    """Define a strategy as its author would, and return it."""

    class Author(PlanningStrategy):
        name = title

        def __init__(self, mark=None):
            self.mark = mark

        def plans(self, beliefs):
            left = beliefs.left
            stop = np.zeros((1, len(beliefs.ran)), dtype=bool)
            members = np.vstack([stop, np.eye(len(beliefs.ran), dtype=bool)[left]])
            pad = np.zeros((len(beliefs), 1)), beliefs.best[:, None]
            cost, value = beliefs.cost[:, left], beliefs.mean[:, left]
            return Plans(np.hstack([pad[0], cost]), np.hstack([pad[1], value]), members)

    for attribute, value in attributes.items():
        setattr(Author, attribute, value)
    return Author


def test_a_class_is_registered_by_its_definition_and_listed_after_those_of_the_library():
    kind = author_s_strategy()
    assert list(strategies.registered())[-1] == "Author"
    assert strategies.registered()["Author"] is kind
    assert list(strategies.registered())[:5] == [
        "Router",
        "ThresholdCascade",
        "Cascade",
        "CascadeRouter",
        "PandoraRouter",
    ]


def test_a_class_that_is_defined_again_replaces_itself():
    first, second = author_s_strategy(), author_s_strategy()
    assert first is not second
    assert strategies.registered()["Author"] is second


def test_two_classes_of_one_name_are_refused():
    author_s_strategy()
    with pytest.raises(TypeError, match=r"a class Author already, .*test_registry.*another name, or one that begins"):
        type("Author", (Router,), {})
    with pytest.raises(TypeError, match=r"a class Router already, cascade_lib\.strategies\.routing\.Router"):
        type("Router", (PlanningStrategy,), {"name": "mine"})
    assert strategies.registered()["Router"] is Router


def test_helpers_are_not_registered():
    type("_Helper", (Router,), {})
    type("NoName", (PlanningStrategy,), {})
    assert not {"_Helper", "NoName"} & set(strategies.registered())
    assert {"PlanningStrategy", "Strategy", "_InOrder"}.isdisjoint(strategies.registered())


def test_a_new_strategy_has_a_line_of_its_own():
    before = plots.LINES
    names = ["dearest first", "every day", "third"]
    kinds = [author_s_strategy()] + [type(f"Own{i}", (Router,), {"name": names[i]}) for i in (1, 2)]
    lines = plots.LINES
    assert {name: lines[name] for name in before} == before
    assert len({str(line["linestyle"]) for line in lines.values()}) == len(lines) == len(before) + 3
    assert len({lines[name]["color"] for name in names}) == 3
    pool, estimator = scene(20, 3, seed=0)
    drawn = plots.frontiers([kinds[0]().frontier(estimator, pool)]).lines[0]
    assert drawn.get_color() == lines["dearest first"]["color"]


def test_the_line_that_a_class_has_is_taken():
    author_s_strategy(line={"color": "red", "linestyle": ":"})
    assert plots.LINES["dearest first"] == {"color": "red", "linestyle": ":"}


def test_a_study_tries_what_says_how():
    pool = Outcomes(np.tile([[0, 1], [1, 1]], (60, 1)), np.tile([1.0, 5.0], (120, 1)))
    silent = author_s_strategy()
    assert silent.name not in candidates()
    silent.suggested = classmethod(lambda cls, train, *, depth, ceiling: cls(mark=train.k) if ceiling == 1 else None)
    assert list(candidates())[-1] == "dearest first"
    result = study(pool, estimator=LearnedEstimator(Ridge(), Ridge()), resamples=20)
    assert result.strategies["dearest first"].mark == 2
    assert "dearest first" in result.curves
    type("Derived", (Router,), {"name": "says nothing itself"})
    assert "says nothing itself" not in candidates()


def test_the_command_line_has_every_strategy_that_a_study_tries():
    from cascade_lib.__main__ import STRATEGIES

    assert list(STRATEGIES.values()) == list(candidates())
    assert list(STRATEGIES)[:5] == ["routing", "threshold-cascade", "cascade", "cascade-routing", "pandora"]
    assert author_s_strategy().slug == "dearest-first"


@pytest.fixture
def policy():
    pool, _ = scene(60, 2, seed=0)
    return Router().calibrate(LearnedEstimator(Ridge(), Ridge(), folds=2).fit(pool), pool, budget=9.0), pool


def with_strategy(policy, strategy):
    return Policy(**(vars(policy) | {"strategy": strategy}))


@pytest.mark.parametrize("mark", [None, True, 3, -0.5, "short", (2, 0)])
def test_the_strategy_of_an_author_comes_back(policy, mark, tmp_path):
    kind = author_s_strategy()
    with_strategy(policy[0], kind(mark)).save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json").strategy
    assert type(again) is kind
    assert again.mark == (list(mark) if isinstance(mark, tuple) else mark)


@pytest.mark.parametrize("mark", [Router(), np.inf, "x" * 201, 2**60, [0.5], [2, "x"], {"a": 1}])
def test_options_that_are_not_plain_are_refused(policy, mark, tmp_path):
    with pytest.raises(TypeError, match=r"Author\(mark=.*cannot be saved: .*"):
        with_strategy(policy[0], author_s_strategy()(mark)).save(tmp_path / "policy.json")
    assert not list(tmp_path.iterdir())


def test_an_option_that_is_not_kept_is_named(policy, tmp_path):
    kind = author_s_strategy()
    strategy = kind()
    del strategy.mark
    with pytest.raises(TypeError, match="the option mark of Author cannot be saved: keep it as an attribute"):
        with_strategy(policy[0], strategy).save(tmp_path / "policy.json")


def test_a_class_that_is_not_registered_is_not_saved(policy, tmp_path):
    hidden = type("_Hidden", (Router,), {})
    with pytest.raises(TypeError, match=r"of a registered class to be saved, Router, .*got _Hidden\(\)"):
        with_strategy(policy[0], hidden()).save(tmp_path / "policy.json")


def test_a_file_with_an_unknown_class_says_that_its_module_must_be_imported(policy, tmp_path):
    with_strategy(policy[0], author_s_strategy()()).save(tmp_path / "policy.json")
    del strategies._KINDS._kinds["Author"]
    with pytest.raises(ValueError, match="no strategy 'Author'; there are Router, .*must be imported before"):
        Policy.load(tmp_path / "policy.json")


NAMES = [
    "os.system",
    "builtins.eval",
    "Strategy",
    "PlanningStrategy",
    "_InOrder",
    "Policy",
    "LearnedEstimator",
    "",
    3,
    ["Router"],
]


@pytest.mark.parametrize("name", NAMES, ids=str)
@pytest.mark.parametrize("part", ["strategy", "estimator"])
def test_a_file_can_only_name_registered_classes(policy, part, name, tmp_path):
    path = tmp_path / "policy.json"
    policy[0].save(path)
    document = json.loads(path.read_text())
    document[part]["class"] = name
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=f"there is no {part} "):
        Policy.load(path)


def test_options_reach_the_constructor_of_the_class_named_and_nothing_else():
    calls = []

    class Watched(Router):
        def __init__(self, mark=None, names=()):
            calls.append((mark, names))

    stored = {"class": "Watched", "options": {"mark": "import os", "names": [1]}, "step_prices": None}
    serialization.strategy_in(stored, 3)
    assert calls == [("import os", [1])]
    for options in ({}, {"mark": 1}, {"mark": 1, "names": [], "__class__": "x"}, {"mark": 1, "depth": 2}, [1, 2], None):
        with pytest.raises(ValueError, match="must have mark, names and nothing else"):
            serialization.strategy_in(stored | {"options": options}, 3)
    for mark in ([["x"]], {"a": 1}, ["x"], 10**30, "x" * 201):
        with pytest.raises(ValueError, match="a list of at most|the option mark cannot be"):
            serialization.strategy_in(stored | {"options": {"mark": mark, "names": []}}, 3)
    assert len(calls) == 1, "nothing was built"


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        ("CascadeRouter", "depth", 0, "depth must be at least 1"),
        ("CascadeRouter", "depth", 1.5, "depth must be a whole number"),
        ("CascadeRouter", "depth", True, "depth must be a whole number"),
        ("CascadeRouter", "lookahead", 0, "lookahead must be at least 1 model"),
        ("CascadeRouter", "lookahead", 1.5, "lookahead must be a whole number of models"),
        ("CascadeRouter", "lookahead", True, "lookahead must be a whole number of models"),
        ("CascadeRouter", "order", "01", "order must be a sequence of positions"),
        ("CascadeRouter", "order", [0, 0], "order must name models by distinct positions"),
        ("Cascade", "order", 2, "order must be a sequence of positions"),
        ("Cascade", "order", [7], "order must name models by distinct positions"),
        ("ThresholdCascade", "ceiling", "0.5", "ceiling must be a finite number"),
        ("ThresholdCascade", "ceiling", True, "ceiling must be a finite number"),
    ],
)
def test_constructors_refuse_what_they_cannot_use(name, option, value, message):
    stored = serialization.strategy_out(strategies.registered()[name]())
    stored["options"][option] = value
    with pytest.raises((TypeError, ValueError), match=message):
        serialization.strategy_in(stored, 3)


def averages(title="Averages", base=StoredEstimator):
    """Define an estimator that knows nothing but two averages, as its author would, and return it."""

    def beliefs(self, evidence, rows=None):
        m = len(evidence) if rows is None else len(rows)
        mean, cost = np.tile(self.mean, (m, 1)), np.tile(self.cost, (m, 1))
        return Beliefs(ran=evidence.ran, mean=mean, spread=np.zeros_like(mean), cost=cost)

    def read(cls, stored, models):
        if not isinstance(stored, dict) or not all(len(part) == len(models) for part in stored.values()):
            raise ValueError("two averages for each model are needed.")
        return cls(**stored)

    def init(self, mean, cost):
        self.mean, self.cost = mean, cost

    stored = lambda self: {"mean": self.mean, "cost": self.cost}  # noqa: E731
    body = {"__init__": init, "beliefs": beliefs, "stored": stored, "read": classmethod(read)}
    return type(title, (base,), body)


def test_the_estimator_of_an_author_comes_back(policy, tmp_path):
    kind, pool = averages(), policy[1]
    means = pool.quality.mean(axis=0).tolist(), pool.cost.mean(axis=0).tolist()
    saved = Policy(**(vars(policy[0]) | {"estimator": kind(*means)}))
    saved.save(tmp_path / "policy.json")
    again = Policy.load(tmp_path / "policy.json")
    assert (type(again.estimator), again.estimator.mean) == (kind, means[0])
    np.testing.assert_array_equal(again.play(pool, seed=0).order, saved.play(pool, seed=0).order)
    document = json.loads((tmp_path / "policy.json").read_text())
    document["estimator"]["numbers"]["mean"].append(0.5)
    (tmp_path / "policy.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match="damaged policy: two averages for each model"):
        Policy.load(tmp_path / "policy.json")


def test_an_estimator_says_itself_what_it_becomes(policy, tmp_path):
    kind, pool = averages(), policy[1]

    class Derived(LearnedEstimator):
        """It thinks otherwise than a LearnedEstimator, so it must not come back as one."""

    class Becomes(Derived):
        def fitted(self, sets):
            return kind([0.5, 0.7], [1.0, len(sets)])

    derived, becomes = (
        Policy(**(vars(policy[0]) | {"estimator": own(Ridge(), Ridge(), folds=2).fit(pool)}))
        for own in (Derived, Becomes)
    )
    with pytest.raises(TypeError, match=r"this one has Derived: .*method fitted\(sets\) of its own"):
        derived.save(tmp_path / "policy.json")
    becomes.save(tmp_path / "policy.json")
    assert Policy.load(tmp_path / "policy.json").estimator.cost == [1.0, 3]


def test_an_estimator_must_become_something_that_a_file_can_name(policy, tmp_path):
    hidden = Policy(**(vars(policy[0]) | {"estimator": averages("_Hidden")([0.5, 0.7], [1.0, 2.0])}))
    with pytest.raises(TypeError, match="must become one of .*this one is a _Hidden: derive that class from"):
        hidden.save(tmp_path / "policy.json")
    assert not list(tmp_path.iterdir())
