# noqa: N999
"""For PyInstaller: what comes along with a program that imports lamina.

PyInstaller follows import statements. It does not see the subpackages that lamina imports by name,
when they are first used, nor the data set that is read from a file.
"""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules


def _in_a_program(name: str) -> bool:
    return "__pyinstaller" not in name


hiddenimports = collect_submodules("lamina", filter=_in_a_program)
datas = collect_data_files("lamina", excludes=["py.typed", "**/*.pyi"])
