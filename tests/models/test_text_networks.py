"""Networks of tokens: token by token as all at once, blind to what comes later and to padding, small."""

import pytest
import torch
from omegaconf import OmegaConf

from lossbench.errors import ConfigError
from lossbench.locate import CONF, locate
from lossbench.models.text import GRULM, GRUTranslator, TransformerLM, TransformerTranslator

V = 30
MODELS = {
    "gru_lm": lambda: GRULM([9], V, embedding=8, hidden=12, layers=2),
    "transformer_lm": lambda: TransformerLM([9], V, width=12, layers=2, heads=3),
    "gru_translator": lambda: GRUTranslator([7], V, embedding=8, hidden=12),
    "transformer_translator": lambda: TransformerTranslator([7], V, width=12, layers=2, heads=3),
}
TRANSLATORS = [name for name in MODELS if "translator" in name]


@pytest.fixture(params=MODELS)
def decoder(request):
    """A network, and its `decode` with what it has read."""
    torch.manual_seed(0)
    network = MODELS[request.param]().double()
    inputs = torch.tensor([[5, 6, 7, 8], [5, 9, 0, 0], [0, 0, 0, 0]])
    seen = [network.encode(inputs)] if hasattr(network, "encode") else []
    return lambda tokens, state=None: network.decode(tokens, *seen, state)


def tokens(places=9):
    return torch.randint(1, V, (3, places), generator=torch.Generator().manual_seed(1))


def test_token_by_token_is_as_all_at_once(decoder):
    state, found = None, []
    for place in range(9):
        logits, state = decoder(tokens()[:, place : place + 1], state)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), decoder(tokens())[0])


def test_what_comes_later_changes_nothing(decoder):
    changed = tokens()
    changed[:, 5:] = 1 + (changed[:, 5:] + 3) % (V - 1)
    ours, theirs = decoder(tokens())[0], decoder(changed)[0]
    assert torch.equal(ours[:, :5], theirs[:, :5]) and not torch.allclose(ours[:, 5:], theirs[:, 5:])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_padding_changes_nothing_and_each_sample_stands_alone(name):
    torch.manual_seed(0)
    network, inputs = MODELS[name]().double(), torch.tensor([[5, 6, 7, 8], [5, 9, 0, 0], [0, 0, 0, 0]])
    together = network.decode(tokens(), network.encode(inputs))[0]
    assert torch.isfinite(together).all()
    for row, length in enumerate((4, 2, 1)):
        alone = network.decode(tokens()[row : row + 1], network.encode(inputs[row : row + 1, :length]))[0]
        torch.testing.assert_close(alone[0], together[row])
    reordered = network.decode(tokens(), network.encode(inputs[:, [1, 0, 2, 3]]))[0]
    assert not torch.allclose(reordered[0], together[0])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_memory_is_repeated_sample_by_sample(name):
    torch.manual_seed(0)
    network, inputs = MODELS[name](), torch.tensor([[5, 6], [7, 0]])
    memory = network.encode(inputs)
    several = network.decode(tokens()[:1].expand(4, -1), memory.repeated(2))[0]
    single = network.decode(tokens()[:1].expand(2, -1), memory)[0]
    torch.testing.assert_close(several, single.repeat_interleave(2, 0))


@pytest.mark.parametrize("name", MODELS)
def test_presets_have_at_most_a_million_parameters(name):
    node = OmegaConf.to_container(OmegaConf.load(CONF / "learner" / "network" / f"{name}.yaml"))
    settings = {key: value for key, value in node.items() if not key.startswith("_")}
    network = locate(node["_target_"])(input_shape=[64], num_classes=120, **settings)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 1_000_000


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="10 is not a multiple of 4"):
        TransformerLM([9], V, width=10, heads=4)
    with pytest.raises(ConfigError, match="7 is not a multiple of 2"):
        GRUTranslator([9], V, hidden=7)


def test_attention_is_that_of_torch():
    """A block's attention against nn.MultiheadAttention with the same weights."""
    from lossbench.models.attention import Attention

    torch.manual_seed(0)
    ours, theirs = Attention(12, 3).double(), torch.nn.MultiheadAttention(12, 3, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.keys_values.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.keys_values.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    states, seen = torch.randn(2, 4, 12).double(), torch.randn(2, 5, 12).double()
    known = torch.tensor([[True] * 5, [True, True, False, False, False]])
    found = ours(states, ours.of(seen), known)
    torch.testing.assert_close(found, theirs(states, seen, seen, key_padding_mask=~known)[0])
