"""What the machine, other libraries and number formats do not give: threads, cores, alignment, and
scalars that float32 has not."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import _core, initializers, layers, optimizers

LINUX = sys.platform.startswith("linux")


def run(script: str, *arguments: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    kept["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's: starts threads when it is imported
    out = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert out.returncode == 0, (out.returncode, out.stderr)
    return out.stdout


# ---- threads that cannot be had -----------------------------------------------------------------

WORK_SCRIPT = """
import hashlib, os, sys
import numpy as np
import lamina as la

la.set_num_threads(8, oversubscribe=True)
x = np.random.default_rng(0).random((512, 64), dtype=np.float32)
la.utils.set_random_seed(0)
model = la.Sequential([la.Input((64,)), la.layers.Dense(64, "tanh"), la.layers.Dense(64)])
model.compile("adam", "mse")

def work():
    model.fit(x, x, epochs=2, verbose=0)
    bytes = model.predict(x, verbose=0).tobytes() + la.kernels.gemm(x, x, trans_b=True).tobytes()
    return hashlib.sha256(bytes).hexdigest()[:16], len(os.listdir("/proc/self/task"))
"""

# No more than LIMIT threads: what pthread_create says where a user may have no more.
REFUSE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static int alive;
typedef struct { void* (*run)(void*); void* argument; } job;

static void* counted(void* p) {
  job j = *(job*)p;
  free(p);
  void* result = j.run(j.argument);
  __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
  return result;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* arg) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
  const char* limit = getenv("LIMIT");
  if (limit && __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST) > atoi(limit)) {
    __atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    return EAGAIN;
  }
  job* j = malloc(sizeof *j);
  j->run = run;
  j->argument = arg;
  return real(thread, how, counted, j);
}
"""


@pytest.fixture(scope="module")
def refusing(tmp_path_factory):
    """The path of a library, to be loaded before others, that refuses threads beyond LIMIT."""
    if shutil.which("cc") is None or not LINUX:
        pytest.skip("needs a C compiler and LD_PRELOAD")
    folder = tmp_path_factory.mktemp("refuse")
    (folder / "refuse.c").write_text(REFUSE)
    command = ["cc", "-shared", "-fPIC", "-o", folder / "refuse.so", folder / "refuse.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return str(folder / "refuse.so")


@pytest.fixture(scope="module")
def digest():
    return run(WORK_SCRIPT + "print(work()[0])").strip()


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 13])
def test_where_no_more_threads_can_be_started_work_goes_on_with_fewer(refusing, digest, limit):
    """libgomp would end the process: Thread creation failed."""
    script = WORK_SCRIPT + "print(*work())"
    got, threads = run(script, LD_PRELOAD=refusing, LIMIT=str(limit)).split()
    assert got == digest
    assert int(threads) == 1 + min(limit, 7)


@pytest.mark.skipif(not LINUX, reason="limits and /proc are Linux's")
@pytest.mark.parametrize("more", [0, 2])
def test_a_limit_of_processes_of_a_user_is_kept(digest, more):
    """Set by a user who is not root, since it does not hold for root."""
    script = (
        WORK_SCRIPT
        + """
import resource
if os.getuid() == 0:
    resource.setrlimit(resource.RLIMIT_NPROC, (1 + int(sys.argv[1]),) * 2)
    os.setresuid(64123, 64123, 64123)  # nobody else's
else:
    mine = sum(len(os.listdir(f"/proc/{p}/task")) for p in os.listdir("/proc")
               if p.isdigit() and os.stat(f"/proc/{p}").st_uid == os.getuid())
    resource.setrlimit(resource.RLIMIT_NPROC, (mine + int(sys.argv[1]),) * 2)
print(*work())
"""
    )
    got, threads = run(script, str(more)).split()
    assert got == digest
    if os.getuid() == 0:
        assert int(threads) == 1 + more


