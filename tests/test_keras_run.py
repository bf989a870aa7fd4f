"""Scripts whose imports mean pynn: the hook, the runner, and the graph and sessions of TensorFlow 1."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from digits_as_mnist import digits_as_mnist

from pynn.keras import hook, runner
from pynn.keras import tensorflow as tf


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return digits_as_mnist(tmp_path_factory.mktemp("data"), 1300, 250)


@pytest.fixture
def run(tmp_path, capsys, data, monkeypatch):
    """Run a script's text; returns what it printed, or its names if they are asked for."""
    monkeypatch.setenv("PYNN_DATA", str(data))

    def call(text, *argv, names=False, **options):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        try:
            found = runner.run_script(str(path), argv, **options)
        finally:
            hook.uninstall()
        return found if names else capsys.readouterr().out

    yield call
    tf.reset_default_graph()
    tf.enable_eager_execution()


SOFTMAX = """
    from tensorflow.examples.tutorials.mnist import input_data
    import tensorflow as tf

    mnist = input_data.read_data_sets("MNIST_data/", one_hot=True, validation_size=100)
    x = tf.placeholder(tf.float32, [None, 784])
    W = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable(tf.zeros([10]))
    y = tf.nn.softmax(tf.matmul(x, W) + b)
    y_ = tf.placeholder(tf.float32, [None, 10])
    cost = tf.reduce_mean(-tf.reduce_sum(y_ * tf.log(y), reduction_indices=[1]))
    step = tf.train.GradientDescentOptimizer(0.5).minimize(cost)
    sess = tf.InteractiveSession()
    {init}
    for _ in range(120):
        images, labels = mnist.train.next_batch(100)
        sess.run(step, feed_dict={{x: images, y_: labels}})
    right = tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1))
    accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
    first = sess.run(accuracy, feed_dict={{x: mnist.test.images, y_: mnist.test.labels}})
    assert accuracy.eval({{x: mnist.test.images, y_: mnist.test.labels}}) == first
"""


@pytest.mark.parametrize("init", ["tf.global_variables_initializer().run()", "sess.run(tf.initialize_all_variables())"])
def test_the_softmax_regression_of_the_lectures_learns(run, init):
    names = run(SOFTMAX.format(init=init), names=True)
    assert names["first"] > 0.85
    assert names["mnist"].train.images.shape == (1200, 784)
    assert names["mnist"].validation.labels.shape == (100, 10)
    assert names["y"].get_shape().as_list() == [None, 10]


