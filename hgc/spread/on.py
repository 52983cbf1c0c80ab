"""Where the runs of a command or a page are done, as `--on`, `--count` and `--workers` say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hgc import limits
from hgc.refused import Refused

if TYPE_CHECKING:
    from hgc.spread.pool import Pool
    from hgc.spread.ray_worker import Team
    from hgc.studio.studio import Studio

HERE, RAY = "here", "ray"
COUNT = "HGC_WORKERS"
_ADDRESS = re.compile(r"ray(://[^\s/]+:\d+)?|auto|[\w.-]+:\d+")


class OnRefused(Refused, ValueError):
    """A place of work that is none; one sentence says which there are."""


@dataclass(frozen=True)
class On:
    """`place`: here, ray for a cluster of this machine's own, or the address of one; `count`: how many workers.

    `pages` are addresses of other open pages, which then do the runs; `token` goes to those that ask for one.
    """

    place: str = HERE
    count: int | None = None
    pages: tuple[str, ...] = ()
    token: str | None = None

    @classmethod
    def read(cls, place: str = HERE, count: int | None = None, workers: str = "", token: str | None = None) -> On:
        """Raises OnRefused."""
        pages = tuple(dict.fromkeys(part for part in (part.strip() for part in workers.split(",")) if part))
        if place != HERE and not _ADDRESS.fullmatch(place):
            raise OnRefused(f"--on {place[:80]}: choose here, ray, ray://HOST:PORT, or auto for the cluster around it")
        if place != HERE and pages:
            raise OnRefused(f"--on {place} and --workers: choose one of them")
        if count is not None and (place == HERE or not 1 <= count <= limits.WORKERS):
            raise OnRefused(f"--count {count}: 1 to {limits.WORKERS} workers, with --on ray")
        for page in pages:
            if urlsplit(page).scheme not in ("http", "https") and not re.fullmatch(r"[\w.-]+/[\w.-]+", page):
                raise OnRefused(
                    f"--workers {page[:80]}: give addresses such as http://other:7860, or a Space's owner/name"
                )
        return cls(place, count, pages, token)

    @classmethod
    def of(cls, environment: Mapping[str, str], arguments: Sequence[str]) -> On:
        """As `app.py` is told: by --on, and by HGC_WORKERS how many. Raises OnRefused."""
        given = [after for name, after in pairwise([*arguments, ""]) if name == "--on"]
        given += [argument.partition("=")[2] for argument in arguments if argument.startswith("--on=")]
        workers = environment.get(COUNT, "").strip()
        if not workers:
            return cls.read(given[-1] if given else HERE)
        if not workers.isdigit():
            raise OnRefused(f"{COUNT}={workers[:40]}: give a number of workers, such as 2")
        return cls.read(given[-1] if given else RAY, int(workers))

    @property
    def elsewhere(self) -> bool:
        return self.place != HERE or bool(self.pages)

    @contextmanager
    def studio(
        self, model: str, device: str | None = None, dtype: str | None = None, *, graphs: bool = False
    ) -> Iterator[Studio]:
        """A studio whose runs are done there, as long as it is used. Raises Refused in one sentence."""
        from hgc.studio.studio import Studio

        if not self.elsewhere:
            studio = Studio.load(model, device, dtype)
            studio.record_steps(graphs)
            yield studio
            return
        from hgc.spread.ray_worker import Team
        from hgc.spread.studio import SpreadStudio

        with self._pages() if self.pages else self._cluster(Team(model, device, dtype, graphs)) as pool:
            yield SpreadStudio.beside(pool, model)

    @contextmanager
    def _pages(self) -> Iterator[Pool]:
        from hgc.spread.page_worker import PageHand
        from hgc.spread.pool import Pool

        with closing(Pool(lambda number: PageHand(self.pages[number], self.token), len(self.pages))) as pool:
            yield pool.open()

    @contextmanager
    def _cluster(self, team: Team) -> Iterator[Pool]:
        from hgc.spread.cluster import Cluster
        from hgc.spread.pool import Pool

        with closing(Cluster("local" if self.place == RAY else self.place, self.count)) as cluster:
            count = self.count or cluster.places(team)
            with closing(Pool(partial(cluster.hire, team), count)) as pool:
                yield pool.open()
