# %% count
from pynn import nn, viz
from pynn.recipes.networks import perceptron

model = perceptron()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "big-mlp.png")