@pytest.mark.skipif(not LINUX, reason="limits and /proc are Linux's")
def test_too_little_memory_for_stacks_means_fewer_threads(digest):
    """8 MB of address space a stack; the sizes of the last are too large for any machine."""
    script = (
        WORK_SCRIPT
        + """
import resource
model.fit(x[:2], x[:2], verbose=0)  # on one thread: imports what fit needs
la.utils.set_random_seed(0)
model = la.Sequential([la.Input((64,)), la.layers.Dense(64, "tanh"), la.layers.Dense(64)])
model.compile("adam", "mse")
model.build()
pages = int(open("/proc/self/statm").read().split()[0])
taken = pages * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (30 << 20),) * 2)
print(*work())
"""
    )
    got, threads = run(script, MALLOC_ARENA_MAX="1").split()
    assert got == digest
    assert 1 <= int(threads) < 8
    for variable in ("OMP_STACKSIZE", "GOMP_STACKSIZE"):
        script = WORK_SCRIPT + "print(*work())"
        assert run(script, **{variable: "100000G"}).split() == [digest, "8"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_children_of_fork_have_threads_and_are_told_how_many(digest):
    script = (
        WORK_SCRIPT
        + """
import signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork() beside threads
la.kernels.gemm(x, x, trans_b=True)  # the parent's threads are there

def child():
    signal.alarm(60)  # a hang must not outlive the test
    alone = len(os.listdir("/proc/self/task"))
    print(alone, la.get_num_threads(), *work())
    la.set_num_threads(3, oversubscribe=True)
    print(la.get_num_threads())
    if len(sys.argv) == 1:
        sys.argv.append("grandchild")
        forked(child)
    sys.stdout.flush()

def forked(f):
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        status = 1
        try:
            f()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

la.utils.set_random_seed(0)
forked(child)
"""
    )
    lines = run(script).splitlines()
    assert lines[:2] == [f"1 8 {digest} 8", "3"]
    assert lines[2].split()[:2] == ["1", "3"] and lines[2].split()[3] == "3"


def test_a_region_within_a_region_of_a_child_has_one_thread():
    script = """
import os, signal
import numpy as np
import lamina as la
from lamina import _core

def forward(x, training):
    seen.append(la.get_num_threads())
    return x

seen = []
la.set_num_threads(2, oversubscribe=True)
if (pid := os.fork()) == 0:
    signal.alarm(60)
    host = _core.host_layer("h", lambda s: s, forward, lambda dy, x: (dy, []), [])
    dense = _core.dense("d", 64, "tanh", 0.0, True)
    runner = _core.Runner(_core.Network((64,), [dense, host]), "predict", 512)
    runner.predict(np.ones((512, 64), np.float32), np.empty((512, 64), np.float32))
    os._exit(0 if seen == [1] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(script) == "0\n"


# ---- how many cores there are, and who may say so -----------------------------------------------


def threads_of(**environment: str) -> int:
    return int(run("import lamina as la; print(la.get_num_threads())", **environment))


def test_omp_num_threads_counts_after_lamina_num_threads():
    cores = threads_of()
    assert threads_of(OMP_NUM_THREADS="1") == 1
    assert threads_of(OMP_NUM_THREADS="1,4") == 1  # by level of nesting
    assert threads_of(OMP_NUM_THREADS="1", LAMINA_NUM_THREADS=str(cores)) == cores
    assert threads_of(OMP_NUM_THREADS="99999") == cores
    for nothing in ("", "0", "-1", "many"):
        assert threads_of(OMP_NUM_THREADS=nothing) == cores


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/", {}, 0),
        ("0::/", {"cpu.max": "max 100000"}, 0),
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "300000 100000"}, 2),
        ("0::/not/here", {"cpu.max": "50000 100000"}, 1),  # the host's path, seen in a container
        (
            "4:memory:/\n3:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"},
            3,
        ),
        (
            "3:cpuacct,cpu:/a/b\n0::/",
            {
                "cpu/a/b/cpu.cfs_quota_us": "-1",
                "cpu/a/b/cpu.cfs_period_us": "100000",
                "cpu/cpu.cfs_quota_us": "400000",
                "cpu/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        ("5:cpuset:/a", {"cpu/a/cpu.cfs_quota_us": "1", "cpu/a/cpu.cfs_period_us": "1"}, 0),
    ],
)
def test_quotas_of_control_groups(tmp_path, groups, files, cores):
    for name, text in {f"sys/fs/cgroup/{k}": v for k, v in files.items()}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups + "\n")
    assert _core.quota_cores(str(tmp_path)) == cores


def test_workers_of_joblib_use_what_joblib_asks():
    pytest.importorskip("joblib")
    script = """
import joblib
def f(i):
    import lamina as la
    return la.get_num_threads()
if __name__ == "__main__":
    print(set(joblib.Parallel(2)(joblib.delayed(f)(i) for i in range(4))))
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        print(set(joblib.Parallel(1 + 1)(joblib.delayed(f)(i) for i in range(4))))
"""
    lines = run(script, LOKY_MAX_CPU_COUNT="2").splitlines()
    assert lines == ["{1}", "{1}"]


@pytest.mark.parametrize("first", ["lamina", "threadpoolctl"])
def test_threadpoolctl_limits_our_threads(first):
    pytest.importorskip("threadpoolctl")
    script = f"""
import {first}, sys
import lamina as la
assert ("threadpoolctl" in sys.modules) == ({first!r} == "threadpoolctl")
import threadpoolctl
la.set_num_threads(3, oversubscribe=True)
ours = [i for i in threadpoolctl.threadpool_info() if i["internal_api"] == "lamina"]
assert len(ours) == 1 and ours[0]["num_threads"] == 3 and ours[0]["version"] == la.__version__
la.set_num_threads(la.get_num_threads())
before = la.get_num_threads()
for user_api in None, "openmp":
    with threadpoolctl.threadpool_limits(limits=1, user_api=user_api):
        assert la.get_num_threads() == 1
    assert la.get_num_threads() == before
with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
    assert la.get_num_threads() == before
assert not [f for f in sys.meta_path if type(f).__module__.startswith("lamina")]
print("limited")
"""
    assert run(script) == "limited\n"


def test_a_missing_threadpoolctl_stays_missing():
    script = """
import sys
import lamina
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "threadpoolctl":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(1, Hide())
for _ in range(2):
    try:
        import threadpoolctl
    except ModuleNotFoundError:
        print("missing")
"""
    assert run(script) == "missing\nmissing\n"


# ---- Ctrl-C while the package is imported -------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "numpy",
        "datetime",  # NumPy made an ImportError of this one
        "numpy.linalg",
        "lamina._core",
        "lamina.models",
    ],
)
def test_ctrl_c_during_the_import_is_a_keyboard_interrupt(name):
    script = f"""
import sys

class Key:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Key())
try:
    import lamina
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run(script) == "interrupted\n"


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_interrupt_that_became_an_import_error_is_one_again(link):
    script = f"""
import sys

class Fails:
    def find_spec(self, name, path=None, target=None):
        if name == "lamina._core":
            error = ImportError("initialization failed")
            error.{link} = KeyboardInterrupt()
            raise error

sys.meta_path.insert(0, Fails())
try:
    import lamina
except KeyboardInterrupt:
    print("interrupted")
"""
    assert run(script) == "interrupted\n"


