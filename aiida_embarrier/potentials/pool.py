"""A potential on the cores of a CPU: one process with one thread for each core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from aiida_embarrier.potentials.evaluator import PotentialError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from ase import Atoms

    from aiida_embarrier.jobs.potentials import PotentialSpec
    from aiida_embarrier.potentials.evaluator import ModelEvaluator, Outcome

__all__ = ('PoolEvaluator',)

PARENT_SIGNALS = (signal.SIGINT, signal.SIGTERM)

THREAD_VARIABLES = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMEXPR_NUM_THREADS')


class PoolEvaluator:
    """Spawned processes that each hold the model; structures are handed out one by one.

    Processes are spawned, never forked: torch and OpenMP do not survive a fork. They ignore SIGINT and SIGTERM, which
    are the parent's to answer, and end with the parent, however it ends.

    :param spec: as returned by :func:`~aiida_embarrier.potentials.loading.verify_potential`.
    :param processes: number of processes.
    :raises PotentialError: where the model cannot be loaded.
    """

    device = 'cpu'

    def __init__(self, spec: PotentialSpec, processes: int) -> None:
        self.processes = processes
        self._executor = ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context('spawn'), initializer=_start, initargs=(spec,)
        )
        with _spawning():
            # each request starts a process as long as none is idle, and none can be before the last is made
            ready = [self._executor.submit(_check) for _ in range(processes)]
        try:
            for future in ready:
                future.result()
        except BrokenProcessPool:
            self.close()
            raise PotentialError(self._death()) from None
        except PotentialError:
            self.close()
            raise

    def evaluate(self, structures: Sequence[Atoms], stress: bool = False) -> list[Outcome]:
        """Return one outcome for each structure; see :meth:`Evaluator.evaluate`."""
        return self.collect(self.submit(structures, stress))

    def submit(self, structures: Sequence[Atoms], stress: bool = False) -> list[Future[Outcome]]:
        """Hand out structures without waiting; :meth:`collect` takes what is returned.

        :raises PotentialError: where a process has died.
        """
        try:
            return [self._executor.submit(_evaluate, atoms, i, stress) for i, atoms in enumerate(structures)]
        except BrokenProcessPool:
            raise PotentialError(self._death()) from None

    def collect(self, futures: Sequence[Future[Outcome]]) -> list[Outcome]:
        """Return the outcomes of structures that were handed out, when all are there.

        :raises PotentialError: where a process has died.
        """
        try:
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise PotentialError(self._death()) from None

    def _death(self) -> str:
        return (
            f'one of the {self.processes} process(es) that evaluate the potential died, most likely for want of '
            'memory: ask for more memory or set `processes` to a smaller number'
        )

    def close(self) -> None:
        """End the processes."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _spawning() -> Iterator[None]:
    """Let processes that start inside read a thread count of one, and start with the signals of the parent blocked.

    Both reach a process before its first line runs; a signal to the parent waits until the end of the block.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, '1'))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


# What follows runs in the processes of the pool. An exception in an initialiser would be lost, so it is kept and raised
# by the first request.
_model: ModelEvaluator | None = None
_failure: PotentialError | None = None


def _start(spec: PotentialSpec) -> None:
    global _model, _failure
    for number in PARENT_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from aiida_embarrier.potentials.loading import load_model

    try:
        _model = load_model(spec, 'cpu')
    except PotentialError as error:
        _failure = error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _check() -> None:
    if _failure is not None:
        raise _failure


def _evaluate(atoms: Atoms, index: int, stress: bool) -> Outcome:
    assert _model is not None
    return _model.evaluate_one(atoms, index, stress)
