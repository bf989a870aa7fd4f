# %% count
from pynn import nn, viz
from pynn.recipes.networks import unrolled_convolution

model = unrolled_convolution()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "unrolled-convolution.png")
