"""The arithmetic of averaged weights, and how a module and its average change places."""

import itertools
import math
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from cuelight.weights.averaging import AveragedWeights, decay_at
from support.comparing import same, weights_of


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def move(module: nn.Module) -> None:
    """Change every floating-point tensor, as a training step would."""
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor))


def averaged_state(average: AveragedWeights, module: nn.Module) -> dict[str, torch.Tensor]:
    with average.in_model():
        return weights_of(module)


def interrupted_at(line: int, average: AveragedWeights) -> bool:
    """Bring the average in and out of its module, with Ctrl-C at the n-th line; tell whether there was such a line."""
    lines = itertools.count()

    def trace(frame, event, _):
        if event == "line" and "cuelight" in frame.f_code.co_filename and next(lines) == line:
            raise KeyboardInterrupt
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        with average.in_model():
            pass
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(previous)
    return False


class TestDecay:
    def test_without_time_constant_it_is_constant(self) -> None:
        assert decay_at(1, 0.9) == decay_at(1000, 0.9) == 0.9

    @pytest.mark.parametrize("update", [1, 7, 2000])
    def test_grows_with_the_time_constant(self, update) -> None:
        assert decay_at(update, 0.9, 2000) == pytest.approx(0.9 * (1 - math.exp(-update / 2000)))


class TestUpdate:
    def test_begins_with_the_weights_of_the_module(self) -> None:
        module = network()
        first = weights_of(module)
        average = AveragedWeights(module)
        move(module)
        assert same(averaged_state(average, module), first)

    def test_moves_parameters_and_buffers_by_the_decay(self) -> None:
        module = network()
        average, expected = AveragedWeights(module), weights_of(module)
        for decay in (0.0, 0.5, 0.99):
            move(module)
            average.update(decay)
            expected = {
                name: decay * expected[name] + (1 - decay) * tensor for name, tensor in module.state_dict().items()
            }
        held = averaged_state(average, module)
        for name in ("0.weight", "1.weight", "1.running_var", "3.bias"):
            torch.testing.assert_close(held[name], expected[name], rtol=1e-5, atol=1e-6)
        assert average.updates == 3

    def test_integer_buffers_are_copied(self) -> None:
        module = network()
        average = AveragedWeights(module)
        module(torch.randn(2, 3, 4, 4))
        average.update(0.9)
        module(torch.randn(2, 3, 4, 4))
        assert averaged_state(average, module)["1.num_batches_tracked"] == 1
        assert module[1].num_batches_tracked == 2

    @pytest.mark.parametrize(
        ("chosen", "names"),
        [
            (True, {"1.running_mean", "1.running_var"}),
            (False, set()),
            (["*.running_mean"], {"1.running_mean"}),
        ],
    )
    def test_averages_the_buffers_that_were_chosen(self, chosen, names) -> None:
        module = network()
        average = AveragedWeights(module, average_buffers=chosen)
        move(module)
        held = averaged_state(average, module)
        assert {
            name for name in held if "running" in name and not torch.equal(held[name], weights_of(module)[name])
        } == names

    def test_buffers_outside_the_state_dict_are_those_of_the_module(self) -> None:
        module = nn.Linear(2, 2)
        module.register_buffer("cache", torch.zeros(3), persistent=False)
        average = AveragedWeights(module)
        module.cache.fill_(1)
        with average.in_model():
            assert module.cache.tolist() == [1, 1, 1]

    def test_one_pattern_may_be_given_alone(self) -> None:
        module = network()
        average = AveragedWeights(module, average_buffers="*.running_mean")
        move(module)
        held, own = averaged_state(average, module), weights_of(module)
        assert not torch.equal(held["1.running_mean"], own["1.running_mean"])
        assert torch.equal(held["1.running_var"], own["1.running_var"])

    @pytest.mark.parametrize("decay", [-0.1, 1.5, math.nan])
    def test_a_decay_out_of_range_is_refused(self, decay) -> None:
        with pytest.raises(ValueError, match="decay: expected a number from 0 to 1"):
            AveragedWeights(network()).update(decay)

    def test_is_refused_while_the_module_holds_the_average(self) -> None:
        average = AveragedWeights(network())
        with average.in_model(), pytest.raises(RuntimeError, match="cannot be updated while it is in the module"):
            average.update(0.9)

    def test_leaves_the_module_alone(self) -> None:
        module = network()
        average = AveragedWeights(module)
        move(module)
        before = weights_of(module)
        average.update(0.9)
        assert same(weights_of(module), before)

    def test_shared_parameters_are_averaged_once(self) -> None:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        module[1].weight = module[0].weight
        average = AveragedWeights(module)
        with torch.no_grad():
            before = module[0].weight.clone()
            module[0].weight.add_(1)
        average.update(0.5)
        with average.in_model():
            assert module[1].weight is module[0].weight
            torch.testing.assert_close(module[0].weight.detach(), before + 0.5)

    def test_frozen_parameters_keep_their_value_to_the_last_bit(self) -> None:
        module = network().requires_grad_(requires_grad=False)
        average, before = AveragedWeights(module), weights_of(module)
        average.update(0.9)
        assert same(averaged_state(average, module), before)

    def test_complex_weights(self) -> None:
        module = nn.Module()
        module.weight = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
        average = AveragedWeights(module)
        with torch.no_grad():
            module.weight.fill_(2 + 4j)
        average.update(0.5)
        with average.in_model():
            assert module.weight.tolist() == [1 + 2j, 1 + 2j]

    def test_memory_format_is_kept(self) -> None:
        module = network().to(memory_format=torch.channels_last)
        average = AveragedWeights(module)
        with average.in_model():
            assert module[0].weight.is_contiguous(memory_format=torch.channels_last)


