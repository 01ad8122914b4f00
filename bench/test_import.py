"""What it costs to have lamina: time and memory of an import, size on disk, loading MNIST."""

from . import harness, peers

# Prints the seconds of the import, and by how many MB it raised the peak of the resident memory.
# Not getrusage: on Linux its peak survives exec, so it starts at that of the parent process.
CODE = """
import time
{before}

def peak():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000
    except OSError:
        return float("nan")

memory, start = peak(), time.perf_counter()
import {package}
print(time.perf_counter() - start, peak() - memory)
"""


def importable() -> list[str]:
    return [name for name in peers.present() if peers.PEERS[name].packages]


def test_import(report, plan):
    packages = {"lamina": "lamina"} | {name: peers.PEERS[name].packages[0] for name in importable()}
    times = {name: [] for name in packages}
    memory = {name: [] for name in packages}
    # The first round finds the files on disk, the others in memory: it does not count.
    for turn, name in enumerate(harness.alternating(list(packages), plan.imports + 1)):
        before = "" if name == "numpy" else "import numpy"
        code = CODE.format(before=before, package=packages[name])
        seconds, megabytes = map(float, harness.run_python("-c", code).split())
        if turn >= len(packages):
            times[name].append(seconds)
            memory[name].append(megabytes)
    for name in packages:
        report.add("import", "time", name, 1, times[name])
        if memory[name][0] == memory[name][0]:  # NaN where there is no /proc
            report.add("import", "peak memory added", name, 1, memory[name], unit="MB")


def test_size(report):
    lamina = peers.Peer("lamina", "lamina", ("lamina",))
    data = peers.mnist_file().stat().st_size
    report.add("size", "without data", "lamina", 1, [(lamina.size() - data) / 1e6], unit="MB")
    report.add("size", "MNIST", "lamina", 1, [data / 1e6], unit="MB")
    for name in importable():
        report.add("size", "without data", name, 1, [peers.PEERS[name].size() / 1e6], unit="MB")


def test_load_data(report):
    for record in harness.run_worker("load_data", "lamina,numpy", 1):
        report.add("data", record["case"], record["contender"], 1, record["samples"])
