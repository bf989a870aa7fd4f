# %% count
from pynn import nn, viz
from pynn.recipes.networks import adaline

model = adaline()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "adaline.png")
