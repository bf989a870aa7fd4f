# %% data
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
n = 2000
homes = pd.DataFrame({
    "area": rng.normal(90, 25, n).clip(20),
    "age": rng.integers(0, 100, n).astype(float),
    "heating": rng.choice(["gas", "oil", "pump"], n),
    "garden": rng.random(n) < 0.3,
})
price = (
    2.5 * homes["area"]
    - 0.8 * homes["age"]
    + homes["heating"].map({"gas": 0, "oil": -15, "pump": 25})
)
price = price + 20 * homes["garden"] + rng.normal(0, 8, n)
unknown = rng.random(n) < 0.4 * (homes["age"] > 50)
homes.loc[unknown, "age"] = np.nan
print(homes.head(3), homes.isna().sum().to_dict(), sep="\n")

# %% refused
from pynn import nn


def network(features):
    model = nn.Sequential([
        nn.Input((features,)),
        nn.Dense(32, activation="relu"),
        nn.Dense(1),
    ])
    model.compile("adam", "mse", metrics=["mae"], seed=0)
    return model


for columns in (["area", "heating"], ["area", "age"]):
    try:
        network(2).fit(homes[columns], price, verbose=0)
    except (TypeError, ValueError) as error:
        print(type(error).__name__, error, sep=": ")

# %% transform
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

prepare = make_column_transformer(
    (
        make_pipeline(
            SimpleImputer(strategy="mean", add_indicator=True), StandardScaler()
        ),
        ["area", "age"],
    ),
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["heating"]),
    ("passthrough", ["garden"]),
)
train, test = homes[:1600], homes[1600:]
x = prepare.fit_transform(train).astype("float32")
x_test = prepare.transform(test).astype("float32")
print(x.shape, prepare.get_feature_names_out().tolist())

# %% train
y, y_test = price[:1600], price[1600:]
scale = y.mean(), y.std()
model = network(x.shape[1])
model.fit(x, (y - scale[0]) / scale[1], epochs=40, verbose=0)
off = np.abs(model.predict(x_test)[:, 0] * scale[1] + scale[0] - y_test).mean()
print(
    f"mean error {off:.1f}; "
    f"of always saying the mean {np.abs(y.mean() - y_test).mean():.1f}"
)

# %% indicator
names = prepare.get_feature_names_out().tolist()
keep = [i for i, name in enumerate(names) if "missingindicator" not in name]
plain = network(len(keep))
plain.fit(x[:, keep], (y - scale[0]) / scale[1], epochs=40, verbose=0)
without = np.abs(
    plain.predict(x_test[:, keep])[:, 0] * scale[1] + scale[0] - y_test
).mean()
print(f"without the column that says what was missing: {without:.1f}")

# %% many
towns = np.array([f"town {i}" for i in range(300)])
town = rng.integers(0, 300, n)
level = rng.normal(0, 30, 300)
price2 = price + level[town]
known = {name: i + 1 for i, name in enumerate(towns[:290])}
ids = np.array([known.get(name, 0) for name in towns[town]], "int32")

numbers, place = nn.Input((x.shape[1],), name="numbers"), nn.Input((1,), name="town")
both = nn.Concatenate()([numbers, nn.Flatten()(nn.Embedding(291, 4)(place))])
model = nn.Model([numbers, place], nn.Dense(1)(nn.Dense(32, activation="relu")(both)))
model.compile("adam", "mse", seed=0)
y2 = ((price2 - price2[:1600].mean()) / price2[:1600].std()).to_numpy()
model.fit({"numbers": x, "town": ids[:1600, None]}, y2[:1600], epochs=40, verbose=0)
guess = model.predict({"numbers": x_test, "town": ids[1600:, None]})[:, 0]
print(f"R2 {1 - ((guess - y2[1600:]) ** 2).mean() / y2[1600:].var():.2f}")

# %% save
import pynn

model.save("prices.pynn", metadata={"towns": known})
print(pynn.io.read_metadata("prices.pynn")["towns"]["town 7"], known["town 7"])