# ---- memory that C++ may not touch --------------------------------------------------------------


def misaligned(a: np.ndarray) -> np.ndarray:
    memory = np.zeros(a.nbytes + 1, np.uint8)
    shifted = memory[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def packed(a: np.ndarray) -> np.ndarray:
    """As a field of records that begin with one byte."""
    records = np.zeros(len(a), np.dtype([("tag", "u1"), ("row", a.dtype, a.shape[1:])]))
    records["row"] = a
    return records["row"]


@pytest.mark.parametrize("shift", [misaligned, packed])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_misaligned_data_train_and_predict_alike(shift, dtype):
    rng = np.random.default_rng(0)
    x = (100 * rng.random((70, 6))).astype(dtype)
    y, w = rng.integers(0, 3, 70).astype(np.int32), rng.random(70, dtype=np.float32)
    results = []
    for change in (lambda a: a, shift):
        la.utils.set_random_seed(0)
        model = la.Sequential([la.Input((6,)), layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(change(x), change(y), sample_weight=change(w), epochs=2, verbose=0)
        model.set_weights([change(weight) for weight in model.get_weights()])
        few, many = change(x)[:2], change(x)
        results.append(
            [
                model.predict(few, verbose=0),
                model.predict(many, verbose=0),
                model(many),
                np.array(model.evaluate(change(x), change(y), verbose=0)),
            ]
        )
    for a, b in zip(*results, strict=True):
        assert_bits(np.asarray(a), np.asarray(b))


def test_a_runner_refuses_misaligned_arrays():
    network = _core.Network((4,), [_core.dense("d", 1, "linear", 0.0, True)])
    x, out = np.ones((8, 4), np.float32), np.ones((8, 1), np.float32)
    runner = _core.Runner(network, "predict", 8)
    with pytest.raises(ValueError, match="x must be aligned in memory"):
        runner.predict(misaligned(x), out)
    with pytest.raises(ValueError, match="out must be a contiguous, aligned"):
        runner.predict(x, misaligned(out))


# ---- scalars ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda v: layers.Rescaling(v), "scale"),
        (lambda v: layers.Rescaling(1, v), "offset"),
        (lambda v: layers.LeakyReLU(v), "negative_slope"),
        (lambda v: layers.ReLU(negative_slope=v), "negative_slope"),
        (lambda v: layers.ELU(v), "alpha"),
        (lambda v: layers.BatchNormalization(epsilon=v), "epsilon"),
        (lambda v: optimizers.SGD(v), "learning_rate"),
        (lambda v: optimizers.Adam(v), "learning_rate"),
        (lambda v: optimizers.Adam(epsilon=v), "epsilon"),
        (lambda v: setattr(optimizers.Adam(), "learning_rate", v), "learning_rate"),
        (lambda v: initializers.Constant(v), "value"),
        (lambda v: initializers.RandomNormal(v), "mean"),
        (lambda v: initializers.RandomNormal(stddev=v), "stddev"),
        (lambda v: initializers.TruncatedNormal(stddev=v), "stddev"),
        (lambda v: initializers.RandomUniform(maxval=v), "maxval"),
        (lambda v: initializers.RandomUniform(minval=-v), "minval"),
        (lambda v: initializers.VarianceScaling(v), "scale"),
        (lambda v: la.metrics.BinaryAccuracy(threshold=v), "threshold"),
        (lambda v: la.callbacks.EarlyStopping(min_delta=v), "min_delta"),
    ],
)
def test_scalars_that_float32_has_not_are_refused(make, argument):
    for value in (1e39, 1e300, 10**400, np.float64(3.5e38)):
        with pytest.raises(ValueError, match=rf"{argument}.* 3.4028235e\+38.*largest float32"):
            make(value)
    make(3.4028235e38)


def test_a_range_that_float32_has_not_is_refused():
    with pytest.raises(ValueError, match=r"maxval - minval must be at most 3.4028235e\+38"):
        initializers.RandomUniform(-3e38, 3e38)
    with pytest.raises(ValueError, match=r"class_weight\[1\] must be at most 3.4028235e\+38"):
        m = la.Sequential([la.Input((2,)), layers.Dense(2)])
        m.compile("sgd", "mse")
        m.fit(np.ones((2, 2)), np.ones((2, 2)), class_weight={1: 1e39}, verbose=0)


GROUPS_SCRIPT = """
import sys
import numpy as np
import lamina as la
from lamina import kernels

m, n, threads = map(int, sys.argv[1:])
k = 7169  # more blocks than are added in one chain: tiles have sums of groups in their scratch
a = np.random.default_rng(0).standard_normal((m, k), dtype="f4")
b = np.zeros((k, n), "f4")
b[:, 1344:1408] = 1  # the rest stays pages that nobody has touched
la.set_num_threads(1)
want = kernels.gemm(a, b)
la.set_num_threads(threads, oversubscribe=True)
assert la.get_num_threads() == threads
for _ in range(3):
    assert np.array_equal(kernels.gemm(a, b).view("u4"), want.view("u4"))
print("same bits")
"""


@pytest.mark.parametrize("n, threads", [(16129, 3), (16380, 5), (16200, 7)])
def test_workers_that_do_not_share_whole_strips_stay_in_their_scratch(n, threads):
    """A tile of 1365 columns was rounded up to 1408, its scratch was not."""
    command = [sys.executable, "-c", GROUPS_SCRIPT, "128", str(n), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout) == (0, "same bits\n"), done.stderr[-2000:]
