"""How the page looks."""

from __future__ import annotations

from cmirnet_cli.reports.pages.style import COLOURS

ACCENT = "#00714f"

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#20242c"/>\
<circle cx="16" cy="16" r="8" fill="#e69f00" fill-opacity=".35" stroke="#e69f00" stroke-width="3"/></svg>"""

STYLE = (
    COLOURS
    + """\
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.nicegui-content { display: flex; flex-direction: column; align-items: stretch; gap: 20px; max-width: 720px; margin: 0 auto;
                   padding: 40px 20px 64px; }
.nicegui-content > div:empty, .said:empty { display: none; }
h1 { margin: 0; font-size: 26px; font-weight: 600; letter-spacing: -.01em; line-height: 1.3; }
.faint { color: var(--faint); font-size: 14px; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.q-uploader.drop { width: 100%; max-height: none; background: none; color: inherit; border-radius: 14px; box-shadow: none; }
.drop .q-uploader__header { background: none; color: inherit; border-radius: 14px; }
.drop .q-uploader__header::before, .drop .q-uploader__list { display: none; }
.drop .q-uploader__dnd { background: var(--chosen); opacity: .6; outline: 2px dashed var(--accent); outline-offset: -2px;
                         border-radius: 14px; }
.zone { position: relative; display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px;
        min-height: 150px; padding: 20px; text-align: center; background: var(--card); border: 2px dashed var(--rule); border-radius: 14px;
        cursor: pointer; }
.drop:has(~ div .photo) .zone { min-height: 0; padding: 12px; }
.zone:hover { border-color: var(--accent); }
.zone input { cursor: pointer; }
.zone b { font-weight: 600; }
.photo { display: block; max-width: 100%; max-height: 46vh; margin: 0 auto; border-radius: 10px; }
.caption { padding-top: 6px; text-align: center; }
.q-field--outlined .q-field__control { background: var(--card); border-radius: 12px; }
.q-field--outlined .q-field__control::before { border-color: var(--rule); }
.q-field--outlined .q-field__control::after { border-color: var(--accent) !important; }
.q-field .q-field__native, .q-field .q-field__label { color: var(--ink); }
.q-field textarea { min-height: 76px; line-height: 1.5; }
.line { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; }
.find.q-btn { padding: 8px 30px; font-size: 16px; border-radius: 10px; }
.said { position: fixed; z-index: 1; bottom: 20px; left: 50%; width: min(680px, 100vw - 28px); transform: translateX(-50%);
        padding: 12px 16px; border-radius: 10px; color: var(--alarm); background: var(--alarm-paper); overflow-wrap: anywhere;
        box-shadow: 0 2px 14px #0003; }
.answers { display: flex; flex-direction: column; gap: 20px; }
.answer { padding: 12px; background: var(--card); border: 1px solid var(--rule); border-radius: 14px; }
.answer img { display: block; max-width: 100%; max-height: 80vh; margin: 0 auto; border-radius: 8px; }
.answer .line { padding: 10px 4px 0; }
.answer .note { padding: 0 4px; }
.expression { flex: 1 1 12em; font-weight: 600; overflow-wrap: anywhere; }
.answer a { padding: 5px 14px; color: var(--good); border: 1px solid var(--rule); border-radius: 8px; text-decoration: none; }
.answer a:hover { border-color: var(--accent); }
@media (max-width: 480px) { .nicegui-content { padding: 24px 14px 48px; } .find.q-btn { width: 100%; }
                            .find + div { display: none; } }
"""
)
