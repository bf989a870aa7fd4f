# %% count
from pynn import nn, viz
from pynn.recipes.networks import two_stages

model = two_stages()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "two-stages.png")
