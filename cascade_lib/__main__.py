"""The command line: ``cascade-lib describe | frontier | fit | report LOG``.

Findings go to the output stream, everything else to the error stream. Exit codes: 0 done; 2 the command line is wrong;
3 the log cannot be used; 4 the request cannot be met, such as a budget below that of the cheapest model; 5 a result
could not be written; 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ._columns import DATES, held, is_text
from .deploy.policy import Policy
from .evaluation._findings import wrapped
from .evaluation.baselines import omniscient, single_models
from .evaluation.studies import Study, candidates, study
from .logs import read_log
from .outcomes import Outcomes

DONE, USAGE, LOG, REQUEST, OUTPUT, INTERRUPTED = 0, 2, 3, 4, 5, 130
STRATEGIES = {kind.slug: name for name, kind in candidates().items()}


class CommandError(Exception):
    """What stops a command, with the code to exit with."""

    def __init__(self, code: int, message: object) -> None:
        super().__init__(str(message))
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after the program's name. Default: those that it was started with.
    """
    options = _parser().parse_args(arguments)
    options.words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_: print(f"Note: {message}", file=sys.stderr)
            _refuse_unwritable(getattr(options, "output", None))
            options.command(options)
    except CommandError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    return DONE


def describe(options: argparse.Namespace) -> None:
    """Show what is in a log, without learning anything."""
    pool = _pool(options)
    print(pool)
    print(f"known before a call: {', '.join(_described(column) for _, column in pool.query.items()) or 'nothing'}")
    print(f"known after a call: {', '.join(pool.answer_features) or 'nothing'}")
    for curve in (single_models(pool), omniscient(pool)):
        print(curve)


def _described(column: pd.Series) -> str:
    """Return the name of a feature, and what it holds if that is more than numbers or labels."""
    return f"{column.name}{' (text)' if is_text(column) else ' (date)' if held(column) in DATES else ''}"


def frontier(options: argparse.Namespace) -> None:
    """Compare all strategies on held-out queries, and write their curves if asked to."""
    result = _study(options)
    print(result)
    if options.output:
        curves = {name: curve.to_frame() for name, curve in result.curves.items()}
        table = pd.concat(curves, names=["strategy", "point"]).reset_index()
        _write(options.output, table.to_csv(index=False))


def fit(options: argparse.Namespace) -> None:
    """Fit a policy to a budget or a quality, check it on held-out queries and save it."""
    pool = _pool(options)
    _refuse_unreachable(pool, options)
    result = _study(options, pool)
    name = STRATEGIES[options.strategy] if options.strategy else None
    try:
        policy = result.policy(budget=options.budget, quality=options.quality, strategy=name)
    except ValueError as error:
        among = f"On the {len(result.calibration)} queries that policies are fitted on"
        raise CommandError(REQUEST, f"{among}, {error} `frontier` shows what each strategy reaches.") from None
    print(*map(wrapped, result.words), policy, sep="\n")
    print(f"on held-out queries: {policy.play(result.test, seed=options.seed)}")
    _save(policy, options.output)


def report(options: argparse.Namespace) -> None:
    """Write everything that can be said of a log into one HTML file."""
    from .evaluation.report import to_html

    pool = _pool(options)
    log = Path(options.log)
    source = {
        "Log": log.name,
        "SHA-256": hashlib.sha256(log.read_bytes()).hexdigest(),
        "Command": shlex.join(["cascade-lib", *options.words]),
    }
    result = _study(options, pool)
    budget, per_day = result.first_budget, options.queries_per_day
    step = _fit_command(options, result, budget) if budget is not None else ""
    title = f"Routing and cascading: {log.name}"
    _write(options.output, to_html(result, title=title, queries_per_day=per_day, next_step=step, source=source))
    month = [] if per_day is None else [result.month(per_day)]
    answer, *others = result.words
    print(*map(wrapped, [answer, *month, *others]), *([f"Next: {step}"] if step else []), sep="\n")


