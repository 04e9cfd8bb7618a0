"""Priors on disk: whole ones load, everything else is refused with a reason and a remedy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from deqir import Prior, PriorError, load_prior, prior_digest
from deqir.models import available_models, describe_model, fetch_model
from deqir.pretrained.download import ModelError
from deqir.pretrained.lpips import LPIPS_WEIGHTS
from deqir.priors import DenoiserPrior, FFDNet, PriorCard, fetch_prior, prior_directory, read_card, write_prior
from deqir.priors.base import Base
from deqir.priors.starters.enlarging import Enlarger
from tests.deqir.problems import rand
from tests.weights import needs_ffdnet

SHAPE = {"channels": 3, "width": 8, "depth": 3}
CARD = PriorCard(name="mine", kind="denoiser", sha256="", max_noise=0.2, architecture=SHAPE)


def network(seed: int = 0) -> FFDNet:
    torch.manual_seed(seed)
    return FFDNet(**SHAPE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A whole prior."""
    write_prior(tmp_path / "mine", CARD, network().state_dict())
    return tmp_path / "mine"


def test_a_written_prior_loads_as_the_same_network(directory) -> None:
    prior = load_prior(str(directory), device="cpu")
    assert (prior.name, prior.max_noise, prior.multiple) == ("mine", 0.2, 2)
    assert prior.digest == prior_digest(str(directory)) == read_card(directory).sha256
    x, noise = rand(2, 3, 6, 8).float(), torch.tensor([0.1, 0.2])
    alpha_bar = 1 / (1 + (2 * noise.double()) ** 2)
    root = alpha_bar.sqrt().float()[:, None, None, None]
    denoised = network()((x / root + 1) / 2, noise) * 2 - 1
    eps = (x - root * denoised) / (1 - alpha_bar).sqrt().float()[:, None, None, None]
    torch.testing.assert_close(prior(x, alpha_bar), eps)


def test_one_changed_byte_in_the_weights_is_refused(directory) -> None:
    path = directory / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for refuses in (load_prior, prior_digest):
        with pytest.raises(PriorError, match=r"'mine' were altered or cut short.*delete"):
            refuses(str(directory))


def with_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cached: FFDNet) -> Path:
    """A prior whose denoiser is that of "other" in the user's cache, beside an enlarger of its own."""
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    other = write_prior(prior_directory("other"), replace(CARD, name="other"), cached.state_dict())
    base = Base(prior="other", sha256=other.sha256, networks=("model",))
    own = {f"enlargers.networks.2.{name}": value for name, value in Enlarger(scale=2).state_dict().items()}
    write_prior(tmp_path / "mine", replace(CARD, enlarges=(2,), base=base), cached.state_dict() | own)
    return tmp_path / "mine"


def test_a_prior_takes_networks_from_its_base_and_has_the_digest_of_the_whole(tmp_path, monkeypatch) -> None:
    directory = with_base(tmp_path, monkeypatch, cached=network())
    held = load_file(directory / "model.safetensors")
    assert held
    assert all(name.startswith("enlargers.networks.2.") for name in held)
    prior, other = load_prior(str(directory), device="cpu"), load_prior("other", device="cpu")
    x, alpha_bar = rand(1, 3, 6, 8).float(), torch.tensor([0.9])
    assert torch.equal(prior(x, alpha_bar), other(x, alpha_bar))
    whole = replace(CARD, enlarges=(2,))
    assert prior.digest == write_prior(tmp_path / "whole", whole, network().state_dict() | held).sha256
    assert describe_model(str(directory))["base"] == "other"


def test_a_base_whose_weights_are_others_since_is_refused(tmp_path, monkeypatch) -> None:
    directory = with_base(tmp_path, monkeypatch, cached=network())
    write_prior(prior_directory("other"), replace(CARD, name="other"), network(seed=1).state_dict())
    for refuses in (load_prior, prior_digest):
        with pytest.raises(PriorError, match=r"'mine' takes networks from 'other', whose weights are others since"):
            refuses(str(directory))


