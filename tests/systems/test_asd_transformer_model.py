"""The transformer against the card's shapes, parameter counts and order rules (card 04, checks 6 to 10)."""

import pytest
import torch

from medtools.core.errors import InputError
from medtools.systems.asd_transformer import baselines, layers
from medtools.systems.asd_transformer.cohort import COMMUNITIES
from medtools.systems.asd_transformer.explanation import community_attention
from medtools.systems.asd_transformer.model import CommunityTransformer, partners, prompt_attention

CRADDOCK = [number for number, size in enumerate(COMMUNITIES.values()) for _ in range(size)]
SMALL = [0, 3, 1, 2, 0, 1, 4, 5, 6, 7, 7, 2, 3, 4, 5, 6]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def network(seed=0, communities=SMALL, **options):
    """Networks of one seed share what they have in common."""
    torch.manual_seed(seed)
    return CommunityTransformer(communities, **options).eval()


def same_weights(first, second):
    second.load_state_dict(first.state_dict(), strict=False)
    return second


@pytest.fixture
def batch():
    return torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(5))


def test_parameters_are_those_of_the_card():
    whole = CommunityTransformer(CRADDOCK)
    assert count(whole.local) == count(whole.all) == 572_424
    assert whole.prompts.numel() == 1_600
    assert count(whole.head) == 26_538
    assert count(whole) == 1_172_986
    assert count(CommunityTransformer(CRADDOCK, readout="mlp")) == 3_774_074


def test_com_braintf_adds_its_summary_of_prompts_and_has_201_tokens():
    comtf = CommunityTransformer(CRADDOCK, interaction="global", readout="mlp").eval()
    assert count(comtf) == 3_774_074 + 1600 * 512 + 512 + 512 * 200 + 200
    assert comtf.trace(torch.zeros(1, 200, 200)).tokens == 201


def test_shapes_are_those_of_the_card():
    whole = CommunityTransformer(CRADDOCK).eval()
    with torch.no_grad():
        trace = whole.trace(torch.randn(2, 200, 200))
        pooled, assignment = whole.readout(torch.randn(2, 200, 200))
    assert trace.tokens == 208
    assert trace.logits.shape == (2, 2)
    assert trace.attention.shape == (2, 8, 200, 200)
    assert assignment.shape == trace.assignment.shape == (2, 200, 8)
    assert torch.allclose(assignment.sum(dim=-1), torch.ones(2, 200), atol=1e-5)
    assert pooled.shape == (2, 8, 200)


@pytest.mark.parametrize(("clusters", "width"), [(8, 200), (100, 200), (16, 16)])
def test_centres_are_orthonormal_and_frozen(clusters, width):
    readout = layers.Ocread(width, width, clusters)
    assert torch.allclose(readout.centres @ readout.centres.T, torch.eye(clusters), atol=1e-5)
    assert not readout.centres.requires_grad
    assert count(readout) == 0


def test_the_readout_is_equations_9_and_10():
    readout, nodes = layers.Ocread(6, 5, 3), torch.randn(2, 6, 5)
    pooled, assignment = readout(nodes)
    for b in range(2):
        scores = torch.tensor([[float(nodes[b, i] @ readout.centres[k]) for k in range(3)] for i in range(6)])
        expected = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
        assert torch.allclose(assignment[b], expected, atol=1e-5)
        assert torch.allclose(pooled[b], expected.T @ nodes[b], atol=1e-5)


def test_the_encoder_layer_is_pytorchs_with_the_same_weights():
    ours = layers.EncoderLayer(16, 4, 32).eval()
    theirs = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    names = {
        "self_attn.in_proj_": "attention.project.", "self_attn.out_proj.": "attention.out.", "linear1.": "feed.0.",
        "linear2.": "feed.3.", "norm1.": "norm_attention.", "norm2.": "norm_feed.",
    }  # fmt: skip
    state = ours.state_dict()
    theirs.load_state_dict({a + part: state[b + part] for a, b in names.items() for part in ("weight", "bias")})
    tokens = torch.randn(2, 7, 16)
    encoded, weights = ours(tokens)
    _, expected = theirs.self_attn(tokens, tokens, tokens, average_attn_weights=False)
    assert torch.allclose(encoded, theirs(tokens), atol=1e-5)
    assert torch.allclose(weights, expected, atol=1e-6)


def test_attention_weights_sum_to_one_also_in_training():
    layer = layers.EncoderLayer(16, 4, 32, dropout=0.5).train()
    assert torch.allclose(layer(torch.randn(2, 7, 16))[1].sum(dim=-1), torch.ones(2, 4, 7), atol=1e-5)


def test_order_alone_changes_nothing_and_adding_does(batch):
    none = network(interaction="none")
    concat = same_weights(none, network(1, interaction="concat"))
    add = same_weights(none, network(2, interaction="add"))
    with torch.no_grad():
        assert torch.allclose(concat(batch), none(batch), atol=1e-5)
        assert (add(batch) - none(batch)).abs().max() > 1e-4


def test_with_the_mlp_readout_the_order_of_nodes_matters():
    readout, nodes = layers.Ocread(16, 16, 8, mlp=True), torch.randn(1, 16, 16)
    plain = layers.Ocread(16, 16, 8)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (readout(nodes)[0] - readout(nodes[:, order])[0]).abs().max() > 1e-4
        assert torch.allclose(plain(nodes)[0], plain(nodes[:, order])[0], atol=1e-5)


