# %% series
import numpy as np

rng = np.random.default_rng(0)
hours = np.arange(24 * 120)
day, week = 2 * np.pi * hours / 24, 2 * np.pi * hours / (24 * 7)
load = (
    50 + 12 * np.sin(day) + 6 * np.sin(2 * day + 1) + 8 * np.sin(week) + 0.004 * hours
)
load = (
    load + np.convolve(rng.normal(0, 1.5, hours.size), [0.5, 0.3, 0.2], "same")
).astype("float32")
print(load.shape, load[:4].round(1))

# %% windows
past, ahead = 48, 6
end, last = int(0.7 * load.size), int(0.85 * load.size)
mean, deviation = load[:end].mean(), load[:end].std()


def windows(values):
    values = (values - mean) / deviation
    both = np.lib.stride_tricks.sliding_window_view(values, past + ahead)
    return both[:, :past, None], both[:, past:]


x, y = windows(load[:end])
x_val, y_val = windows(load[end - past : last])
x_test, y_test = windows(load[last - past :])
print(x.shape, y.shape, len(x_val), len(x_test))


# %% baseline
def error(guess, truth):
    return np.abs(guess - truth).mean() * deviation


print(f"the last value again: {error(x_test[:, -1:, 0], y_test):.2f}")
print(f"the value of a day ago: {error(x_test[:, -24 : -24 + ahead, 0], y_test):.2f}")

# %% network
import pynn
from pynn import nn

model = nn.Sequential([nn.Input((past, 1)), nn.GRU(24), nn.Dense(ahead)])
model.compile(pynn.optim.Adam(0.005), "mse", seed=0)
stop = pynn.train.EarlyStopping(patience=4)
model.fit(
    x,
    y,
    epochs=15,
    batch_size=64,
    validation_data=(x_val, y_val),
    callbacks=[stop],
    verbose=0,
)
print(f"GRU: {error(model.predict(x_test), y_test):.2f}")

convolution = nn.Sequential([
    nn.Input((past, 1)),
    nn.Conv1D(24, 5, activation="relu"),
    nn.Flatten(),
    nn.Dense(ahead),
])
convolution.compile(pynn.optim.Adam(0.005), "mse", seed=0)
convolution.fit(
    x,
    y,
    epochs=15,
    batch_size=64,
    validation_data=(x_val, y_val),
    callbacks=[stop],
    verbose=0,
)
print(f"convolution: {error(convolution.predict(x_test), y_test):.2f}")

# %% picture
from matplotlib.figure import Figure

figure = Figure(figsize=(7, 2.6), layout="constrained")
axes = figure.subplots()
guess = model.predict(x_test) * deviation + mean
axes.plot(load[last : last + 96], label="measured")
axes.plot(
    np.arange(ahead - 1, 96),
    guess[: 97 - ahead, ahead - 1],
    label=f"said {ahead} hours before",
)
axes.set(xlabel="hour", ylabel="load", ylim=(20, 80))
axes.legend(loc="lower center", ncols=2)
figure.savefig("forecast.png", dpi=90)

# %% leak
order = rng.permutation(len(x))
cut = int(0.8 * len(x))
print(
    "windows that the training has too, but for one hour:",
    f"{np.isin(order[cut:] + 1, order[:cut]).mean():.0%} of a random test part",
)

# %% lengths
short = [
    load[i : i + n] for i, n in zip(range(0, 400, 40), range(6, 46, 4), strict=True)
]
padded = np.zeros((len(short), 48, 1), "float32")
for row, values in zip(padded, short, strict=True):
    row[: len(values), 0] = (values - mean) / deviation
masked = nn.Sequential([nn.Input((48, 1)), nn.Masking(0.0), nn.GRU(8), nn.Dense(1)])
alone = masked.predict(padded[:1, :6])
print(np.allclose(masked.predict(padded)[:1], alone, atol=1e-6))
