import tensorflow as tf
from tensorflow.examples.tutorials.mnist import input_data

mnist = input_data.read_data_sets("MNIST_data/", one_hot=True)

x = tf.placeholder(tf.float32, [None, 784])
target = tf.placeholder(tf.float32, [None, 10])
W = tf.Variable(tf.zeros([784, 10]))
b = tf.Variable(tf.zeros([10]))
z = tf.matmul(x, W) + b

losses = tf.nn.softmax_cross_entropy_with_logits_v2(
    labels=target, logits=z)
loss = tf.reduce_mean(losses)
step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
right = tf.equal(tf.argmax(z, 1), tf.argmax(target, 1))
accuracy = tf.reduce_mean(tf.cast(right, tf.float32))

with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(1000):
        xs, ys = mnist.train.next_batch(100)
        session.run(step, {x: xs, target: ys})
    print(session.run(accuracy, {
        x: mnist.test.images, target: mnist.test.labels}))
