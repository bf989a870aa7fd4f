# %% rows
import numpy as np
import pynn
from pynn import nn, optim

layer = nn.Embedding(6, 3, seed=0)
ids = np.array([[2, 4, 2]])
out = layer(ids)
out.sum().backward()
print("gradient of each row:", layer.parameters()[0].grad.numpy().sum(axis=1))

# %% week
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
rng = np.random.default_rng(0)
true = rng.integers(0, 7, 2100)
told = (true + rng.integers(-1, 2, 2100)) % 7  # a day too early, right, a day too late


def guess(size):
    """Learn to guess the true day from the one that was told."""
    model = nn.Sequential([
        nn.Input((1,)),
        nn.Embedding(7, size),
        nn.Flatten(),
        nn.Dense(7, activation="softmax"),
    ])
    model.compile(optim.Adam(0.03), "cross_entropy", seed=0)
    model.fit(told[:, None], true, batch_size=100, epochs=60, verbose=0)
    return model


model = guess(2)
places = model.layers[0].get_weights()[0]
angles = np.degrees(np.arctan2(places[:, 1], places[:, 0])) % 360
for day in np.argsort(angles):
    length = np.hypot(*places[day])
    print(f"{DAYS[day]}: {angles[day]:5.0f} degrees, length {length:.1f}")
pynn.viz.plot_embedding(places, words=DAYS, path="week.svg")

# %% likeness
vectors = pynn.text.KeyedVectors(DAYS, places.astype("float32"))
a, b = places[0], places[1]
print("product ", round(float(a @ b), 2))
print("cosine  ", round(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), 2))
print("distance", round(float(np.linalg.norm(a - b)), 2))
near = vectors.most_similar(DAYS[2], topn=2)
print("nearest to Wed:", [(word, round(s, 2)) for word, s in near])

# %% sizes
for size in (1, 2, 3, 7):
    loss = guess(size).evaluate(told[:, None], true)["loss"]
    print(f"{size} numbers for each day: loss {loss:.3f}")
print(f"the least there is:         ln 3 {np.log(3):.3f}")
