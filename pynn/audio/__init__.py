"""Sound: files as arrays, and the features of speech that networks learn from.

Files of .wav are read and resampled through SciPy, others through soundfile. Mel filter banks and MFCCs come from
kaldi-native-fbank. These two are the extra ``audio``, imported on use.

>>> import numpy as np
>>> from pynn import audio
>>> tone = np.sin(np.arange(8000) * 0.3).astype("float32")
>>> audio.spectrogram(tone, 8000).shape
(100, 129)
"""

from __future__ import annotations

from pynn.audio.features import Features, log_mel, mfcc, spectrogram
from pynn.audio.packed import load, read_sound
from pynn.audio.wav import mono, read_wav, resample

__all__ = ["Features", "load", "log_mel", "mfcc", "mono", "read_sound", "read_wav", "resample", "spectrogram"]
