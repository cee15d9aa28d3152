"""A decoder for pydicom that uses imagecodecs: JPEG Lossless, JPEG-LS, 12-bit JPEG and JPEG 2000."""

from importlib.util import find_spec

from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

NAME = "imagecodecs"
_JPEG = (uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
DECODER_DEPENDENCIES = dict.fromkeys((*_JPEG, *_JPEG_LS, *_JPEG_2000), (NAME,))
"""What pydicom asks a plugin for."""


def is_available(_uid: str) -> bool:
    """Whether the decoder can run, which pydicom asks."""
    return find_spec(NAME) is not None


def register() -> None:
    """Add this decoder behind those that pydicom has."""
    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if NAME not in (*decoder.available_plugins, *decoder.missing_dependencies):
            decoder.add_plugin(NAME, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the bytes of one decoded frame, and tell pydicom how they are laid out."""
    import imagecodecs

    syntax = runner.transfer_syntax
    if syntax in _JPEG_LS:
        values = imagecodecs.jpegls_decode(source)
    elif syntax in _JPEG_2000:
        values = imagecodecs.jpeg2k_decode(source)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
            runner.set_option("photometric_interpretation", "RGB")
    else:
        is_colour = runner.samples_per_pixel == 3
        # The same name twice: pydicom knows better than a JPEG what its colours are.
        options = {"colorspace": "RGB", "outcolorspace": "RGB"} if is_colour else {}
        values = imagecodecs.jpeg8_decode(source, **options)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return values.tobytes()
