"""How pages look, in light and in dark."""

from __future__ import annotations

from cmirnet_cli.reports.pictures.palette import GREEN, INK, PAPER, RULE, VERMILION, css

COLOURS = f"""\
:root {{ --paper: {css(PAPER)}; --card: #fff; --ink: {css(INK)}; --faint: #5f6673; --rule: {css(RULE)}; --accent: {css(GREEN)};
        --bad: {css(VERMILION)}; --good: #00714f; --alarm: #8a3a00; --alarm-paper: #fdeadb; --chosen: #d5efe7; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #14161a; --card: #1f2228; --ink: #eceef2; --faint: #9aa2b1; --rule: #343943; --accent: #2cc39a; --bad: #f0894a;
          --good: #2cc39a; --alarm: #ffc08f; --alarm-paper: #4a2a14; --chosen: #17463a; }}
}}
"""
"""The colours of every page, by name."""

STYLE = (
    COLOURS
    + """\
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; align-items: center; gap: 12px 32px;
         padding: 14px 28px; background: var(--paper); border-bottom: 1px solid var(--rule); }
h1 { margin: 0 auto 0 0; font-size: 22px; font-weight: 600; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 16px; font-weight: 600; }
form { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; color: var(--faint); font-size: 14px; }
input, select, #picked button, #further { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--rule);
                border-radius: 8px; padding: 5px 8px; margin-left: 4px; }
select { max-width: 14em; }
.switch { cursor: pointer; }
.switch input { margin: 0 2px 0 0; accent-color: var(--accent); }
.swatch { display: inline-block; width: 12px; height: 12px; border: 2px solid #20242c; border-radius: 3px; outline: 1px solid var(--rule); }
kbd { padding: 1px 5px; border: 1px solid var(--rule); border-radius: 4px; background: var(--card); font: 12px/1 ui-monospace, monospace; }
output { min-width: 5em; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#picked { display: flex; flex-wrap: wrap; gap: 6px; width: 100%; margin: 0; font-size: 14px; }
#picked button { margin: 0; background: var(--chosen); cursor: pointer; }
#picked button::after { content: " ✕" / ""; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 18px; padding: 24px 28px; }
.card { display: flex; flex-direction: column; margin: 0; padding: 10px; background: var(--card); border: 1px solid var(--rule);
        border-radius: 12px; scroll-margin-top: 140px; }
.card:target { outline: 3px solid var(--accent); }
.picture { position: relative; display: block; width: 100%; aspect-ratio: 1; padding: 0; border: 0; border-radius: 6px;
           overflow: hidden; background: var(--paper); }
button.picture { cursor: pointer; }
.picture img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.bare .layer { display: none; }
figcaption { display: flex; flex-direction: column; flex: 1; padding: 8px 2px 0; }
figcaption p { margin: 0; overflow-wrap: anywhere; }
.marks { display: flex; flex-wrap: wrap; gap: 4px; margin: 0 0 6px; padding: 0; list-style: none; }
.marks li { padding: 1px 8px; border-radius: 8px; color: var(--alarm); background: var(--alarm-paper); font-size: 13px; }
.sentence { max-height: 9em; overflow-y: auto; white-space: pre-wrap; }
.notes { display: flex; flex-wrap: wrap; gap: 0 14px; margin-top: auto; padding-top: 6px; color: var(--faint); font-size: 13px; }
.meter { display: flex; align-items: center; gap: 12px; padding-top: 8px; color: var(--faint); font-size: 13px; }
.bar { flex: 1; height: 6px; border-radius: 3px; background: var(--rule); overflow: hidden; }
.bar span { display: block; height: 100%; border-radius: 3px; background: var(--accent); }
.bad .bar span, .step.bad span { background: var(--bad); }
#list { margin: 0; padding: 16px 28px; list-style: none; }
.line { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; padding: 6px 0; border-bottom: 1px solid var(--rule);
        content-visibility: auto; contain-intrinsic-size: auto 38px; }
.line .sentence { flex: 1 1 18em; max-height: 3em; overflow-wrap: anywhere; }
.line .notes { flex: 0 0 25em; margin: 0; padding: 0; }
.line .marks { flex: none; margin: 0; }
.number { width: 3.2em; padding-left: 8px; border-left: 4px solid var(--accent); font-variant-numeric: tabular-nums; }
.number.bad { border-color: var(--bad); }
a { color: inherit; text-underline-offset: 3px; }
#further { margin: 0 28px 28px; cursor: pointer; }
#nothing { padding: 0 28px; color: var(--faint); }
#about { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 16px 48px; padding: 18px 28px 0; font-size: 14px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 68ch); gap: 2px 16px; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 0 2px 20px; text-align: right; font-weight: 400; vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--faint); border-bottom: 1px solid var(--rule); }
td small { display: block; color: var(--faint); font-size: 11.5px; white-space: nowrap; }
tbody + tbody tr:first-child > * { padding-top: 10px; }
.other { color: var(--faint); }
.difference { color: var(--good); }
.scores, .spread { display: flex; flex-direction: column; gap: 12px; max-width: 100%; overflow-x: auto; }
.spread { flex: 1 1 300px; max-width: 760px; padding: 0 14px; container-type: inline-size; }
.scores th, .scores td { padding-left: 14px; }
.scores th:first-child { padding-left: 0; }
.hint { margin: 0; max-width: 80ch; color: var(--faint); }
.histogram { display: flex; gap: 2px; height: 180px; border-bottom: 1px solid var(--rule); }
.pick { padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: left; cursor: pointer; }
.step { display: flex; flex: 1; flex-direction: column; justify-content: flex-end; min-width: 0; }
.step:disabled { cursor: default; }
.step b { color: var(--faint); font-size: min(11px, 2cqw); font-weight: 400; text-align: center; }
.step span { flex: none; height: calc(var(--share) * (100% - 18px)); border-radius: 3px 3px 0 0; background: var(--accent); }
.axis { display: flex; justify-content: space-between; margin: -10px 0 0; color: var(--faint); font-size: 12px; }
.axis span { width: 2em; margin: 0 -1em; text-align: center; }
@container (max-width: 480px) { .step b { display: none; } }
.histogram:has([aria-pressed="true"]) .step:not([aria-pressed="true"]) span { opacity: .35; }
.part { margin: 18px 28px 0; font-size: 14px; }
summary { padding: 4px 0; font-size: 16px; font-weight: 600; cursor: pointer; }
.groups { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 20px 48px; padding: 6px 0 12px; }
.group { max-height: 320px; max-width: 100%; overflow: auto; padding-right: 12px; }
.group thead th { position: sticky; top: 0; background: var(--paper); }
.group .pick { text-decoration: underline dotted; text-underline-offset: 3px; }
.group .pick[aria-pressed="true"] { background: var(--chosen); text-decoration-style: solid; }
@media (max-width: 720px) { header { position: static; } .card { scroll-margin-top: 10px; } }
.differs { color: var(--alarm); font-weight: 600; }
"""
)