class TestHalfPrecision:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_many_small_moves_are_not_lost(self, dtype) -> None:
        module = nn.Linear(1, 1, bias=False).to(dtype)
        nn.init.zeros_(module.weight)
        average = AveragedWeights(module)
        nn.init.ones_(module.weight)
        for _ in range(2000):
            average.update(0.999)
        with average.in_model():
            assert module.weight.dtype == dtype
            assert module.weight.item() == pytest.approx(1 - 0.999**2000, abs=0.005)

    def test_own_weights_come_back_to_the_last_bit(self) -> None:
        module = network().to(torch.bfloat16)
        average = AveragedWeights(module)
        move(module)
        before = weights_of(module)
        averaged_state(average, module)
        assert same(weights_of(module), before)

    def test_large_tensors_are_not_taken_for_infinite(self) -> None:
        module = nn.Linear(300, 300).half()
        nn.init.constant_(module.weight, 60000)
        assert AveragedWeights(module).update(0.9)

    def test_what_rounding_would_lose_can_be_saved(self) -> None:
        module = network().to(torch.bfloat16)
        average = AveragedWeights(module)
        move(module)
        average.update(0.9)
        exact = {name: tensor.clone() for name, tensor in average.exact_averages().items()}
        again = AveragedWeights(module)
        again.load_exact_averages(exact)
        assert exact["0.weight"].dtype == torch.float32
        assert same(again.exact_averages(), exact)

    def test_nothing_more_is_saved_of_single_precision(self) -> None:
        assert AveragedWeights(network()).exact_averages() == {}


class TestNotFinite:
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("name", ["0.weight", "1.running_var", "3.bias"])
    def test_the_update_is_left_out_and_counted(self, name, value) -> None:
        module = network()
        average, before = AveragedWeights(module), weights_of(module)
        move(module)
        module.state_dict()[name].view(-1)[-1] = value
        assert not average.update(0.9)
        assert (average.updates, average.skipped) == (0, 1)
        assert same(averaged_state(average, module), before)

    def test_goes_on_when_the_weights_are_finite_again(self) -> None:
        module = network()
        average, before = AveragedWeights(module), weights_of(module)
        module[3].bias.data[0] = math.nan
        average.update(0.9)
        module.load_state_dict(before)
        assert average.update(0.9)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_mask_of_infinities_is_copied(self, dtype) -> None:
        module = nn.Linear(2, 2).to(dtype)
        module.register_buffer("mask", torch.full((2, 2), -math.inf, dtype=dtype).triu(1))
        average, mask = AveragedWeights(module), module.mask.clone()
        assert average.update(0.9)
        with average.in_model():
            assert torch.equal(module.mask, mask)

    def test_processes_agree(self) -> None:
        average = AveragedWeights(network())
        assert not average.update(0.9, agree=lambda finite: False)

    def test_is_not_looked_for_if_not_asked(self) -> None:
        module = network()
        average = AveragedWeights(module, skip_nonfinite=False)
        module[3].bias.data[0] = math.nan
        assert average.update(0.9)


