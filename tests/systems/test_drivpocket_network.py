"""Sizes, parameters and attention of the networks, with the card's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from medtools.core.errors import InputError
from medtools.systems.drivpocket.attention import (
    DRIABlock,
    DualAttention,
    channel_attention,
    n_kept,
    sparsity_measure,
    spatial_attention,
)
from medtools.systems.drivpocket.baselines import RankingClassifier
from medtools.systems.drivpocket.losses import dice_loss, overlap, pocket_loss
from medtools.systems.drivpocket.model import Design, DRIVPocket
from medtools.systems.drivpocket.points import PointStream
from medtools.systems.drivpocket.voxels import VoxelStream, check_grid, level_sizes

UNUSED_TEMPERATURES = 56  # two scalars per head of seven blocks in the published code, never used
SMALL = Design(grid=33, width=8)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def sizes():
    with torch.device("meta"):
        return {
            "whole": count(VoxelStream()) + count(PointStream()),
            "points": count(PointStream()),
            "no points": count(VoxelStream(with_points=False)),
            "no attention": count(VoxelStream(attention="none", with_points=False)),
            "spatial": count(VoxelStream(attention="spatial")) + count(PointStream()),
            "channel": count(VoxelStream(attention="channel")) + count(PointStream()),
        }


def test_parameters_are_the_cards(sizes):
    assert sizes["whole"] + UNUSED_TEMPERATURES == 30_342_202
    assert sizes["points"] == 932_929
    assert sizes["no points"] == pytest.approx(28.975e6, abs=500)
    with torch.device("meta"):
        assert count(RankingClassifier()) == 665_122


def test_parameters_are_within_one_percent_of_the_papers(sizes):
    # Table 4: models 1, 2, 4 and 9.
    for name, millions in {"no attention": 26.37, "no points": 28.96, "whole": 30.21}.items():
        assert sizes[name] == pytest.approx(millions * 1e6, rel=0.01)
    assert sizes["no attention"] + sizes["points"] == pytest.approx(27.30e6, rel=0.001)


def test_the_baseline_has_the_parameters_of_deeppocket():
    model = DRIVPocket(Design(network="deeppocket-unet", width=8))
    assert model.point_stream is None
    with torch.device("meta"):
        from medtools.systems.drivpocket.baselines import DeepPocketUNet

        assert count(DeepPocketUNet()) == 25_899_969


@pytest.mark.parametrize(
    "design",
    [
        Design(grid=33, width=8, attention="none", points=False),
        Design(grid=33, width=8, attention="none"),
        Design(grid=33, width=8, points=False),
        SMALL,
        Design(grid=33, width=8, attention="spatial"),
        Design(grid=33, width=8, attention="channel"),
        Design(grid=33, width=8, halving="conv2"),
        Design(grid=33, width=8, network="deeppocket-unet"),
    ],
)
def test_every_ablation_model_maps_a_grid_to_cavity_and_atoms_and_learns(design):
    torch.manual_seed(0)
    model = DRIVPocket(design)
    grid, points, types = inputs(2)
    cavity, binding = model(grid, points, types)
    assert cavity.shape == (2, 33, 33, 33)
    assert (binding is None) == (not design.points or design.network != "drivpocket")
    target = (torch.rand(2, 33, 33, 33) > 0.9).float()
    loss = pocket_loss(cavity, binding, target, torch.zeros(2, 128))["loss"]
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def inputs(batch: int, n: int = 128, size: int = 33) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.8, 0.8, (batch, n, 3))
    points = np.take_along_axis(points, np.argsort(np.linalg.norm(points, axis=-1), axis=1)[..., None], axis=1)
    types = torch.eye(14)[torch.from_numpy(rng.integers(0, 14, (batch, n)))]
    grid = torch.from_numpy(rng.random((batch, 14, size, size, size), dtype=np.float32))
    return grid, torch.from_numpy(points), types


def test_levels_of_a_65_voxel_grid_are_32_16_8_4_and_back():
    assert level_sizes(65) == (32, 16, 8, 4, 8, 16, 32)
    stream = VoxelStream(width=4, heads=2, attention="none", with_points=False)
    found: list[int] = []
    for block in (*stream.down_dria, *stream.up_dria):
        block.register_forward_hook(lambda _, args, out: found.append(out.shape[-1]))
    with torch.no_grad():
        assert stream(torch.zeros(1, 14, 65, 65, 65)).shape == (1, 65, 65, 65)
    assert found == [32, 16, 8, 4, 8, 16, 32]


@pytest.mark.parametrize("size", [64, 66, 16, 1])
def test_other_grids_are_refused_with_the_nearest_that_works(size):
    with pytest.raises(InputError, match="halved four times"):
        check_grid(size)
    with pytest.raises(InputError, match="use 65"):
        check_grid(64)


def test_inference_twice_gives_the_same_bits():
    torch.manual_seed(0)
    model = DRIVPocket(SMALL).eval()
    with torch.no_grad():
        first, second = (model(*inputs(1)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_proteins_with_fewer_atoms_than_points_go_through():
    model = DRIVPocket(SMALL).eval()
    with torch.no_grad():
        assert model(*inputs(1, n=131))[1].shape == (1, 131)


def test_the_numbers_of_kept_queries_are_the_cards():
    assert [n_kept(n**3) for n in (32, 16, 8, 4)] == [55, 45, 35, 25]


def test_an_identity_of_ones_in_place_of_points_gives_plain_shared_attention():
    torch.manual_seed(1)
    with_points = DualAttention(8, heads=2)
    nn.init.eye_(with_points.modulate.weight)
    plain = DualAttention(8, heads=2, with_points=False)
    plain.load_state_dict({k: v for k, v in with_points.state_dict().items() if not k.startswith("modulate")})
    tokens = torch.randn(2, 100, 8)
    with torch.no_grad():
        torch.testing.assert_close(with_points(tokens, torch.ones(2, 100, 8)), plain(tokens))


def test_with_few_tokens_spatial_attention_is_full_softmax_attention():
    torch.manual_seed(2)
    q, k, v = torch.randn(3, 2, 2, 10, 4)
    assert n_kept(10) == 10
    expected = nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(spatial_attention(q, k, v), expected, atol=1e-6, rtol=0)


def test_rows_that_are_not_kept_are_the_mean_of_the_values():
    torch.manual_seed(3)
    q, k, v = torch.randn(3, 1, 2, 300, 4)
    out = spatial_attention(q, k, v)
    kept = sparsity_measure(q, k).topk(n_kept(300), dim=-1).indices
    for head in range(2):
        others = np.setdiff1d(np.arange(300), kept[0, head].numpy())
        assert len(others) == 300 - n_kept(300)
        torch.testing.assert_close(out[0, head, others], v[0, head].mean(0).expand(len(others), -1))
        rows = torch.softmax(q[0, head, kept[0, head]] @ k[0, head].T / 2.0, dim=-1) @ v[0, head]
        torch.testing.assert_close(out[0, head, kept[0, head]], rows)


def test_the_sparsity_measure_is_maximum_less_mean_over_the_sample():
    from medtools.systems.drivpocket.attention import sampled_keys

    torch.manual_seed(4)
    q, k = torch.randn(2, 1, 1, 200, 4)
    scores = (q[0, 0] @ k[0, 0].T / 2.0).gather(1, sampled_keys(200).T)
    torch.testing.assert_close(sparsity_measure(q, k)[0, 0], scores.amax(-1) - scores.mean(-1))


def test_channel_attention_mixes_channels_within_each_token():
    torch.manual_seed(5)
    q, k, v = torch.randn(3, 1, 1, 50, 4)
    weights = torch.softmax(q[0, 0].T @ k[0, 0] / 2.0, dim=-1)
    torch.testing.assert_close(channel_attention(q, k, v)[0, 0], v[0, 0] @ weights)


def test_both_attentions_reach_the_output_and_tokens_keep_their_places():
    torch.manual_seed(6)
    block = DRIABlock(8, heads=2, with_points=False).eval()
    volume = torch.randn(1, 8, 4, 4, 4)
    with torch.no_grad():
        whole = block(volume)
        for part in (block.attention.out_spatial, block.attention.out_channel):
            saved = part.weight.clone()
            part.weight.zero_()
            assert not torch.allclose(block(volume), whole)
            part.weight.copy_(saved)
        # A permutation of x, y and z permutes the output of the attention likewise: no scrambled tokens.
        attend = block.attention
        tokens = volume.flatten(2).transpose(1, 2)
        swapped = volume.transpose(2, 4).flatten(2).transpose(1, 2)
        back = attend(swapped).transpose(1, 2).unflatten(-1, (4, 4, 4)).transpose(2, 4)
        same = attend(tokens).transpose(1, 2).unflatten(-1, (4, 4, 4))
        agreeing = torch.isclose(back, same, atol=1e-5).all(dim=1).float().mean()
    assert agreeing > 0.4


def test_empty_cells_give_zero_queries():
    attend = DualAttention(8, heads=2)
    seen = {}
    attend.modulate.register_forward_hook(lambda _, args, out: seen.update(out=out))
    attend(torch.randn(1, 64, 8), torch.zeros(1, 64, 8))
    assert not seen["out"].any()


def test_losses_are_those_of_equation_16_and_of_the_code():
    torch.manual_seed(7)
    cavity, binding = torch.randn(2, 5, 5, 5), torch.randn(2, 20)
    shape, atoms = (torch.rand(2, 5, 5, 5) > 0.7).float(), (torch.rand(2, 20) > 0.7).float()

    def entropy(logits, target):
        p = torch.sigmoid(logits)
        return -(target * p.log() + (1 - target) * (1 - p).log()).mean()

    voxels, points = entropy(cavity, shape), entropy(binding, atoms)
    torch.testing.assert_close(pocket_loss(cavity, binding, shape, atoms)["loss"], voxels + points)
    authors = pocket_loss(cavity, binding, shape, atoms, "authors")["loss"]
    torch.testing.assert_close(authors, 2 * voxels + points + 0.5 * dice_loss(torch.sigmoid(cavity), shape))
    torch.testing.assert_close(pocket_loss(cavity, None, shape, atoms)["loss"], voxels)


def test_the_overlap_of_masks_is_intersection_over_union():
    a = torch.tensor([[0.9, 0.9, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(overlap(a, b), torch.tensor([1 / 3, 1.0]))
