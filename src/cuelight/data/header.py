"""What the header of an image file says about its pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

from PIL import Image

_ORIENTATION = 0x0112
_UPRIGHT = 1
_TURNED = range(2, 9)
_SIDEWAYS = 5

# Other frames of these are previews or layers.
_ONE_PICTURE = frozenset({"MPO", "PSD"})
_KIND_OF_PAGE, _REDUCED_OR_MASK = 0x00FE, 0b101
_BITS_PER_SAMPLE = 0x0102
_UINT8_MAX = 255
_16_BITS = (";16L", ";16B", ";16N")


class Header(NamedTuple):
    """What is known of an image before its pixels are decoded.

    Args:
        orientation: The EXIF orientation, 1 to 8; 1 is upright.
        is_16_bit_color: Whether it is a color image with 16 bits per channel, of which Pillow keeps the upper 8.
    """

    orientation: int = _UPRIGHT
    is_16_bit_color: bool = False

    @property
    def turned(self) -> bool:
        """Whether the image is not stored upright."""
        return self.orientation != _UPRIGHT

    @property
    def is_sideways(self) -> bool:
        """Whether height and width change places when the image is turned upright."""
        return self.orientation >= _SIDEWAYS


def read_header(image: Image.Image) -> Header:
    """Return the header of an image that was just opened.

    Raises:
        ValueError: The file has several frames, or it is a color image with 16 bits per channel that Pillow mixes up.
    """
    is_16_bit_color = _is_16_bit_color(image)  # of a PNG, getexif() may load the pixels
    try:
        count = 1 if image.format in _ONE_PICTURE else getattr(image, "n_frames", 1)
        pages = _full_pages(image, count) if count > 1 else count
    except (TypeError, LookupError) as error:  # Pillow raises them for broken pages of a TIFF
        raise ValueError(f"its frames cannot be counted: {error}") from error
    if pages > 1:
        raise ValueError(f"it contains {pages} frames; save each frame that you need as a file of its own")
    # Of a TIFF, load() turns the image and removes the tag.
    orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
    return Header(orientation if orientation in _TURNED else _UPRIGHT, is_16_bit_color)


def _full_pages(image: Image.Image, count: int) -> int:
    """Return the number of frames, without smaller copies and masks of a TIFF that begins with the whole image."""
    if image.format != "TIFF" or _is_partial(image):
        return count
    full = 0
    for number in range(count):
        image.seek(number)
        full += not _is_partial(image)
    image.seek(0)
    return full


def _is_partial(image: Image.Image) -> bool:
    return bool(_tag(image, _KIND_OF_PAGE, 0) & _REDUCED_OR_MASK)


def _is_16_bit_color(image: Any) -> bool:
    if image.mode == "F" or image.mode.startswith("I"):
        return False
    for _, _, _, args in image.tile:
        if str(args[0] if isinstance(args, tuple) else args).endswith(_16_BITS):
            return True
        if image.format == "PPM" and isinstance(args, tuple) and args[1] > _UINT8_MAX:
            return True
    if image.format == "TIFF" and max(_tag(image, _BITS_PER_SAMPLE, (8,))) >= 16:  # noqa: PLR2004
        raise ValueError(
            "it is a color image with 16 bits per channel in separate planes, which Pillow cannot read; save it with "
            "8 bits per channel"
        )
    return False


def _tag(image: Any, tag: int, default: Any) -> Any:
    return image.tag_v2.get(tag, default)
