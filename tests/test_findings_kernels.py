"""Every quantity beside softmax and cross-entropy: how naive code fails, that it is told, that the remedy is right."""

from __future__ import annotations

import re

import numpy as np
import pytest

import smcli
from smcli import findings, methods
from smcli.model import Verdict

INF = float("inf")
WRONG = (Verdict.LOST, Verdict.INACCURATE)

# what fails: (the call, the method, the code, what the message says)
FAILS = {
    "entropy, 0·(−inf)": (lambda m, **o: smcli.compare([0, -800], quantities="entropy", methods=m, **o), "shifted", "SM303", "0·(−inf)"),
    "entropy of a masked class": (lambda m, **o: smcli.compare([0, -INF, 1], quantities="entropy", methods=m, **o), "naive", "SM303",
                                  "masked class 1"),
    "entropy of 0": (lambda m, **o: smcli.compare([0, -20], quantities="entropy", methods=m, dtype="float16", **o), "fused", "SM402",
                     "exactly 0"),
    "kl, q lost": (lambda m, **o: smcli.compare([0, -800], against=[0, 1], quantities="kl", methods=m, **o), "shifted", "SM303",
                   "divides by a probability that was lost"),
    "kl, p lost": (lambda m, **o: smcli.compare([0, 1], against=[0, -800], quantities="kl", methods=m, **o), "shifted", "SM303",
                   "0·(−inf)"),
    "kl, both masked, 0/0": (lambda m, **o: smcli.compare([0, -INF, 1], against=[1, -INF, 0], quantities="kl", methods=m, **o),
                             "shifted", "SM303", "p/q is 0/0 = nan at index 1, which is masked"),
    "kl, both masked, −inf + inf": (lambda m, **o: smcli.compare([0, -INF, 1], against=[1, -INF, 0], quantities="kl", methods=m, **o),
                                    "fused", "SM303", "−inf − (−inf) = nan at index 1, which is masked"),
    "kl, both lost": (lambda m, **o: smcli.compare([0, -800, 1], against=[1, -800, 0], quantities="kl", methods=m, **o), "shifted",
                      "SM303", "both probabilities were lost"),
    "kl, cancelled": (lambda m, **o: smcli.compare([1, 2], against=[1.0000001, 2], quantities="kl", methods=m, **o), "fused", "SM408",
                      "cancel"),
    "focal of 0": (lambda m, **o: smcli.compare([40, 0], target=0, quantities="focal", methods=m, **o), "fused", "SM402", "exactly 0"),
    "focal of sigmoids of 0": (lambda m, **o: smcli.compare([-120, 1], labels=[0, 1], quantities="focal", gamma=2, methods=m, **o),
                               "naive", "SM402", "exactly 0 is returned at index 0"),
    "focal, log of 0": (lambda m, **o: smcli.compare([0, -800], target=1, quantities="focal", methods=m, **o), "shifted", "SM303",
                        "log of 0"),
    "sigmoid": (lambda m, **o: smcli.compare([-12], quantities="sigmoid", methods=m, dtype="float16", **o), "naive", "SM201",
                "exp(12) is beyond float16"),
    "log-sigmoid": (lambda m, **o: smcli.compare([-800], quantities="log-sigmoid", methods=m, **o), "naive", "SM303", "log of 0"),
    "log-sigmoid of 0": (lambda m, **o: smcli.compare([40], quantities="log-sigmoid", methods=m, **o), "naive", "SM402", "exactly 0"),
    "signed logsumexp": (lambda m, **o: smcli.compare([1000, 0], coefficients=[1, -1], quantities="logsumexp", methods=m, **o),
                         "naive", "SM201", "exp(1000)"),
    "gradient of focal, γ < 1": (lambda m, **o: smcli.gradient([40, 0], target=0, quantities="focal", gamma=0.5, methods=m, **o),
                                 "shifted", "SM501", "q^(γ − 1)"),
    "gradient of entropy": (lambda m, **o: smcli.gradient([0, -800], quantities="entropy", methods=m, **o), "shifted", "SM501", "nan"),
    "gradient of kl": (lambda m, **o: smcli.gradient([0, -800], against=[0, 1], quantities="kl", methods=m, **o), "shifted", "SM501",
                       "nan"),
    "vjp": (lambda m, **o: smcli.gradient([1000, 0], cotangent=[1, 2], methods=m, **o), "naive", "SM501", "nan"),
}  # fmt: skip
NAMED = re.compile(r"\(method (\w+)\)(?:, in (\w+))?$")


