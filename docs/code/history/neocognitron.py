# %% count
from pynn import nn, viz
from pynn.recipes.networks import neocognitron

model = neocognitron()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "neocognitron.png")
