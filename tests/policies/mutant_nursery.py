"""Runs tests against mutated functions: the tests are imported and collected once, and a fork takes in each mutant.

Started with the test files as arguments. Told one JSON object a line, `{"module": …, "source": …}`; answers each with
the test that fails, `{"noticed_by": …}`, null where all pass. A test that has just failed goes first the next time.
"""

import functools
import importlib
import json
import os
import resource
import sys
import types
from collections.abc import Iterator
from typing import IO, Any

import pytest
from hypothesis import Phase, settings

CPU_S = 240
"""A mutant that never ends is noticed, too; all tests together take a tenth of that."""
QUICK_S = 0.5


class Nursery:
    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers
        self._order: list[pytest.Item] = []
        self._took_s: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Of the fork; the nursery itself runs no test."""
        self._took_s[report.nodeid] = self._took_s.get(report.nodeid, 0.0) + report.duration

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._order = list(session.items)
        for line in self._questions:
            told = json.loads(line)
            answer = self._noticed_by(session, told["module"], told["source"])
            if answer.get("took_s"):
                self._order.sort(key=lambda item: answer["took_s"][item.nodeid] > QUICK_S)
                self._took_s = answer["took_s"]
            self._put_first(answer["noticed_by"])
            self._answers.write(json.dumps({"noticed_by": answer["noticed_by"]}) + "\n")
            self._answers.flush()
        return True

    def _put_first(self, name: str | None) -> None:
        """What has just noticed a mistake will notice the next one in the same function; a slow test waits longer."""
        for item in [item for item in self._order if item.nodeid == name]:
            self._order.remove(item)
            slow = self._took_s.get(item.nodeid, 0.0) > QUICK_S
            quick = sum(self._took_s.get(each.nodeid, 0.0) <= QUICK_S for each in self._order)
            self._order.insert(quick if slow else 0, item)

    def _noticed_by(self, session: pytest.Session, module: str, source: str) -> dict[str, Any]:
        """The first test that fails; where none does, how long each took."""
        heard, spoken = os.pipe()
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            take_in(importlib.import_module(module), source)
            self._took_s = {}
            failed = self._run(session)
            told = {"noticed_by": failed} if failed else {"noticed_by": None, "took_s": self._took_s}
            with os.fdopen(spoken, "w") as answer:
                answer.write(json.dumps(told))
            os._exit(0)
        os.close(spoken)
        with os.fdopen(heard) as told_by_child:
            answer_text = told_by_child.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ended: dict[str, Any] = {"noticed_by": f"the process, which ended with {status}"}
        return dict(json.loads(answer_text)) if answer_text else ended

    def _run(self, session: pytest.Session) -> str | None:
        for item, following in zip(self._order, [*self._order[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return item.nodeid
        return None


def take_in(module: types.ModuleType, source: str) -> None:
    """Give every function of the module the code it has in `source`, wherever it has been imported to."""
    changed = types.ModuleType(module.__name__)
    changed.__dict__.update({"__file__": module.__file__, "__package__": module.__package__})
    exec(compile(source, str(module.__file__), "exec"), changed.__dict__)  # noqa: S102  (our own source)
    for name, value in vars(changed).items():
        if getattr(value, "__module__", None) == module.__name__:
            for old, new in _functions(getattr(module, name), value):
                old.__code__ = new.__code__


def _functions(old: Any, new: Any) -> Iterator[tuple[types.FunctionType, types.FunctionType]]:
    if isinstance(new, type):
        for name, value in vars(new).items():
            if name in vars(old):
                yield from _functions(vars(old)[name], value)
    elif isinstance(new, staticmethod | classmethod):
        yield from _functions(old.__func__, new.__func__)
    elif isinstance(new, property):
        yield from _functions(old.fget, new.fget)
    elif isinstance(new, functools.cached_property):
        yield from _functions(old.func, new.func)
    elif isinstance(new, types.FunctionType) and isinstance(old, types.FunctionType):
        yield old, new


if __name__ == "__main__":
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
    settings.load_profile("mutants")
    # pytest and the tests have streams of their own
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=0", "--hypothesis-seed=0"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    sys.exit(int(pytest.main([*options, *sys.argv[1:]], plugins=[Nursery(questions, answers)])))
