"""The certified truth of one row of logits, to any number of digits.

Every value comes as an enclosure with integer ends that are rounded outward (`interval`), from an exp and a log with
proved error bounds (`elementary`), by formulas that lose no relative precision (`formulas`). No other library's
accuracy is relied on. More bits are taken until the enclosure is as narrow, or the digits are as certain, as asked
(Ziv's loop); `formulas` says why that ends.
"""

from smcli.reference.arbitrary.asked import Asked
from smcli.reference.arbitrary.decimal import decimal_of
from smcli.reference.arbitrary.interval import Enclosure
from smcli.reference.arbitrary.reduced import reduced, reduced_rounded, reduced_triple
from smcli.reference.arbitrary.row import ExactRow

__all__ = ["Asked", "Enclosure", "ExactRow", "decimal_of", "reduced", "reduced_rounded", "reduced_triple"]
