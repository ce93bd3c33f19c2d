"""Where the tests are: in a checkout, or in a folder with the few files that they need beside an installed cticache."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = (ROOT / ".ci").is_dir()
