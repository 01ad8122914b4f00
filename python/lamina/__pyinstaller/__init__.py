"""What PyInstaller asks for, by the entry point `pyinstaller40`: where the hook is."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    return [os.path.dirname(__file__)]
