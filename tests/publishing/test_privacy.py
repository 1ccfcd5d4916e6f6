"""What tells of people and machines is found in every part that goes out."""

import pandas as pd
import pytest

from aiida_embarrier.publishing.checks import check_contents
from aiida_embarrier.publishing.privacy import PrivateFindings, private_search


@pytest.fixture
def search(aiida_profile_clean, aiida_computer):
    aiida_computer(label='cluster', hostname='login.cluster.example', transport_type='core.local')
    return private_search()


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('write to ann.b@uni.example.', {('e-mail', 'ann.b@uni.example')}),
        ('cd /home/ann/run/a1', {('path', '/home/ann/run/…'), ('user', 'ann')}),
        ('in "/scratch/ann"', {('path', '/scratch/ann')}),
        ('file:///scratch/ann', {('path', '/scratch/ann')}),
        ('cc -I/scratch/ann -L/scratch/bob', {('path', '/scratch/ann'), ('path', '/scratch/bob')}),
        ('PATH=/opt/vasp:/home/aiida/x', {('path', '/opt/vasp'), ('path', '/home/aiida/x')}),
        ('ran on login.cluster.example', {('host', 'login.cluster.example')}),
        ('ran on login.cluster.example-2', set()),
        ('#!/bin/bash\n/usr/bin/env python > /dev/null', set()),
        ('https://a.example/b/c, eV/Å/atom, x/y/z, 1/2/3, ~/run/x, $HOME/a/b', set()),
        ('a@b and localhost', set()),
    ],
)
def test_search(search, text, found):
    assert search(text) == found


def test_findings_are_listed_once():
    findings = PrivateFindings()
    findings.add([('path', '/b/c'), ('e-mail', 'a@b.c')], 'here')
    findings.add([('path', '/b/c')], 'there')
    findings.add([('path', '/b/c')], 'there')
    listed = [(entry.kind, entry.value, entry.place, entry.n_places) for entry in findings.listed()]
    assert listed == [('e-mail', 'a@b.c', 'here', 1), ('path', '/b/c', 'here', 2)]


def test_everything_that_goes_out(aiida_profile_clean, aiida_computer):
    from aiida.common.links import LinkType
    from aiida.orm import CalcJobNode, Comment, Dict, Group, InstalledCode, Log, RemoteData, User
    from aiida.tools.graph.graph_traversers import get_nodes_export

    from aiida_embarrier.data.table import TableData

    user = User(email='eve@uni.example', first_name='Eve', last_name='Doe', institution='Uni').store()
    computer = aiida_computer(label='cluster', hostname='login.cluster.example', transport_type='core.local')
    computer.set_workdir('/scratch/{username}/aiida')
    code = InstalledCode(computer=computer, filepath_executable='/home/ann/bin/vasp', label='vasp')
    remote = RemoteData(remote_path='/scratch/eve/aiida/ab/cd', computer=computer)
    job = CalcJobNode(computer=computer)
    job.set_options({'account': 'project-42', 'queue_name': 'gpu', 'resources': {'num_machines': 1}})
    job.base.repository.put_object_from_bytes(b'started by zoe@hpc.example', 'job.out')
    job.base.repository.put_object_from_bytes(b'\0 /home/hidden/in/binary', 'picture.png')
    for label, node in {'code': code, 'note': Dict({'file': '/data/bob/in.cif'})}.items():
        job.base.links.add_incoming(node.store(), LinkType.INPUT_CALC, label)
    job.base.attributes.set('last_job_info', {'job_owner': 'eve', 'job_id': '1'})
    job.store()
    remote.base.links.add_incoming(job, LinkType.CREATE, 'remote_folder')
    remote.store()
    job.base.extras.set('remark', 'see /work/frank/notes')
    job.logger.report('read /work/log/entry')
    Comment(job, user, 'as in /work/comment/x').store()
    group = Group('paper', description='by gus@uni.example', user=user).store()
    group.base.extras.set('drafts', '/work/gus/drafts')
    group.add_nodes([job, TableData(pd.DataFrame({'source': ['/work/hal/x.cif']})).store()])
    closure = get_nodes_export(starting_pks=[node.pk for node in group.nodes])['nodes']
    found = {(entry.kind, entry.value): entry.place for entry in check_contents(closure, groups=[group.pk]).private}
    expected = {
        ('e-mail', 'eve@uni.example'): 'user eve@uni.example',
        ('e-mail', 'gus@uni.example'): 'group paper',
        ('path', '/work/gus/drafts'): 'group paper',
        ('path', '/work/hal/x.cif'): '(TableData), file',
        ('e-mail', 'zoe@hpc.example'): 'file job.out',
        ('person', 'Eve Doe'): 'user eve',
        ('person', 'Uni'): 'user eve',
        ('user', 'ann'): '(InstalledCode), attributes',
        ('user', 'eve'): f'node {job.pk} (CalcJobNode), options',
        ('host', 'login.cluster.example'): 'computer cluster',
        ('path', '/scratch/eve/aiida/…'): f'node {remote.pk} (RemoteData), attributes',
        ('path', '/home/ann/bin/…'): '(InstalledCode), attributes',
        ('path', '/data/bob/in.cif'): '(Dict), attributes',
        ('path', '/work/frank/notes'): f'node {job.pk} (CalcJobNode), extras',
        ('path', '/work/log/entry'): f'node {job.pk}, log',
        ('path', '/work/comment/x'): f'node {job.pk}, comment',
        ('account', 'project-42'): f'node {job.pk} (CalcJobNode), options',
        ('queue', 'gpu'): f'node {job.pk} (CalcJobNode), options',
    }
    for key, place in expected.items():
        assert place in found[key], key
    assert not any('hidden' in value for _, value in found)
    assert Log.collection.get_logs_for(job)
