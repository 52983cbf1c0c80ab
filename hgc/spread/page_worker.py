"""Other open pages as workers, for people with two machines and no cluster: requests go to their `/run_request`."""

from __future__ import annotations

import json
from base64 import b64decode
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from typing import Any

from gradio_client import Client
from gradio_client.exceptions import AppError

from hgc.history import RecordRefused
from hgc.history.archive import read_archive
from hgc.results.comparison import Cancelled, Comparison
from hgc.results.records import comparison_of
from hgc.spread.compare import Compare
from hgc.spread.desk import News
from hgc.spread.facts import Facts
from hgc.spread.work import WorkerLost, WorkTask

LOADING_S = 300.0  # of a page that was just opened


class PageHand:
    """An open page, by its address or, on Hugging Face, its Space's owner/name. Raises WorkerLost.

    A run that is stopped leaves the page's queue, or is finished there for nobody: the page counts its own visitors.
    """

    def __init__(self, address: str, token: str | None) -> None:
        self.name, self._jobs = address, dict[str, tuple[Compare, Any]]()
        try:
            # Without one that was given here, none is sent: not the one either that is saved on this machine.
            self._client = Client(address, token=token or False, verbose=False, download_files=False)
        # Whatever its transport raises, and a Space that is not to be found.
        except Exception as error:
            raise WorkerLost(self._unreachable(error)) from error

    def facts(self) -> Facts:
        """The page's version, model and weights. Raises WorkersDiffer for one of another version."""
        data = self._answer(self._client.submit(api_name="/facts"), LOADING_S)
        return replace(Facts.read(data), where=self.name)

    def work(self, name: str, task: WorkTask, patience_s: float) -> News:
        """Sends a request; there are no news of it before its pictures."""
        assert isinstance(task, Compare), "pages draw requests, nothing else"
        job = self._client.submit(json.loads(task.request), False, True, api_name="/run_request")
        self._jobs[name] = (task, job)
        return self.more(name, 0, patience_s)

    def more(self, name: str, heard: int, patience_s: float) -> News:
        if name not in self._jobs:
            return News((), True, Cancelled("stopped on request"))
        task, job = self._jobs[name]
        try:
            answer = self._answer(job, patience_s)
        except NotYet:
            return News((), False)
        self._jobs.pop(name, None)
        return News((self._comparison(task, answer),), True)

    def stop(self, name: str) -> None:
        _, job = self._jobs.pop(name, (None, None))
        if job is not None:
            job.cancel()

    def end(self) -> None:
        """The page goes on without us."""
        for name in list(self._jobs):
            self.stop(name)

    def _answer(self, job: Any, patience_s: float) -> Any:
        try:
            return job.result(timeout=patience_s)
        except NotYet:
            raise
        except AppError as error:
            raise WorkerLost(f"it says: {' '.join(str(error).split())[:200]}") from error
        except Exception as error:
            raise WorkerLost(self._unreachable(error)) from error

    def _comparison(self, task: Compare, answer: Any) -> Comparison:
        """Out of the recording in the answer; of another plan than was made here, it is none."""
        try:
            (record,) = read_archive(b64decode(answer[2]["recording"]))
            comparison = replace(comparison_of(record), recorded=False)
        except (RecordRefused, KeyError, ValueError, TypeError) as error:
            raise WorkerLost("its answer cannot be read: bring both to the same version") from error
        if comparison.cached.trace.plan.digest != task.forecast.plan.digest:
            raise WorkerLost("it planned otherwise: a calibration of its own, or of this machine's, is in the way")
        return comparison

    def _unreachable(self, error: Exception) -> str:
        return f"the page cannot be reached ({' '.join(str(error).split())[:200] or type(error).__name__}); is it open?"
