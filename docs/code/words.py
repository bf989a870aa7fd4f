# %% localist
import numpy as np
import pynn
from pynn import nn

words = ["king", "queen", "man", "woman"]
one_hot = np.eye(4, dtype="float32")  # localist: a unit for each word
print("king . queen =", one_hot[0] @ one_hot[1])
print("king . man   =", one_hot[0] @ one_hot[2])
# distributed: royal, male
vectors = np.array([[0.9, 0.9], [0.9, -0.9], [0.1, 0.9], [0.1, -0.9]], "float32")
kept = pynn.text.KeyedVectors(words, vectors)
print(
    "king - man + woman =",
    kept.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0],
)

# %% embedding
layer = nn.Embedding(4, 2)
layer(np.array([[0]]))
layer.set_weights([vectors])
ids = np.array([[0, 3]])
print(layer(ids).numpy()[0])
print("the same:", np.array_equal(layer(ids).numpy(), one_hot[ids] @ vectors))

# %% corpus
rng = np.random.default_rng(0)
groups = {
    "animal": ["cat", "dog", "horse", "cow"],
    "food": ["bread", "cheese", "apple", "soup"],
    "verb_animal": ["runs", "sleeps", "barks", "jumps"],
    "verb_food": ["tastes", "smells", "cools", "cooks"],
}
sentences = []
for _ in range(4000):
    kind = rng.choice(["animal", "food"])
    sentences.append([
        "the",
        rng.choice(groups[kind]),
        rng.choice(groups[f"verb_{kind}"]),
        "now",
    ])
model = pynn.text.Word2Vec(
    vector_size=16, window=2, min_count=1, sg=True, sample=0, seed=1
)
model.fit(sentences, epochs=5, verbose=0)
for a, b in (("cat", "dog"), ("bread", "soup"), ("cat", "soup")):
    print(f"similarity of {a} and {b}: {model.wv.similarity(a, b):.2f}")
print(
    "nearest to horse:", *[word for word, _ in model.wv.most_similar("horse", topn=3)]
)
print("not of the others:", model.wv.doesnt_match(["cat", "dog", "cow", "cheese"]))

# %% map
named = [(word, kind) for kind, members in groups.items() for word in members]
x = np.stack([model.wv[word] for word, _ in named])
labels = [kind for _, kind in named]
pynn.viz.plot_embedding(x, labels, "words.svg", words=[word for word, _ in named])
