# %% data
import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

x, y = make_classification(
    6000, n_features=12, n_informative=6, weights=[0.97], flip_y=0.005, random_state=3
)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
x, x_val, y, y_val = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
print(np.bincount(y), np.bincount(y_val), np.bincount(y_test))

# %% train
from pynn import metrics, nn


def trained(**options):
    model = nn.Sequential([
        nn.Input((12,)),
        nn.Dense(24, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile(
        "adam",
        "binary_cross_entropy",
        ["accuracy", "precision", "recall", "f1", "auc"],
        seed=0,
    )
    model.fit(x, y, epochs=20, verbose=0, **options)
    return model


plain, balanced = trained(), trained(class_weight="balanced")
for name, model in (("plain", plain), ("weighted", balanced)):
    found = model.evaluate(x_test, y_test)
    print(
        f"{name:9}",
        ", ".join(
            f"{key} {found[key]:.3f}"
            for key in ("accuracy", "precision", "recall", "f1", "auc")
        ),
    )
print(f"always 'no': accuracy {(y_test == 0).mean():.3f}")


# %% threshold
def best_threshold(model):
    scores = model.predict(x_val)[:, 0]
    thresholds = np.linspace(0.05, 0.95, 91)
    return max(thresholds, key=lambda t: metrics.f1(y_val, scores > t))


for name, model in (("plain", plain), ("weighted", balanced)):
    threshold = best_threshold(model)
    guess = model.predict(x_test)[:, 0] > threshold
    counts = metrics.confusion_matrix(y_test, guess).tolist()
    print(
        f"{name:9} from {threshold:.2f} on: f1 {metrics.f1(y_test, guess):.3f}", counts
    )

# %% probabilities
for name, model in (("plain", plain), ("weighted", balanced)):
    print(
        f"{name:9} mean probability {model.predict(x_test).mean():.3f}, "
        f"really {y_test.mean():.3f}"
    )

# %% costs
model = trained(class_weight={0: 1.0, 1: 10.0})
print(f"recall {model.evaluate(x_test, y_test)['recall']:.3f}")
amount = np.where(y == 1, 1 + np.abs(x[:, 0]), 1.0)
print(f"recall {trained(sample_weight=amount).evaluate(x_test, y_test)['recall']:.3f}")

# %% wrong
try:
    trained(class_weight={0: 1.0, 2: 10.0})
except ValueError as error:
    print(error)
