# %% count
from pynn import nn, viz
from pynn.recipes.networks import alexnet

model = alexnet()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "alexnet.png")
