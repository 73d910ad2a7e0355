"""dSPIC against the card's data-free checks (card 33, checks 2 to 7, 9, 11, 12, 14)."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from medtools.core.errors import InputError, RefusedError
from medtools.metrics.report import classification_scores
from medtools.nn.cbam import Cbam
from medtools.systems.dspic import calls, gan, model
from medtools.systems.dspic.classification import adam
from medtools.systems.dspic.cohort import CLASSES, D1, TARGETS
from medtools.systems.dspic.data import TARGET, Scans, enlarge, geometry_draw
from medtools.systems.dspic.gan import Gan, GanPlan, draw, objectives, train_gan
from medtools.systems.dspic.lesions import gain_over_area, share_inside
from medtools.systems.dspic.model import COMPARATORS, Classifier, Residual, build, dspic_plan
from medtools.systems.dspic.scoring import one_vs_rest
from medtools.training.augmentation import Geometry, draw_geometry, move, round_robin
from medtools.training.settings import FitSettings

FULL = (1024, 256)


def count(plan, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in Classifier(plan, FULL, **options).parameters())


@pytest.mark.parametrize(
    ("plan", "options", "expected"),
    [
        (dspic_plan("none"), {"head_pool": None}, 1_732_846_275),
        (dspic_plan("none"), {}, 58_270_403),
        (dspic_plan("attention"), {}, 58_271_755),
        (dspic_plan("residual"), {}, 58_436_483),
        (dspic_plan("none", pad34=1), {"head_pool": None}, 1_011_425_987),
        (COMPARATORS["si-clf"], {}, 80_614_787),
        (COMPARATORS["si-clf-am"], {}, 80_624_027),
        (COMPARATORS["si-clf-rm"], {}, 80_688_643),
        (COMPARATORS["si-clf-am-rm"], {}, 80_697_883),
        (COMPARATORS["alexnet"], {"head_pool": None}, 645_805_699),
    ],
)
def test_parameters_are_the_cards(plan, options, expected):
    assert count(plan, **options) == expected


def test_the_trunk_and_the_added_layers_are_the_cards():
    with torch.device("meta"):
        assert sum(p.numel() for p in Classifier(dspic_plan("none"), FULL).trunk.parameters()) == 3_723_968
    assert sum(p.numel() for p in Cbam(96).parameters()) == 1_352
    assert sum(p.numel() for p in Residual(96).parameters()) == 166_080


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (FULL, [(255, 63), (127, 31), (127, 31), (127, 31), (63, 15), (67, 19), (71, 23), (71, 23)]),
        ((256, 64), [(63, 15), (31, 7), (31, 7), (31, 7), (15, 3), (19, 7), (23, 11), (23, 11)]),
    ],
)
def test_shapes_are_those_of_the_table(size, expected):
    with torch.device("meta"):
        network = Classifier(dspic_plan("attention"), size)
        x, found = torch.empty(1, 1, *size), []
        for layer in network.trunk:
            x = layer(x)
            found += [] if isinstance(layer, nn.ReLU) else [tuple(x.shape[2:])]
    assert found == expected
    assert x.shape[1] == 256


def test_the_smallest_image_works_and_a_smaller_one_is_refused():
    with torch.device("meta"):
        assert Classifier(dspic_plan("attention"), (31, 31))(torch.empty(1, 1, 31, 31)).shape == (1, 3)
        with pytest.raises(InputError, match="shortest side must have 31"):
            Classifier(dspic_plan("attention"), (256, 30))


def test_the_network_as_printed_is_refused_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(model, "available_memory", lambda: 16 * 2**30)
    with pytest.raises(RefusedError, match=r"needs 25.8 GiB to train, this machine has 16.0 GiB"):
        build(dspic_plan("none"), FULL, head_pool=None)


def zeroed(module):
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def test_attention_without_weights_is_a_quarter_and_to_the_letter_a_half():
    features = torch.randn(2, 32, 6, 5)
    assert torch.allclose(zeroed(Cbam(32))(features), 0.25 * features)
    assert torch.allclose(zeroed(Cbam(32, literal=True))(features), 0.5 * features)


def test_attention_weakens_only_and_moves_with_its_channels():
    torch.manual_seed(0)
    module, features = Cbam(32), torch.randn(2, 32, 9, 7)
    found = module(features)
    assert found.shape == features.shape
    assert (found.abs() <= features.abs()).all()
    assert ((module.channel_attention(features) > 0) & (module.channel_attention(features) < 1)).all()
    order = torch.randperm(32)
    moved = Cbam(32)
    moved.load_state_dict(module.state_dict())
    with torch.no_grad():
        moved.mlp[0].weight.copy_(module.mlp[0].weight[:, order])
        moved.mlp[2].weight.copy_(module.mlp[2].weight[order])
        moved.mlp[2].bias.copy_(module.mlp[2].bias[order])
    assert torch.allclose(moved(features[:, order]), found[:, order], atol=1e-6)


def test_the_residual_module_without_weights_rectifies():
    features = torch.randn(2, 8, 5, 5)
    module = zeroed(Residual(8))
    assert torch.equal(module(features), torch.relu(features))
    assert torch.equal(module(features.abs()), features.abs())


def test_mirror_shift_and_turn_undo_themselves():
    rng = np.random.default_rng(0)
    image = rng.random((33, 21)).astype(np.float32)
    assert np.array_equal(move(move(image, Geometry(mirror=True)), Geometry(mirror=True)), image)
    assert np.array_equal(move(image, Geometry(mirror=True))[:, 20], image[:, 0])
    assert np.array_equal(move(image, Geometry()), image)
    shifted = move(image, Geometry(rows=4))
    assert np.allclose(shifted[4:], image[:-4], atol=1e-4)  # down by four rows
    assert np.allclose(shifted[:4], 0, atol=1e-4)
    back = move(shifted, Geometry(rows=-4))
    assert np.allclose(back[5:-5, 5:-5], image[5:-5, 5:-5], atol=1e-4)
    assert np.allclose(move(image, Geometry(columns=8))[:, 8:], image[:, :-8], atol=1e-4)
    turned = move(move(image, Geometry(degrees=5)), Geometry(degrees=-5))
    smooth = np.full((33, 21), 0.5, dtype=np.float32)
    smooth[16, 10] = 1.0
    assert move(smooth, Geometry(degrees=5))[16, 10] == pytest.approx(1.0, abs=1e-4)
    assert turned[16, 10] == pytest.approx(image[16, 10], abs=0.25)


def test_a_turn_goes_counter_clockwise():
    image = np.zeros((41, 41), dtype=np.float32)
    image[20, 38] = 1  # to the right of the centre
    found = np.unravel_index(move(image, Geometry(degrees=30)).argmax(), image.shape)
    assert found[0] < 20
    assert found[1] > 20


def test_drawn_geometries_are_never_the_identity_and_sources_are_used_evenly():
    rng = np.random.default_rng(0)
    drawn = [draw_geometry(rng) for _ in range(300)]
    assert not any(g.is_identity or (g.rows, g.columns, g.degrees) == (0, 0, 0) for g in drawn)
    assert {abs(g.rows) for g in drawn} == {0, 4, 8}
    assert {abs(g.degrees) for g in drawn} == {0, 3, 5}
    assert 100 < sum(g.mirror for g in drawn) < 200
    used = Counter(round_robin(23, np.arange(10), rng).tolist())
    assert set(used.values()) == {2, 3}


def scans_of(counts, size=(16, 8)):
    labels = np.repeat(list(counts), list(counts.values()))
    rng = np.random.default_rng(0)
    names = np.array([f"i{n}" for n in range(len(labels))])
    subjects = np.array([f"p{n // 2}" for n in range(len(labels))])
    images = rng.random((len(labels), *size)).astype(np.float32)
    return Scans(names, subjects, labels, np.full(len(labels), "", dtype="<U10"), images)


@pytest.mark.parametrize("mode", ["geometry", "dcgan"])
def test_enlarged_sets_have_the_papers_counts_and_no_image_is_its_source(mode):
    scans = scans_of(D1)
    noise = np.random.default_rng(1)

    def invented(sources, label, number):
        return noise.random((number, 16, 8)).astype(np.float32)

    larger = enlarge(scans, mode, geometry_draw((4, 8), (3, 5), 0) if mode == "geometry" else invented, 0)
    assert Counter(larger.labels.tolist()) == TARGETS[mode]
    assert len(larger) == {"geometry": 1502, "dcgan": 1280}[mode]
    made = larger.made != ""
    assert made.sum() == len(larger) - 768
    assert len(set(larger.ids.tolist())) == len(larger)
    if mode == "geometry":
        source = {name: n for n, name in enumerate(scans.ids.tolist())}
        for name, subject, image in zip(larger.ids[made], larger.subjects[made], larger.images[made], strict=True):
            origin = source[name.rpartition("_g")[0]]
            assert subject == scans.subjects[origin]
            assert not np.array_equal(image, scans.images[origin])
    else:
        assert not set(larger.subjects[made].tolist()) & set(scans.subjects.tolist())


def test_softmax_of_equal_logits_is_a_third_and_both_diseases_cost_at_least_log_2():
    assert torch.allclose(torch.softmax(torch.zeros(3), 0), torch.full((3,), 1 / 3))
    logits = torch.randn(5, 3)
    assert torch.allclose(torch.softmax(logits, 1), torch.softmax(logits + 1000, 1), atol=1e-4)
    target = torch.tensor([TARGET["MA"]])
    best = nn.functional.cross_entropy(torch.log(torch.tensor([[1e-9, 0.5, 0.5]])), target)
    assert float(best) == pytest.approx(math.log(2), abs=1e-6)
    assert float(nn.functional.cross_entropy(torch.log(torch.tensor([[0.1, 0.5, 0.4]])), target)) > math.log(2)


def test_scores_of_the_cards_confusion_matrix():
    confusion = [[50, 5, 5], [4, 30, 6], [10, 8, 32]]
    truth = [CLASSES[i] for i in range(3) for j in range(3) for _ in range(confusion[i][j])]
    called = [j for i in range(3) for j in range(3) for _ in range(confusion[i][j])]
    rows = classification_scores(truth, np.eye(3)[called], CLASSES, resamples=0)
    found = {r.metric: r.value for r in rows if r.level == "test"}
    expected = {"accuracy": 0.7467, "precision_macro": 0.7410, "sensitivity_macro": 0.7411,
                "specificity_macro": 0.8721, "f1_macro": 0.7392, "f1_of_means": 0.7411}  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert one_vs_rest(np.array(confusion, dtype=float)) == pytest.approx(0.8311, abs=1e-4)


def test_calls_of_both_diseases():
    p = np.array([[0.01, 0.94, 0.05], [0.05, 0.94, 0.01]])
    assert calls.oracle_correct(["MA", "MA"], p).tolist() == [True, False]
    assert calls.threshold(p, 0.1) == ["M", "M"]
    assert calls.threshold(p, 0.04) == ["MA", "M"]
    assert calls.top1(p) == ["M", "M"]
    assert calls.choose_tau(["MA", "M"], np.array([[0.1, 0.5, 0.4], [0.1, 0.8, 0.1]])) == pytest.approx(0.4)


def test_adams_first_step_has_the_size_of_the_learning_rate():
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    before = layer.weight.detach().clone()
    optimiser = adam(layer, 1e-4)
    (layer(torch.randn(4, 3).double()) * 100).square().sum().backward()
    assert layer.weight.grad.abs().min() > 1
    optimiser.step()
    assert torch.allclose((layer.weight - before).abs(), torch.full_like(before, 1e-4), rtol=1e-6)


def test_the_fast_adam_takes_the_steps_of_its_formula():
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w = w - a m^ / (sqrt(v^) + eps), as Eq. 12 must mean."""
    rng = np.random.default_rng(0)
    layer = nn.Linear(7, 5).double()
    optimiser, weight = adam(layer, 1e-2), layer.weight.detach().numpy().copy()
    m = v = np.zeros_like(weight)
    for step in range(1, 6):
        gradient = rng.standard_normal(weight.shape)
        layer.weight.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight -= 1e-2 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
    assert np.allclose(layer.weight.detach().numpy(), weight, rtol=0, atol=1e-12)


