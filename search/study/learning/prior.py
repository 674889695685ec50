"""A driver that proposes what earlier studies of the same space found, while it proves true.

Each earlier study has a surrogate, a Gaussian process of its scores. What is proposed promises most
in the earlier studies' eyes: the mean over them of how much better a setting is there than the best
that was tried here, and a little of how good it is there at all, weighted by how well each study
orders the new one's own trials. Without trials all weigh the same, so that the first proposals are
a portfolio, chosen greedily, such that the best of it is good in every earlier study. A study that
orders the new trials no better than chance has no weight; when none has any, the sampler proposes.

Source: Wistuba, Schilling and Schmidt-Thieme, "Scalable Gaussian process-based transfer
surrogates for hyperparameter optimization", 2018 (gains over what was tried, weights by ranks);
Feurer et al., "Auto-Sklearn 2.0", 2022 (greedy portfolios); Salinas, Shen and Perrone, "A
quantile-based approach for hyperparameter transfer learning", 2020 (normal scores).
"""

import math
import random
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from search.seeds import derive
from search.study.drivers.base import Driver, Outcome
from search.study.learning.earlier import EarlierStudy, Learned
from spaces import Identity, Parameter, Params, Space, Value

FIRST = 12  # of a study's trials may follow earlier studies, one after the other;
THEN = 4  # then so many each time that their number doubles
DRAWS = 100  # settings of the space, drawn at random, among which a proposal is chosen
FINE = 10_000  # points of a range that may be drawn
BELIEF = 2  # pairs of trials that an earlier study is taken to have ordered well beforehand
LEVEL = 0.1  # of a setting's own score, beside its gain over what was tried
FEWEST = 3  # settings of an earlier study, at least, for a surrogate

Array = NDArray[np.float64]
Settings = dict[Identity, Params]


