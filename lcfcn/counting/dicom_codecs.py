"""A decoder for pydicom that uses imagecodecs: JPEG Lossless, JPEG-LS, 12-bit JPEG and JPEG 2000."""

from importlib.util import find_spec

import numpy as np
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
        values = _decoded_jpeg(source, runner.samples_per_pixel)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return values.tobytes()


def _decoded_jpeg(source: bytes, n_samples: int) -> np.ndarray:
    """Decode a JPEG that may be lossless, or have more than 8 bits."""
    import imagecodecs

    if "libjpeg_turbo 2" in imagecodecs.jpeg8_version():  # which knows lossy 8 bits only
        return imagecodecs.ljpeg_decode(source)
    # The same name twice, so that colours stay as they are: pydicom knows better than the JPEG what they mean.
    options = {"colorspace": "RGB", "outcolorspace": "RGB"} if n_samples == 3 else {}
    return imagecodecs.jpeg8_decode(source, **options)
