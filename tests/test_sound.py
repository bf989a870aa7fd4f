"""Sound: .wav files good and bad, features, the data set, the pictures, and pynn predict on a recording."""

import csv
import importlib
import io
import struct
import sys
import wave
import zipfile

import numpy as np
import pytest

import pynn
from pynn import audio, cli, datasets, nn, recipes, viz
from pynn.errors import DataError, ShapeError

RATE = 8000


@pytest.fixture
def kaldi():
    """Skip where the extra audio is not installed."""
    return pytest.importorskip("kaldi_native_fbank")


def wav_bytes(samples, rate=RATE, width=2):
    """A .wav file of samples [n] or [n, channels] from -1 to 1, written by the standard library."""
    samples = np.asarray(samples)
    samples = samples[:, None] if samples.ndim == 1 else samples
    scaled = np.round(samples * (2 ** (8 * width - 1) - 1)).astype("<i8")
    if width == 1:
        scaled = scaled + 128
    packed = scaled.astype("<i8")[..., None].view(np.uint8)[..., :width] if width > 1 else scaled.astype(np.uint8)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(packed).tobytes())
    return out.getvalue()


def float_wav(samples, rate=RATE):
    data = np.asarray(samples, "<f4").tobytes()
    fmt = struct.pack("<HHIIHH", 3, 1, rate, 4 * rate, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tone(hertz, seconds=0.5, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_gives_the_same_samples(width):
    x = tone(440)
    samples, rate = audio.read_wav("a.wav", wav_bytes(x, width=width))
    assert (samples.shape, samples.dtype, rate) == ((4000, 1), np.float32, RATE)
    np.testing.assert_allclose(samples[:, 0], x, atol=1.5 / 2 ** (8 * width - 1) + 1e-7)


def test_floats_and_channels(tmp_path):
    x = tone(440).astype("float32")
    assert (audio.read_wav("a.wav", float_wav(x))[0][:, 0] == x).all()
    both = np.stack([x, -x / 2], axis=1)
    (tmp_path / "a.wav").write_bytes(wav_bytes(both))
    samples, _ = audio.read_wav(tmp_path / "a.wav")
    assert samples.shape == (4000, 2)
    np.testing.assert_allclose(audio.mono(samples), x / 4, atol=1e-4)


def test_text_after_the_samples_is_no_fault():
    whole = wav_bytes(tone(440))
    tagged = whole + b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert (audio.read_wav("a.wav", tagged)[0] == audio.read_wav("a.wav", whole)[0]).all()


WHOLE = wav_bytes(tone(440, 0.05))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0x7FFFF000])
@pytest.mark.parametrize("cut", [0, 1])
def test_sizes_that_a_pipe_left_open_mean_what_is_there(size, cut):
    """As ffmpeg (0xFFFFFFFF) and sox (0x7FFFF000) write them."""
    streamed = WHOLE[:4] + struct.pack("<I", size) + WHOLE[8:40] + struct.pack("<I", size) + WHOLE[44:]
    samples, _ = audio.read_wav("a.wav", streamed[: len(streamed) - cut])
    assert (samples == audio.read_wav("a.wav", WHOLE)[0][: 400 - cut]).all()
    assert len(samples) == 400 - cut


