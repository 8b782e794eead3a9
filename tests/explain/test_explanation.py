import pytest
import torch
from torch import nn

from cuelight.errors import ExplainError, LayerError
from cuelight.explain.methods import METHODS
from cuelight.tasks.classification.explain import ClassificationScores
from cuelight.tasks.segmentation.explain import SegmentationScores
from support.explained import heat_maps, network, photographs


class Small(nn.Module):
    """Two convolutions and a classifier; ``between`` is what happens to the first activation."""

    def __init__(self, between=nn.Identity()):  # noqa: B008
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 6, 3)
        self.between, self.head = between, nn.Linear(6, 4)
        self.spare = nn.Conv2d(3, 6, 3)

    def features(self, images):
        return self.second(self.between(self.first(images)))

    def forward(self, images):
        return self.head(self.features(images).relu().mean((2, 3)))


@pytest.fixture
def images():
    return photographs(3, (24, 20))


def reference(model, images, classes):
    """Grad-CAM of ``first`` written out."""
    activation = model.first(images).detach().requires_grad_()
    logits = model.head(model.second(model.between(activation.clone())).relu().mean((2, 3)))
    (gradient,) = torch.autograd.grad(logits[range(len(classes)), classes].sum(), activation)
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1).relu().detach(), logits.detach()


def test_explains_one_class_of_all_images(images):
    model = Small()
    found = heat_maps(model, images, "first", class_idx=2)
    maps, logits = reference(model, images, [2, 2, 2])
    assert torch.allclose(found.maps, maps)
    assert found.classes.tolist() == [2, 2, 2]
    assert torch.allclose(found.scores, logits.softmax(1)[:, 2])
    assert torch.equal(found.outputs, logits)
    assert not found.outputs.requires_grad


def test_explains_the_predicted_and_the_labelled_classes(images):
    model = Small()
    model.head.bias.data[1] = 9
    assert heat_maps(model, images, "first", class_idx="predicted").classes.tolist() == [1, 1, 1]
    labelled = heat_maps(model, images, "first", class_idx="label", labels=torch.tensor([3, 0, 1]))
    assert labelled.classes.tolist() == [3, 0, 1]
    assert torch.allclose(labelled.maps, reference(model, images, [3, 0, 1])[0])


def test_each_image_is_explained_as_if_it_were_alone(images):
    model = Small()
    together = heat_maps(model, images, "first", class_idx="predicted").maps
    alone = [heat_maps(model, image[None], "first", class_idx="predicted").maps for image in images]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_an_activation_may_be_changed_in_place_afterwards(images, method):
    found, expected = (
        heat_maps(Small(nn.ReLU(inplace=inplace)), images, "first", method=method) for inplace in (True, False)
    )
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found.outputs, expected.outputs)


def test_a_frozen_part_that_runs_without_gradients(images):
    class Frozen(Small):
        def forward(self, images):
            with torch.no_grad():
                features = self.features(images)
            return self.head(features.relu().mean((2, 3)))

    model = Frozen().requires_grad_(False)
    assert torch.allclose(heat_maps(model, images, "first").maps, reference(model, images, [0, 0, 0])[0])


def test_a_whole_forward_without_gradients(images):
    class Inference(Small):
        @torch.no_grad()
        def forward(self, images):
            return super().forward(images)

    model = Inference()
    assert torch.allclose(heat_maps(model, images, "first").maps, reference(model, images, [0, 0, 0])[0])


def test_of_a_layer_that_runs_twice_the_last_time_counts(images):
    shared = nn.Conv2d(6, 6, 3, padding=1)

    class Twice(Small):
        def features(self, images):
            return self.shared(self.shared(self.first(images)).relu())

    model = Twice()
    model.shared = shared
    once = nn.Sequential(model.first, model.shared, nn.ReLU(), last := nn.Conv2d(6, 6, 3, padding=1))
    last.load_state_dict(shared.state_dict())
    expected = nn.Sequential(once, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.head)
    assert torch.allclose(heat_maps(model, images, "shared").maps, heat_maps(expected, images, "0.3").maps)


@pytest.mark.parametrize(
    "wrap", [lambda maps: (maps, None), lambda maps: {"maps": maps, "size": 3}], ids=["tuple", "dict"]
)
def test_a_layer_may_put_out_more_than_a_tensor(images, wrap):
    class Wrapped(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, images):
            return wrap(self.layer(images))

    class Unwrapping(Small):
        def features(self, images):
            found = self.first(images)
            return self.second(found["maps"] if isinstance(found, dict) else found[0])

    model = Unwrapping()
    expected, _ = reference(model, images, [0, 0, 0])
    model.first = Wrapped(model.first)
    assert torch.allclose(heat_maps(model, images, "first").maps, expected)


def test_an_output_has_to_be_chosen(images):
    class Two(Small):
        def forward(self, images):
            logits = super().forward(images)
            return {"logits": logits, "doubled": 2 * logits}

    model = Two()
    with pytest.raises(ExplainError, match='2 outputs: 0 "logits", 1 "doubled"'):
        heat_maps(model, images, "first")
    chosen = [heat_maps(model, images, "first", output=output).maps for output in ("logits", 1)]
    assert torch.allclose(2 * chosen[0], chosen[1])


