# %% sounds
import numpy as np
import pynn
from pynn import audio, nn

RATE, SAMPLES = 8000, 2000  # a quarter of a second


def whistles(n, seed):
    """Return whistles that rise (1) or fall (0), of any pitch and phase, in noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    t = np.arange(SAMPLES) / RATE
    low, span = rng.uniform(400, 1500, (n, 1)), rng.uniform(500, 1500, (n, 1))
    # the integral of a pitch that rises from low to low + span
    up = low * t + span * t**2 / (2 * t[-1])
    down = (low + span) * t - span * t**2 / (2 * t[-1])
    turns = np.where(y[:, None] == 1, up, down) + rng.random((n, 1))
    return (np.sin(2 * np.pi * turns) + rng.normal(0, 0.3, turns.shape)).astype(
        "float32"
    ), y


(x, y), (xt, yt) = whistles(600, seed=0), whistles(300, seed=1)


def learn(name, features):
    a, at = features(x), features(xt)
    model = nn.Sequential([
        nn.Input(a.shape[1:]),
        nn.Flatten(),
        nn.Dense(64, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile("adam", "binary_cross_entropy", ["accuracy"], seed=0)
    model.fit(a, y, batch_size=32, epochs=20, verbose=0)
    learnt, tested = (
        model.evaluate(a, y)["accuracy"],
        model.evaluate(at, yt)["accuracy"],
    )
    numbers = model.count_parameters()
    print(
        f"{name:13}{numbers:7,} numbers: "
        f"{learnt:.2f} on what it learnt, {tested:.2f} on the test part"
    )


# %% classes
one_of_each = {"falls": x[y == 0][0], "rises": x[y == 1][0]}
pynn.viz.plot_sounds(one_of_each, RATE, "classes.png", kind="wave", columns=2)
pynn.viz.plot_sounds(one_of_each, RATE, "pitches.png", columns=2)

# %% samples
learn("samples", lambda sounds: sounds)


# %% spectrum
def pictures(sounds):
    # decibels, [N, frames, frequencies]
    power = np.stack([audio.spectrogram(sound, RATE) for sound in sounds])
    coarse = power[..., :128].reshape(len(sounds), power.shape[1], 16, 8).mean(axis=3)
    return ((coarse - coarse.mean()) / coarse.std()).astype("float32")


learn("spectrogram", pictures)

# %% shown
shown = {
    f"{'rises' if y[i] else 'falls'}, {i}": audio.spectrogram(x[i], RATE).T[::-1]
    for i in range(6)
}
pynn.viz.plot_images(shown, "whistles.png", columns=6)