def test_the_gan_has_the_cards_size_and_range():
    with torch.device("meta"):
        nets = Gan(FULL)
        assert nets(torch.empty(2, 100)).shape == (2, 1, 1024, 256)
        assert nets.discriminator(torch.empty(2, 1, 1024, 256)).shape == (2,)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (nets.generator, nets.discriminator)]
    assert sizes == [6_105_313, 2_828_497]
    with pytest.raises(InputError, match="multiples of 64"):
        Gan((1000, 256))


def test_a_small_gan_is_trained_by_two_objectives_and_draws_between_0_and_1(tmp_path):
    images = np.random.default_rng(0).random((4, 64, 64)).astype(np.float32)
    settings = FitSettings(epochs=1, monitor="discriminator", curves=False)
    nets = train_gan(images, out=tmp_path / "gan", settings=settings, seed=1, device="cpu")
    header = (tmp_path / "gan/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"discriminator", "generator"} <= set(header)
    made = draw(nets, 3, seed=2)
    assert made.shape == (3, 64, 64)
    assert 0 <= made.min() <= made.max() <= 1
    assert np.array_equal(made, draw(nets, 3, seed=2))
    with pytest.raises(InputError, match="at least 2"):
        train_gan(images[:1], out=tmp_path / "x", settings=settings, seed=1, device="cpu")


def test_each_objective_moves_its_own_net_only():
    torch.manual_seed(0)
    nets = Gan((16, 16), GanPlan((8, 4)))
    batch = (torch.rand(2, 1, 16, 16), torch.randn(2, 100))
    for objective, mine, other in zip(objectives(), ("discriminator", "generator"), ("generator", "discriminator"),
                                      strict=True):  # fmt: skip
        nets.zero_grad(set_to_none=True)
        objective.loss(nets, batch, None).backward()
        moved = {id(p) for group in objective.optimiser(nets).param_groups for p in group["params"]}
        assert moved == {id(p) for p in getattr(nets, mine).parameters()}
        assert all(p.grad is not None for p in getattr(nets, mine).parameters())
        if mine == "discriminator":
            assert all(p.grad is None for p in getattr(nets, other).parameters())


def test_an_interrupted_gan_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    images = np.random.default_rng(0).random((5, 64, 64)).astype(np.float32)
    settings = FitSettings(epochs=3, monitor="discriminator", curves=False, checkpoint_seconds=0)

    def train(name):
        return train_gan(images, out=tmp_path / name, settings=settings, seed=1, device="cpu")

    train("whole")
    calls_of, loss = [], gan._bce

    def interrupted(*arguments):
        calls_of.append(1)
        if len(calls_of) == 8:  # three losses a step, a step an epoch: in the third epoch
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(gan, "_bce", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("broken")
    assert not (tmp_path / "broken/model.ckpt").exists()
    monkeypatch.setattr(gan, "_bce", loss)
    train("broken")
    for name in ("model.ckpt", "metrics.csv"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_flat_map_has_as_much_inside_lesions_as_their_area():
    masks = np.zeros((3, 4, 5), dtype=bool)
    masks[:, :2, :2] = True
    maps = np.stack([np.full((4, 5), 0.3), masks[1].astype(float), np.zeros((4, 5))])
    shares = share_inside(maps, masks)
    assert shares[:2] == pytest.approx([4 / 20, 1.0])
    assert np.isnan(shares[2])
    found = gain_over_area(shares.tolist(), [0.2] * 3, ["a", "b", "c"], seed=0, resamples=50)
    assert (found["share"], found["area"], found["ratio"], found["n"]) == pytest.approx((0.6, 0.2, 3.0, 2))
    assert 1 <= found["ci_low"] <= found["ci_high"] <= 5
    assert gain_over_area([np.nan], [0.2], ["a"], seed=0) == {}