def _fit_command(options: argparse.Namespace, result: Study, budget: float) -> str:
    """Return the command that fits the recommended policy, with all that was asked for of the log and the study."""
    slug = result.strategies[result.deployed].slug
    asked = ["--budget", f"{budget:.15g}", "--strategy", slug, "--output", "policy.json"]
    plain = vars(_parser().parse_args(["fit", options.log, "--budget", "0"]))
    for name in sorted(vars(options).keys() & plain.keys() - {"command", "log", "output"}):
        value = getattr(options, name)
        if value != plain[name]:
            values = value if isinstance(value, list) else [] if value is True else [str(value)]
            asked += [f"--{name.replace('_', '-')}", *values]
    return shlex.join(["cascade-lib", "fit", options.log, *asked])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cascade-lib", description=__doc__.split("\n")[0].split(":")[0] + ".")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    made = {}
    for command in (describe, frontier, fit, report):
        text = command.__doc__
        made[command] = part = commands.add_parser(command.__name__, help=text, description=text)
        part.set_defaults(command=command)
        part.add_argument("log", metavar="LOG", help="a .csv, .tsv or .parquet file; see cascade_lib.read_log")
        part.add_argument("--cost-unit", default="", help="the unit of the costs, e.g. USD")
        part.add_argument("--models", nargs="+", help="take only these models (default: all)")
        part.add_argument("--query-features", nargs="*", help="columns known before a call (default: found out)")
        part.add_argument("--answer-features", nargs="*", help="columns known after a call (default: found out)")
        part.add_argument("--drop-incomplete", action="store_true", help="leave out queries that lack a model")
    for command in (frontier, fit, report):
        part = made[command]
        part.add_argument("--test", type=float, default=0.4, help="share of queries to judge on (default: %(default)s)")
        part.add_argument(
            "--depth", type=int, help="most models per query in cascade routing (default: by their number)"
        )
        part.add_argument("--seed", type=int, default=0, help="of the split and the bootstrap (default: %(default)s)")
    made[frontier].add_argument("--output", type=Path, help="write the points of all curves to this CSV file")
    goal = made[fit].add_mutually_exclusive_group(required=True)
    goal.add_argument("--budget", type=float, help="mean cost per query that may be spent")
    goal.add_argument("--quality", type=float, help="mean quality to reach at the least cost")
    made[fit].add_argument("--strategy", choices=STRATEGIES, help="default: the one that the study recommends")
    made[fit].add_argument("--output", type=Path, default=Path("policy.json"), help="(default: %(default)s)")
    made[report].add_argument("--output", type=Path, default=Path("report.html"), help="(default: %(default)s)")
    text = "say what is saved a month with so many, in the unit of the costs"
    made[report].add_argument("--queries-per-day", type=_positive, metavar="N", help=text)
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError(text)
    return number


def _pool(options: argparse.Namespace) -> Outcomes:
    try:
        return read_log(
            options.log,
            query_features=options.query_features,
            answer_features=options.answer_features,
            cost_unit=options.cost_unit,
            models=options.models,
            drop_incomplete=options.drop_incomplete,
        )
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise CommandError(LOG, error) from None


def _study(options: argparse.Namespace, pool: Outcomes | None = None) -> Study:
    pool = pool or _pool(options)
    try:
        return study(pool, test=options.test, depth=options.depth, seed=options.seed, progress=True)
    except (ValueError, TypeError) as error:
        raise CommandError(REQUEST, error) from None


def _refuse_unwritable(path: Path | None) -> None:
    """Refuse an output that cannot be written before the work whose result it is."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise CommandError(OUTPUT, f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise CommandError(OUTPUT, f"{path} cannot be written: it is a folder.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(OUTPUT, f"{path} cannot be written: permission denied.")


def _refuse_unreachable(pool: Outcomes, options: argparse.Namespace) -> None:
    """Refuse what not even the best or the cheapest choice for every single query of the log would give."""
    best, least = pool.quality.max(axis=1).mean(), pool.cost.min(axis=1).mean()
    if options.quality is not None and not options.quality <= best:
        raise CommandError(
            REQUEST, f"quality {options.quality:g} cannot be reached: the best answers in the log have {best:.4g}."
        )
    if options.budget is not None and not options.budget >= least:
        raise CommandError(
            REQUEST, f"budget {options.budget:g} cannot be kept: the cheapest answers in the log cost {least:.4g}."
        )


def _save(policy: Policy, path: Path) -> None:
    try:
        policy.save(path)
    except OSError as error:
        raise CommandError(OUTPUT, f"{path} cannot be written: {error.strerror}.") from None
    print(f"Written: {path}", file=sys.stderr)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(OUTPUT, f"{path} cannot be written: {error.strerror}.") from None
    print(f"Written: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
