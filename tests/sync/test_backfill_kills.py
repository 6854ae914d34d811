"""A backfill that is killed, wherever it is: the store is sound, and the next one ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from test_backfill import NUMBER, past_days, said, world

from trialsync.store.verify import verify

KILLED = -9
CHILD = """
    import os, signal, sys
    from pathlib import Path
    sys.path[:0] = sys.argv[3:]
    import test_backfill as tests
    from trialsync.sync.backfill import Extent, backfill
    from trialsync.sync.poll import Policy
    here = tests.world(Path(sys.argv[1]).parent, tests.past_days(1), name="unused.db")
    here.store = Path(sys.argv[1])
    kill_at, count = int(sys.argv[2]), 0
    def note(sql):
        global count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    with here.registry() as registry, here.writer() as writer:
        writer.connection.raw.set_trace_callback(note)
        backfill((tests.NUMBER,), registry=registry, writer=writer, now=here.clock, policy=Policy(), extent=Extent())
        writer.connection.raw.set_trace_callback(None)
    print(count)
"""


def run(store: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    """Backfill in another process, which dies at its n-th statement; 0 for never."""
    here = Path(__file__).parent
    folders = [str(here), str(here.parent)]
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(store), str(kill_at), *folders]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def test_a_killed_backfill_leaves_a_sound_store(tmp_path: Path) -> None:
    """Killed at statements from its first to its last, among them those of the one transaction that moves everything."""
    whole = world(tmp_path, past_days(1), name="whole.db")
    whole.poll()
    before = said(whole)
    ran = run(whole.store, 0)
    assert ran.returncode == 0, ran.stderr
    statements = int(ran.stdout.split()[-1])
    after = said(whole)
    for part in (3, 6):
        here = world(tmp_path, past_days(1), name=f"{part}.db")
        here.poll()
        assert run(here.store, statements * part // 7).returncode == KILLED
        assert verify(here.store) == []
        assert said(here) in (before, after)
        assert here.backfill().studies[0].complete
        assert said(here) == after
        assert [row[1] for row in here.versions(NUMBER)] == [0, 1, 2, 3]