@pytest.mark.parametrize("case", FAILS)
def test_a_failure_is_told_and_the_remedy_is_right(case):
    call, method, code, words = FAILS[case]
    report = call(method)
    (f,) = [f for f in report.findings if f.code == code]
    assert f.method == method and words in f.message, f.message
    (m,) = report.rows[0].results[0].methods
    assert np.isin(m.verdicts, WRONG).any() or code == "SM408"
    named = NAMED.search(f.remedy)
    wide = re.search(r"compute in (float\d+) and round", f.remedy)
    assert named or wide, f.remedy
    better, compute = (named[1], named[2]) if named else (method, wide[1])
    (mended,) = call(better, **({"compute": compute} if compute else {})).rows[0].results[0].methods
    assert not np.isin(mended.verdicts, WRONG).any()
    assert code not in {g.code for g in call(better, **({"compute": compute} if compute else {})).findings}


PAGES = {
    "SM201": ("sigmoid",),
    "SM204": ("perplexity",),
    "SM303": ("entropy", "divergence", "sigmoid", "focal"),
    "SM401": ("entropy", "focal"),
    "SM402": ("entropy", "focal", "sigmoid"),
    "SM406": ("coefficients",),
    "SM408": ("divergence", "KL"),
    "SM501": ("entropy", "divergence", "focal", "vector-Jacobian"),
}


@pytest.mark.parametrize("code", PAGES)
def test_the_page_speaks_of_the_quantity(code):
    assert all(word in findings.get(code).page for word in PAGES[code])


def test_what_the_pages_say_of_other_quantities_is_so():
    with np.errstate(all="ignore"):
        assert 1 / (1 + np.exp(np.float16(12))) == 0 and np.float16(1 / (1 + np.exp(12.0))) > 0
        assert np.exp(np.float32(88.73)) == np.inf and np.isfinite(np.exp(np.float32(88.72)))
        assert np.isnan(np.float64(0) * np.log(np.float64(0) / np.float64(0)))
        p = np.exp(-40.0) / (1 + np.exp(-40.0))
        assert (1 - (1 - p)) == 0 or 1 - p == 1  # what a focal loss multiplies by is 0
        assert np.float64(0) ** (0.5 - 1) == np.inf


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_nothing_is_lost_in_silence(dtype):
    rng = np.random.default_rng(len(dtype))
    rows = [[0, -120], [0, -INF, 1], [17, 0], [300, -300, 1], [0, -20], [-40, 3, 3]]
    careful = "naive,shifted,fused,log1p"
    for x in rows:
        other = rng.permutation(x).tolist()
        reports = [
            smcli.compare(x, quantities="entropy,sigmoid,log-sigmoid", methods=careful, dtype=dtype),
            smcli.compare(x, quantities="kl", against=other, methods=careful, dtype=dtype),
            smcli.compare(x, quantities="focal", target=0, gamma=0.5, methods=careful, dtype=dtype),
            smcli.compare(x, quantities="focal", labels=[1.0] + [0.0] * (len(x) - 1), methods=careful, dtype=dtype),
            smcli.gradient(x, quantities="focal", target=0, gamma=0.5, methods=careful, dtype=dtype),
            smcli.gradient(x, quantities="entropy", methods=careful, dtype=dtype),
            smcli.gradient(x, quantities="kl", against=other, reverse=True, methods=careful, dtype=dtype),
        ]
        for report in reports:
            told = {(f.method, f.quantity) for f in report.findings}
            for q in report.rows[0].results:
                for m in q.methods:
                    if np.isin(m.verdicts, WRONG).any():
                        assert (m.method, q.quantity) in told, (x, q.quantity, m.method, m.values)
    assert set(careful.split(",")) <= set(methods.formulas())
