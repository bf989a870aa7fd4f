# %% count
from pynn import nn, viz
from pynn.recipes.networks import dbm

model = dbm()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "dbm.png")
