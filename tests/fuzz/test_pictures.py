import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from search.data.formats.folder import Target, fit_picture
from search.data.inputs import ImageEncoder
from search.data.pictures import quiet_pillow, read_head
from search.export.labels import Labels
from search.export.pictures import read_picture
from search.tasks import Classification
from tests.fuzz.damage import THOUSAND, cleanly, damaged

GREY = Labels(Classification(("a", "b")), encoder=ImageEncoder((8, 8, 1), (10, 10, 1)))
COLOUR = Labels(Classification(("a", "b")), encoder=ImageEncoder((8, 8, 3), (8, 8, 3)))
PIXELS = (np.arange(12 * 10) * 2 % 256).astype(np.uint8).reshape(12, 10)
FORMATS = (
    *(("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "1")),
    *(("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("BMP", "RGB")),
    *(("TIFF", "F"), ("TIFF", "RGB"), ("WEBP", "RGBA"), ("ICO", "RGBA"), ("TGA", "RGB")),
    *(("PPM", "RGB"), ("PCX", "P"), ("SGI", "L"), ("DDS", "RGBA"), ("XBM", "1"), ("QOI", "RGB")),
    *(("JPEG2000", "RGB"), ("TIFF", "CMYK"), ("PPM", "1"), ("DIB", "L"), ("MPO", "RGB")),
)


def saved(kind: str, mode: str) -> bytes:
    image = Image.fromarray(PIXELS)
    if mode == "I;16":
        image = Image.fromarray(PIXELS.astype(np.uint16) * 257)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF", "MPO") else {}
    (image if mode == "I;16" else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


Image.init()
# Pillow 10 writes no QOI, and no icon as small as this.
FORMATS = tuple(one for one in FORMATS if one[0] in Image.SAVE and len(saved(*one)) > 6)
WHOLE = tuple(saved(kind, mode) for kind, mode in FORMATS)
SIGNATURES = st.sampled_from([content[:n] for content in WHOLE for n in (4, 12, 30)])
NUMBERS = st.sampled_from([0, 1, 2, 8, 255, 65535, 2**31 - 1, 2**32 - 1])
NONSENSE = st.builds(
    lambda start, numbers, rest: start + struct.pack(f"<{len(numbers)}I", *numbers) + rest,
    SIGNATURES,
    st.lists(NUMBERS, max_size=6),
    st.binary(max_size=60),
)


def read(content: bytes, folder) -> bool:
    """Read a picture in all ways; return whether all of them succeeded."""
    path = folder / "picture"
    path.write_bytes(content)
    pictures = [cleanly(lambda model=model: read_picture(path, model)) for model in (GREY, COLOUR)]
    for picture, model in zip(pictures, (GREY, COLOUR), strict=True):
        if picture is not None:
            assert picture.pixels.shape == model.encoder.input_shape
            assert picture.pixels.dtype == np.uint8
    with quiet_pillow():
        head = cleanly(lambda: read_head(path))
        fitted = cleanly(lambda: fit_picture(path, Target((7, 5), "RGB", (7, 5))))
    if fitted is not None:
        assert (fitted.pixels.shape, fitted.pixels.dtype) == ((5, 7, 3), np.uint8)
        assert head is not None
    return None not in (*pictures, head, fitted)


def test_the_whole_pictures_are_read_but_deeper_ones_beside_those_of_8_bits(folder):
    deeper = [pair for pair in FORMATS if pair[1] in ("I;16", "F")]
    assert [
        pair for pair, content in zip(FORMATS, WHOLE, strict=True) if not read(content, folder)
    ] == deeper
    assert len(deeper) == 2


@pytest.mark.slow
@THOUSAND
@given(content=damaged(*WHOLE))
def test_a_damaged_picture_is_read_or_refused(folder, content):
    read(content, folder)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(NONSENSE, st.binary(max_size=200)))
def test_what_begins_like_a_picture_is_read_or_refused(folder, content):
    read(content, folder)
