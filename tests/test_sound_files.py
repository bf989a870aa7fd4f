"""Sounds that people bring: every way in which .wav files are written, and FLAC, Ogg and MP3."""

import io
import struct

import numpy as np
import pytest

from pynn import audio, cli, nn
from pynn.errors import DataError

X = (np.sin(np.arange(200) / 5) * 20000).astype("<i2")
FLOATS = (X / 32768).astype("float32")
PCM = X.tobytes()
OPEN = 0xFFFFFFFF


def form(kind=1, channels=1, bits=16, more=b"", block=None, per_second=None):
    block = channels * bits // 8 if block is None else block
    rate = 8000 * block if per_second is None else per_second
    return struct.pack("<HHIIHH", kind, channels, 8000, rate, block, bits) + more


def extensible(kind, bits=16, valid=None):
    guid = struct.pack("<H", kind) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    return form(0xFFFE, bits=bits, more=struct.pack("<HHI", 22, valid or bits, 0) + guid)


def wav(fmt, data, before=b"", after=b"", size=None, riff=None, start=b"RIFF", pad=True):
    order = ">" if start == b"RIFX" else "<"
    body = b"WAVE" + before + b"fmt " + struct.pack(order + "I", len(fmt)) + fmt
    body += b"data" + struct.pack(order + "I", len(data) if size is None else size) + data
    body += b"\0" * (pad and len(data) % 2) + after
    return start + struct.pack(order + "I", len(body) if riff is None else riff) + body


