"""Prometheus and its promtool, of Debian's package prometheus, on a free port of the loopback."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import yaml

from kit.checkout import ROOT
from kit.samples import PASSWORD
from kit.servers import free_port
from kit.serving import WAIT_S, until

DEPLOY = ROOT / "scripts" / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"


def found(name: str) -> str:
    """Where this program is; LookupError, which says how to get it, where it is not."""
    path = shutil.which(name)
    if not path:
        raise LookupError(f"{name} is not installed; on Debian: apt-get install prometheus")
    return path


def promtool(*arguments: str) -> str:
    """What it says; AssertionError where it finds fault."""
    done = subprocess.run([found("promtool"), *arguments], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Alert(NamedTuple):
    """A rule that fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        """Whether it serves."""
        try:
            with urlopen(f"{self.url}/-/ready", timeout=WAIT_S) as answer:
                return bool(answer.status == 200)
        except (URLError, ConnectionError):
            return False

    def value(self, expression: str) -> float | None:
        """Of the first series that the expression finds now; None where there is none."""
        found = self._asked(f"query?query={quote(expression)}")["result"]
        return float(found[0]["value"][1]) if found else None

    def alerts(self) -> dict[str, Alert]:
        """The rules that fire, by name."""
        return {
            each["labels"]["alertname"]: Alert(each["labels"], each["annotations"])
            for each in self._asked("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def _asked(self, path: str) -> Any:
        with urlopen(f"{self.url}/api/v1/{path}", timeout=WAIT_S) as answer:
            return json.load(answer)["data"]


@contextmanager
def watching(folder: Path, port: int, user: str) -> Iterator[Prometheus]:
    """Prometheus on the committed configuration and rules, every second, for a service on this port."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    job["basic_auth"]["username"] = user
    (folder / job["basic_auth"]["password_file"]).write_text(PASSWORD + "\n", "utf-8")
    shutil.copy(RULES, folder)
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    own = free_port()
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder / 'figures'}", "--log.level=warn"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [found("prometheus"), *options, f"--web.listen-address=127.0.0.1:{own}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        prometheus = Prometheus(own)
        until(lambda: process.poll() is not None or prometheus.is_ready())
        assert process.poll() is None, (folder / "prometheus.log").read_text("utf-8")
        yield prometheus
    finally:
        process.terminate()
        process.wait(WAIT_S)
