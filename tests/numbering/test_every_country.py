"""What holds in the countries of all calling codes, for numbers of every type that phonenumberslite knows."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

from cticache.numbering.ani import canonical
from cticache.numbering.country import _REGIONS, Country

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "cases" / "numbers.jsonl").read_text("utf-8").splitlines()
]
"""Each two spellings of one caller, after public reports of faults in other software, which ``source`` names."""
CODES = sorted(_REGIONS)
TYPES = [
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "personal_number",
    "voip",
    "pager",
    "uan",
    "voicemail",
]
TWO_MEANINGS = {
    "468123456": "Stockholm, or Lund by its area code 46",
    "4918012345": "a shared-cost number, or Leer by its area code 491",
    "4916412345": "a pager, or Leer",
    "4918500123456": "a company's number, or Leer",
    "5540041234": "a shared-cost number, or Santa Maria by its area code 55",
    "62218350123": "Jakarta, or Pematangsiantar by its area code 622",
    "841992000": "a company's number, or a mobile number that begins with 84",
}
"""Numbers with their calling code but no plus that are national numbers, too, and read as these."""


class Sample(NamedTuple):
    """A national number, and how numbers are dialled in its region."""

    code: str
    number: str
    trunk: str
    prefix: str

    def spellings(self) -> Iterator[tuple[str, str]]:
        """How it may be written, and the way by its name."""
        yield "a plus", f"+{self.code}{self.number}"
        yield "00", f"00{self.code}{self.number}"
        yield "no plus", f"{self.code}{self.number}"
        yield "national", self.number
        if self.trunk:
            yield "a trunk prefix", f"{self.trunk}{self.number}"
            yield "a trunk prefix after the code", f"+{self.code}{self.trunk}{self.number}"
        if self.prefix:
            yield "an international prefix", f"{self.prefix}{self.code}{self.number}"
        if self.number.startswith(self.code):
            yield "its own code first", self.number


def samples(count: int) -> Iterator[Sample]:
    """For each region and type of numbers the example, and so many others of that type, the same each time."""
    chance = random.Random(1)
    for region in (region for code in CODES for region in COUNTRY_CODE_TO_REGION_CODE[int(code)]):
        metadata = PhoneMetadata.metadata_for_region(region)
        assert metadata
        code = str(metadata.country_code)
        prefix = (metadata.preferred_international_prefix or metadata.international_prefix or "").replace("~", "")
        dialled = metadata.national_prefix or "", prefix if prefix.isdigit() and prefix != "00" else ""
        for kind in filter(None, (getattr(metadata, name) for name in TYPES)):
            if example := kind.example_number:
                pattern = (
                    rf"(?=(?:{metadata.general_desc.national_number_pattern})$)"
                    rf"(?:{kind.national_number_pattern})"
                )
                yield from (Sample(code, number, *dialled) for number in _like(example, pattern, count, chance))


def _like(example: str, expression: str, count: int, chance: random.Random) -> list[str]:
    if not count:
        return [example]
    pattern = re.compile(expression)
    found = {example: None}
    for _ in range(20 * count):
        if len(found) > count:
            break
        digits = list(chance.choice(list(found)))
        for at in chance.sample(range(len(digits)), min(chance.randint(1, 5), len(digits))):
            digits[at] = chance.choice("0123456789")
        if pattern.fullmatch("".join(digits)):
            found["".join(digits)] = None
    return list(found)


EXAMPLES = list(dict.fromkeys(samples(0)))


@pytest.mark.parametrize("case", CASES)
def test_two_spellings_of_a_caller_from_the_reports_are_one(case: dict[str, str]) -> None:
    country = Country.of(case["country_code"])
    assert case["want"] == "one caller"
    assert canonical(case["posted"], country) == canonical(case["asked"], country)


@pytest.mark.parametrize("code", CODES)
def test_every_spelling_of_an_example_number_is_one_caller(code: str) -> None:
    country = Country.of(code)
    examples = [sample for sample in EXAMPLES if sample.code == code]
    assert examples
    for sample in examples:
        form = country.canonical(f"+{code}{sample.number}")
        assert form.removeprefix("+") == code + sample.number
        for way, spelling in sample.spellings():
            assert (country.canonical(spelling) == form) == (way != "no plus" or spelling not in TWO_MEANINGS), way


def test_almost_every_spelling_of_every_number_is_one_caller(long: bool) -> None:
    right, all_of = Counter[str](), Counter[str]()
    of_each = 60 if long else 20
    for sample in samples(of_each):
        country = Country.of(sample.code)
        form = country.canonical(f"+{sample.code}{sample.number}")
        assert form.removeprefix("+") == sample.code + sample.number
        for way, spelling in sample.spellings():
            all_of[way] += 1
            right[way] += country.canonical(spelling) == form
    assert all_of["a plus"] > 1000 * of_each
    assert all_of["its own code first"] > 5 * of_each
    shares = {way: right[way] / all_of[way] for way in all_of}
    least = dict.fromkeys(all_of, 0.999) | {"no plus": 0.99, "national": 0.995, "its own code first": 0.995}
    assert not {way: share for way, share in shares.items() if share < least[way]}


@pytest.mark.parametrize("code", CODES)
def test_examples_of_two_countries_are_never_one_caller(code: str) -> None:
    """In no country, in none of the spellings that say which country is meant."""
    country = Country.of(code)
    owners: dict[str, str] = {}
    for sample in EXAMPLES:
        number = sample.code + sample.number
        spellings = [f"+{number}", f"00{number}", country.prefix + number if country.prefix else f"+{number}"]
        if sample.code == code:
            spellings += [spelling for way, spelling in sample.spellings() if way != "no plus"]
        for spelling in spellings:
            assert owners.setdefault(country.canonical(spelling), number) == number, spelling


@pytest.mark.parametrize("code", CODES)
def test_the_canonical_form_of_whatever_digits_is_its_own(code: str) -> None:
    country = Country.of(code)
    chance = random.Random(code)
    starts = ["", "0", "00", code, country.trunk, country.prefix, code + country.trunk, country.prefix + code]
    starts += [sample.number for sample in EXAMPLES if sample.code == code]
    for start, length, plus in product(dict.fromkeys(starts), range(1, 21), ("", "+")):
        digits = (start + "".join(chance.choices("0123456789", k=20)))[:length]
        form = country.canonical(plus + digits)
        assert country.canonical(form) == form, plus + digits
