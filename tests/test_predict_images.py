"""Images that people bring to ``pynn predict``: the pixels that a viewer shows, or a refusal that says why."""

import io
import struct
import zlib

import numpy as np
import pytest

from pynn import cli, nn
from pynn.commands.images import read_image
from pynn.errors import DataError

Image = pytest.importorskip("PIL.Image")

H, W = 4, 6
RGB = np.random.default_rng(0).integers(0, 256, (H, W, 3)).astype("uint8")
GRAY = RGB[..., 0]
SIXTEEN = np.linspace(0, 65535, H * W).reshape(H, W).astype("uint16")
EIGHT = np.rint(SIXTEEN / 257)


def written(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png(width, height, bits, color, rows, extra=b""):
    """Return a PNG file of raw rows, for what Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wide(array):
    """Return the rows of 16-bit samples of a PNG."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes()


def alpha(value):
    return Image.fromarray(np.dstack([RGB, np.full((H, W), value, "uint8")]))


TURNED = {
    2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.transpose(1, 0, 2), 6: np.rot90(RGB, -1),
    7: RGB[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(RGB, 1),
}  # fmt: skip
rgb, gray = Image.fromarray(RGB), Image.fromarray(GRAY)
palette = rgb.quantize(8)
SOFT = np.rint(RGB * (102 / 255) + 255 * (153 / 255))
bits = Image.fromarray(((GRAY > 127) * 255).astype("uint8")).convert("1")
RIGHT = {
    "RGB": (written(rgb), RGB),
    "gray": (written(gray), GRAY),
    "BMP": (written(rgb, "BMP"), RGB),
    "TIFF": (written(rgb, "TIFF"), RGB),
    "TIFF, packed": (written(rgb, "TIFF", compression="tiff_lzw"), RGB),
    "PPM": (written(rgb, "PPM"), RGB),
    "WEBP": (written(rgb, "WEBP", lossless=True), RGB),
    "one bit": (written(bits), np.asarray(bits.convert("L"))),
    "palette": (written(palette), np.asarray(palette.convert("RGB"))),
    "GIF": (written(palette, "GIF"), np.asarray(palette.convert("RGB"))),
    "16 bits, PNG": (written(Image.fromarray(SIXTEEN)), EIGHT),
    "16 bits, TIFF": (written(Image.fromarray(SIXTEEN), "TIFF"), EIGHT),
    "16 bits, big end first": (png(W, H, 16, 0, wide(SIXTEEN)), EIGHT),
    "16 bits, PGM": (b"P5\n6 4\n65535\n" + SIXTEEN.astype(">u2").tobytes(), EIGHT),
    "16 bits, colors": (png(W, H, 16, 2, wide(np.repeat(SIXTEEN, 3, axis=1))), EIGHT),
    "RGBA, opaque": (written(alpha(255)), RGB),
    "gray with opaque alpha": (written(Image.merge("LA", (gray, Image.new("L", gray.size, 255)))), GRAY),
    **{f"orientation {i}": (written(rgb, exif=exif(i)), turned) for i, turned in TURNED.items()},
    "orientation in TIFF": (written(rgb, "TIFF", tiffinfo={274: 3}), TURNED[3]),
}
REFUSED = {
    "float, TIFF": (written(Image.fromarray(GRAY / np.float32(255)), "TIFF"), "floating-point numbers.*as .npy"),
    "32 bits, TIFF": (written(Image.fromarray(GRAY.astype("int32") << 20), "TIFF"), "numbers of 32 bits.*as .npy"),
    "CMYK, JPEG": (written(rgb.convert("CMYK"), "JPEG"), "CMYK.*save it as RGB"),
    "CMYK, TIFF": (written(rgb.convert("CMYK"), "TIFF"), "CMYK.*save it as RGB"),
    "Lab, TIFF": (written(Image.new("LAB", (W, H)), "TIFF"), "LAB.*save it as RGB"),
    "transparent": (written(alpha(0)), "transparent parts"),
    "half transparent": (written(alpha(102)), "--background white"),
    "transparent, WEBP": (written(alpha(0), "WEBP", lossless=True, exact=True), "transparent parts"),
    "transparent palette": (written(palette, transparency=int(np.asarray(palette)[0, 0])), "transparent parts"),
    "transparent color": (written(rgb, transparency=tuple(map(int, RGB[0, 0]))), "transparent parts"),
    "animation, GIF": (written(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]), "2 frames"),
    "animation, PNG": (written(rgb, save_all=True, append_images=[rgb.rotate(180)]), "2 frames"),
    "animation, WEBP": (written(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)]), "2 frames"),
    "pages": (written(rgb, "TIFF", save_all=True, append_images=[rgb]), "2 frames"),
    "cut": (written(rgb.resize((99, 99)))[:900], "expected a whole image"),
    "cut, JPEG": (written(rgb.resize((99, 99)), "JPEG")[:900], "expected a whole image"),
    "a bomb": (png(60_000, 60_000, 1, 0, b""), "expected a whole image"),
    "a smaller bomb": (png(10_000, 10_000, 8, 2, b""), "expected a whole image"),
    "text": (b"no image", "a file of another kind"),
    "nothing": (b"", "a file of another kind"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n", "a file of another kind"),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_pixels_are_those_that_viewers_show(tmp_path, kind):
    content, expected = RIGHT[kind]
    path = tmp_path / "a.png"
    path.write_bytes(content)
    colors = np.asarray(expected if np.ndim(expected) == 3 else np.repeat(np.asarray(expected)[..., None], 3, axis=2))
    found = read_image(path, colors.shape).astype(int)
    assert np.abs(found - colors).max() <= (1 if "16" in kind else 0)
    if np.ndim(expected) == 2:
        assert np.abs(read_image(path, (H, W)).astype(int) - expected).max() <= (1 if "16" in kind else 0)
        assert read_image(path, (H, W, 1)).shape == (H, W, 1)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_a_guess_is_refused(tmp_path, kind):
    content, message = REFUSED[kind]
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_image(path, (H, W, 3))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "background", "expected"),
    [(0, "white", np.full_like(RGB, 255)), (102, "#ffffff", SOFT), (255, "black", RGB), (0, "#ff8000", [255, 128, 0])],
)
def test_transparent_parts_show_the_background(tmp_path, value, background, expected):
    alpha(value).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", (H, W, 3), background).astype(int)
    assert np.abs(found - np.asarray(expected)).max() <= 1


def test_a_background_is_a_color(tmp_path):
    alpha(0).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"--background: expected a color .* Received: 'no color'"):
        read_image(tmp_path / "a.png", (H, W, 3), "no color")


def test_arrays_of_another_layout_are_refused_as_predict_does(tmp_path, capsys):
    model = nn.Sequential([nn.Input((H, W, 3)), nn.Flatten(), nn.Dense(2)])
    model.save(tmp_path / "m.pynn")

    def status(array):
        np.save(tmp_path / "x.npy", array)
        code = cli.main(["predict", str(tmp_path / "m.pynn"), "--input", str(tmp_path / "x.npy")])
        return code, capsys.readouterr()

    assert status(RGB[None])[0] == status(RGB)[0] == 0
    for array in (RGB[None].transpose(0, 3, 1, 2), RGB.reshape(1, -1)):
        code, (out, err) = status(array)
        assert (code, out) == (2, "")
        with pytest.raises(ValueError, match="expected") as caught:
            model.predict(array)
        assert str(caught.value).split(".")[0] in err