def test_the_parts_of_bundled_large_make_the_file_whose_digest_jobs_know() -> None:
    """The digest is that of the one file that held all its networks before they were taken from bundled."""
    taken = ("model.", "filler.", "colorizer.", "enlargers.networks.2.", "enlargers.networks.3.")
    of_bundled = load_file(prior_directory("bundled") / "model.safetensors")
    weights = load_file(prior_directory("bundled-large") / "model.safetensors")
    weights |= {name: weight for name, weight in of_bundled.items() if name.startswith(taken)}
    whole = hashlib.sha256(save({name: weights[name] for name in sorted(weights)})).hexdigest()
    assert whole == "397439683a0c5d715dcf7db8ce7a23feeeef5e8dc478397c45be08a66bc1d558"
    assert prior_digest("bundled-large") == whole


def test_weights_that_are_missing_are_named(directory) -> None:
    (directory / "model.safetensors").unlink()
    with pytest.raises(PriorError, match=r"cannot be read: .*model\.safetensors"):
        load_prior(str(directory))


def test_a_pinned_name_does_not_load_other_weights_even_with_a_fitting_card(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    with pytest.raises(PriorError, match=r"'ffdnet' is not here.*run: deqir models fetch ffdnet"):
        load_prior("ffdnet")
    write_prior(prior_directory("ffdnet"), replace(CARD, name="ffdnet"), network().state_dict())
    for refuses in (load_prior, prior_digest, fetch_prior, fetch_model, describe_model):
        with pytest.raises(PriorError, match=r"other weights than the published 'ffdnet'"):
            refuses("ffdnet")


def test_a_name_that_is_none_is_answered_with_where_names_are() -> None:
    with pytest.raises(
        PriorError, match=r"'nosuch' is not here .*; deqir models list shows .* deqir models fetch NAME"
    ):
        describe_model("nosuch")
    with pytest.raises(PriorError, match=r"'\./nosuch' is not here .*; check the path"):
        describe_model("./nosuch")


def test_a_directory_without_a_card_is_no_prior(tmp_path) -> None:
    with pytest.raises(PriorError, match=r"is not here .*deqir\.json is missing\); check the path"):
        load_prior(str(tmp_path))
    with pytest.raises(PriorError, match=r"is not a prior: deqir\.json cannot be read"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a prior's card"),
        ("[1, 2]", "no JSON object"),
        ('{"name": "mine", "kind": "denoiser"}', "sha256"),
        ('{"name": "mine"}', "kind None"),
        ('{"kind": "denoiser", "sha256": 1}', "sha256 must be of type str, got 1"),
        ('{"kind": "denoiser", "max_noise": "loud"}', "max_noise must be of type float, got 'loud'"),
        ('{"kind": "denoiser", "base": "bundled"}', "base must be a JSON object, got 'bundled'"),
        ('{"kind": "denoiser", "base": {"prior": "bundled"}}', "sha256"),
        ('{"kind": "denoiser", "base": {"prior": "a", "sha256": "", "networks": "model"}}', "networks a list of texts"),
    ],
)
def test_a_card_that_is_none_is_refused_with_the_fields_it_needs(directory, text, says) -> None:
    (directory / "deqir.json").write_text(text)
    with pytest.raises(PriorError, match="fields name, kind, sha256") as caught:
        load_prior(str(directory))
    assert says in str(caught.value)


@pytest.mark.parametrize("change", [{"format": 2}, {"kind": "oracle"}])
def test_a_card_of_another_layout_or_kind_is_refused(directory, change) -> None:
    path = directory / "deqir.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PriorError, match="this deqir reads format 1, kind denoiser"):
        load_prior(str(directory))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (lambda state: {key: state[key] for key in list(state)[1:]}, r"Missing key.*model\.0\.bias|model\.0\.weight"),
        (lambda state: state | {"extra": torch.zeros(1)}, "extra"),
        (lambda state: state | {"model.0.bias": torch.zeros(5)}, r"size mismatch for model\.0\.bias"),
    ],
)
def test_weights_that_do_not_fit_the_architecture_are_refused_by_name(tmp_path, weights, says) -> None:
    write_prior(tmp_path, CARD, weights(network().state_dict()))  # type: ignore[operator]
    with pytest.raises(PriorError, match=says) as caught:
        load_prior(str(tmp_path))
    assert "do not fit the architecture its card states" in str(caught.value)


