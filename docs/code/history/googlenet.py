# %% count
from pynn import nn, viz
from pynn.recipes.networks import googlenet

model = googlenet()
found = nn.count(model)
print(f"{found.units:,} units, {found.connections:,} connections, {found.per_unit:.0f} for each")
print(f"{found.parameters:,} parameters, {found.pools:,} pools, {len(found)} layers")

# %% picture
viz.plot_layers(model, "googlenet.png", kinds=["Concatenate", "Dense"])
