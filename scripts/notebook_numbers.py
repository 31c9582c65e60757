"""Compare the outputs of notebooks as a reader would: numbers may differ by one in the last digit that is written.

The last bits of a floating-point number depend on the processor and on the libraries for linear algebra, and now and
then one of them decides how a digit is rounded or a tie is broken. Nothing else may differ.
"""

import re

# A number that is not part of a word, with its sign. In 2-3 there is no negative number.
NUMBER = re.compile(r"(?<![\w.])((?<!\d)[+\-−])?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?:[eE]([+-]?\d+))?(?!\w)")
RELATIVE = 1e-3


class Written(str):
    """A text that equals another one whose words are the same and whose numbers are nearly the same.

    Numbers with decimals may differ by one in the last place that both have, all numbers by a thousandth. So whole
    numbers below a thousand must be equal. How many blanks stand between words does not matter: tables are padded.
    """

    __hash__ = None

    def __eq__(self, other):
        """Compare words and numbers."""
        if not isinstance(other, str):
            return NotImplemented
        if str.__eq__(self, other):
            return True
        ours, theirs = list(NUMBER.finditer(self)), list(NUMBER.finditer(other))
        return _words(self) == _words(other) and all(map(_near, ours, theirs))

    def __ne__(self, other):
        """Negate `__eq__`, for that of `str` does not."""
        return not self == other


def _words(text: str) -> list[str]:
    return [word for word in NUMBER.sub("#", text).split(" ") if word]


def _near(one: re.Match, other: re.Match) -> bool:
    (a, unit_a), (b, unit_b) = _number(one), _number(other)
    unit = max(unit_a, unit_b)
    return abs(a - b) <= max(1.0001 * unit if unit < 1 else 0, RELATIVE * min(abs(a), abs(b)))


def _number(match: re.Match) -> tuple[float, float]:
    """Return a number and the worth of one in its last place."""
    sign, whole, decimals, power = match.groups()
    scale = 10.0 ** int(power or 0)
    value = float(whole.replace(",", "") + (decimals or "")) * scale
    return -value if sign in ("-", "−") else value, scale * 10.0 ** -(len(decimals or ".") - 1)