def test_no_samples_before_a_text_are_no_samples():
    empty = wav_bytes(np.zeros(0)) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    with pytest.raises(DataError, match="no samples"):
        audio.read_wav("a.wav", empty)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"ID3\x04" + bytes(100), "begins with b'ID3"),
        (WHOLE[:11], "begins with"),
        (WHOLE[:20], "no part 'fmt '|no part 'data'"),
        (WHOLE[:40], "no part 'data'"),
        (WHOLE[:-1], r"843 bytes of 844: the end is missing"),
        (WHOLE[:400], "400 bytes of 844: the end is missing"),
        (wav_bytes(np.zeros(0)), "no samples"),
        (WHOLE[:24] + struct.pack("<II", 7, 14) + WHOLE[32:], "7 samples per second"),
        (WHOLE[:20] + struct.pack("<H", 0x55) + WHOLE[22:], "sound in MP3. help: save it as PCM"),
        (WHOLE[:22] + struct.pack("<H", 0) + WHOLE[24:], "expected a whole .wav file"),
        (float_wav([0.0, np.nan]), "not finite"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        audio.read_wav(path)
    assert str(caught.value).startswith(f"[wav] {path}: expected a whole .wav file. Received: ")


def test_any_damage_of_the_header_is_a_data_error_or_nothing(rng):
    """Readers of old formats crash in many ways on random headers; here one error comes, or samples."""
    for _ in range(300):
        broken = bytearray(WHOLE)
        for at in rng.integers(0, 44, 3):
            broken[at] = rng.integers(0, 256)
        try:
            samples, rate = audio.read_wav("a.wav", bytes(broken))
        except DataError:
            continue
        assert samples.ndim == 2
        assert np.isfinite(samples).all()
        assert rate >= 1000


def test_another_rate_and_stereo_are_converted_and_said_once(tmp_path):
    x = tone(440, 0.5, 44100)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(wav_bytes(np.stack([x, x], axis=1), 44100))
    (tmp_path / "c.wav").write_bytes(wav_bytes(tone(440)))
    with pytest.warns(
        UserWarning, match=r"a\.wav \(and 1 more files\): converted from 44,100 Hz stereo to 8,000 Hz"
    ) as w:
        recordings = audio.load([tmp_path / f"{name}.wav" for name in "abc"])
    assert len(w) == 1
    assert [len(r) for r in recordings] == [4000] * 3
    np.testing.assert_allclose(recordings[0][200:-200], recordings[2][200:-200], atol=2e-3)
    assert audio.load(tmp_path / "c.wav")[0].dtype == np.float32  # nothing to convert, nothing said


def test_resampling_leaves_out_what_the_lower_rate_cannot_hold():
    low, high = audio.resample(tone(1000, 0.5, 44100), 44100, RATE), audio.resample(tone(9000, 0.5, 44100), 44100, RATE)
    assert np.abs(low[100:-100]).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(high[100:-100]).max() < 0.005
    with pytest.raises(ShapeError, match=r"\[resample\] expected samples"):
        audio.resample(np.zeros((3, 2)), 8000, 4000)


def test_a_spectrogram_shows_the_frequency_and_the_power():
    power = audio.spectrogram(tone(1000), RATE)
    assert power.shape == (50, 129)
    assert (power[5:-5].argmax(axis=1) == 32).all()  # 1,000 Hz of bins of 31.25 Hz
    assert power[25, 32] == pytest.approx(20 * np.log10(0.25), abs=0.1)
    with pytest.raises(ShapeError, match=r"\[spectrogram\] expected samples \[n\]"):
        audio.spectrogram(np.zeros((10, 2)), RATE)


def test_mel_bands_follow_the_frequency_and_mfccs_are_their_cosine_transform(kaldi):
    bands = [int(audio.log_mel(tone(hertz), RATE)[25].argmax()) for hertz in (200, 500, 1000, 2000, 3000)]
    assert bands == sorted(set(bands))
    x = np.random.default_rng(0).normal(size=4000) * 0.1
    mel, found = audio.log_mel(x, RATE), audio.mfcc(x, RATE)
    assert (mel.shape, found.shape, found.dtype) == ((50, 32), (50, 20), np.float32)
    i, m = np.arange(20)[:, None], np.arange(32)
    cosines = np.sqrt(2 / 32) * np.cos(np.pi * i * (m + 0.5) / 32)
    cosines[0] /= np.sqrt(2)
    lifter = 1 + 11 * np.sin(np.pi * np.arange(20) / 22)
    np.testing.assert_allclose(found, mel @ cosines.T * lifter, atol=2e-3)
    assert (audio.mfcc(x, RATE) == found).all()
    assert np.isfinite(audio.mfcc([0.0], RATE)).all()  # a single sample, and silence, have features too
    with pytest.raises(ValueError, match=r"\[mfcc\] expected a count from 1 to bands \(32\)"):
        audio.mfcc(x, RATE, 40)
    with pytest.raises(DataError, match="finite samples"):
        audio.mfcc([np.inf] * 400, RATE)


def test_louder_recordings_have_the_same_normalized_mfccs(kaldi):
    x = (np.random.default_rng(0).normal(size=4000) * 0.05).astype("float32")
    features = audio.Features("mfcc", length=60)
    quiet, loud = features([x, 4 * x])
    np.testing.assert_allclose(quiet, loud, atol=1e-3)
    assert (quiet[50:] == 0).all()
    statistics = audio.Features("mfcc_statistics")([x])
    frames = audio.mfcc(x, RATE)
    np.testing.assert_allclose(statistics[0, 0], frames.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics[0, 3], np.gradient(frames, axis=0).std(axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "mfc"}, "did you mean 'mfcc'"),
        ({"kind": "mfcc", "length": 0}, "expected length to be an integer from 1"),
        ({"kind": "mfcc", "length": True}, "expected length"),
        ({"kind": "mfcc", "other": 1}, "expected the settings"),
        ({}, "expected the settings"),
        ([], "expected the settings"),
    ],
)
def test_settings_of_a_file_are_checked(config, message):
    with pytest.raises(DataError, match=message):
        audio.Features.from_config(config)


