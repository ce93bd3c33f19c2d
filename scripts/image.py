"""Builds the image of the service: ``python3 scripts/image.py``. Its wheels are for the Python that runs this."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, ready

DOCKERFILE = ROOT / "scripts" / "deploy" / "docker" / "Dockerfile"
_PYTHON = f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"


def build(base: str, tag: str) -> None:
    """Build the image on this base, which has this version of Python."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        _wheels(context)
        shutil.copy(DOCKERFILE, context)
        command = ["docker", "build", "--quiet", "--build-arg", f"BASE={base}", "--tag", tag, str(context)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _wheels(context: Path) -> None:
    """All that is installed, in wheels/, and the pip that installs it: a base may have none."""
    constraints = str(ROOT / "constraints.txt")
    pip = [str(ready()), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    environment = os.environ | {"PIP_CONSTRAINT": constraints}
    wheels = [*pip, "wheel", "--constraint", constraints, "--wheel-dir", str(context / "wheels"), str(ROOT)]
    subprocess.run(wheels, env=environment, check=True)
    subprocess.run([*pip, "download", "--no-deps", "--dest", str(context), "pip"], check=True)
    (found,) = context.glob("pip-*.whl")
    found.rename(context / "pip.whl")


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("The wheels are made for the system that this runs on: run it on Linux, under WSL, say.")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=_PYTHON, help=f"an image with this version of Python; else {_PYTHON}")
    parser.add_argument("--tag", default="cticache", help="the name of the image; else cticache")
    arguments = parser.parse_args()
    try:
        build(arguments.base, arguments.tag)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"The image could not be built; the lines above say why. {error}")
