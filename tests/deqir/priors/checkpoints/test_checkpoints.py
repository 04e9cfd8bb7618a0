"""Published checkpoints as priors: the same numbers as the architecture on its own, every key in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deqir import Restorer, load_prior, prior_digest
from deqir.operators import SuperResolution
from deqir.priors import Facts, import_prior, prior_directory, read_card
from deqir.priors.checkpoints import adm, ddpm
from tests.deqir.problems import rand
from tests.deqir.reference_denoisers import Drunet, ffdnet, ffdnet_denoise
from tests.deqir.reference_networks import Adm, Ddpm, drawn
from tests.weights import needs_ffdnet

TIMES = torch.tensor([0.0, 717.25], dtype=torch.float64)
SIXTEEN = Facts(num_head_channels=16)


def network_of(directory: Path) -> Any:
    denoiser: Any = load_prior(str(directory), device="cpu").denoiser
    return getattr(denoiser, "denoiser", denoiser).network


def assert_same(directory: Path, reference: nn.Module, told: Tensor, shape: tuple[int, ...] = (2, 3, 16, 24)) -> None:
    """To 1e-5 in float32 and 1e-10 in float64, relative to the largest value."""
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        network, level, x = network_of(directory), told.to(dtype), rand(*shape).to(dtype)
        for parameter in network.parameters():
            parameter.data = parameter.data.to(dtype)
        with torch.no_grad():
            found, wanted = network(x, level), reference.to(dtype)(x, level)
        found = getattr(found, "sample", found)
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * float(wanted.abs().max()))


ADM: dict[str, tuple[dict[str, Any], Facts]] = {
    "as for 256 pixels": ({"factors": (1, 1, 2), "blocks": 2, "attention": (1, 2)}, SIXTEEN),
    "as for faces": ({"factors": (1, 2), "attention": (1,), "base": 64, "head_channels": 64}, Facts()),
    "new attention order": ({"order": "new"}, Facts(num_head_channels=16, use_new_attention_order=True)),
    "a number of heads": ({"heads": 2, "attention": (1, 2), "factors": (1, 1, 2)}, Facts(num_heads=2)),
    "improved-diffusion": (
        {"updown": False, "heads": 4, "scale_shift": False, "outputs": 3, "factors": (1, 2, 3), "attention": (1, 2)},
        Facts(),
    ),
    "one scale": ({"factors": (1,), "attention": ()}, SIXTEEN),
    "grey": ({"channels": 1, "outputs": 2}, SIXTEEN),
}


@pytest.mark.parametrize(("shape", "facts"), ADM.values(), ids=ADM)
def test_an_adm_checkpoint_computes_what_its_architecture_computes(imported, shape, facts) -> None:
    reference = drawn(Adm(**shape))
    found = imported(reference, facts=facts)
    assert found.kind == "adm"
    assert_same(found.directory, reference, TIMES, (2, shape.get("channels", 3), 16, 24))


@pytest.mark.parametrize(
    "shape", [{}, {"factors": (1, 1, 2, 2), "blocks": 2, "attention": (2,)}, {"factors": (1,), "attention": ()}]
)
def test_a_ddpm_checkpoint_computes_what_its_architecture_computes(imported, shape) -> None:
    reference = drawn(Ddpm(**shape))
    found = imported(reference)
    assert found.kind == "ddpm"
    assert_same(found.directory, reference, TIMES)


@pytest.mark.parametrize("shape", [{}, {"channels": 1, "width": 4, "blocks": 1}])
def test_a_drunet_checkpoint_computes_what_its_architecture_computes(imported, shape) -> None:
    reference = drawn(Drunet(**shape))
    found = imported(reference, facts=Facts(max_noise=0.3))
    assert (found.kind, found.card.max_noise, found.assumed) == ("drunet", 0.3, ())
    assert_same(found.directory, reference, torch.tensor([0.05, 0.2]), (2, shape.get("channels", 3), 16, 24))


@pytest.mark.parametrize("shape", [{"channels": 3, "width": 8, "depth": 4}, {"channels": 1, "width": 6, "depth": 5}])
def test_an_ffdnet_checkpoint_computes_what_its_architecture_computes(imported, shape) -> None:
    reference = drawn(ffdnet(**shape))
    found = imported(reference)
    assert (found.kind, found.card.architecture) == ("ffdnet", shape)
    x, noise = rand(2, shape["channels"], 8, 12).float(), torch.tensor([0.1, 0.3])
    with torch.no_grad():
        wanted = ffdnet_denoise(reference, x, noise)  # type: ignore[arg-type]
        torch.testing.assert_close(network_of(found.directory)(x, noise), wanted)


@pytest.mark.parametrize("wrong", [Facts(num_head_channels=16, use_new_attention_order=True), Facts(num_heads=1)])
def test_wrong_facts_of_the_attention_give_other_numbers(imported, wrong) -> None:
    """So the tests above would fail with wrong facts."""
    reference = drawn(Adm())
    with pytest.raises(AssertionError):
        assert_same(imported(reference, facts=wrong).directory, reference, TIMES)


def test_eps_is_the_first_half_of_the_channels_at_the_timestep_of_the_level(imported) -> None:
    """The timesteps of a training with 4000 are also given to the network as if there were 1000."""
    reference = drawn(Adm())
    facts = Facts(num_head_channels=16, noise_schedule="cosine", diffusion_steps=4000, image_size=64)
    found = imported(reference, facts=facts, licence="MIT")
    assert (found.card.licence, found.card.native_size, found.assumed) == ("MIT", 64, ("use_new_attention_order no",))
    level = torch.tensor([1000, 3000], dtype=torch.float64)  # of the first noisy level's count, so t + 1 below
    alpha_bar = torch.cos(((level + 1) / 4000 + 0.008) / 1.008 * torch.pi / 2) ** 2
    alpha_bar /= torch.cos(torch.tensor(0.008 / 1.008 * torch.pi / 2, dtype=torch.float64)) ** 2
    x = rand(2, 3, 16, 16).float()
    with torch.no_grad():
        eps = load_prior(str(found.directory), device="cpu")(x, alpha_bar)
        wanted = reference.float()(x, (level / 4).float())[:, :3]
    torch.testing.assert_close(eps, wanted, rtol=0, atol=1e-5)


def test_the_card_tells_what_the_prior_is(imported) -> None:
    found = imported(drawn(Ddpm(factors=(1, 1, 2), attention=(2,))), licence="for research")
    card = read_card(found.directory)
    assert card == found.card
    assert (card.name, card.kind, card.licence) == ("mine", "unet", "for research")
    assert card.sha256 == prior_digest(str(found.directory))
    assert card.max_noise == pytest.approx(78.7, abs=0.1)  # DDPM's schedule ends at alpha_bar = 4.04e-5
    assert (card.schedule, card.prediction, card.native_size) == ("linear", "epsilon", 64)
    assert card.source.startswith("ddpm, checkpoint.pt, SHA-256 ")
    assert found.assumed == ("noise_schedule linear", "diffusion_steps 1000", "image_size 64")


PUBLISHED = {
    "256x256_diffusion_uncond.pt": (
        Adm,
        {"base": 256, "factors": (1, 1, 2, 2, 4, 4), "blocks": 2, "attention": (3, 4, 5), "head_channels": 64},
        552_814_086,
    ),
    "ffhq_10m.pt": (
        Adm,
        {"base": 128, "factors": (1, 1, 2, 2, 4, 4), "blocks": 1, "attention": (4,), "head_channels": 64},
        93_563_910,
    ),
    "imagenet64_uncond_100M_1500K.pt": (
        Adm,
        {"base": 128, "factors": (1, 2, 3, 4), "blocks": 3, "attention": (2, 3), "heads": 4, "updown": False},
        121_063_942,
    ),
    "celeba_hq.ckpt": (Ddpm, {"base": 128, "factors": (1, 1, 2, 2, 4, 4), "blocks": 2, "attention": (4,)}, 113_673_219),
}


@pytest.mark.parametrize(("make", "shape", "parameters"), PUBLISHED.values(), ids=PUBLISHED)
def test_networks_of_published_size_are_known_by_their_keys_and_find_every_place(make, shape, parameters) -> None:
    """Without memory for their weights; the image size follows from the scales."""
    with torch.device("meta"):
        state = make(**shape).state_dict()
    plan = adm.plan(state, Facts()) if make is Adm else ddpm.plan(state, Facts())
    needed = {origin.key: origin.stored_shape for origin in plan.origins.values()}
    assert needed == {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert sum(tensor.numel() for tensor in state.values()) == parameters
    assert plan.card.native_size == (64 if len(shape["factors"]) == 4 else 256)
    assert plan.card.architecture == ({"num_heads": 4} if "heads" in shape else {})


WRAPPERS: dict[str, Callable[[dict[str, Tensor], dict[str, Tensor]], Any]] = {
    "state_dict": lambda good, old: {"state_dict": good, "epoch": 3},
    "moving average first": lambda good, old: {"model": old, "ema": good, "step": 7},
    "nested": lambda good, old: {"params": {"state_dict": good}},
    "parallel": lambda good, old: {f"module.{key}": tensor for key, tensor in good.items()},
    "DDIM's list": lambda good, old: [
        {f"module.{key}": tensor for key, tensor in old.items()},
        {"state": {}, "param_groups": [{"lr": 1e-4}]},
        12,
        3400,
        {f"module.{key}": tensor for key, tensor in good.items()},
    ],
    "half precision": lambda good, old: {key: tensor.half() for key, tensor in good.items()},
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_weights_are_found_in_what_training_code_wraps_them_in(imported, wrap) -> None:
    good, old = drawn(Drunet(width=4, blocks=1)).half().float(), drawn(Drunet(width=4, blocks=1), seed=1)
    assert_same(imported(wrap(good.state_dict(), old.state_dict())).directory, good, torch.tensor([0.1, 0.2]))


def test_safetensors_are_read_and_the_old_form_of_torchs_files(tmp_path) -> None:
    reference = drawn(Drunet(width=4, blocks=1))
    save_file(reference.state_dict(), tmp_path / "a.safetensors")
    torch.save(reference.state_dict(), tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    for file in ("a.safetensors", "b.pth"):
        found = import_prior(tmp_path / file, name=f"{tmp_path}/from-{file}")
        assert_same(found.directory, reference, torch.tensor([0.1, 0.2]))


def test_a_grey_prior_sees_each_channel_by_itself(imported) -> None:
    reference = drawn(Drunet(channels=1, width=4, blocks=1))
    prior = load_prior(str(imported(reference).directory), device="cpu")
    x, alpha_bar = rand(2, 3, 8, 16).float(), torch.tensor([0.9, 0.8], dtype=torch.float64)
    single = [prior(x[:, [channel]], alpha_bar) for channel in range(3)]
    torch.testing.assert_close(prior(x, alpha_bar), torch.cat(single, 1))


def test_the_noise_a_network_leaves_tells_a_denoiser_from_another(imported) -> None:
    """A network with a grey output leaves the picture, which is larger than the noise; the identity leaves all of
    the noise."""
    network = drawn(ffdnet(channels=3, width=8, depth=3))
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter)
    assert imported(network).remaining_noise > 1.5


@pytest.mark.ffdnet
@needs_ffdnet
def test_published_ffdnet_is_imported_as_what_a_fetch_gives(imported) -> None:
    state = load_file(prior_directory("ffdnet") / "model.safetensors")
    found = imported(state)
    assert found.card.sha256 == prior_digest("ffdnet")
    assert found.remaining_noise < 0.25


@pytest.mark.parametrize("network", [Adm(), Ddpm(), Drunet(width=4)], ids=["adm", "ddpm", "drunet"])
def test_an_imported_prior_restores_an_image_that_agrees_with_what_was_given(imported, network) -> None:
    facts = SIXTEEN if isinstance(network, Adm) else None
    prior = load_prior(str(imported(drawn(network), facts=facts).directory), device="cpu")
    A, y = SuperResolution(scale=2), rand(1, 3, 7, 9).float().clamp(-1, 1)
    restored = Restorer(prior, steps=3)(y, A, seed=1)
    torch.testing.assert_close(A(restored.images), y, rtol=0, atol=1e-4)
