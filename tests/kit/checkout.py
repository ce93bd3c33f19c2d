"""Where the tests are: in a checkout, or in a folder with the few files that they need beside an installed cticache."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = (ROOT / ".ci").is_dir()


def script(path: str) -> ModuleType:
    """A new module of this file under scripts/, which is no package."""
    file = ROOT / "scripts" / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
