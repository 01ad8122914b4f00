"""The training jobs, and how each peer's users would run them when they care for speed.

jobs.py says what is trained on what; by_*.py say how, one peer each: `train(job, x, y, timed)`
returns predict, predict(rows) giving one score a row and class. It calls timed(epoch) once, epoch()
being one pass over the data, or, where a library insists on counting the epochs itself, reports
them to timed. Adam (0.001, 0.9, 0.999, 1e-7), cross-entropy, rows in a new random order every
epoch, the partial last batch kept; all get the same float32 rows. Compilation falls into the first
epoch, which is reported apart.
"""