def test_uniform_attention_scores_one_and_leaves_communities_in_order(batch):
    assert prompt_attention(torch.full((2, 8, 6, 6), 1 / 6)) == pytest.approx([1.0, 1.0])
    uniform = network(interaction="concat")
    with torch.no_grad():
        uniform.local.attention.project.weight.zero_()
        uniform.local.attention.project.bias.zero_()
        prompts, nodes, scores = uniform._within(batch[:, uniform.order][:, :, uniform.order])
        assert torch.allclose(scores, torch.ones(3, 8), atol=1e-6)
        kept_prompts, kept_nodes, order = uniform._interact(prompts, nodes, torch.ones(3, 8))
    assert torch.equal(kept_prompts, prompts)
    assert torch.equal(kept_nodes, nodes)
    assert order[0].tolist() == list(range(16))


def test_the_score_is_the_attention_that_nodes_pay_to_the_prompt():
    weights = torch.rand(1, 2, 4, 4).softmax(dim=-1)
    expected = 4 * sum(float(weights[0, h, j, 0]) for h in range(2) for j in (1, 2, 3)) / 6
    assert float(prompt_attention(weights)) == pytest.approx(expected)


def test_the_most_attended_community_gets_the_least_attended_prompt():
    scores = torch.arange(8, 0, -1.0)[None]
    assert partners(scores)[0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert partners(torch.tensor([[1.0, 3.0, 2.0]]))[0].tolist() == [1, 0, 2]


def test_nodes_go_on_by_descending_and_prompts_by_ascending_attention():
    model = network(interaction="add")
    prompts, nodes = torch.arange(8.0)[None, :, None].expand(1, 8, 16) * 100, torch.zeros(1, 16, 16)
    scores = torch.tensor([[3.0, 8, 1, 2, 7, 4, 6, 5]])
    before, after, order = model._interact(prompts, nodes, scores)
    assert (before[0, :, 0] / 100).tolist() == [2, 3, 0, 5, 7, 6, 4, 1]
    # Two nodes each, the most attended community first, each with its partner's prompt added.
    assert (after[0, :, 0] / 100).tolist() == [2, 2, 3, 3, 0, 0, 5, 5, 7, 7, 6, 6, 4, 4, 1, 1]
    assert model.community[order[0]].tolist() == [1, 1, 4, 4, 6, 6, 7, 7, 5, 5, 0, 0, 3, 3, 2, 2]


@pytest.mark.parametrize("interaction", ["add", "concat", "none", "global"])
def test_attention_is_told_in_the_order_of_the_inputs_rois(batch, interaction):
    """ROIs numbered otherwise within the same communities must give the same map, numbered likewise."""
    model = network(interaction=interaction)
    with torch.no_grad():
        _, _, _, attention, order = model._encode(batch)
        found = model.trace(batch).attention
    first = attention.shape[-1] - 16
    for sample in range(3):
        for row in (0, 5, 11):
            for column in (2, 9):
                a, b = int(model.order[order[sample, row]]), int(model.order[order[sample, column]])
                expected = attention[sample, :, first + row, first + column]
                assert torch.equal(found[sample, :, a, b], expected)


def test_uniform_attention_between_nodes_is_one_between_every_two_communities():
    number = torch.tensor(SMALL).numpy()
    assert torch.allclose(community_attention(torch.full((2, 8, 16, 16), 1 / 24), number, 24), torch.ones(2, 8, 8))


def test_gradients_reach_every_parameter(batch):
    model = network().train()
    model(batch).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "cause"),
    [({"clusters": 17}, "17 cluster centres for 16 nodes"), ({"heads": 5}, "5 heads do not divide 16 ROIs")],
)
def test_networks_that_cannot_be_are_refused(options, cause):
    with pytest.raises(InputError, match=cause):
        network(**options)


def test_the_baselines_have_their_published_sizes():
    assert count(baselines.BrainNetworkTransformer(200)) == 2 * 572_424 + 2_601_088 + 8 * 201 + 801 * 256 + 8_224 + 66
    e2e = 2 * (32 * 200 + 32) + 2 * (64 * 32 * 200 + 64)
    dense = 257 * 128 + 129 * 30 + 31 * 2
    assert count(baselines.BrainNetCnn(200)) == e2e + 64 * 200 + 1 + 256 * 200 + 256 + dense


def test_the_baselines_give_two_logits_and_fbnetgen_a_symmetric_graph():
    matrices, series = torch.randn(4, 16, 16), torch.randn(4, 16, 22)
    assert baselines.BrainNetCnn(16)(matrices).shape == (4, 2)
    assert baselines.BrainNetworkTransformer(16, clusters=10)(matrices).shape == (4, 2)
    logits, graph = baselines.FbNetGen(16)(matrices, series)
    assert logits.shape == (4, 2)
    assert torch.allclose(graph, graph.transpose(1, 2))
    assert (graph > 0).all()


def test_graphs_alike_within_and_apart_between_classes_have_the_least_group_loss():
    target = torch.tensor([0, 0, 1, 1])
    apart = torch.stack([torch.zeros(3, 3)] * 2 + [torch.ones(3, 3)] * 2)
    assert float(baselines.graph_losses(apart, target)["group_loss"]) == pytest.approx(0)
    mixed = apart[[0, 2, 1, 3]]
    assert float(baselines.graph_losses(mixed, target)["group_loss"]) == pytest.approx(0.5 + 0.5 + 2)
    assert float(baselines.graph_losses(apart, target)["sparsity_loss"]) == pytest.approx(0.5e-4)
