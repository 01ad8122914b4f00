"""Benchmarks: `pytest bench/` prints tables of medians and of ratios in the same run.

Nothing here asserts a time. What is asserted is that the contenders agree on the results, and that
what is trained learns. Kernels are shown as shares of what the machine can do, which a small C++
program (probe.cpp) asks it in the same run. What lamina is meant to reach is in targets.py.

    pytest bench/                              everything that is installed, some 30 minutes
    pytest bench/ -k gemm                      a part: mnist, dense, cnn, wide, crowded,
                                               fit_options, gemm, conv, kernels, predict,
                                               load_data, import
    LAMINA_BENCH_SMOKE=1 pytest bench/         every benchmark once, small, lamina and NumPy only
    LAMINA_BENCH_PEERS=numpy,torch ...         only these peers
    LAMINA_BENCH_THREADS=1 ...                 only these numbers of threads (default: 1,2)
    LAMINA_BENCH_JSON=results.json ...         also writes every sample to that file
    LAMINA_BENCH_COMPARE=old.json ...          also compares with such a file
    LAMINA_BENCH_PLOT=results.png ...          also draws the ratios, with matplotlib
    python -m bench.table results.json ...     the tables of such files, in Markdown;
                                               with --into docs/performance.md, in there
    python -m bench.worker epoch torch 1       one job by hand (see worker.py)
    python -m bench.cartpole                   the loops of examples/cartpole_*.py, and with PyTorch

A peer is measured if it is installed, and named in the summary if it is not. Importing this
package, or its modules `harness`, `peers` and `report`, imports neither NumPy nor lamina: threads
must be limited before that.
"""