def test_without_kaldi_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(ImportError, match=r'pip install "pynn-dl\[audio\]"'):
        audio.mfcc(tone(440), RATE)


def small_set(takes=8, speakers=("ann", "bob")):
    """Recordings by name: each digit is two tones of its own, a little higher for each speaker, and never the same."""
    rng = np.random.default_rng(0)
    for speaker, lift in zip(speakers, (1.0, 1.06), strict=False):
        for digit in range(10):
            for take in range(takes):
                pair = (300 + 250 * digit, 300 + 250 * ((3 * digit + 4) % 10))
                x = np.concatenate([tone(hertz * lift, 0.1 + 0.05 * rng.random()) for hertz in pair])
                yield f"recordings/{digit}_{speaker}_{take}.wav", wav_bytes(x + rng.normal(size=len(x)) * 0.01)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "fsdd" / "free-spoken-digit-dataset.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("README.md", "not a recording")
        for name, content in small_set():
            file.writestr(name, content)
    return path


def test_the_set_is_read_from_an_archive_and_from_folders(archive, tmp_path, monkeypatch):
    digits = datasets.spoken_digits(archive)
    assert (len(digits), digits.speakers, digits.rate) == (160, ["ann", "bob"], RATE)
    assert np.bincount(digits.y).tolist() == [16] * 10
    assert digits.test.sum() == 100
    assert (digits.take[digits.test] < 5).all()
    assert (digits.speaker[digits.spoken_by("bob")] == "bob").all()
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    for other in (datasets.spoken_digits(), datasets.spoken_digits(archive.parent.parent)):
        assert (other.y == digits.y).all()
        assert all((a == b).all() for a, b in zip(other.recordings, digits.recordings, strict=True))
    with pytest.raises(ValueError, match="did you mean 'bob'"):
        digits.spoken_by("bobb")


def test_a_recording_of_the_largest_size_is_read_whole(archive, monkeypatch):
    module = importlib.import_module("pynn.datasets.spoken_digits")
    with zipfile.ZipFile(archive) as file:
        largest = max(member.file_size for member in file.infolist())
    digits = datasets.spoken_digits(archive)
    monkeypatch.setattr(module, "LARGEST", largest)
    again = datasets.spoken_digits(archive)
    assert all((a == b).all() for a, b in zip(again.recordings, digits.recordings, strict=True))
    monkeypatch.setattr(module, "LARGEST", largest - 1)
    with pytest.raises(DataError, match=f"at most {largest - 1:,} bytes"):
        datasets.spoken_digits(archive)