class TestChangingPlaces:
    def test_memory_is_exchanged_and_nothing_is_copied(self) -> None:
        module = network()
        addresses = [tensor.data_ptr() for tensor in module.state_dict().values()]
        average = AveragedWeights(module)
        with torch.profiler.profile(profile_memory=True) as profile:
            average.put_in_model()
            elsewhere = [tensor.data_ptr() for tensor in module.state_dict().values()]
            average.take_from_model()
        assert sum(max(0, event.self_cpu_memory_usage) for event in profile.key_averages()) == 0
        assert [tensor.data_ptr() for tensor in module.state_dict().values()] == addresses
        assert all(one != other for one, other in zip(addresses, elsewhere, strict=True))

    def test_parameters_stay_the_same_objects(self) -> None:
        module = network()
        parameters = list(module.parameters())
        with AveragedWeights(module).in_model():
            assert all(one is other for one, other in zip(parameters, module.parameters(), strict=True))

    def test_own_weights_come_back_after_an_error(self) -> None:
        module = network()
        average = AveragedWeights(module)
        move(module)
        before = weights_of(module)
        with pytest.raises(ZeroDivisionError), average.in_model():
            _ = 1 / 0
        assert same(weights_of(module), before)
        assert not average.is_in_model

    def test_own_weights_come_back_after_an_interrupt_at_any_line(self) -> None:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double(), nn.Linear(2, 2).half())
        average = AveragedWeights(module)
        move(module)
        before = weights_of(module)
        line = 0
        while interrupted_at(line, average):
            average.take_from_model()
            assert same(weights_of(module), before), line
            assert not average.is_in_model
            line += 1
        assert line > 20

    def test_in_and_out_of_the_model_may_be_nested(self) -> None:
        module = network()
        average, first = AveragedWeights(module), weights_of(module)
        move(module)
        own = weights_of(module)
        with average.in_model():
            with average.in_model(), average.out_of_model():
                assert same(weights_of(module), own)
            assert same(weights_of(module), first)
        assert same(weights_of(module), own)

    def test_training_goes_on_after_an_exchange_in_inference_mode(self) -> None:
        module = network()
        with torch.inference_mode():
            average = AveragedWeights(module)
            averaged_state(average, module)
        module(torch.randn(2, 3, 4, 4)).sum().backward()
        torch.optim.SGD(module.parameters(), 0.1).step()
        assert average.update(0.9)

    def test_a_buffer_that_is_replaced_while_the_average_is_in_the_model_comes_back(self) -> None:
        module = nn.Module()
        module.register_buffer("seen", torch.zeros(1))
        average = AveragedWeights(module)
        module.seen = module.seen + 10
        average.update(0.5)
        with average.in_model():
            module.seen = module.seen * 1.0
            assert module.seen == 5
        assert module.seen == 10

    def test_a_module_that_was_moved_holds_both_all_the_same(self) -> None:
        module = network()
        average, first = AveragedWeights(module), weights_of(module)
        move(module)
        own = weights_of(module)
        average.put_in_model()
        module._apply(lambda tensor: tensor.clone())
        with average.out_of_model():
            assert same(weights_of(module), own)
        assert same(weights_of(module), first)
        average.take_from_model()
        assert same(weights_of(module), own)

    def test_state_dict_taken_before_an_exchange_keeps_its_values(self) -> None:
        module = network()
        average = AveragedWeights(module)
        move(module)
        with average.in_model():
            taken = module.state_dict()
            expected = weights_of(module)
        assert same(taken, expected)

    def test_compiled_module_computes_with_the_average(self) -> None:
        module = network().eval()
        average = AveragedWeights(module)
        compiled = torch.compile(module, backend="aot_eager")
        images = torch.randn(2, 3, 4, 4)
        first = compiled(images)
        move(module)
        own = compiled(images)
        with average.in_model(), torch._dynamo.config.patch(error_on_recompile=True):
            torch.testing.assert_close(compiled(images), first)
        torch.testing.assert_close(compiled(images), own)


