"""What recipes say of themselves, in Spanish: what they show, by their name; measures and data, by the English text."""

from __future__ import annotations

__all__ = ["TRANSLATED", "told"]

# ruff: noqa: E501 (a line for each text)

TRANSLATED: dict[str, dict[str, str]] = {
    "shows": {
        "digits": "una primera red: una capa oculta lee dígitos manuscritos de 8 x 8",
        "perceptron": "la regla de corrección de errores aprende AND y OR, falla en XNOR, y tres neuronas así, juntas, lo logran",
        "adaline": "cuántos patrones puede separar una neurona: cerca del doble de sus entradas, y qué encuentra la regla de Widrow y Hoff",
        "adaline-lms": "lo que le cuesta a una Adaline una tasa constante, medido y previsto, y diez Adalines ante dígitos",
        "xor": "un perceptrón falla en XOR (a lo más 75 %), una capa oculta de 8 unidades lo logra",
        "linear-regression": "una neurona lineal y el error cuadrático: el descenso llega a la solución de mínimos cuadrados",
        "logistic-regression": "una neurona que responde con una probabilidad: benigno o maligno",
        "basis-functions": "un clasificador lineal sobre rasgos nuevos: las bases gaussianas y polinomiales doblan su frontera, a cierto precio",
        "decision-frontiers": "lo que una capa oculta de 1 a 16 unidades puede recortar de lunas, círculos y espirales, unidad por unidad",
        "gradient-descent": "descenso por lote, por minilotes y estocástico en un mismo problema: el costo contra las actualizaciones y contra el tiempo",
        "overfitting": "una red demasiado grande para sus datos, y lo que ayuda: parar a tiempo, L2, dropout, menos unidades",
        "initialization": "por qué los pesos empiezan así: las malas escalas se desvanecen, se saturan o se desbordan; las de Glorot y He no",
        "activations": "cada función de activación y su derivada, con los núcleos de la propia biblioteca, revisadas por diferencias finitas",
        "optimizers": "cada optimizador sobre la función de Beale y sobre una silla de montar, en imágenes que se mueven, y una tabla con MNIST",
        "mnist-softmax": "hasta dónde llega una sola capa: regresión softmax, 7,850 números",
        "mnist-mlp": "lo que agregan dos capas ocultas con dropout: la red del ejemplo de Keras",
        "filters": "qué es una convolución: filtros clásicos, equivarianza y la matriz de bandas que hay detrás, en imágenes",
        "mnist-cnn": "lo que agrega la convolución: dos capas de 3 x 3, la red del ejemplo de Keras",
        "lenet5": "la clásica: LeNet-5, con 61,706 números",
        "fashion-cnn": "una red pequeña con imágenes más difíciles: ropa, 87,274 números, normalización por lotes e imágenes reflejadas",
        "mnist-best": "lo que agregan el aumento de datos y la normalización por lotes: una variante nueva de cada dígito en cada época",
        "kaggle-digits": "participar en un concurso: entra train.csv, sale submission.csv, y una décima parte se aparta para saber cuánto vale",
        "unrolled-convolution": "una convolución como producto de matrices, junto a ciclos y a la de pynn; la red de 2006 ante dígitos",
        "big-mlp": "lo que otros dígitos en cada época hacen por un perceptrón sin convoluciones: 1000-500, girados y deformados",
        "lrn-cifar": "lo que aporta la normalización local de respuestas: una red con ella y sin ella, probada con diez vistas",
        "inception-cifar": "los módulos de GoogLeNet ante fotografías, con dos cabezas en el camino, junto a una red simple del mismo costo",
        "cifar-cnn": "fotografías: la red pequeña de Krizhevsky de 2010 junto a otra con normalización por lotes, reflejos y recortes",
        "kmeans-features": "una capa sin etiquetas: K-means sobre parches blanqueados, y encima un clasificador lineal",
        "cots": "unidades que comparten su campo de visión se vuelven un solo producto denso: pesos por segundo conforme crecen los bloques",
        "two-stages": "lo que importa en una etapa: aprender los filtros, la rectificación, la normalización del contraste, la clase de pooling",
        "cat-neuron": "tres etapas aprendidas sin etiquetas; ¿hay una unidad para cada clase de cosas?",
        "rnn-topologies": "tres redes recurrentes: una salida en cada paso, salidas que regresan, una sola salida al final",
        "lstm-memory": "sumar dos de 100 números: una LSTM lo aprende, una red recurrente simple apenas (0.167 es no saber nada)",
        "imdb-lstm": "una red que lee: una LSTM sobre las últimas 80 palabras de una reseña, como en el ejemplo de Keras",
        "imdb-best": "el orden de las palabras casi no importa: la media de los vectores de palabras y de pares de palabras le gana a la LSTM",
        "char-rnn": "una red que escribe: dos LSTM aprenden las obras de Shakespeare, carácter por carácter",
        "word2vec": "vectores aprendidos de puro texto: analogías, vecinas, qué tan cerca de queen queda king - man + woman, un mapa",
        "localist-distributed": "lo aprendido de unas palabras vale para otras donde las palabras son vectores, no donde cada una tiene su neurona",
        "autoencoder": "dígitos a través de 32 números y de regreso, junto a las componentes principales; y a través de 2, que son un mapa",
        "denoising-conv-autoencoder": "sacar dígitos del ruido: un autocodificador convolucional que reduce la imagen a la mitad dos veces y la devuelve",
        "dbm": "una máquina de Boltzmann profunda 784-500-1000: rasgos sin etiquetas, una cota de log P, dígitos que sueña, etiquetas",
        "pretraining": "pocas etiquetas, muchas imágenes: preentrenamiento no supervisado contra pesos iniciales al azar, con cinco semillas",
        "audio-mlp-1": "un mal resultado y su razón: un perceptrón multicapa sobre las muestras de dígitos hablados",
        "audio-mlp-2": "el mismo perceptrón sobre estadísticas de los MFCC: buenos rasgos en vez de más capas",
        "audio-cnn": "los cuadros de MFCC como imagen: una red convolucional pequeña oye cuándo llega un sonido, no solo cuál",
        "connections": "diez redes de 1960 a 2014 contadas a tamaño completo, sin sus pesos: conexiones por neurona y neuronas",
        "rosenblatt": "una máquina de 20 x 20 fotoceldas: un perceptrón distingue figuras con unidades conectadas al azar",
        "outliers": "dos males de la regresión: valores atípicos que jalan la recta y entradas colineales cuyos pesos no significan nada",
        "decision-regions": "qué encierran una, dos y tres capas: un semiplano, una región convexa, una región en pedazos con un hueco",
        "neocognitron": "células que se organizan solas: cinco dígitos reconocidos dondequiera que estén, y un lector de MNIST encima",
        "invariances": "dos caminos a la invarianza: pooling sobre lugares vecinos, y sobre filtros que aprendieron dígitos girados",
        "best-stimuli": "qué buscan las capas de una red entrenada: para cada unidad, la imagen que más la excita",
    },
    "measure": {
        "test accuracy": "exactitud en la prueba",
        "XNOR by three neurons": "XNOR con tres neuronas",
        "patterns per weight where half can be separated": "patrones por peso donde la mitad se puede separar",
        "largest gap between measured and predicted excess error": "mayor diferencia entre el exceso de error medido y el previsto",
        "test R2": "R2 en la prueba",
        "accuracy with Gaussian bases": "exactitud con bases gaussianas",
        "least accuracy of 16 units": "la menor exactitud con 16 unidades",
        "mini-batch accuracy": "exactitud con minilotes",
        "best remedy's accuracy": "exactitud del mejor remedio",
        "lesser accuracy of Glorot's with tanh, He's with ReLU": "la menor exactitud entre Glorot con tanh y He con ReLU",
        "derivatives that hold": "derivadas que se cumplen",
        "test accuracy on MNIST of the best": "exactitud de prueba con MNIST del mejor",
        "statements that hold": "enunciados que se cumplen",
        "speed of blocks of 256 beside single units": "velocidad de bloques de 256 junto a unidades sueltas",
        "classes whose best unit beats the best of a random network": "clases cuya mejor unidad le gana a la mejor de una red al azar",
        "lowest test accuracy": "la menor exactitud en la prueba",
        "test error of the LSTM": "error de la LSTM en la prueba",
        "validation loss": "pérdida de validación",
        "analogies right": "analogías acertadas",
        "unseen words told right": "palabras no vistas bien clasificadas",
        "error with 32 numbers": "error con 32 números",
        "error after denoising": "error después de quitar el ruido",
        "accuracy with 1,000 labels": "exactitud con 1,000 etiquetas",
        "networks counted": "redes contadas",
        "test accuracy with 2,048 association units": "exactitud en la prueba con 2,048 unidades de asociación",
        "error of the slope with Huber's loss": "error de la pendiente con la pérdida de Huber",
        "accuracy of three layers on the region in pieces": "exactitud de tres capas en la región en pedazos",
        "test accuracy of a reader on self-organized features": "exactitud en la prueba de un lector sobre rasgos autoorganizados",
        "accuracy of three pooled filters on rotated digits": "exactitud de tres filtros con pooling en dígitos girados",
        "classes whose best stimulus is taken for theirs": "clases cuyo mejor estímulo se toma por el suyo",
    },
    "data": {
        "scikit-learn's digits (extra demo)": "los dígitos de scikit-learn (extra demo)",
        "truth tables": "tablas de verdad",
        "random patterns of 4 x 4 points": "patrones al azar de 4 x 4 puntos",
        "letters of 4 x 4 points; MNIST (11 MB: --data, PYNN_DATA, or a download)": "letras de 4 x 4 puntos; MNIST (11 MB: --data, PYNN_DATA o una descarga)",
        "made on the spot": "hechos en el momento",
        "scikit-learn's diabetes data (extra demo)": "los datos de diabetes de scikit-learn (extra demo)",
        "scikit-learn's breast cancer data (extra demo)": "los datos de cáncer de mama de scikit-learn (extra demo)",
        "points made on the spot: two moons": "puntos hechos en el momento: dos lunas",
        "points made on the spot": "puntos hechos en el momento",
        "MNIST (11 MB: --data, PYNN_DATA, or a download)": "MNIST (11 MB: --data, PYNN_DATA o una descarga)",
        "drawn on the spot": "dibujados en el momento",
        "Fashion-MNIST (30 MB: --data, PYNN_DATA, or a download)": "Fashion-MNIST (30 MB: --data, PYNN_DATA o una descarga)",
        "Kaggle's Digit Recognizer: train.csv and test.csv in --data": "Digit Recognizer de Kaggle: train.csv y test.csv en --data",
        "CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)": "CIFAR-10 (170 MB: --data, PYNN_DATA o una descarga)",
        "IMDB's 50,000 reviews (84 MB: --data, PYNN_DATA, or a download)": "50,000 reseñas de IMDB (84 MB: --data, PYNN_DATA o una descarga)",
        "Tiny Shakespeare (1.1 MB: --data, PYNN_DATA, or a download)": "Tiny Shakespeare (1.1 MB: --data, PYNN_DATA o una descarga)",
        "text8 if --data has it, else IMDB's 50,000 reviews (84 MB: --data, PYNN_DATA, or a download); questions-words.txt": "text8 si está en --data; si no, 50,000 reseñas de IMDB (84 MB: --data, PYNN_DATA o una descarga); questions-words.txt",
        "Free Spoken Digit Dataset (16 MB: --data or PYNN_DATA)": "Free Spoken Digit Dataset (16 MB: --data o PYNN_DATA)",
        "none": "ninguno",
        "shapes drawn on the spot": "figuras dibujadas al momento",
        "digits drawn on the spot; MNIST (11 MB: --data, PYNN_DATA, or a download)": "dígitos dibujados al momento; MNIST (11 MB: --data, PYNN_DATA o una descarga)",
    },
}


def told(kind: str, text: str, key: str = "") -> str:
    """Return what a recipe says in the language that is set; English where it is not translated.

    Parameters
    ----------
    kind : {"shows", "measure", "data"}
    text : str
        In English.
    key : str, optional
        Of what a recipe shows, its name.
    """
    from pynn.language import language

    return text if language() == "en" else TRANSLATED[kind].get(key or text, text)
