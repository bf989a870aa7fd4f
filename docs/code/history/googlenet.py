# %% count
import numpy as np
from pynn import nn, viz
from pynn.recipes.networks import googlenet

model = googlenet()
found = nn.count(model)
print(
    f"{found.units:,} units, {found.connections:,} connections, "
    f"{found.per_unit:.0f} for each"
)
print(f"{found.parameters:,} parameters, {found.pools:,} pools, {len(found)} layers")

# %% picture
viz.plot_layers(model, "googlenet.png", kinds=["Concatenate", "Dense"])

# %% module
from pynn.recipes.networks import inception

image = nn.Input((14, 14, 192))
module = nn.Model(image, inception(image, (64, 96, 128, 16, 32, 32)))
print(
    module.predict(np.zeros((1, 14, 14, 192), "float32")).shape,
    "=",
    64 + 128 + 32 + 32,
    "maps side by side",
)

# %% narrow
from pynn.recipes.inception import narrow_googlenet, plain_network

for name, small in {
    "nine modules": narrow_googlenet()[1],
    "plain": plain_network(),
}.items():
    cost = nn.count(small)
    print(
        f"{name}: {cost.multiply_adds / 1e6:.1f} million multiply-adds, "
        f"{cost.parameters:,} parameters"
    )
