"""Serve predictions over HTTP, from threads: FastAPI in front of one model.

python examples/serve.py [--port 8000]      train, and serve until Ctrl-C
python examples/serve.py --try              train, ask from eight threads at once, and stop

A model may predict in any number of threads at the same time, and a call releases the GIL. FastAPI
runs functions that are not `async` in a pool of threads, so none waits for another. It listens on
this machine alone: put a server that knows TLS and logins in front before others may ask.
"""

import argparse
import json
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
import uvicorn
from fastapi import Body, FastAPI

import lamina as la
from lamina.datasets import mnist

app = FastAPI(title="Digits")
model = la.Sequential([
    la.layers.Input((784,)),
    la.layers.Rescaling(1 / 255),
    la.layers.Dense(128, activation="relu"),
    la.layers.Dense(10, activation="softmax"),
])  # fmt: skip


# 784 numbers from 0 to 255, row by row. FastAPI answers 422 by itself to anything else.
@app.post("/digit")
def digit(pixels: Annotated[list[float], Body(min_length=784, max_length=784)]) -> dict:
    probabilities = model(np.array([pixels], "float32"))[0]
    return {"digit": int(probabilities.argmax()), "probability": float(probabilities.max())}


def ask(port, image):
    body = json.dumps(image.reshape(-1).tolist()).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/digit", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["digit"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--rows", type=int, default=60000, help="images to train on")
    parser.add_argument("--try", action="store_true", dest="once", help="ask, and stop")
    options = parser.parse_args()
    (x, y), (images, _) = mnist.load_data()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[: options.rows].reshape(-1, 784), y[: options.rows], epochs=2)

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    # A socket of our own is ready before the server is: those who come early wait.
    with socket.create_server(("127.0.0.1", 0 if options.once else options.port)) as listening:
        port = listening.getsockname()[1]
        print(f"POST a list of 784 numbers, as JSON, to http://127.0.0.1:{port}/digit")
        if not options.once:
            return server.run(sockets=[listening])
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda image: ask(port, image), images[:200]))
        server.should_exit = True
        thread.join()
    alone = model.predict(images[:200].reshape(-1, 784), verbose=0).argmax(axis=1)
    print(f"{np.sum(answers == alone)} of 200 answers are those of predict")


if __name__ == "__main__":
    main()