class TestRefresh:
    def test_a_buffer_that_the_module_replaces_keeps_its_average(self) -> None:
        module = nn.Module()
        module.register_buffer("running", torch.zeros(2))
        average = AveragedWeights(module)
        for _ in range(2):
            module.running = module.running + 1
            average.update(0.5)
        with average.in_model():
            assert module.running.tolist() == [1.25, 1.25]
        assert module.running.tolist() == [2, 2]

    def test_a_new_parameter_begins_with_its_value(self) -> None:
        module = nn.Sequential(nn.Linear(2, 2))
        average = AveragedWeights(module)
        move(module)
        average.update(0.5)
        first = averaged_state(average, module)
        module.append(nn.Linear(2, 2))
        added = weights_of(module[1])
        average.refresh()
        move(module)
        held = averaged_state(average, module)
        assert same({"weight": held["1.weight"], "bias": held["1.bias"]}, added)
        assert same({"0.weight": held["0.weight"], "0.bias": held["0.bias"]}, first)

    def test_a_parameter_that_was_removed_is_forgotten(self) -> None:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        average = AveragedWeights(module)
        del module[1]
        assert average.update(0.5)

    def test_pruned_parameters_keep_their_average_under_their_new_name(self) -> None:
        module = nn.Sequential(nn.Linear(4, 4, bias=False))
        average = AveragedWeights(module)
        first = module[0].weight.detach().clone()
        prune.l1_unstructured(module[0], "weight", amount=0.5)
        mask = module[0].weight_mask.clone()
        move(module[0])
        module[0].weight_mask.copy_(mask)
        average.update(0.5)
        expected = (first + module[0].weight_orig.detach()) / 2 * mask
        with average.in_model():
            inputs = torch.eye(4)
            torch.testing.assert_close(module(inputs).T, expected)

    def test_follows_the_module_to_another_type(self) -> None:
        module = nn.Linear(2, 2)
        average = AveragedWeights(module)
        move(module)
        average.update(0.5)
        held = averaged_state(average, module)
        module.double()
        average.refresh()
        assert all(torch.equal(held[name].double(), value) for name, value in averaged_state(average, module).items())


@pytest.mark.gpu
class TestOnTheGpu:
    def test_the_average_is_right_and_changes_places(self) -> None:
        module = network().cuda()
        average, first = AveragedWeights(module), weights_of(module)
        move(module)
        own = weights_of(module)
        assert average.update(0.9)
        held = averaged_state(average, module)
        torch.testing.assert_close(held["0.weight"], 0.9 * first["0.weight"] + 0.1 * own["0.weight"])
        assert same(weights_of(module), own)

    def test_what_is_not_finite_is_found(self) -> None:
        module = network().cuda()
        average = AveragedWeights(module)
        module[3].bias.data[1] = -math.inf
        assert not average.update(0.9)

    def test_the_average_may_be_kept_on_the_cpu(self) -> None:
        module = network().cuda()
        average, first = AveragedWeights(module, device="cpu"), weights_of(module)
        move(module)
        own = weights_of(module)
        before = torch.cuda.memory_allocated()
        average.update(0.9)
        assert torch.cuda.memory_allocated() == before
        held = averaged_state(average, module)
        torch.testing.assert_close(held["0.weight"], 0.9 * first["0.weight"] + 0.1 * own["0.weight"])
        assert same(weights_of(module), own)
