# %% rule
from pynn import nn

model = nn.Sequential([
    nn.Input((28, 28, 1)),
    nn.Conv2D(6, 5, activation="relu"),
    nn.MaxPool2D(2),
    nn.Flatten(),
    nn.Dense(10, activation="softmax"),
])
print(nn.count(model))

# %% table
from pynn.recipes.connections import counted, draw_growth, table

found = counted()
print(table(found))

# %% growth
draw_growth(found, "per_unit", "connections.png")

# %% neurons
draw_growth(found, "units", "neurons.png")

# %% alexnet
alexnet = found["AlexNet"]
print(
    "connections by units: "
    f"{alexnet.connections:,} / {alexnet.units:,} = {alexnet.per_unit:,.0f}"
)
print(
    f"parameters by units:  {alexnet.parameters:,} / "
    f"{alexnet.units:,} = {alexnet.parameters / alexnet.units:,.0f}"
)
