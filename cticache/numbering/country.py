"""How the numbers of one country are written, so that ``+1 555..``, ``001555..`` and ``1555..`` are one number.

A country's trunk prefix, its international prefix and the lengths of its national numbers come from phonenumberslite.
The parser of that library is not used: it asks whether a number is assigned, and would treat a fictional one such as
1234567890 differently from others. Here only lengths decide.
"""

import re
from dataclasses import dataclass, field

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, REGION_CODE_FOR_NON_GEO_ENTITY, PhoneMetadata

_REGIONS = {
    str(code): regions[0]  # the main region, where several share a code
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
    if regions[0] != REGION_CODE_FOR_NON_GEO_ENTITY
}
_MOST_DIGITS = 15
"""Most digits of an international number, its calling code included (E.164 section 6.2.1)."""
_FEWEST_DIGITS = 8
"""Fewest digits of an international number without a plus: fewer may be a local number or an extension."""
_INTERNATIONAL = re.compile(r"(?:\+|\+?00)([1-9][0-9]*)")  # no calling code starts with 0

_WITHHELD = "withheld: it has no number"
_OWN = "a number of this country, by its calling code"
_NATIONAL = "a national number: without its trunk prefix, after the calling code"
_FOREIGN = "a number of another country, after 00"
_OTHER = "an extension, a short code or no full number: the digits as they are"


@dataclass(frozen=True, slots=True)
class Country:
    """How numbers are written in the country of a calling code; make one by ``Country.of``.

    Countries are equal when their calling codes are. The canonical form of a number is the calling code and the
    national number when it is one of this country, 00 and the number when it is one of another country, and else
    its digits. The first of these rules that fits decides:

    1. A plus or 00, and then a digit other than 0: an international number. It is of this country when a national
       number follows the calling code, else of another country if it has at most 15 digits.
    2. The calling code and a national number, even if that might be a national number as a whole: of this country.
    3. A national number: of this country.
    4. The country's own international prefix, such as 011, before 8 to 15 digits: as with a plus.
    5. At least 8 digits, and a length that no national or local number has: international without its plus.
    6. Anything else: the digits as they are, because extensions, emergency numbers and short codes must not change.

    A national number has one of the country's possible lengths, after or without the trunk prefix. Where that prefix is
    0, one zero is removed whenever the rest has such a length and does not begin with a zero; another trunk prefix,
    such as Russia's 8, is removed only when the whole has no such length. Italy and others have no trunk prefix, and
    keep their leading 0. A plus before a 0 means nothing.
    """

    code: str
    """The calling code, such as ``1`` or ``44``."""
    trunk: str = field(compare=False)
    """What is dialled before a national number without being part of it; empty where there is no such prefix."""
    prefix: str = field(compare=False)
    """What is dialled before an international number; empty where that is 00 or depends on the carrier."""
    lengths: frozenset[int] = field(compare=False)
    """How many digits a national number may have."""
    foreign: frozenset[int] = field(compare=False)
    """How many digits only a number of another country can have, its calling code included."""

    @classmethod
    def of(cls, code: str) -> "Country":
        """The country of a calling code; ValueError when there is none."""
        region = _REGIONS.get(code)
        metadata = PhoneMetadata.metadata_for_region(region) if region else None
        if not metadata or not metadata.general_desc:
            raise ValueError(
                f"{code!r} is no country's calling code: give its digits without a plus, such as 1, 44 or 852"
            )
        lengths = frozenset(metadata.general_desc.possible_length)
        longer = range(max(_FEWEST_DIGITS, min(lengths) + 1), _MOST_DIGITS + 1)
        prefix = metadata.international_prefix or ""
        return cls(
            code,
            metadata.national_prefix or "",
            prefix if prefix.isdigit() and prefix != "00" else "",  # it may be a pattern
            lengths,
            frozenset(longer) - lengths - frozenset(metadata.general_desc.possible_length_local_only),
        )

    def canonical(self, written: str) -> str:
        """The one form of a number as ``numbering.ani.written`` gives it: 1 to 32 digits, or empty when withheld.

        It is its own canonical form.
        """
        return self.read(written)[1]

    def read(self, written: str) -> tuple[str, str]:
        """What kind of number this was taken for, in plain words, and its canonical form."""
        if not written:
            return _WITHHELD, written
        if international := _INTERNATIONAL.fullmatch(written):
            number = international[1]
            if own := self._after_code(number):
                return _OWN, own
            if len(number) <= _MOST_DIGITS:
                return _FOREIGN, "00" + number
        digits = written.removeprefix("+")
        if own := self._after_code(digits):
            return _OWN, own
        if national := self._national(digits):
            return _NATIONAL, self.code + national
        if self.prefix and digits.startswith(self.prefix):
            number = digits.removeprefix(self.prefix)
            if _FEWEST_DIGITS <= len(number) <= _MOST_DIGITS and number[0] != "0":
                return self.read("+" + number)
        if len(digits) in self.foreign and digits[0] != "0":
            return _FOREIGN, "00" + digits
        return _OTHER, digits

    def _after_code(self, digits: str) -> str:
        """The calling code and the national number after it; empty when the digits are something else."""
        if not digits.startswith(self.code):
            return ""
        national = self._national(digits[len(self.code) :])
        return self.code + national if national else ""

    def _national(self, digits: str) -> str:
        """The national number without its trunk prefix; empty when the digits are something else."""
        bare = digits.removeprefix(self.trunk)
        if self.trunk != "0":
            likely, other = digits, bare
        elif bare.startswith("0"):  # if it lost one zero, it would lose the next when it is read again
            likely = other = digits
        else:
            likely, other = bare, digits
        if len(likely) in self.lengths:
            return likely
        return other if len(other) in self.lengths else ""
