# %% count
from pynn import nn, viz
from pynn.recipes.networks import cat_neuron

model = cat_neuron()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "cat-neuron.png")
