"""What is found on speech against independent oracles: brute force, numpy's least squares, the plain covariance."""

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
import torch

from emf.export.convert import neurons
from emf.export.convert.latents import directions, expanded, latent_of
from emf.export.convert.neurons import select_neurons
from emf.export.convert.ranks import ranks_of_share, spread_ranks
from emf.export.convert.statistics import Moments
from emf.export.torchaudio_loader import load_torchaudio


def shares(seed: int, dim: int) -> npt.NDArray[np.float64]:
    found = np.sort(np.random.default_rng(seed).exponential(size=dim) ** 3)[::-1]
    return np.asarray(found / found.sum(), np.float64)


def moments(rows: torch.Tensor, pieces: int = 7) -> Moments:
    found = Moments(rows.shape[1])
    for piece in rows.chunk(pieces):
        found.add(piece)
    return found


def correlated(count: int, dim: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, generator=generator) * torch.logspace(0, -2, dim)[:, None]
    return torch.randn(count, dim, generator=generator) @ mixing + 3.0 * torch.randn(dim, generator=generator)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mean_rank", [1, 2, 3, 5])
def test_no_other_ranks_keep_more(seed: int, mean_rank: int) -> None:
    energies = [shares(10 * seed + layer, 5) for layer in range(3)]
    found = spread_ranks(energies, mean_rank)
    kept = sum(one[:rank].sum() for one, rank in zip(energies, found, strict=True))
    allowed = [ranks for ranks in product(range(1, 6), repeat=3) if sum(ranks) <= 3 * mean_rank]
    best = max(sum(one[:rank].sum() for one, rank in zip(energies, ranks, strict=True)) for ranks in allowed)
    assert sum(found) <= 3 * mean_rank and min(found) >= 1
    assert kept == pytest.approx(best, abs=1e-12)


def test_ranks_fill_vectors_where_there_is_room() -> None:
    energies = [shares(seed, 192) for seed in range(6)]
    found = spread_ranks(energies, 64)
    assert sum(found) == 6 * 64 and all(rank % 8 == 0 for rank in found)
    for share in (0.9, 0.99, 0.999):
        for one, rank in zip(energies, ranks_of_share(energies, share), strict=True):
            assert one[:rank].sum() >= share > one[: rank - 8].sum()


def test_moments_are_those_of_all_rows() -> None:
    rows = correlated(500, 12, seed=0)
    found, expected = moments(rows), np.cov(rows.double().numpy().T, bias=True)
    assert found.count == 500
    np.testing.assert_allclose(found.mean, rows.double().mean(dim=0), atol=1e-5)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("rank", [3, 7, 16])
def test_a_latent_errs_as_little_as_its_rank_allows(rank: int) -> None:
    """The error on the rows is the tail of the spectrum of what the layer makes of them, found by numpy."""
    attention = load_torchaudio().models.emformer._EmformerAttention(16, 4).requires_grad_(False)
    attention.emb_to_key_value.bias.normal_()
    rows = correlated(400, 16, seed=1)
    latent = latent_of(attention, directions(attention, moments(rows)), rank)
    with torch.no_grad():
        exact, found = attention.emb_to_key_value(rows), expanded(latent)(rows)
    spectrum = np.linalg.svd((exact - exact.mean(dim=0)).double().numpy(), compute_uv=False)
    assert float((exact - found).square().sum()) == pytest.approx((spectrum[rank:] ** 2).sum(), rel=1e-3, abs=1e-4)
    np.testing.assert_allclose((rows @ latent.down.T + latent.offset).mean(dim=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(latent.of_keys_and_values(found), rows @ latent.down.T + latent.offset, atol=1e-4)


def test_the_neurons_left_are_fitted_by_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurons, "DAMPING", 0.0)
    rows, generator = torch.nn.functional.softplus(correlated(600, 20, seed=2)), torch.Generator().manual_seed(3)
    weight, bias = torch.randn(6, 20, generator=generator), torch.randn(6, generator=generator)
    found = select_neurons(weight, bias, moments(rows), 12)
    target = (rows @ weight.T + bias).double().numpy()
    inputs = np.c_[rows[:, found.kept].double().numpy(), np.ones(len(rows))]
    expected, *_ = np.linalg.lstsq(inputs, target, rcond=None)
    np.testing.assert_allclose(found.weight, expected[:-1].T, atol=1e-3)
    np.testing.assert_allclose(found.bias, expected[-1], atol=1e-2)
    residual = ((target - inputs @ expected) ** 2).sum() / ((target - target.mean(axis=0)) ** 2).sum()
    assert found.error == pytest.approx(residual, rel=1e-2, abs=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_the_neurons_chosen_are_nearly_the_best(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all choices of 4 of 8 neurons, hardly one leaves a smaller error, and none by much."""
    monkeypatch.setattr(neurons, "DAMPING", 1e-9)
    rows = correlated(300, 8, seed=4 + seed)
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    found = select_neurons(weight, torch.zeros(5), moments(rows), 4)
    centred = (rows - rows.mean(dim=0)).double().numpy()
    target = centred @ weight.double().numpy().T

    def error(kept: tuple[int, ...]) -> float:
        inputs = centred[:, kept]
        fitted = inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]
        return float(((target - fitted) ** 2).sum() / (target**2).sum())

    errors = sorted(error(kept) for kept in combinations(range(8), 4))
    assert found.error <= max(2.0 * errors[0], errors[len(errors) // 20])