def test_the_real_set(data_dir):
    if not (data_dir / "fsdd").is_dir():
        pytest.skip("no fsdd in PYNN_DATA")
    digits = datasets.spoken_digits(data_dir)
    assert (len(digits), int(digits.test.sum())) == (3000, 300)
    assert digits.speakers == ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
    assert sum(map(len, digits.recordings)) / RATE / 3000 == pytest.approx(0.44, abs=0.01)


def test_sets_that_are_not_whole_are_refused(archive, tmp_path, monkeypatch):
    monkeypatch.delenv("PYNN_DATA", raising=False)
    with pytest.raises(DataError, match=r"data or PYNN_DATA\. Received: neither\. help: download"):
        datasets.spoken_digits()
    with pytest.raises(DataError, match="neither is there; looked in"):
        datasets.spoken_digits(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        datasets.spoken_digits(tmp_path / "none")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(DataError, match="expected a whole zip archive"):
        datasets.spoken_digits(cut)
    flipped = bytearray(archive.read_bytes())
    flipped[200_000] ^= 255
    cut.write_bytes(flipped)
    with pytest.raises(DataError, match="expected a whole zip archive"):
        datasets.spoken_digits(cut)
    with zipfile.ZipFile(cut, "w") as file:
        for name, content in list(small_set())[:-1]:
            file.writestr(name, content)
    with pytest.raises(DataError, match=r"expected 9_bob_7\.wav"):
        datasets.spoken_digits(cut)
    with zipfile.ZipFile(cut, "w") as file:
        file.writestr("0_ann_0.wav", WHOLE[:400])
    with pytest.raises(DataError, match=r"0_ann_0\.wav: .*the end is missing"):
        datasets.spoken_digits(cut)
    with zipfile.ZipFile(cut, "w") as file:
        file.writestr("0_ann_0.wav", wav_bytes(tone(440), 16000))
    with pytest.raises(DataError, match=r"expected 8,000 samples per second\. Received: 16,000"):
        datasets.spoken_digits(cut)
    with zipfile.ZipFile(cut, "w") as file:
        file.writestr("readme.md", "nothing")
    with pytest.raises(DataError, match="expected recordings named"):
        datasets.spoken_digits(cut)


def test_two_recordings_of_one_word(archive):
    digits = datasets.spoken_digits(archive)
    from pynn.recipes.sound import similarity

    same = np.repeat(np.eye(10), 8, axis=0)
    assert similarity(digits, np.tile(same, (2, 1))[np.lexsort((np.tile(np.arange(8), 20), digits.y))]) <= 1
    x = np.zeros((len(digits), 10))
    x[np.arange(len(digits)), digits.y] = 1
    assert similarity(digits, x) == pytest.approx(1)
    assert abs(similarity(digits, np.random.default_rng(0).normal(size=(160, 500)))) < 0.02


@pytest.mark.parametrize("name", ["audio-mlp-1", "audio-mlp-2", "audio-cnn"])
def test_the_recipes_learn_leave_speakers_out_and_hear_a_file(kaldi, name, archive, tmp_path, capsys):
    result = recipes.find(name).run(
        recipes.Options(data=archive, epochs=25, batch_size=4, threads=1, out=tmp_path / "out")
    )
    told = result.details["leave_one_speaker_out"]
    assert set(told["speakers"]) == {"ann", "bob"}
    assert told["accuracy"] == pytest.approx(np.mean(list(told["speakers"].values())))
    if name == "audio-mlp-1":
        assert result.details["moved"].keys() == {0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0}
    else:
        assert result.test["accuracy"] > 0.9
    pictures = {"history.png", "confusion.png", "strangers.png", "sound.png", "spectrograms.png", "mfcc.png"}
    pictures |= {"classes.png", *(f"{digit}.wav" for digit in range(10))}
    assert pictures <= {path.name for path in (tmp_path / "out").iterdir()}
    assert "leave-one-speaker-out accuracy" in capsys.readouterr().out
    digits = datasets.spoken_digits(archive)
    heard, rate = audio.read_wav(tmp_path / "out" / "7.wav")
    own = digits.recordings[np.flatnonzero((digits.y == 7) & (digits.speaker == digits.speakers[1]))[0]]
    assert rate == digits.rate
    np.testing.assert_allclose(heard[:, 0], own, atol=1e-4)
    x = digits.recordings[7 * 16]
    wide = audio.resample(x, RATE, 16000)
    for file in ("a.wav", "b.wav"):
        (tmp_path / file).write_bytes(wav_bytes(np.stack([wide, wide], axis=1), 16000))
    model = tmp_path / "out" / "model.pynn"
    status = cli.main(["predict", str(model), "--input", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])
    printed = capsys.readouterr()
    assert (status, printed.err.count("converted from 16,000 Hz stereo to 8,000 Hz mono")) == (0, 1)
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert list(rows[0]) == ["class", *map(str, range(10))]
    if name != "audio-mlp-1":
        assert [row["class"] for row in rows] == ["7", "7"]


def test_predict_refuses_what_it_cannot_hear(tmp_path, capsys):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model.save(tmp_path / "model.pynn")
    model.save(tmp_path / "sounds.pynn", metadata={"audio": {"kind": "samples", "length": 4}})
    (tmp_path / "good.wav").write_bytes(wav_bytes(tone(440)))
    (tmp_path / "bad.wav").write_bytes(WHOLE[:400])
    for file, sound, message in (
        ("model.pynn", "good.wav", "expected a model of sounds"),
        ("sounds.pynn", "bad.wav", "the end is missing"),
        ("sounds.pynn", "none.wav", "No such file"),
    ):
        assert cli.main(["predict", str(tmp_path / file), "--input", str(tmp_path / sound)]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["predict", str(tmp_path / "sounds.pynn"), "--input", str(tmp_path / "good.wav")]) == 0
    assert capsys.readouterr().out.startswith("output_0,output_1\n")


def test_pictures_of_sounds(kaldi, tmp_path):
    figure = viz.plot_sound(tone(440), RATE, tmp_path / "sound.png", title="a tone")
    assert (tmp_path / "sound.png").read_bytes().startswith(b"\x89PNG")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "the wave: 4,000 samples, 8,000 a second"
    assert "MFCCs: 20 numbers every 10 ms, each scaled to deviation 1" in titles
    for kind in ("wave", "spectrogram", "mfcc"):
        drawn = viz.plot_sounds({str(i): tone(100 * i + 99) for i in range(7)}, RATE, kind=kind).axes
        assert len(drawn) == 7
        for image in (image for ax in (*drawn, *figure.axes) for image in ax.images):  # low tones are below
            assert image.origin == "lower"
            assert image.get_extent()[2] < image.get_extent()[3]
    with pytest.raises(ValueError, match="expected kind"):
        viz.plot_sounds({"a": tone(440)}, RATE, kind="mel")
    with pytest.raises(ValueError, match="at least one recording"):
        viz.plot_sounds({}, RATE)


def test_the_same_bits_for_any_number_of_threads(kaldi, archive):
    digits = datasets.spoken_digits(archive)
    results = []
    for threads in (1, 2):
        pynn.set_num_threads(threads)
        options = recipes.Options(data=archive, epochs=1, batch_size=8, threads=threads, quiet=True)
        results.append(recipes.find("audio-mlp-2").run(options).test)
    assert results[0] == results[1]
    assert len(digits) == 160
