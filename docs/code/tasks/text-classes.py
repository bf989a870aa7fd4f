# %% texts
import numpy as np

rng = np.random.default_rng(0)
subjects = [
    "the film",
    "the plot",
    "the cast",
    "the music",
    "this sequel",
    "the ending",
]
good = ["a joy", "great fun", "moving", "well made", "brilliant"]
bad = ["a bore", "a waste of time", "dull", "badly made", "painful"]


def review():
    """Of two remarks the second one counts; 'not' turns it round."""
    label = int(rng.integers(2))
    first = rng.choice(good + bad)
    turned = rng.random() < 0.3
    second = rng.choice(good if label != turned else bad)
    return (
        f"{rng.choice(subjects)} is {first}, "
        f"but {rng.choice(subjects)} is {'not ' * turned}{second}.",
        label,
    )


texts, answers = zip(*(review() for _ in range(1500)), strict=True)
labels = np.array(answers)
for text, label in zip(texts[:3], labels[:3], strict=True):
    print(label, text)

# %% ids
from pynn.text import Tokenizer, pad_sequences

tokenizer = Tokenizer().fit(texts[:1000])
print(tokenizer.encode("The film is great, but the sequel is dreadful"))
length = max(len(tokenizer.encode(text)) for text in texts[:1000])


def rows(texts):
    return pad_sequences([tokenizer.encode(text) for text in texts], maxlen=length)


x, x_test, y, y_test = (
    rows(texts[:1000]),
    rows(texts[1000:]),
    labels[:1000],
    labels[1000:],
)
print(x.shape, x[0])

# %% network
from pynn import nn


def network(*middle):
    model = nn.Sequential([
        nn.Input((length,)),
        nn.Embedding(len(tokenizer.vocabulary), 16, mask_zero=True),
        *middle,
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile("adam", "binary_cross_entropy", metrics=["accuracy"], seed=0)
    model.fit(x, y, epochs=10, verbose=0)
    return model


words, order = network(nn.GlobalAvgPool()), network(nn.LSTM(24))
print(f"mean of the words' vectors: {words.evaluate(x_test, y_test)['accuracy']:.1%}")
print(
    f"LSTM, which reads them in order: {order.evaluate(x_test, y_test)['accuracy']:.1%}"
)

# %% new
for text in (
    "the plot is dull, but the cast is moving",
    "the plot is moving, but the cast is not moving",
):
    print(f"{order.predict(rows([text]))[0, 0]:.2f}", text)

# %% wrong
for wrong in (lambda: order.predict(x + 30), lambda: network(nn.Dense(8))):
    try:
        wrong()
    except ValueError as error:
        print(error)

# %% save
import pynn

order.save(
    "reviews.pynn", metadata={"tokenizer": tokenizer.to_config(), "length": length}
)
again = pynn.load("reviews.pynn")
saved = pynn.io.read_metadata("reviews.pynn")
reader = Tokenizer.from_config(saved["tokenizer"])
ids = pad_sequences(
    [reader.encode("the film is a joy, but this sequel is a bore")],
    maxlen=saved["length"],
)
print(again.predict(ids))