def test_an_architecture_with_unknown_parameters_is_refused(tmp_path) -> None:
    write_prior(tmp_path, replace(CARD, architecture={"heads": 8}), network().state_dict())
    with pytest.raises(PriorError, match="heads"):
        load_prior(str(tmp_path))


def test_odd_sides_are_padded_for_the_network_and_leave_no_trace(directory) -> None:
    """A pixel farther from the border than the network sees has the same value as in a larger picture."""
    seen = list[torch.Size]()
    inner = network().requires_grad_(False)

    def watched(x_t: Tensor, alpha_bar: Tensor) -> Tensor:
        seen.append(x_t.shape)
        return DenoiserPrior(inner, max_noise=0.2)(x_t, alpha_bar)

    prior = Prior(name="", digest="", denoiser=watched, device=torch.device("cpu"), multiple=4, max_noise=0.2)
    large, a = rand(1, 3, 32, 32).float(), torch.tensor([0.9], dtype=torch.float64)
    small = prior(large[..., :29, :27], a)
    assert seen == [(1, 3, 32, 28)]
    assert small.shape[-2:] == (29, 27)
    reach = 2 * SHAPE["depth"] + 2
    torch.testing.assert_close(small[..., :-reach, :-reach], prior(large, a)[..., : 29 - reach, : 27 - reach])


@pytest.mark.parametrize("side", [(1, 1), (1, 7), (5, 2)])
def test_the_pad_changes_nothing_for_a_network_that_looks_at_single_pixels(side) -> None:
    prior = Prior(
        name="", digest="", denoiser=lambda x, a: 0.3 * x.tanh(), device=torch.device("cpu"), multiple=8, max_noise=1
    )
    x = rand(2, 3, *side)
    torch.testing.assert_close(prior(x, torch.ones(2, dtype=torch.float64)), 0.3 * x.tanh())


def test_names_and_paths_are_told_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    assert prior_directory("mine") == tmp_path / "priors" / "mine"
    assert prior_directory("./mine") == Path("mine")
    assert prior_directory("/some/where") == Path("/some/where")
    write_prior(prior_directory("mine"), CARD, network().state_dict())
    assert load_prior("mine", device="cpu").name == "mine"


def test_known_models_are_listed_with_their_use_and_whether_they_are_here(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DEQIR_CACHE", str(tmp_path))
    write_prior(prior_directory("mine"), replace(CARD, licence="MIT"), network().state_dict())
    listed = {model.name: (model.use, model.here) for model in available_models()}
    assert listed["mine"] == ("prior", True)
    assert listed["ffdnet"] == ("prior", False)
    assert listed["lpips"] == ("metric", False)
    assert describe_model("mine")["licence"] == "MIT"
    assert describe_model("mine")["directory"] == tmp_path / "priors" / "mine"
    with pytest.raises(ModelError, match="run: deqir models fetch lpips"):
        describe_model("lpips")
    with pytest.raises(ModelError, match=r"known: .*ffdnet.*lpips"):
        fetch_model("mona-lisa")
    with pytest.raises(PriorError, match="no prior named 'lpips'"):
        fetch_prior("lpips")
    assert not LPIPS_WEIGHTS.path.exists()


@needs_ffdnet
@pytest.mark.ffdnet
def test_ffdnet_removes_noise_from_a_photograph() -> None:
    """Noise of 25 of 255 leaves 20 dB; published colour networks give 31 dB on average photographs."""
    from skimage import data

    image = torch.from_numpy(data.astronaut()[:256, 128:384].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    sigma = torch.tensor([2 * 25 / 255], dtype=torch.float64)
    alpha_bar = 1 / (1 + sigma**2)
    eps = rand(*image.shape).float()
    x_t = (alpha_bar.sqrt() * image + (1 - alpha_bar).sqrt() * eps).float()
    with torch.inference_mode():
        found = load_prior("ffdnet", device="cpu")(x_t, alpha_bar)
    denoised = (x_t - (1 - alpha_bar).sqrt() * found) / alpha_bar.sqrt()
    assert float(10 * torch.log10(4 / (denoised - image).square().mean())) > 31