class LearningDriver(Driver):
    """Proposes by earlier studies first, and more and more by a sampler.

    A proposal depends on the seed, the trial's number and what was told, as a sampler's does, so
    that a continued study goes on as an uninterrupted one would. A sampler is shown the proposals
    that are not its own as it is shown baselines, and told how they ended.

    Args:
        sampler: proposes where earlier studies have nothing to say.
        learned: of the earlier studies.
        space: of the new study, narrowed.
        seed: the new study's.
    """

    def __init__(self, sampler: Driver, learned: Learned, space: Space, seed: int) -> None:
        self.remembers = sampler.remembers
        self._sampler = sampler
        self._learned = learned
        self._space = space
        self._seed = seed
        self._known: dict[int, tuple[Identity, Params]] = {}
        self._values: dict[int, float] = {}
        self._proposed_by: dict[int, str] = {}

    def ask(self, number: int) -> Params | None:
        """Return what promises most by the earlier studies, else the sampler's proposal."""
        found = self._transferred(number) if self._is_turn(number) else None
        if found is None:
            params = self._sampler.ask(number)
        else:
            params, self._proposed_by[number] = found
            self._sampler.adopt(number, params, sampled=False)
        if params is not None:
            self._note(number, params)
        return params

    def tell(self, number: int, params: Params, outcome: Outcome) -> None:
        """Learn how well the earlier studies foresaw it, and pass it on."""
        self._note(number, params)
        if outcome.values:
            self._values[number] = outcome.values[0]
        self._sampler.tell(number, params, outcome)

    def adopt(self, number: int, params: Params, *, sampled: bool) -> None:
        """Take note of it, and pass it on."""
        self._note(number, params)
        self._sampler.adopt(number, params, sampled=sampled)

    def inform(self, place: int, params: Params, value: float) -> None:
        """Pass it on to the sampler."""
        self._sampler.inform(place, params, value)

    def proposed_by(self, number: int) -> str:
        """Return `portfolio:STUDY` or `prior:STUDIES`; empty for the sampler's proposals."""
        return self._proposed_by.get(number, "")

    def _note(self, number: int, params: Params) -> None:
        if self._known.get(number, ((), None))[1] != params:
            self._known[number] = self._space.identity(params), params

    def _is_turn(self, number: int) -> bool:
        return number < FIRST or _turns(number) > _turns(number - 1)

    def _transferred(self, number: int) -> tuple[Params, str] | None:
        """Return the params that promise most, and where they are from; None without any."""
        weighed = [(judge, self._weight(judge)) for judge in self._judges]
        judges = [judge for judge, weight in weighed if weight > 0]
        pool = self._pool(number)
        if not judges or not pool:
            return None
        weights = np.array([weight for _, weight in weighed if weight > 0])
        promises = np.stack([self._promises(judge, pool) for judge in judges])
        identity = list(pool)[int(np.argmax(weights @ promises))]
        at = list(pool).index(identity)
        order = np.argsort(-weights * promises[:, at], kind="stable")
        return pool[identity], _words(identity, [judges[n] for n in order])

    def _promises(self, judge: "Surrogate", pool: Settings) -> Array:
        """Return what a study expects of each of some settings, in its standard deviations."""
        scores = judge.scores(pool)
        tried = judge.scores(dict(self._known.values()))
        gains = np.maximum(scores - tried.max(initial=judge.lowest), 0)
        return np.asarray(gains + LEVEL * scores, float)

    def _weight(self, judge: "Surrogate") -> float:
        """Return how well a study orders the trials so far: 1 for all pairs, 0 for chance."""
        numbers = sorted(self._values)
        foreseen = np.array([judge.score(*self._known[number]) for number in numbers])
        own = np.array([self._values[number] for number in numbers])
        first, second = np.triu_indices(len(numbers), 1)
        signs = np.sign(foreseen[first] - foreseen[second]) * np.sign(own[first] - own[second])
        return max(0.0, float((BELIEF + signs.sum()) / (BELIEF + len(signs))))

    def _pool(self, number: int) -> Settings:
        """Return settings that are new: the earlier studies' that fit, and some at random.

        One that differs from a tried one only in what the earlier studies know nothing of is none.
        """
        drawn = {} if self._learned.shipped else self._draws(number)
        pool = {**drawn, **self._completed(number)}
        for identity, _ in self._known.values():
            pool.pop(identity, None)
        tried = {self._foreseen(params) for _, params in self._known.values()}
        return {key: params for key, params in pool.items() if self._foreseen(params) not in tried}

    def _foreseen(self, params: Params) -> frozenset[tuple[str, Value]]:
        """Return the part of a setting that earlier studies have something to say of."""
        return frozenset((n, value) for n, value in params.items() if n not in self._unknown)

    def _completed(self, number: int) -> Settings:
        """Return the earlier studies' settings that fit.

        What none of them has tried in more than one way is drawn at random where the new study
        searches it: they say nothing of it.
        """
        if not self._unknown:
            return self._fitting
        source = random.Random(derive(self._seed, "unknown", number))  # noqa: S311 - no secret
        values = self._drawn_from

        def completed(params: Params) -> Params:
            def choose(parameter: Parameter) -> Value:
                is_unknown = parameter.name in self._unknown or parameter.name not in params
                return (
                    source.choice(values[parameter.name]) if is_unknown else params[parameter.name]
                )

            return self._space.decide(choose)

        found = map(completed, self._fitting.values())
        return {self._space.identity(params): params for params in found}

    def _draws(self, number: int) -> Settings:
        source = random.Random(derive(self._seed, "learned", number))  # noqa: S311 - no secret
        values = self._drawn_from

        def choose(parameter: Parameter) -> Value:
            return source.choice(values[parameter.name])

        drawn = (self._space.decide(choose) for _ in range(DRAWS))
        return {self._space.identity(params): params for params in drawn}

    @cached_property
    def _judges(self) -> list["Surrogate"]:
        having = [one for one in self._learned.studies if len(one.trials) >= FEWEST]
        return [Surrogate(one, self._space) for one in having]

    @cached_property
    def _fitting(self) -> Settings:
        """The settings of earlier studies that fit the space."""
        return {identity: params for judge in self._judges for identity, params in judge.fitting()}

    @cached_property
    def _unknown(self) -> frozenset[str]:
        """The parameters that the space searches and of which each study tried one value alone."""
        return frozenset(
            parameter.name
            for parameter in self._space.parameters
            if not parameter.fixed
            and not any(judge.varies(parameter.name) for judge in self._judges)
        )

    @cached_property
    def _drawn_from(self) -> dict[str, tuple[Value, ...]]:
        return {p.name: (p.default,) if p.fixed else p.grid(FINE) for p in self._space.parameters}


def _turns(number: int) -> int:
    return int(THEN * math.log2(number / FIRST)) if number >= FIRST else -1


def _words(identity: Identity, judges: Sequence["Surrogate"]) -> str:
    """Say where a proposal is from, given the studies that promise most of it first."""
    having = [judge.study.study for judge in judges if judge.has(identity)]
    return f"portfolio:{having[0]}" if having else f"prior:{judges[0].study.study}"


