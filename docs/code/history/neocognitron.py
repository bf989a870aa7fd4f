# %% count
from pynn import nn, viz
from pynn.recipes.networks import neocognitron

model = neocognitron()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "neocognitron.png")

# %% organized
import numpy as np
from pynn.recipes.neocognitron import five_digits, of_1980, recognized

order, network = np.random.default_rng(0), of_1980()
stimuli = np.concatenate([five_digits()[order.permutation(5)] for _ in range(20)])
nn.self_organize(network, stimuli, rates=(1.0, 16.0, 16.0), columns=(5, 5, 2))
cells, share = recognized(network)
print("cells of 0, 1, 2, 3 and 4 in the last layer:", cells)
print(
    "alone, and for its digit alone, "
    f"at places within 3 pixels of the middle: {share:.1%}"
)
print(
    f"at all places at which the digits fit: {recognized(network, reach=None)[1]:.1%}"
)

# %% planes
digits = {str(k): image[:, :, 0] for k, image in enumerate(five_digits())}
learnt = network.layers[0].a.numpy()[:, :, 0]
planes = {f"plane {k}": learnt[:, :, k] for k in range(10)}
viz.plot_images(digits | planes, "planes.png", columns=5, size=1.1)
