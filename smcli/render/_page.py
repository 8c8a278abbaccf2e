"""What a page looks like: its style sheet, and the marks that say a verdict without colour."""

from __future__ import annotations

MARKS = {"correct": "✓", "ok": "≈", "inaccurate": "▲", "lost": "✗", "not-representable": "∅", "undefined": "?"}

COLOURS = """\
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1f2328; --soft: #59636e; --edge: #d1d9e0; --panel: #f6f8fa; --exact: #0550ae;
  --good: #116329; --warn: #7d4e00; --bad: #b3121d; --odd: #6639ba; --note: #0550ae;
  --s0: #d55e00; --s1: #0072b2; --s2: #009e73; --s3: #b0529a; --s4: #8a6d00; --s5: #0093b8; --s6: #6f4bb8; --s7: #7a4a2b;
  --truth: #aab4be; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --edge: #3d444d; --panel: #161b22; --exact: #79c0ff;
  --good: #7ee787; --warn: #e3b341; --bad: #ff8a80; --odd: #d2a8ff; --note: #79c0ff;
  --s0: #ff9142; --s1: #58b0ec; --s2: #35cf9f; --s3: #e592cf; --s4: #e0c341; --s5: #5fd3ec; --s6: #b39df3; --s7: #c99b78;
  --truth: #59636e; } }
"""

CHARTS = (
    COLOURS
    + """\
text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
.axis { fill: var(--soft); }
.grid { fill: none; stroke: var(--edge); stroke-width: 1; }
.band { fill: var(--panel); stroke: var(--edge); stroke-width: .5; }
.line { fill: none; stroke: var(--bad); stroke-width: 1.3; }
.truth { fill: var(--truth); }
.join { fill: none; stroke-width: 1.5; }
"""
    + "".join(f".s{k} {{ fill: var(--s{k}); }} .j{k} {{ stroke: var(--s{k}); }}\n" for k in range(8))
)

CSS = (
    CHARTS
    + """\
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 61rem; padding: 1.2rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.2rem; }
h2.row { margin-top: 2.6rem; padding-top: .6rem; border-top: 2px solid var(--edge); }
header p { margin: .1rem 0 0; color: var(--soft); }
code, td { font-family: ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", Consolas, monospace; }
code { font-size: .9em; }
.answer { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; margin: 1.2rem 0;
  font-family: ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", Consolas, monospace; font-size: .95rem; }
.answer dt { font-weight: 700; }
.answer dd { margin: 0; }
pre { overflow-x: auto; padding: .7rem 1rem; border: 1px solid var(--edge); border-radius: 6px; background: var(--panel); }
pre code { font-size: .85rem; }
.badge { display: inline-block; padding: 0 .6em; border: 1px solid currentColor; border-radius: 1em; font-size: .85rem;
  font-weight: 600; white-space: nowrap; }
.badge.error { background: #b3121d; border-color: #b3121d; color: #fff; }
.badge.warning { color: var(--warn); }
.badge.note { color: var(--note); }
.findings { margin: 0; padding: 0; list-style: none; }
.findings li { margin: 0 0 .7rem; padding: .6rem .9rem; border: 1px solid var(--edge); border-left: 4px solid var(--note);
  border-radius: 6px; background: var(--panel); overflow-wrap: anywhere; }
.findings .is-error { border-left-color: var(--bad); }
.findings .is-warning { border-left-color: var(--warn); }
.findings p { margin: .15rem 0; }
.about, .remedy, .note, .legend, footer { color: var(--soft); }
.remedy::before { content: "→ "; }
.note, .legend { margin: .4rem 0; font-size: .85rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; margin: 1.6rem 0 -.8rem; padding: 0; list-style: none; }
.scroll { width: fit-content; max-width: 100%; overflow-x: auto; border: 1px solid var(--edge); border-radius: 6px; }
.scroll:focus-visible { outline: 2px solid var(--note); }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .8rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 1px solid var(--edge); background: var(--panel); }
table, .scroll { background: var(--paper); }
tbody tr:nth-child(even) { background: var(--panel); }
.r { text-align: right; }
abbr { text-decoration: none; cursor: help; }
.dim { color: var(--soft); }
.exact { color: var(--exact); }
.correct { color: var(--good); }
.inaccurate { color: var(--warn); }
.lost, .undefined { color: var(--bad); font-weight: 600; }
.not-representable { color: var(--odd); }
details { margin: .6rem 0; }
summary { padding: .2rem 0; cursor: pointer; font-weight: 600; }
figure { margin: 1.6rem 0; }
figcaption { margin-bottom: .4rem; font-size: .9rem; color: var(--soft); }
figcaption b { color: var(--ink); }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.narrow { display: none; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--edge); font-size: .85rem; }
@media (max-width: 800px) { body { padding: .9rem; } .wide { display: none; } .narrow { display: block; }
  .narrow svg { width: 100%; max-width: 30rem; } }
@media print { body { max-width: none; padding: 0; font-size: 12px; } .scroll { overflow: visible; border: 0; }
  th, td { padding: .1rem .35rem; white-space: normal; overflow-wrap: anywhere; } figure, li, tr { break-inside: avoid; }
  .wide { display: block; } .narrow { display: none; } details::details-content { content-visibility: visible; } }
"""
)
