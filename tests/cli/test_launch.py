"""``launch`` as users run it: a real profile made with verdi, a terminal, an interrupt, and the daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from shell import POTENTIAL, Shell, make_shell
from systems import aluminium_vacancy_ends


@pytest.fixture(scope='module')
def shell(tmp_path_factory):
    """Return a shell with a profile as `verdi presto` makes it, and the code of the worker."""
    folder = tmp_path_factory.mktemp('presto')
    assert 'verdi presto --use-zeromq' in Shell(folder)('aiida-embarrier', 'list', code=1).stderr
    found = make_shell(folder)
    _, final = aluminium_vacancy_ends()
    final.replace(3, 'Cu')
    final.to_file(str(folder / 'other.vasp'), fmt='poscar')
    yield found
    found('verdi', 'daemon', 'stop')


ENDS = ('--initial', 'A.vasp', '--final', 'B.vasp', '--images', '5', '--code', 'embarrier-worker@here')


@pytest.mark.slow
def test_between_endpoints_in_the_terminal(shell):
    done = shell('aiida-embarrier', 'launch', 'barrier', *ENDS, *POTENTIAL, '--format', 'json')
    result = json.loads(done.stdout)
    assert result['exit_status'] == 0
    assert result['band']['converged'] is True
    assert result['band']['barrier_forward'] == pytest.approx(result['band']['barrier_reverse'], abs=0.005)
    assert 'migration barrier from two endpoints of Al31' in done.stderr
    assert 'aiida.orm' not in done.stderr
    # the lab book is in the database too
    assert 'migration barrier from two endpoints' in shell('verdi', 'process', 'report', result['pk']).stdout


@pytest.mark.slow
def test_script_of_the_examples(shell):
    script = Path(__file__).parents[2] / 'examples' / 'launch_barrier.py'
    done = shell('verdi', 'run', script, 'Al.cif', 'Al', '0', 'embarrier-worker@here', 'fast')
    forward = next(line for line in done.stdout.splitlines() if line.startswith('forward'))
    assert 0.05 < float(forward.split()[1]) < 2


@pytest.mark.slow
def test_submit_without_a_daemon(shell):
    done = shell('aiida-embarrier', 'launch', 'barrier', *ENDS, *POTENTIAL, '--submit', code=1)
    assert 'verdi daemon start' in done.stderr
    assert 'nothing was submitted' in done.stderr


@pytest.mark.slow
def test_interrupt_leaves_nothing_running_or_waiting(shell):
    endless = ['--set', 'engine.neb.force_threshold=1e-30', '--set', 'engine.neb.max_steps=1000000']
    process = shell.start('aiida-embarrier', 'launch', 'barrier', *ENDS, *POTENTIAL, *endless)
    deadline = time.time() + 120
    checkpoints: list[Path] = []
    try:
        while not checkpoints and time.time() < deadline:
            time.sleep(0.5)
            bands = shell.folder.glob('work/**/band_result.npz')
            checkpoints = [path for path in bands if not (path.parent / 'results.json').exists()]
        assert checkpoints, 'the band did not start'
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 1, output
    assert 'Traceback' not in output
    found = re.search(r'interrupted: process (\d+) was ended; go on from there: aiida-embarrier resume (\d+)', output)
    assert found, output
    assert found[1] == found[2]
    states = shell.query(
        'query = orm.QueryBuilder().append(orm.ProcessNode, project="attributes.process_state")\n'
        'print(json.dumps(query.all(flat=True)))'
    )
    assert set(states) <= {'finished', 'killed'}
    assert 'killed' in states
    for _ in range(20):  # the worker writes its checkpoint before it goes
        alive = [pid for pid in Path('/proc').iterdir() if pid.name.isdigit() and _works_in(pid, checkpoints[0].parent)]
        if not alive:
            break
        time.sleep(0.5)
    assert not alive
    # what the job had is in the database
    done = shell('aiida-embarrier', 'show', found[1])
    assert 'returned no band; this is the last one of its jobs' in done.stderr
    assert re.search(r'converged +no', done.stdout)


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / 'cwd').readlink() == folder
    except OSError:  # gone, or not ours
        return False


@pytest.mark.slow
def test_through_the_daemon(shell):
    shell('verdi', 'daemon', 'start', '1')
    crystal = ('Al.cif', '--ion', 'Al', '--hop', '0', '--images', '5', '--set', 'min_image_distance=7.5')
    (shell.folder / 'options.yaml').write_text('priority: low')
    options = ('--wall-time', '600', '--cores', '2', '--queue', 'batch', '--options', 'options.yaml')
    done = shell(
        *('aiida-embarrier', 'launch', 'barrier', *crystal, *POTENTIAL, *options),
        *('--code', 'embarrier-worker@here', '--submit', '--format', 'json'),
    )
    pk = json.loads(done.stdout)['pk']
    for _ in range(120):
        state = shell.query(
            f'node = orm.load_node({pk})\nprint(json.dumps([node.process_state.value, node.exit_status]))'
        )
        if state[0] in ('finished', 'killed', 'excepted'):
            break
        time.sleep(1)
    assert state == ['finished', 0]
    assert '0.' in shell('aiida-embarrier', 'show', pk).stdout
    given = shell.query(
        f'jobs = [node for node in orm.load_node({pk}).called_descendants if isinstance(node, orm.CalcJobNode)]\n'
        'print(json.dumps([node.get_options() for node in jobs]))'
    )
    assert len(given) == 4
    for job in given:
        assert job['max_wallclock_seconds'] == 600
        assert job['resources']['num_cores_per_mpiproc'] == 2
        assert (job['queue_name'], job['priority']) == ('batch', 'low')
    shell('aiida-embarrier', 'export', pk, '-o', 'x.aiida')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['Al.cif', '--ion', 'Li', '--hop', '0'], 1, 'Li'),
        (['Al.cif', '--ion', 'Al', '--hop', '50'], 1, 'there is no hop 50'),
        (['Al.cif', '--ion', 'Al'], 2, '--ion and --hop are needed'),
        ([], 2, 'give a crystal FILE'),
        (['Al.cif', '--initial', 'A.vasp'], 2, 'not both'),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--as-written'], 2, '--as-written go with the latter'),
        (['--initial', 'A.vasp', '--final', 'B.vasp', '--ion', 'Al'], 2, 'leave out --ion'),
        (['--initial', 'A.vasp', '--final', 'other.vasp'], 1, 'Cu'),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--code', 'no@where'], 1, '`aiida-embarrier setup` makes'),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--potential', 'chgnt'], 1, "unknown potential 'chgnt'"),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--potential', 'ase'], 1, "needs `calculator` as 'module:callable'"),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--images', '2'], 1, 'protocol key `n_images`: a band needs'),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--wall-time', '0'], 2, 'not in the range'),
        (['--band', '1', '--ion', 'Al'], 2, '--band stands alone'),
        (['Al.cif', '--ion', 'Al', '--hop', '0', '--set', 'n_imags=5'], 1, "did you mean 'n_images'"),
    ],
)
def test_bad_input(shell, arguments, code, message):
    given = [] if '--code' in arguments else ['--code', 'embarrier-worker@here']
    done = shell('aiida-embarrier', 'launch', 'barrier', *arguments, *given, code=code)
    assert message in ' '.join(done.stderr.split())
    assert 'Traceback' not in done.stderr
    assert 'pydantic' not in done.stderr
    assert 'validating port' not in done.stderr
