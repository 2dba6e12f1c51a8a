"""How a gallery page looks, in light and in dark."""

from __future__ import annotations

STYLE = """\
:root { --paper: #f5f6f8; --card: #fff; --ink: #20242c; --faint: #5f6673; --rule: #e0e3e9; --accent: #009e73;
        --alarm: #8a3a00; --alarm-paper: #fdeadb; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14161a; --card: #1f2228; --ink: #eceef2; --faint: #9aa2b1; --rule: #343943; --accent: #2cc39a;
          --alarm: #ffc08f; --alarm-paper: #4a2a14; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; align-items: center; gap: 12px 32px;
         padding: 14px 28px; background: var(--paper); border-bottom: 1px solid var(--rule); }
h1 { margin: 0 auto 0 0; font-size: 22px; font-weight: 600; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; align-items: center; gap: 10px 20px; color: var(--faint); font-size: 14px; }
input, select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
                padding: 6px 10px; margin-left: 4px; }
.switch { cursor: pointer; }
.switch input { margin: 0 2px 0 0; accent-color: var(--accent); }
kbd { padding: 1px 5px; border: 1px solid var(--rule); border-radius: 4px; background: var(--card); font: 12px/1 ui-monospace, monospace; }
output { min-width: 5em; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 18px; padding: 24px 28px; }
.card { display: flex; flex-direction: column; margin: 0; padding: 10px; background: var(--card); border: 1px solid var(--rule);
        border-radius: 12px; }
.card[hidden] { display: none; }
.picture { position: relative; display: block; width: 100%; aspect-ratio: 1; padding: 0; border: 0; border-radius: 6px;
           overflow: hidden; background: var(--paper); }
button.picture { cursor: pointer; }
.picture img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.layer[hidden], .bare .layer { display: none; }
figcaption { display: flex; flex-direction: column; flex: 1; padding: 8px 2px 0; }
figcaption p { margin: 0; overflow-wrap: anywhere; }
.marks { display: flex; flex-wrap: wrap; gap: 4px; margin: 0 0 6px; padding: 0; list-style: none; }
.marks li { padding: 1px 8px; border-radius: 8px; color: var(--alarm); background: var(--alarm-paper); font-size: 13px; }
.sentence { max-height: 9em; overflow-y: auto; white-space: pre-wrap; }
.notes { display: flex; flex-wrap: wrap; gap: 0 14px; margin-top: auto; padding-top: 6px; color: var(--faint); font-size: 13px; }
.meter { display: flex; align-items: center; gap: 12px; padding-top: 8px; color: var(--faint); font-size: 13px; }
.bar { flex: 1; height: 6px; border-radius: 3px; background: var(--rule); overflow: hidden; }
.bar span { display: block; height: 100%; border-radius: 3px; background: var(--accent); }
#nothing { padding: 0 28px; color: var(--faint); }
#about { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 16px 48px; padding: 18px 28px 0; font-size: 14px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 68ch); gap: 2px 16px; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 0 2px 20px; text-align: right; font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
th { color: var(--faint); border-bottom: 1px solid var(--rule); }
@media (max-width: 720px) { header { position: static; } }
.differs { color: var(--alarm); font-weight: 600; }
"""
