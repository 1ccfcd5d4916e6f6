"""Networks of barriers before they learn: what they do with the encoder, what they do not see, their sizes."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from learned_models import write_model_folder
from prediction.small_paths import small_path

from aiida_embarrier.jobs.learning import ARCHITECTURES, Architecture, GraphSettings
from aiida_embarrier.learning.alignn import ALIGNN
from aiida_embarrier.learning.model_files import n_parameters, read_model
from aiida_embarrier.prediction.network_specs import NETWORKS, spec_of
from aiida_embarrier.prediction.path_graphs import PathItems, path_graphs
from aiida_embarrier.prediction.path_network import BARRIER, first_network

SMALL = Architecture(alignn_layers=2, gcn_layers=2, hidden=8, embedding=6, edge_bins=10, angle_bins=5, head_width=7)
ENDS = ('model_1_add', 'model_1_sub', 'model_1_cc', 'model_2', 'scratch_add', 'scratch_sub', 'scratch_cc')
PUBLISHED = (*ENDS[:4], 'model_3', 'model_4', *ENDS[4:])


def drawn(name, architecture=SMALL):
    """Return a network whose batch normalisation has seen something, for predictions, in double precision."""
    torch.manual_seed(4)
    network, _ = first_network(NETWORKS[name], architecture)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.02, 0.05)  # small, so that paths differ
    return network.double().eval()


def batch_of(spec, paths):
    graphs = {kind: path_graphs(paths, kind, spec.settings) for kind in spec.graphs}
    batch = PathItems.of(graphs, torch.zeros(len(paths), 1), 10**6).batch(np.arange(len(paths)))
    for crystal in batch.graphs.values():
        for name, value in crystal.to_dict().items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                crystal[name] = value.double()
    return batch


def described(network, paths):
    with torch.inference_mode():
        return network.describe(batch_of(network.spec, paths))


def predicted(network, paths):
    with torch.inference_mode():
        return network(batch_of(network.spec, paths))[:, 0]


def test_there_are_nine_published_networks_and_ours():
    assert list(NETWORKS) == [*PUBLISHED, 'profile']
    assert len({(s.graphs, s.combination, s.attention, s.fine_tuned) for s in NETWORKS.values()}) == 10
    with pytest.raises(ValueError, match=r"'model_5'.*model_1_add"):
        spec_of('model_5')


def test_training_is_as_published():
    for name, batch_size in (
        ('model_1_add', 16),
        ('model_1_cc', 16),
        ('model_2', 16),
        ('model_3', 128),
        ('model_4', 64),
    ):
        training = NETWORKS[name].training
        assert training.batch_size == batch_size
        assert (training.loss, training.lr, training.weight_decay, training.warm_up) == ('l1', 1e-3, 0.01, 0.3)
        assert (training.epochs, training.early_stopping, training.shuffle, training.keep) == (500, None, False, 'best')
        assert training.scaling == 'minmax'
        assert NETWORKS[name].settings.doubled
    training = NETWORKS['scratch_add'].training
    assert (training.loss, training.lr, training.weight_decay) == ('mse', 1e-4, 1e-5)
    assert (training.epochs, training.early_stopping, training.batch_size) == (500, 50, 16)
    assert not NETWORKS['scratch_add'].settings.doubled


@pytest.mark.parametrize('name', [name for name in PUBLISHED if name not in {'model_2', 'model_4'}])
def test_features_are_those_of_the_encoder_combined(name):
    network, paths = drawn(name), [small_path(seed=0, moves=0.03), small_path(seed=1, ion='Na')]
    batch = batch_of(network.spec, paths)
    with torch.inference_mode():
        parts = [network.encoder.encode(batch.graphs[kind]) for kind in network.spec.graphs]
        found = network.describe(batch)
        barriers = network(batch)
    if name == 'model_3':
        expected = parts[0]
    elif name.endswith('add'):
        expected = parts[0] + parts[1]
    elif name.endswith('sub'):
        expected = parts[0] - parts[1]
    else:
        expected = torch.cat(parts, dim=1) @ network.joint.weight.T + network.joint.bias
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(barriers, network.encoder.heads[BARRIER](expected))
    kinds = [type(layer).__name__ for layer in network.encoder.heads[BARRIER]]
    published = ['SiLU', 'Linear', 'SiLU', 'Linear', 'SiLU', 'Linear']
    assert kinds == (published if network.spec.fine_tuned else ['Linear'])


def test_model_2_compares_the_ends_through_layers_of_their_own():
    """They are those of an ALIGNN of one layer each, with the embeddings of the encoder."""
    network, paths = drawn('model_2'), [small_path(seed=0, moves=0.03), small_path(seed=1)]
    shallow = ALIGNN(SMALL.model_copy(update={'alignn_layers': 1, 'gcn_layers': 1}), ()).double().eval()
    for part in ('atom_embedding', 'edge_embedding', 'angle_embedding'):
        getattr(shallow, part).load_state_dict(getattr(network.encoder, part).state_dict())
    shallow.alignn_layers.load_state_dict(network.shallow.alignn_layers.state_dict())
    shallow.gcn_layers.load_state_dict(network.shallow.gcn_layers.state_dict())
    batch = batch_of(network.spec, paths)
    initial, final = (batch.graphs[kind] for kind in ('initial', 'final'))
    with torch.inference_mode():
        both = torch.cat([network.encoder.encode(initial), shallow.encode(initial) - shallow.encode(final)], dim=1)
        torch.testing.assert_close(network.describe(batch), network.joint(both))


def test_model_4_pools_either_graph_by_attention_of_its_own():
    network, paths = drawn('model_4'), [small_path(seed=0), small_path(seed=1)]
    batch = batch_of(network.spec, paths)
    parts = []
    with torch.inference_mode():
        for kind in ('composite', 'local'):
            crystal = batch.graphs[kind]
            atoms = network.encoder.encode_atoms(crystal)
            parts.append(network.pools[kind](atoms, crystal.ptr.diff().tolist()))
        torch.testing.assert_close(network.describe(batch), network.joint(torch.cat(parts, dim=1)))
    assert not torch.equal(network.pools['composite'].key.weight, network.pools['local'].key.weight)


def test_a_profile_is_how_far_apart_energies_of_the_ion_are():
    network, paths = drawn('profile'), [small_path(seed=0, moves=0.03), small_path(seed=1, ion='Na')]
    crystal = batch_of(network.spec, paths).graphs['images']
    assert crystal.z[crystal.position[: crystal.ptr[1]]].tolist()[:6] == [*[-3] * 5, 12]
    assert crystal.z[crystal.position[crystal.ptr[1] :]].tolist()[:6] == [*[-11] * 5, 12]
    crystal.z = crystal.z.abs()
    with torch.inference_mode():
        atoms = network.encoder.encode_atoms(crystal)
        ions = torch.stack([atoms[first : first + 5] for first in crystal.ptr[:-1].tolist()])
        energies = network.encoder.heads[BARRIER](ions)[:, :, 0]
        mean = ions.mean(dim=1)
        span = energies.max(dim=1).values - energies.min(dim=1).values
        expected = span[:, None] + mean @ network.level.weight.T + network.level.bias
        batch = batch_of(network.spec, paths)
        torch.testing.assert_close(network.describe(batch), mean)
        torch.testing.assert_close(network(batch), expected)
        network.mark += 1.0  # what makes the ion another atom than those of its element
        assert float((network(batch) - expected).abs().min()) > 1e-3


@pytest.mark.parametrize('name', ['model_1_sub', 'scratch_sub'])
@pytest.mark.parametrize('moves', [0.0, 0.03])
def test_differences_change_sign_where_the_path_runs_back(name, moves):
    network, path = drawn(name), small_path(moves=moves)
    forward, back = described(network, [path, path.reversed()])
    torch.testing.assert_close(forward, -back)
    assert float(forward.abs().max()) > 1e-3


@pytest.mark.parametrize(
    ('name', 'moves'),
    [('model_1_add', 0.0), ('scratch_add', 0.0), ('model_3', 0.0), ('model_4', 0.0), ('profile', 0.03)],
)
def test_others_see_no_direction(name, moves):
    """A composite, the sum of both ends, and the span of a profile is the same either way."""
    network, path = drawn(name), small_path(moves=moves)
    there, back = predicted(network, [path, path.reversed()])
    assert float(there) == pytest.approx(float(back), abs=1e-9)


@pytest.mark.parametrize('name', list(NETWORKS))
def test_order_of_atoms_and_translations_do_not_matter(name):
    """Beyond the rounding of bonds to single precision."""
    network, path = drawn(name), small_path(moves=0.03)
    order = np.array([4, 2, 5, 0, 1, 3])
    shuffled = replace(
        path,
        species=tuple(path.species[number] for number in order),
        coords=path.coords[order],
        final_coords=path.final_coords[order],
    )
    shift = np.array([0.13, -0.41, 0.27])
    moved = replace(
        path, coords=path.coords + shift, final_coords=path.final_coords + shift, points=path.points + shift
    )
    cells = np.array([1, -2, 0])
    wrapped = replace(path, coords=path.coords % 1, points=path.points + cells)
    same, *others, different = described(network, [path, shuffled, moved, wrapped, small_path(seed=3)])
    distance = float((different - same).abs().max())
    assert distance > 1e-3
    for other in others:
        assert float((other - same).abs().max()) < 2e-3 * distance


def test_the_encoder_is_that_of_the_parent(tmp_path):
    write_model_folder(tmp_path, labels=('gap', 'modulus'), graphs=GraphSettings(doubled=True))
    parent, card = read_model(tmp_path)
    for where in (tmp_path, tmp_path / 'model.safetensors'):
        torch.manual_seed(0)
        network, sha256 = first_network(NETWORKS['model_4'], parent=where)
        assert sha256 == card.weights_sha256
        state, wanted = network.encoder.state_dict(), parent.state_dict()
        shared = [name for name in wanted if not name.startswith('heads.')]
        assert all(torch.equal(state[name], wanted[name]) for name in shared)
        assert {name for name in state if name not in shared} == {
            f'heads.{BARRIER}.{layer}.{kind}' for layer in (1, 3, 5) for kind in ('weight', 'bias')
        }
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_parent_that_does_not_fit_is_refused(tmp_path):
    write_model_folder(tmp_path, graphs=GraphSettings(doubled=False))
    with pytest.raises(ValueError, match='doubled'):
        first_network(NETWORKS['model_3'], parent=tmp_path)
    write_model_folder(tmp_path, graphs=GraphSettings(doubled=True))
    with pytest.raises(ValueError, match='alignn_layers'):
        first_network(NETWORKS['model_3'], SMALL, tmp_path)


def test_model_2_needs_angles():
    with pytest.raises(ValueError, match='model_2 needs angles'):
        first_network(NETWORKS['model_2'], SMALL.model_copy(update={'alignn_layers': 0}))


def linear(n_in, n_out):
    return n_in * n_out + n_out


def published_numbers(name):
    """Return how many parameters the published code has, by the sizes of its layers."""
    hidden, embedding, n_layers = 256, 64, 4
    norm = 2 * hidden
    convolution = 5 * linear(hidden, hidden) + 2 * norm
    embeddings = linear(92, hidden) + norm
    for bins in (80, 40):
        embeddings += linear(bins, embedding) + 2 * embedding + linear(embedding, hidden) + norm
    total = embeddings + n_layers * 3 * convolution
    if name == 'model_2':
        total += 3 * convolution
    if name == 'model_4':
        total += 2 * (3 * linear(hidden, hidden) + norm)
    if name.endswith('cc') or name in {'model_2', 'model_4'}:
        total += linear(2 * hidden, hidden)
    head = linear(hidden, 1) if name.startswith('scratch') else linear(hidden, 128) + linear(128, 128) + linear(128, 1)
    return total + head


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_sizes(name):
    """Ours lack what nothing depends on: normalisation of the last angles, and of the last bonds, of each stack."""
    network, _ = first_network(NETWORKS[name], ARCHITECTURES['published'])
    n_stacks = 2 if name == 'model_2' else 1
    assert n_parameters(network) == published_numbers(name) - n_stacks * 2 * 512


def test_sizes_in_the_documentation():
    from conftest import DOCS

    text = (DOCS / 'explanation' / 'barrier_networks.md').read_text()
    rows = re.findall(r'^\| `(\w+)` \|.*\| ([\d,]+) \| ([\d,]+) \|$', text, re.MULTILINE)
    assert [name for name, *_ in rows] == list(NETWORKS)
    for name, *said in rows:
        for architecture, number in zip(('published', 'small'), said, strict=True):
            network, _ = first_network(NETWORKS[name], ARCHITECTURES[architecture])
            assert int(number.replace(',', '')) == n_parameters(network), (name, architecture)
