"""Benchmarks: `pytest bench/` prints tables of medians and of ratios in the same run.

Nothing here asserts a time. What is asserted is that the contenders agree on the results.

    pytest bench/                              everything that is installed, some minutes
    LAMINA_BENCH_SMOKE=1 pytest bench/         every benchmark once, small, lamina and NumPy only
    LAMINA_BENCH_PEERS=numpy,torch ...         only these peers
    LAMINA_BENCH_THREADS=1 ...                 only these numbers of threads (default: 1,2)
    LAMINA_BENCH_JSON=results.json ...         also writes every sample to that file
    python -m bench.table results.json         the tables of such a file, in Markdown
    python -m bench.worker epoch torch 1       one job by hand (see worker.py)

A peer is measured if it is installed, and named in the summary if it is not. Importing this
package, or its modules `harness`, `peers` and `report`, imports neither NumPy nor lamina: threads
must be limited before that.
"""
