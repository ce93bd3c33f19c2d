"""How the numbers of one country are written, so that ``+1 555..``, ``001555..`` and ``1555..`` are one number.

What is known of a country is its metadata in phonenumberslite: the prefixes that are dialled, and the lengths and
patterns of its national numbers. The parser of that library is not used: it asks whether a number is assigned, and
would treat a fictional one such as 1234567890 unlike others. Here a pattern only decides between two ways to read the
same digits; where none does, their length decides.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, REGION_CODE_FOR_NON_GEO_ENTITY, PhoneMetadata, PhoneNumberDesc

_REGIONS = {
    str(code): regions[0]  # the main one, where several share a code
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
    if regions[0] != REGION_CODE_FOR_NON_GEO_ENTITY
}
_MOST_DIGITS = 15
"""Of an international number, its calling code included (E.164 section 6.2.1)."""
_FEWEST_DIGITS = 8
"""Of one that is written without a plus: fewer may be a local number or an extension."""
_NOTHING = "(?!)"
_NO_FIXED_LINES = (
    "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan", "voicemail"
)  # fmt: skip

_WITHHELD = "withheld: it has no number"
_OWN = "a number of this country, by its calling code"
_NATIONAL = "a national number: without its trunk prefix, after the calling code"
_FOREIGN = "a number of another country, after a plus"
_OTHER = "an extension, a short code or no full number: the digits as they are"


@dataclass(frozen=True, slots=True)
class Country:
    """How numbers are written in the country of a calling code; make one by ``Country.of``.

    Countries are equal when their calling codes are. The canonical form of a number is the calling code and the
    national number if it is one of this country, a plus and the number if it is one of another country, and otherwise
    its digits. A short number of this country has the plus, too, where the digits alone would be read as another one.
    The first of these rules that fits decides:

    1. A plus before another digit than 0, the country's own international prefix such as 011, or 00: what follows is
       an international number. It is of this country when a national number follows the calling code; otherwise of
       another country if it has at most 15 digits and, after an own prefix, at least 8.
    2. The calling code and a national number, or a national number that begins like the calling code: the one of them
       that fits the country's pattern. If both do, it is the calling code if what follows is a mobile number; or if
       it is a freephone or premium number, and the whole is no mobile number. If neither does, it is the calling code.
    3. A national number: of this country.
    4. At least 8 digits and a length that no national and no local number has: international without its plus.
    5. Anything else: the digits as they are, as extensions, emergency numbers and other short codes must stay.

    A national number fits the country's pattern or has one of its possible lengths, after the trunk prefix or without
    it. That may be more than one prefix, and have a carrier's code in it, as in Brazil. The whole stays if it fits;
    otherwise the prefix goes if what is left does. If neither fits, lengths decide: a trunk prefix 0 goes whenever
    what is left has such a length and no zero in front; another one, such as the 8 of Russia, only if the whole has
    no such length. Italy and others have none, and their leading 0 stays. A plus before a 0, or before more than 15
    digits, means nothing.
    """

    code: str
    """The calling code, such as ``1`` or ``44``."""
    trunk: str = field(compare=False)
    """What is dialled before a national number and is not part of it; empty where there is no such prefix."""
    other_trunks: re.Pattern[str] | None = field(compare=False, repr=False)
    """What else may be dialled before it; None where that is nothing else."""
    rewritten: str = field(compare=False)
    """What stands for a match of ``other_trunks`` whose last group has matched; empty: nothing."""
    prefix: str = field(compare=False)
    """What is dialled before an international number; empty where that is 00 or depends on the carrier."""
    lengths: frozenset[int] = field(compare=False)
    """How many digits a national number may have."""
    longest: int = field(compare=False)
    """The most of them, but for fixed lines with an extension, as in Kosovo: any number with the code would be one."""
    foreign: frozenset[int] = field(compare=False)
    """How many digits only a number of another country has, its calling code included."""
    pattern: re.Pattern[str] = field(compare=False, repr=False)
    """What every national number fits."""
    mobile: re.Pattern[str] = field(compare=False, repr=False)
    service: re.Pattern[str] = field(compare=False, repr=False)
    """What freephone and premium numbers fit: they have blocks that no area code begins like."""

    @classmethod
    @cache
    def of(cls, code: str) -> "Country":
        """The country of a calling code; ValueError when there is none."""
        region = _REGIONS.get(code)
        metadata = PhoneMetadata.metadata_for_region(region) if region else None
        if not metadata or not metadata.general_desc:
            raise ValueError(
                f"{code!r} is no country's calling code: give its digits without a plus, such as 1, 44 or 852"
            )
        trunk, trunks = metadata.national_prefix or "", metadata.national_prefix_for_parsing or ""
        prefix = (metadata.preferred_international_prefix or metadata.international_prefix or "").replace("~", "")
        lengths = frozenset(metadata.general_desc.possible_length)
        others = [getattr(metadata, kind) for kind in _NO_FIXED_LINES]
        longer = range(max(_FEWEST_DIGITS, min(lengths) + 1), _MOST_DIGITS + 1)
        return cls(
            code,
            trunk,
            re.compile(trunks) if trunks != trunk else None,
            metadata.national_prefix_transform_rule or "",
            prefix if prefix.isdigit() and prefix != "00" else "",  # it may be a pattern
            lengths,
            max((length for kind in others if kind for length in kind.possible_length), default=max(lengths)),
            frozenset(longer) - lengths - frozenset(metadata.general_desc.possible_length_local_only),
            _pattern(metadata.general_desc),
            _pattern(metadata.mobile),
            _pattern(metadata.toll_free, metadata.premium_rate),
        )

    def canonical(self, written: str) -> str:
        """The one form of a number as ``numbering.ani.written`` gives it; empty when withheld.

        It is 1 to 32 digits, after a plus where the digits alone would be another number. It is its own canonical form.
        """
        return self.read(written)[1]

    def read(self, written: str) -> tuple[str, str]:
        """What kind of number it was taken for, in plain words, and its canonical form."""
        if not written:
            return _WITHHELD, written
        digits = written.removeprefix("+")
        found = None
        if digits[0] != "0" and digits != written:
            found = self._international(digits, 1)
        if not found and self.prefix and digits.startswith(self.prefix):
            found = self._international(digits[len(self.prefix) :], _FEWEST_DIGITS)
        if not found and digits.startswith("00") and not self._is_short_national(digits):
            found = self._international(digits[2:], 1)
        return found or self._without_plus(digits)

    def is_whole(self, written: str) -> bool:
        """Whether it is a number of this or of another country, and not just digits."""
        return self.read(written)[0] in (_OWN, _NATIONAL, _FOREIGN)

    def is_abroad(self, written: str) -> bool:
        """Whether it says by a plus or an international prefix that it is a number of another country."""
        kind, form = self.read(written) if written else ("", "")
        return kind == _FOREIGN and form != "+" + written

    def _international(self, number: str, fewest: int) -> tuple[str, str] | None:
        """As ``read``, of what follows a plus or an international prefix; None when it is no international number."""
        if number[:1] in ("", "0"):  # no calling code starts with 0
            return None
        if number.startswith(self.code):
            national, fits = self._national(number[len(self.code) :])
            if national:
                return _OWN, self._form(national, fits)
        return (_FOREIGN, "+" + number) if fewest <= len(number) <= _MOST_DIGITS else None

    def _without_plus(self, digits: str) -> tuple[str, str]:
        """As ``read``, of digits after neither a plus nor an international prefix."""
        if digits.startswith(self.code):
            rest = digits[len(self.code) :]
            national, fits = self._national(rest)
            if national and self._is_after_code(digits, rest, fits):
                return _OWN, digits if national == rest else self._form(national, fits)
        national, fits = self._national(digits)
        if national:
            return _NATIONAL, self._form(national, fits)
        if len(digits) in self.foreign and digits[0] != "0":
            return _FOREIGN, "+" + digits
        return _OTHER, digits

    def _is_short_national(self, digits: str) -> bool:
        """Whether digits that begin with 00 fit as a national number, and are few for one of another country."""
        return len(digits) < 2 + _FEWEST_DIGITS and self._national(digits)[1]

    def _form(self, national: str, fits: bool) -> str:
        """The canonical form of a number of this country; ``fits`` as ``_national`` says."""
        digits = self.code + national
        return digits if self._is_after_code(digits, national, fits) else "+" + digits

    def _is_after_code(self, digits: str, rest: str, rest_fits: bool) -> bool:
        """Whether ``digits`` are the calling code and ``rest``, and not a national number that begins like it."""
        if len(digits) > self.longest:
            return True
        whole, whole_fits = self._national(digits)
        if not (whole_fits and rest_fits):
            return not whole_fits
        is_mobile = self.mobile.fullmatch
        return bool(is_mobile(rest) or (self.service.fullmatch(rest) and not is_mobile(whole)))

    def _national(self, digits: str) -> tuple[str, bool]:
        """The national number without its trunk prefix, and whether it fits; empty when the digits are something else.

        It is its own national number.
        """
        fits = self.pattern.fullmatch
        if fits(digits):
            return digits, True
        bare = digits.removeprefix(self.trunk)
        if bare != digits and fits(bare):
            return bare, True
        other = self._without_other_trunk(digits)
        if other != digits and fits(other):
            return other, True
        if self.trunk != "0" and len(digits) in self.lengths:
            return digits, False
        for national in (bare, other):
            # What loses one of its zeros would lose the next one when it is read again.
            is_bare = national != digits and not (self.trunk == "0" and national.startswith("0"))
            if is_bare and len(national) in self.lengths:
                return self._national(national)
        return (digits if len(digits) in self.lengths else ""), False

    def _without_other_trunk(self, digits: str) -> str:
        """The digits without one of ``other_trunks``; as they are where they have none."""
        match = self.other_trunks.match(digits) if self.other_trunks else None
        if not match:
            return digits
        is_rewritten = self.rewritten and match[match.re.groups] is not None
        return (match.expand(self.rewritten) if is_rewritten else "") + digits[match.end() :]


def code_of_both(one: str, other: str) -> str:
    """The calling code of a country to which these digits are two spellings of one number; empty without one.

    It is looked for at the front of the longer ones, with 00 before it or not.
    """
    longer = max(one, other, key=len)
    for digits in dict.fromkeys((longer, longer.removeprefix("00"))):
        for code in {digits[:length] for length in (1, 2, 3)} & _REGIONS.keys():
            country = Country.of(code)
            if country.canonical(one) == country.canonical(other):
                return code
    return ""


def is_international(digits: str) -> bool:
    """Whether these are a calling code and, as far as that country's pattern tells, a national number of it.

    No calling code and national number have fewer than eleven digits here: ten may as well be a North American one.
    """
    codes = {digits[:length] for length in (1, 2, 3)} & _REGIONS.keys()
    return len(digits) > 10 and any(Country.of(code).pattern.fullmatch(digits[len(code) :]) for code in codes)


def _pattern(*kinds: PhoneNumberDesc | None) -> re.Pattern[str]:
    """What numbers of these kinds fit; nothing where there are none."""
    patterns = [kind.national_number_pattern for kind in kinds if kind]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns if pattern and pattern != "NA") or _NOTHING)
