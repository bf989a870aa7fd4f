# %% model
import numpy as np
import pynn
from pynn import nn

(x, y), (x_test, y_test) = pynn.datasets.digits()
model = nn.Sequential([
    nn.Input((8, 8)),
    nn.Flatten(),
    nn.Dense(32, "relu"),
    nn.Dense(10, "softmax"),
])
model.compile("adam", "cross_entropy", seed=0)
model.fit(x, y, epochs=20, verbose=0)
model.save("digits.pynn", include_optimizer=False)

# %% service
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

served = pynn.load("digits.pynn")
predict = served.predict_fn()
predict(np.zeros((1, 8, 8), "float32"))


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            rows = np.asarray(json.loads(body)["x"], "float32")
            answer, status = {"probabilities": predict(rows).tolist()}, 200
        except (KeyError, TypeError, ValueError) as error:
            answer, status = {"error": f"{type(error).__name__}: {error}"}, 400
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


# %% start
import threading

server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"

# %% call
import urllib.error
import urllib.request


def ask(content):
    request = urllib.request.Request(
        url, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


said = ask({"x": x_test[:2].tolist()})
print(np.argmax(said["probabilities"], axis=1), y_test[:2])

# %% wrong
print(ask({"x": [[1, 2, 3]]}))
print(ask({"image": []}))

# %% threads
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor(8) as pool:
    answers = list(
        pool.map(
            lambda i: ask({"x": x_test[i : i + 1].tolist()})["probabilities"][0],
            range(64),
        )
    )
print(np.allclose(answers, model.predict(x_test[:64]), atol=1e-6))

# %% stop
server.shutdown()
server.server_close()