def test_a_step_of_descent_is_that_of_the_formula(run):
    names = run(
        """
        import numpy as np
        import tensorflow.compat.v1 as tf
        tf.disable_v2_behavior()
        rng = np.random.default_rng(0)
        a, t = rng.normal(size=(5, 3)).astype("float32"), rng.normal(size=(5, 2)).astype("float32")
        x, y = tf.placeholder("float", [None, 3]), tf.placeholder("float", [None, 2])
        w = tf.Variable(tf.ones([3, 2]), name="w")
        frozen = tf.Variable(2.0, trainable=False)
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w) * frozen - y))
        slope = tf.gradients(loss, [w, x])
        rate = tf.placeholder(tf.float32)
        count = tf.Variable(0, trainable=False)
        step = tf.train.GradientDescentOptimizer(rate).minimize(loss, global_step=count)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            feed = {x: a, y: t, rate: 0.1}
            before, slopes = sess.run([loss, slope], feed)
            value, nothing = sess.run((loss, step), feed)
            after, counted, still = sess.run({"w": w, "n": count, "f": frozen}).values()
        """,
        names=True,
    )
    a, t = names["a"], names["t"]
    error = 2 * (a @ np.ones((3, 2), "f")) - t
    dw = 2 * 2 * a.T @ error / error.size
    np.testing.assert_allclose(names["before"], (error**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(names["slopes"][0], dw, rtol=1e-4)
    np.testing.assert_allclose(names["slopes"][1], 4 * error @ np.ones((2, 3), "f") / error.size, rtol=1e-4)
    assert names["value"] == names["before"], "the loss is that before the step"
    assert names["nothing"] is None
    np.testing.assert_allclose(names["after"], 1 - 0.1 * dw, rtol=1e-4)
    assert (names["counted"], names["still"]) == (1, 2)


def test_a_multilayer_perceptron_with_adam_and_dropout_learns(run):
    names = run(
        """
        import tensorflow as tf
        from tensorflow.examples.tutorials.mnist import input_data
        mnist = input_data.read_data_sets("nowhere", validation_size=0)
        x, y = tf.placeholder(tf.float32, [None, 784]), tf.placeholder(tf.int64, [None])
        keep = tf.placeholder(tf.float32)
        def layer(x, n_in, n_out):
            w = tf.Variable(tf.truncated_normal([n_in, n_out], stddev=0.1))
            return tf.nn.bias_add(tf.matmul(x, w), tf.Variable(tf.constant(0.1, shape=[n_out])))
        hidden = tf.nn.dropout(tf.nn.relu(layer(x, 784, 40)), keep)
        logits = layer(hidden, 40, 10)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))
        train = tf.train.AdamOptimizer(0.005).minimize(loss)
        accuracy = tf.reduce_mean(tf.cast(tf.nn.in_top_k(logits, y, 1), tf.float32))
        saver = tf.train.Saver()
        with tf.Session(config=tf.ConfigProto(log_device_placement=False)) as sess:
            sess.run(tf.global_variables_initializer())
            while mnist.train.epochs_completed < 6:
                images, labels = mnist.train.next_batch(50)
                train.run(feed_dict={x: images, y: labels, keep: 0.8})
            test = {x: mnist.test.images, y: mnist.test.labels, keep: 1.0}
            first = accuracy.eval(test)
            path = saver.save(sess, PATH)
            sess.run(tf.global_variables_initializer())
            spoilt = accuracy.eval(test)
            saver.restore(sess, path)
            again = accuracy.eval(test)
        """.replace("PATH", "__file__ + '.ckpt'"),
        names=True,
    )
    assert names["first"] > 0.9
    assert names["spoilt"] < 0.5
    assert names["again"] == names["first"]


def test_a_run_says_what_is_missing_in_its_feed(run):
    head = "import tensorflow as tf\nx = tf.placeholder(tf.float32, [None, 3], name='x')\ny = tf.reduce_sum(x)\n"
    with pytest.raises(ValueError, match=r"\[session\] expected a value for the placeholder 'x:0'"):
        run(head + "tf.Session().run(y)")
    with pytest.raises(ValueError, match=r"expected values of shape \(None, 3\).*Received: shape=\(2, 4\)"):
        run(head + "tf.Session().run(y, {x: [[1, 2, 3, 4], [1, 2, 3, 4]]})")
    with pytest.raises(TypeError, match=r"has no value before a session runs it"):
        run(head + "if y > 0: pass")


THREE = {
    2016: """
        from keras.datasets import mnist
        from keras.models import Sequential
        from keras.layers.core import Dense, Dropout, Activation, Flatten
        from keras.layers.convolutional import Convolution2D, MaxPooling2D
        from keras.optimizers import RMSprop
        from keras.utils import np_utils
        (x, y), (xt, yt) = mnist.load_data()
        x = x.reshape(x.shape[0], 28, 28, 1).astype("float32") / 255
        xt = xt.reshape(xt.shape[0], 28, 28, 1).astype("float32") / 255
        y, yt = np_utils.to_categorical(y, 10), np_utils.to_categorical(yt, 10)
        model = Sequential()
        model.add(Convolution2D(8, 5, 5, border_mode="valid", subsample=(2, 2), input_shape=(28, 28, 1)))
        model.add(Activation("relu"))
        model.add(MaxPooling2D(pool_size=(2, 2)))
        model.add(Flatten())
        model.add(Dropout(0.1))
        model.add(Dense(output_dim=10, init="glorot_uniform"))
        model.add(Activation("softmax"))
        model.compile(loss="categorical_crossentropy", optimizer=RMSprop(lr=0.01), metrics=["accuracy"])
        model.fit(x, y, batch_size=32, nb_epoch=50, verbose=0, validation_data=(xt, yt))
        score = model.evaluate(xt, yt, verbose=0)
    """,
    2019: """
        import tensorflow as tf
        from tensorflow.keras import layers
        tf.random.set_seed(1)
        (x, y), (xt, yt) = tf.keras.datasets.mnist.load_data()
        data = tf.data.Dataset.from_tensor_slices((x, y)).map(lambda a, b: (tf.cast(a, tf.float32) / 255.0, b))
        data = data.cache().shuffle(2000).batch(32).prefetch(tf.data.experimental.AUTOTUNE)
        model = tf.keras.Sequential([
            layers.Flatten(input_shape=(28, 28)), layers.Dense(40, activation="relu"), layers.Dense(10)])
        model.compile(optimizer=tf.keras.optimizers.Adam(lr=0.005), metrics=["accuracy"],
                      loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(data, epochs=50, verbose=0)
        score = model.evaluate(xt / 255.0, yt, verbose=0)
    """,
    2024: """
        import numpy as np
        import keras
        from keras import layers, ops
        keras.utils.set_random_seed(1)
        (x, y), (xt, yt) = keras.datasets.mnist.load_data()
        x, xt = x.astype("float32"), xt.astype("float32")

        class Halves(layers.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)
                self.units = units

            def build(self, input_shape):
                self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform")

            def call(self, inputs):
                z = ops.matmul(inputs, self.kernel)
                return ops.concatenate([ops.relu(z), ops.relu(-z)], axis=-1)

        inputs = keras.Input((28, 28))
        h = ops.reshape(inputs / 255, (-1, 784))
        h = Halves(20)(h)
        outputs = layers.Dense(10, activation="softmax")(h)
        model = keras.Model(inputs, outputs)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=32, epochs=50, verbose=0)
        score = model.evaluate(xt, yt, verbose=0)
    """,
}


@pytest.mark.parametrize("year", THREE)
def test_scripts_of_three_dialects_learn(run, year):
    names = run(THREE[year], names=True, epochs=4)
    assert names["score"][1] > 0.8
    assert len(names["model"].history.history["loss"]) == 4, "fewer epochs, from outside"


def test_epochs_and_rows_are_cut_from_outside(run):
    text = """
        from keras.datasets import mnist
        (x, y), (xt, yt) = mnist.load_data()
        epochs = 12
        NB_EPOCH = nb = 7
        turns = [epoch for epoch in range(3)]
        for epoch in range(1, 100):
            print(epoch, end=" ")
        for other in range(3):
            print(other, end=" ")
        print(epochs, NB_EPOCH, len(turns), len(x), len(xt))
    """
    assert run(text, epochs=2, rows=30).strip() == "1 2 0 1 2 2 7 3 30 30"
    assert run(text).endswith("99 0 1 2 12 7 3 1300 250\n")


def test_names_that_numpy_dropped_are_there_while_a_script_runs(run):
    text = "import numpy as np; print(np.zeros(2, dtype=np.float).dtype, np.Inf, np.product([2, 3]))"
    assert run(text) == "float64 inf 6\n"
    assert "Inf" not in vars(np)


def test_names_that_scipy_dropped_are_there_while_a_script_runs(run, tmp_path):
    scipy = pytest.importorskip("scipy")
    pytest.importorskip("PIL")
    text = f"""
        import numpy as np, scipy
        from scipy.misc import imread, imresize
        x = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        scipy.misc.imsave({str(tmp_path / "a.png")!r}, x)
        print((imread({str(tmp_path / "a.png")!r}) == x).all(), imread({str(tmp_path / "a.png")!r}, mode="L").shape)
        scipy.misc.imsave({str(tmp_path / "b.bmp")!r}, x * 2.0 - 4)
        print(imread({str(tmp_path / "b.bmp")!r})[1, 1].tolist(), imread({str(tmp_path / "b.bmp")!r}, True).dtype)
        print(imresize(x, (4, 6)).shape, imresize(x, 50).shape, imresize(x[..., 0], 3.0, "nearest")[:, 0].tolist())
        for wrong in (lambda: imresize(x, 2.0, "cubical"), lambda: imresize(x[None], 2.0)):
            try:
                wrong()
            except ValueError as error:
                print(error)
    """
    lines = run(text).splitlines()
    assert lines[:2] == ["True (2, 2)", "[209, 232, 255] float32"]
    assert lines[2] == "(4, 6, 3) (1, 1, 3) [0, 0, 0, 6, 6, 6]"
    assert "nearest name: 'cubic'" in lines[3] or "cubic" in lines[3]
    assert lines[4].endswith("Received: shape=(1, 2, 2, 3).")
    assert not hasattr(sys.modules["scipy.misc"], "imsave"), scipy.__version__


def test_a_script_is_main_and_has_its_arguments(run):
    text = "import sys\nif __name__ == '__main__': print(sys.argv[1:], __file__ == sys.argv[0])"
    assert run(text, "--epochs", "3") == "['--epochs', '3'] True\n"


NAMES = {
    "keras": "pynn.keras",
    "keras.layers.convolutional": "pynn.keras.layers",
    "keras.utils.np_utils": "pynn.keras.utils",
    "tensorflow.keras.preprocessing.sequence": "pynn.keras.preprocessing.sequence",
    "tensorflow.python.keras.layers": "pynn.keras.layers",
    "keras.src.datasets.mnist": "pynn.keras.datasets.mnist",
    "tensorflow": "pynn.keras.tensorflow",
    "tensorflow.compat.v1": "pynn.keras.tensorflow",
    "tensorflow.examples.tutorials.mnist.input_data": "pynn.keras.tensorflow.mnist.input_data",
    "keras.layers.nothing": None,
    "keras.runner": None,
    "keras.hook": None,
    "numpy": None,
}


@pytest.mark.parametrize(("name", "real"), NAMES.items())
def test_names_of_old_are_found(name, real):
    assert hook.real_name(name) == real


WRONG = {
    "from keras.layers import Dese": r"not in pynn: keras\.layers\.Dese; nearest: Dense; used by: line 3",
    "import keras.applications.nasnet": r"not in pynn: keras\.applications\.nasnet; .*; used by: line 3",
    "import tensorflow as tf; tf.GradientTape()": r"not in pynn: tensorflow\.GradientTape; .*pynn\.grad.*line 3",
    "import tensorflow as tf; tf.placehoder(1)": r"not in pynn: tensorflow\.placehoder; nearest: placeholder.*line 3",
    "import tensorflow as tf; tf.ragged.constant([[1]])": r"not in pynn: tensorflow\.ragged; pad sequences",
    "import tensorflow as tf; tf.nn.ctc_loss": r"not in pynn: tensorflow\.nn\.ctc_loss",
    "import tensorflow.fft": r"not in pynn: tensorflow\.fft",
    "from keras import ops; ops.summ": r"not in pynn: keras\.ops\.summ; nearest: sum; used by: line 3",
    "from keras import ops; ops.sum([1], axiss=0)": r"\[sum\] unknown keyword argument.*did you mean axis=",
    "from keras.preprocessing.text import Tokenizer; Tokenizer(num_word=3)": r"did you mean num_words=",
    "from keras.utils import get_file; get_file('none', 'http://host/none')": r"\[get_file\] expected the file 'none'",
}


@pytest.mark.parametrize(("line", "message"), WRONG.items())
def test_what_is_not_there_is_named_with_its_line(run, line, message):
    with pytest.raises((AttributeError, ImportError, NotImplementedError, TypeError, ValueError), match=message):
        run(f"# a script\nimport numpy\n{line}\n")


def test_try_and_except_find_another_way(run):
    text = """
        try:
            from keras.layers.nowhere import Dense
        except ImportError:
            from keras.layers import Dense
        try:
            from tensorflow.keras.layers import NoSuch
        except ImportError:
            NoSuch = Dense
        import keras
        print(NoSuch.__name__, hasattr(keras, "nothing"))
    """
    assert run(text) == "Dense False\n"


def test_imports_mean_what_is_installed_again_afterwards(run):
    run("import keras, tensorflow")
    assert not any(name.partition(".")[0] in ("keras", "tensorflow") for name in sys.modules)
    assert hook._finder not in sys.meta_path


def test_the_command_tells_the_scripts_own_lines(tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text("import keras\n\nkeras.layers.Dense(3, unit=4)\n")
    command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "pynn.keras"]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "wrong.py" in done.stderr
    assert "line 3" in done.stderr
    assert "layer.py" not in done.stderr, "lines of the library are left out"
    script.write_text("from keras.layers import Dens\n")
    done = subprocess.run([*command, str(script)], capture_output=True, text=True)
    assert done.stderr == "not in pynn: keras.layers.Dens; nearest: Dense; used by: line 1 of wrong.py\n"
    done = subprocess.run([*command, "--epochs", "0", str(script)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected an integer of 1 or more" in done.stderr