def fitted(params: Params, space: Space) -> Params | None:
    """Return params of an earlier study in a narrowed space; None if they do not fit.

    Parameters that the space fixes take its value, and those the study did not have their default.
    """

    def choose(parameter: Parameter) -> Value:
        is_held = parameter.fixed or parameter.name not in params
        return cast("Value", parameter.default if is_held else params[parameter.name])

    found = space.decide(choose)
    return found if all(space[name].contains(value) for name, value in found.items()) else None


class Surrogate:
    """A Gaussian process of an earlier study's scores; what the study evaluated it knows.

    Scores are normal scores of ranks, so that studies compare whatever they measured and failures
    far below weigh no more than others.

    Attributes:
        study: the earlier study.
        lowest: of its scores.
    """

    def __init__(self, study: EarlierStudy, space: Space) -> None:
        self.study = study
        self._own = normal_scores([value for _, value in study.trials])
        self.lowest = float(self._own.min())
        self._settings = [params for params, _ in study.trials]
        self._encoding = Encoding(self._settings, space)
        self._fitting: Settings = {}
        self._scores: dict[Identity, float] = {}
        for params, score in zip(self._settings, self._own, strict=True):
            fitting = fitted(params, space)
            if fitting is not None:  # of several that fixed values make the same, the first counts
                identity = space.identity(fitting)
                self._fitting.setdefault(identity, fitting)
                self._scores.setdefault(identity, float(score))

    def fitting(self) -> Iterable[tuple[Identity, Params]]:
        """Return what it evaluated, in the new space."""
        return self._fitting.items()

    def varies(self, name: str) -> bool:
        """Say whether it tried more than one value of a parameter."""
        return len({repr(params[name]) for params in self._settings if name in params}) > 1

    def has(self, identity: Identity) -> bool:
        """Say whether it evaluated a setting of the new space."""
        return identity in self._fitting

    def score(self, identity: Identity, params: Params) -> float:
        """Return the score of a setting of the new space, known or predicted."""
        return float(self.scores({identity: params})[0])

    def scores(self, settings: Settings) -> Array:
        """Return the score of each of some settings of the new space, known or predicted."""
        missing = {i: params for i, params in settings.items() if i not in self._scores}
        if missing:
            rows = self._encoding.rows(list(missing.values()))
            with threadpool_limits(1):
                predicted = self._process.predict(rows) if self._process else np.zeros(len(rows))
            self._scores.update(zip(missing, map(float, predicted), strict=True))
        return np.array([self._scores[identity] for identity in settings])

    @cached_property
    def _process(self) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        rows = self._encoding.rows(self._settings)
        if not rows.shape[1]:
            return None
        kernel = ConstantKernel() * Matern(
            np.ones(rows.shape[1]), (0.1, 20.0), nu=2.5
        ) + WhiteKernel(0.1, (1e-3, 1.0))
        process = GaussianProcessRegressor(kernel, normalize_y=True)
        # Matrices are so small that threads slow each other down while workers train.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is no harm
            return process.fit(rows, self._own)


class Encoding:
    """Turns params into rows of numbers, by what varies among an earlier study's settings.

    Numbers are scaled to 0..1, on a log scale where they span more than a factor of eight; other
    values have a column each. A parameter that is not in use is at its mean.
    """

    def __init__(self, settings: Sequence[Params], space: Space) -> None:
        self._columns: list[tuple[str, Any]] = []
        for name in space.names():
            values = [params[name] for params in settings if name in params]
            if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
                if values and min(values) < max(values):
                    self._columns.append((name, _Scale.of(values)))
                continue
            different = dict.fromkeys(map(repr, values))
            for value in list(different)[1:] if len(different) < 3 else different:
                self._columns.append((name, value))

    def rows(self, settings: Sequence[Params]) -> Array:
        """Return an array (settings, columns)."""
        columns = [
            [self._entry(params, *column) for params in settings] for column in self._columns
        ]
        return np.array(columns, float).reshape(len(self._columns), len(settings)).T

    def _entry(self, params: Params, name: str, how: Any) -> float:
        if isinstance(how, _Scale):
            value = params.get(name)
            is_number = isinstance(value, int | float)
            return how.place(float(value)) if is_number else how.mean  # type: ignore[arg-type]
        return float(name in params and repr(params[name]) == how)


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    log: bool
    mean: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Scale":
        low, high = float(min(values)), float(max(values))
        scale = cls(low, high, low > 0 and high / low > 8, 0.0)
        return cls(low, high, scale.log, float(np.mean([scale.place(v) for v in values])))

    def place(self, value: float) -> float:
        if self.log and value > 0:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return (value - self.low) / (self.high - self.low)


def normal_scores(values: Sequence[float]) -> Array:
    """Return the standard normal quantiles of values' ranks; ties share their mean rank."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)), float)
