"""Pictures of an image with its predicted labels."""

from __future__ import annotations

from PIL import Image

from cuelight.tasks.classification.picture import draw_scores
from cuelight.tasks.multilabel.decode import ImageLabels

_LEAST, _MOST = 3, 12


def draw_labels(image: Image.Image, result: ImageLabels) -> Image.Image:
    """Draw an image above the names of its classes, and a bar for each of them and for the likeliest others.

    There are 3 to 12 bars; a small image is enlarged without smoothing.
    """
    present = result.present
    title = ", ".join(label.name for label in present) or "no class"
    shown = result.labels[: min(max(_LEAST, len(present)), _MOST)]
    return draw_scores(image, title, "", shown, len(present))