def ds64(size, riff=0):
    return b"ds64" + struct.pack("<IQQQI", 28, riff, size, size // 2, 0)


def mu_law(samples):
    """Return the codes of samples, by the book: sign, place of the first bit, the four bits after it."""
    codes = []
    for sample in samples.tolist():
        size = min(abs(sample), 32635) + 132
        exponent = size.bit_length() - 8
        codes.append(~((sample < 0) << 7 | exponent << 4 | (size >> (exponent + 3)) & 15) & 255)
    return bytes(codes)


def a_law(samples):
    codes = []
    for sample in samples.tolist():
        size = (sample if sample >= 0 else -sample - 1) >> 3
        exponent = max(0, size.bit_length() - 5)
        mantissa = size >> max(1, exponent) & 15
        codes.append((exponent << 4 | mantissa | (sample >= 0) << 7) ^ 0x55)
    return bytes(codes)


LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"
LONG = {"size": OPEN, "riff": OPEN, "start": b"RF64"}
BIG = struct.pack(">IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
PLAIN = wav(form(), PCM)
RIGHT = {
    "plain": PLAIN,
    "ffmpeg into a pipe": wav(form(), PCM, before=LIST, size=OPEN, riff=OPEN),
    "sox into a pipe": wav(form(), PCM, size=0x7FFFFFFF - 36, riff=0x7FFFFFFF),
    "another sox into a pipe": wav(form(), PCM, size=0x7FFFF000, riff=0x7FFFF024),
    "arecord": wav(form(), PCM, size=0x80000000, riff=0x80000024),
    "sizes of 0": wav(form(), PCM, size=0, riff=0),
    "sizes of 0 after a text": wav(form(), PCM, size=0, riff=0, before=LIST),
    "a size of the file that is too small": wav(form(), PCM, riff=36),
    "too large": wav(form(), PCM, riff=10**6),
    "of 0": wav(form(), PCM, riff=0),
    "stray bytes inside": wav(form(), PCM, after=b"\0\0\0"),
    "a stray line end": PLAIN + b"\r\n",
    "stray bytes": PLAIN + b"\xff" * 37,
    "stray zeros": PLAIN + bytes(50),
    "tags after": wav(form(), PCM, after=b"id3 " + struct.pack("<I", 10) + b"ID3" + bytes(7)),
    "text before": wav(form(), PCM, before=LIST),
    "an odd part before": wav(form(), PCM, before=b"junk" + struct.pack("<I", 3) + b"abc\0"),
    "room for sizes of 64 bits": wav(form(), PCM, before=b"JUNK" + struct.pack("<I", 28) + bytes(28)),
    "a description of 18 bytes": wav(form(more=b"\0\0"), PCM),
    "extensible": wav(extensible(1), PCM),
    "a count before": wav(form(), PCM, before=b"fact" + struct.pack("<II", 4, 200)),
    "two parts of data": wav(form(), PCM, after=b"data" + struct.pack("<I", 4) + b"abcd"),
    "another number of bytes per second": wav(form(per_second=1), PCM),
    "big end first": b"RIFX" + struct.pack(">I", 436) + b"WAVEfmt " + BIG + b"data" + struct.pack(">I", 400)
    + X.astype(">i2").tobytes(),
    "RF64, short": wav(form(), PCM, before=ds64(400), **LONG),
    "RF64 with all sizes": wav(form(), PCM, before=ds64(400, 500), **LONG),
    "RF64 into a pipe": wav(form(), PCM, before=ds64(0), **LONG),
    "RF64 with the size at its old place": wav(form(), PCM, before=ds64(400), riff=OPEN, start=b"RF64"),
    "RF64 with text": wav(form(), PCM, before=ds64(400) + LIST, after=LIST, **LONG),
    "BW64": wav(form(), PCM, before=ds64(400), size=OPEN, riff=OPEN, start=b"BW64"),
    "float32": wav(form(3, bits=32), FLOATS.tobytes()),
    "float64": wav(form(3, bits=64), FLOATS.astype("<f8").tobytes()),
    "extensible float32": wav(extensible(3, 32), FLOATS.tobytes()),
    "24 bits": wav(form(bits=24), b"".join(b"\0" + x.tobytes() for x in X)),
    "24 bits in 32": wav(extensible(1, 32, 24), (X.astype("<i4") << 16).tobytes()),
    "32 bits": wav(form(bits=32), (X.astype("<i4") << 16).tobytes()),
    "64 bits": wav(form(bits=64), (X.astype("<i8") << 48).tobytes()),
    "mu-law": wav(form(7, bits=8), mu_law(X)),
    "mu-law, extensible": wav(extensible(7, 8), mu_law(X)),
    "mu-law into a pipe": wav(form(7, bits=8, more=b"\0\0"), mu_law(X), size=OPEN, riff=OPEN),
    "A-law": wav(form(6, bits=8), a_law(X)),
    "A-law into a pipe": wav(form(6, bits=8, more=b"\0\0"), a_law(X), size=0, riff=0),
    "8 bits": wav(form(bits=8), ((X >> 8) + 128).astype("u1").tobytes()),
}  # fmt: skip
REFUSED = {
    "cut": (PLAIN[:300], "the end is missing"),
    "a size that is too large": (wav(form(), PCM, size=5000), "the end is missing"),
    "RF64, cut": (wav(form(), PCM[:300], before=ds64(400), **LONG), "the end is missing"),
    "ADPCM": (wav(form(2, bits=4, block=1, more=b"\0\0"), PCM), "sound in ADPCM"),
    "IMA ADPCM": (wav(form(0x11, bits=4, block=1, more=b"\0\0"), PCM), "sound in IMA ADPCM"),
    "MP3": (wav(form(0x55), PCM), "sound in MP3"),
    "unheard of": (wav(form(0x1234), PCM), "sound in coding 4660"),
    "blocks": (wav(form(block=4), PCM), "1 numbers of 16 bits in 4 bytes"),
    "half a number": (wav(form(), PCM + b"\1", pad=False), "expected a whole"),
    "a cut description": (PLAIN[:30], "no part 'data'"),
    "no description": (b"RIFF\x24\0\0\0WAVEdata\4\0\0\0abcd", "no part 'fmt '"),
    "nothing": (b"", "an empty file"),
}


@pytest.mark.parametrize("kind", RIGHT)
def test_wav_files_are_read_however_they_were_written(kind):
    samples, rate = audio.read_wav("a.wav", RIGHT[kind])
    assert (samples.shape, rate) == ((200, 1), 8000)
    coarse = 0.02 if "law" in kind or kind == "8 bits" else 1e-7
    assert np.abs(samples[:, 0] - FLOATS).max() <= coarse


@pytest.mark.parametrize("kind", REFUSED)
def test_wav_files_without_their_end_or_in_other_codings_are_refused(kind):
    content, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        audio.read_wav("a.wav", content)


@pytest.mark.parametrize("kind", [6, 7])
def test_codes_of_telephones_have_the_values_of_the_standard(kind):
    samples = audio.read_wav("a.wav", wav(form(kind, bits=8), bytes(range(256))))[0][:, 0] * 32768
    if kind == 6:  # ITU-T G.711, table 1a: in units of 16
        assert samples[[0x55, 0xD5, 0x2A, 0xAA, 0x80]].tolist() == [-8, 8, -32256, 32256, 5504]
    else:
        assert samples[[0x00, 0x7F, 0x80, 0xFF, 0x8F]].tolist() == [-32124, 0, 32124, 0, 16764]
    assert len(np.unique(samples)) == (256 if kind == 6 else 255)


FORMATS = {"flac": ("FLAC", "PCM_16", 2e-5), "ogg": ("OGG", "VORBIS", 0.05), "mp3": ("MP3", "MPEG_LAYER_III", 0.05)}


@pytest.fixture
def packed(tmp_path):
    """Write a tone in a format; return the path and the samples."""
    soundfile = pytest.importorskip("soundfile")

    def write(ending, channels=1, rate=16000):
        form, coding, _ = FORMATS[ending]
        x = np.stack([np.sin(np.arange(8000) / 20) * 0.5] * channels, axis=1).astype("float32")
        path = tmp_path / f"{channels}.{ending}"
        soundfile.write(path, x, rate, format=form, subtype=coding)
        return path, x

    return write


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("ending", FORMATS)
def test_packed_sounds_are_read(packed, ending, channels):
    path, x = packed(ending, channels)
    samples, rate = audio.read_sound(path)
    assert (samples.shape, samples.dtype, rate) == (x.shape, np.float32, 16000)
    assert np.abs(samples - x).max() < FORMATS[ending][2]
    assert len(audio.load(path, 8000, tell=str)[0]) == 4000


@pytest.mark.parametrize("ending", FORMATS)
def test_packed_sounds_without_their_end_are_refused(packed, ending):
    path, _ = packed(ending)
    whole = path.read_bytes()
    for cut in (0, 3, 60, len(whole) // 2, len(whole) - (1 if ending != "mp3" else 300)):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=rf"1\.{ending}: expected a whole file of sound\. Received"):
            audio.read_sound(path)


def test_what_soundfile_would_read_without_its_end_is_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.mp3", FLOATS, 8000, format="AU", subtype="PCM_16")
    with pytest.raises(DataError, match="Received: AU"):
        audio.read_sound(tmp_path / "a.mp3")


def test_predict_takes_packed_sounds(packed, tmp_path, capsys):
    pytest.importorskip("kaldi_native_fbank")
    features = audio.Features("mfcc", rate=16000)
    path, _ = packed("flac")
    x = features(audio.load(path, 16000))
    model = nn.Sequential([nn.Input(x.shape[1:]), nn.Flatten(), nn.Dense(2)])
    expected = model.predict(x)
    model.save(tmp_path / "m.pynn", metadata={"audio": features.get_config()})
    assert cli.main(["predict", str(tmp_path / "m.pynn"), "--input", str(path)]) == 0
    found = np.loadtxt(io.StringIO(capsys.readouterr().out), delimiter=",", skiprows=1, ndmin=2)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
