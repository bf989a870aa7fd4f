"""The one idea, to be read top to bottom: tensors, cards, execute() and the graph, gradients, programs."""