def test_a_module_of_another_task_is_given_all_its_outputs(images):
    class Boxes(ClassificationScores):
        def count(self, outputs):
            return super().count(outputs["scores"].amax(1))

        def score(self, outputs, classes):
            return super().score(outputs["scores"].amax(1), classes)

        def probability(self, outputs, classes):
            return super().probability(outputs["scores"].amax(1), classes)

        def predicted(self, outputs):
            return super().predicted(outputs["scores"].amax(1))

    class Detector(Small):
        def forward(self, images):
            logits = super().forward(images)
            return {"boxes": images.new_zeros(3, 2, 4), "scores": torch.stack([logits, logits - 1], 1)}

        def class_scores(self):
            return Boxes()

    found = heat_maps(Detector(), images, "first", Boxes(), class_idx="predicted")
    expected = heat_maps(Small(), images, "first", class_idx="predicted")
    assert torch.allclose(found.maps, expected.maps)
    assert set(found.outputs) == {"boxes", "scores"}
    assert not found.outputs["scores"].requires_grad


def test_a_segmentation(images):
    class Segmentation(Small):
        def forward(self, images):
            return self.head(self.features(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    model = Segmentation()
    found = heat_maps(model, images, "first", SegmentationScores(), class_idx="predicted")
    activation = model.first(images).detach().requires_grad_()
    logits = model.head(model.second(activation).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    seen = logits.argmax(1)
    classes = [image.flatten().bincount().argmax().item() for image in seen]
    score = sum((logits[n, index] * (seen[n] == index)).sum() for n, index in enumerate(classes))
    (gradient,) = torch.autograd.grad(score, activation)
    assert found.classes.tolist() == classes
    expected = (gradient.mean((2, 3), keepdim=True) * activation).sum(1).relu()
    assert torch.allclose(found.maps, expected, atol=1e-5 * expected.max().item())
    other = heat_maps(model, images, "first", SegmentationScores(classes[0]), class_idx="predicted")
    assert other.classes[0] != classes[0]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("spare", 'the layer "spare" is not called in `forward`'),
        ("head", r'"head" outputs Tensor \(3, 4\) for 3 images. Expected a spatial map'),
        ("frist", 'Small has no layer "frist". Did you mean "first"'),
    ],
)
def test_a_layer_without_maps_says_so(images, layer, message):
    with pytest.raises(LayerError, match=message):
        heat_maps(Small(), images, layer)


def test_a_layer_that_the_output_does_not_use_says_so(images):
    class Beside(Small):
        def forward(self, images):
            self.spare(images)
            return super().forward(images)

    with pytest.raises(LayerError, match='does not depend on the layer "spare"'):
        heat_maps(Beside(), images, "spare")
    assert heat_maps(Beside(), images, "spare", method="eigencam").maps.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"class_idx": 4},
            "class index 4 is out of range. Expected predicted, label, or one of 4 classes: 0, 1, 2, 3.",
        ),
        ({"class_idx": "label"}, "class_idx is label, but there are no labels"),
        ({"class_idx": "label", "labels": torch.tensor([0, 1, 7])}, "the labels contain the class 7"),
        (
            {"method": "gradcm"},
            'unknown method "gradcm". Did you mean "gradcam"? Expected gradcam, hirescam, gradcam++',
        ),
    ],
)
def test_what_cannot_be_explained_says_so(images, options, message):
    with pytest.raises(ExplainError) as caught:
        heat_maps(Small(), images, "first", **options)
    assert message in str(caught.value)


def test_a_class_that_nothing_speaks_for_has_an_empty_map(images):
    model = Small()
    nn.init.zeros_(model.head.weight)
    for method in ("gradcam", "hirescam", "gradcam++"):
        assert not heat_maps(model, images, "first", method=method).maps.any()


@pytest.mark.parametrize("method", METHODS)
def test_an_image_that_is_not_finite_has_no_map_and_the_others_keep_theirs(images, method):
    expected = heat_maps(Small(), images, "first", method=method).maps
    broken = images.clone()
    broken[1, 0, 5, 5] = torch.nan
    found = heat_maps(Small(), broken, "first", method=method).maps
    assert found[1].isnan().any()
    assert torch.allclose(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision_gives_maps_in_single_precision(images, method):
    model = Small()
    exact = heat_maps(model, images, "first", class_idx=1, method=method).maps
    with torch.autocast("cpu", torch.bfloat16):
        mixed = heat_maps(model, images, "first", class_idx=1, method=method)
    half = heat_maps(Small().bfloat16(), images.bfloat16(), "first", class_idx=1, method=method)
    for found in (mixed, half):
        assert found.maps.dtype == found.scores.dtype == torch.float32
        assert found.outputs.dtype == torch.bfloat16
        assert torch.stack([found.maps.flatten(), exact.flatten()]).corrcoef()[0, 1] > 0.99


def test_channels_last(images):
    expected = heat_maps(Small(), images, "first").maps
    model = Small().to(memory_format=torch.channels_last)
    found = heat_maps(model, images.to(memory_format=torch.channels_last), "first").maps
    assert torch.allclose(found, expected, atol=1e-5)


def test_recomputed_activations():
    images = photographs(2, (64, 64))
    model = network("vit_tiny_patch16_224", images, img_size=64, depth=2)
    expected = heat_maps(model, images, "blocks.1.norm1").maps
    model.set_grad_checkpointing(True)
    assert torch.allclose(heat_maps(model, images, "blocks.1.norm1").maps, expected)
