"""Ranks against numpy: energies are variances, and no projection of a rank loses less."""

import itertools

import numpy as np

from emf.quantize.structure.encoder import Encoder
from emf.quantize.structure.ranks import Directions, directions, projected, rank_of, spread, what_if_ranks
from emf.quantize.structure.speech import Said, Speech
from emf.quantize.structure.statistics import Inputs, attention_inputs
from emf.quantize.structure.weights import EncoderWeights


def with_energy(*energy: float) -> Directions:
    return Directions(np.eye(len(energy)), np.array(energy))


def test_ranks_hold_their_share() -> None:
    found = with_energy(6.0, 3.0, 0.9, 0.1)
    assert [rank_of(share, found) for share in (0.5, 0.6, 0.9, 0.99, 1.0)] == [1, 1, 2, 3, 4]


def test_no_other_ranks_of_this_mean_hold_more() -> None:
    found = [with_energy(5.0, 4.0, 1.0), with_energy(98.0, 1.0, 1.0), with_energy(3.0, 3.0, 3.0)]

    def held(ranks: tuple[int, ...]) -> float:
        return sum(float(one.shares[:rank].sum()) for one, rank in zip(found, ranks, strict=True))

    for mean in (1, 2, 3):
        possible = [r for r in itertools.product((1, 2, 3), repeat=3) if sum(r) == 3 * mean]
        assert held(spread(mean, found)) == max(map(held, possible)) and spread(mean, found) in possible


def test_what_a_rank_loses_is_the_energy_beyond_it(tiny: EncoderWeights) -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((500, tiny.dim)) @ random.standard_normal((tiny.dim, tiny.dim)) + 3.0
    inputs = Inputs(rows.mean(axis=0), np.cov(rows.T, bias=True))
    layer, rank = tiny.layers[0], 5
    found = directions(layer, inputs)
    (changed,) = (
        projected(tiny, [rank], [found], [inputs]).layers[:1]
        if len(tiny.layers) == 1
        else (
            projected(tiny, [rank] * len(tiny.layers), [found] * len(tiny.layers), [inputs] * len(tiny.layers)).layers[
                0
            ],
        )
    )
    before, after = (
        rows @ one.projection.weight[tiny.dim :].T.astype(np.float64) + one.projection.bias[tiny.dim :]
        for one in (layer, changed)
    )
    lost = np.square(before - after).sum(axis=1).mean()
    np.testing.assert_allclose(lost, found.energy[rank:].sum(), rtol=1e-4)
    plain = directions(layer, None).vectors[:, :rank]
    centred = before - before.mean(axis=0)
    assert lost < np.square(centred - centred @ plain @ plain.T).sum(axis=1).mean()


def test_all_directions_change_nothing(trial: Speech, tiny: EncoderWeights) -> None:
    inputs = attention_inputs(trial, tiny)
    found = [directions(*pair) for pair in zip(tiny.layers, inputs, strict=True)]
    whole = projected(tiny, [tiny.dim] * len(tiny.layers), found, inputs)
    expected, got = (trial.encode(Encoder(weights, trial.geometry))[0] for weights in (tiny, whole))
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_costs(trial: Speech, tiny: EncoderWeights, said: Said) -> None:
    found = what_if_ranks(trial, tiny, said, lambda _: None)
    half = found.costs[0]
    assert half.mean_rank == tiny.dim // 2 and sum(half.ranks) == half.mean_rank * len(tiny.layers)
    assert found.state_bytes == 4 * half.state_bytes == 16 * half.state_int8_bytes
    assert [cost.energy for cost in found.costs] == sorted((cost.energy for cost in found.costs), reverse=True)
