"""A backfill that is killed, wherever it is: the store is sound, and the next one ends as if nothing had happened."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from test_backfill import NUMBER, past_days, said, world

from trialsync.store.verify import verify

CHILD = """
    import os, signal, sys
    from pathlib import Path
    folder, parts = Path(sys.argv[1]), [int(part) for part in sys.argv[2].split(",")]
    sys.path[:0] = sys.argv[3:]
    import test_backfill as tests
    from trialsync.sync.backfill import Extent, backfill
    from trialsync.sync.poll import Policy

    def run(store, kill_at):
        here = tests.world(folder, tests.past_days(1), name=f"unused-{os.getpid()}.db")
        here.store = store
        count = 0
        def note(sql):
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        with here.registry() as registry, here.writer() as writer:
            writer.connection.raw.set_trace_callback(note)
            backfill((tests.NUMBER,), registry=registry, writer=writer, now=here.clock, policy=Policy(), extent=Extent())
            writer.connection.raw.set_trace_callback(None)
        return count

    def killed(part, statements):
        child = os.fork()
        if child == 0:
            run(folder / f"{part}.db", statements * part // (len(parts) + 1))
            os._exit(1)
        return os.waitpid(child, 0)[1] == signal.SIGKILL

    # Asked of a process of its own, since threads that it leaves must not be forked.
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, str(run(folder / "counted.db", 0)).encode())
        os._exit(0)
    os.wait()
    statements = int(os.read(reading, 20))
    print(statements, *(killed(part, statements) for part in parts))
"""
"""A process that kills children of its own, each at another statement: so that trialsync is imported once."""


def test_a_killed_backfill_leaves_a_sound_store(tmp_path: Path) -> None:
    """Killed at statements from its first to its last, among them those of the one transaction that moves everything."""
    parts = range(1, 13)
    whole = world(tmp_path, past_days(1), name="whole.db")
    whole.poll()
    before = said(whole)
    for name in ("counted", *parts):
        shutil.copy(whole.store, tmp_path / f"{name}.db")
    whole.backfill()
    after = said(whole)
    here = Path(__file__).parent
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), ",".join(map(str, parts)), str(here), str(here.parent)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr
    statements, *killed = ran.stdout.split()[-len(parts) - 1 :]
    assert int(statements) > len(parts)
    assert killed == ["True"] * len(parts)
    seen = []
    for part in parts:
        whole.store = tmp_path / f"{part}.db"
        assert verify(whole.store) == []
        seen.append(said(whole))
        assert seen[-1] in (before, after)
        assert whole.backfill().studies[0].complete
        assert said(whole) == after
        assert [row[1] for row in whole.versions(NUMBER)] == [0, 1, 2, 3]
    assert before in seen
