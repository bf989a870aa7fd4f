# %% data
import pandas as pd
from sklearn.datasets import load_wine

bunch = load_wine(as_frame=True)
bunch.data.assign(grower=[f"grower {'ABC'[i]}" for i in bunch.target]).to_csv(
    "wines.csv", index=False
)

table = pd.read_csv("wines.csv")
print(table.shape, table["grower"].value_counts().to_dict())

# %% split
from sklearn.model_selection import train_test_split

classes = sorted(table["grower"].unique())
x, y = table.drop(columns="grower"), table["grower"].map(classes.index)
x, x_test, y, y_test = train_test_split(
    x, y, test_size=0.25, stratify=y, random_state=0
)
print(len(x), "rows to learn from,", len(x_test), "to judge by")

# %% network
import pynn
from pynn import nn


def network(*first):
    model = nn.Sequential([
        nn.Input((x.shape[1],)),
        *first,
        nn.Dense(32, activation="relu"),
        nn.Dense(len(classes), activation="softmax"),
    ])
    model.compile("adam", "cross_entropy", metrics=["accuracy"], seed=0)
    return model


scaled = nn.Normalization()
scaled.adapt(x)
model = network(scaled)
stop = pynn.train.EarlyStopping(patience=5)
history = model.fit(x, y, epochs=200, validation_split=0.2, callbacks=[stop], verbose=0)
print(
    f"{len(history.epoch)} epochs, "
    f"test accuracy {model.evaluate(x_test, y_test)['accuracy']:.1%}"
)

# %% without
raw = network()
raw.fit(x, y, epochs=len(history.epoch), verbose=0)
print(f"columns as they are: {raw.evaluate(x_test, y_test)['accuracy']:.1%}")

# %% estimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from pynn.estimators import MLPClassifier

pipeline = make_pipeline(
    StandardScaler(), MLPClassifier((32,), learning_rate_init=0.01, random_state=0)
)
scores = cross_val_score(pipeline, x, y, cv=5)
print(
    f"five folds: mean {scores.mean():.1%}, "
    f"from {scores.min():.1%} to {scores.max():.1%}"
)

# %% save
model.save("wine.pynn", metadata={"classes": classes, "columns": x.columns.tolist()})
again = pynn.load("wine.pynn")
columns = pynn.io.read_metadata("wine.pynn")["columns"]
print((again.predict(x_test[columns]) == model.predict(x_test)).all(), columns[:3])

# %% served
from pynn.cli import main

new = x_test.head(3)[columns[::-1]].assign(cellar="north")
new.to_csv("new.csv", sep=";", decimal=",", index=False)
main(["predict", "wine.pynn", "--input", "new.csv"])

# %% wrong
import contextlib
import sys

for wrong in (x_test.drop(columns="hue"), x_test.assign(label="red")):
    try:
        model.predict(wrong)
    except (TypeError, ValueError) as error:
        print(error)
new.drop(columns="hue").to_csv("less.csv", index=False)
with contextlib.redirect_stderr(sys.stdout):
    main(["predict", "wine.pynn", "--input", "less.csv"])
