# %% count
from pynn import nn, viz
from pynn.recipes.networks import cots

model = cots()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "cots.png")
