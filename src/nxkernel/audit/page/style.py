"""How the page looks, in light and in dark."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

#: The colours of data are told apart also by those who see no red or no green (Okabe and Ito).
STYLE: Final = """
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#5b6676;
--line:#e3e7ed;--blue:#2f6fb7;--red:#c8452d;--plugin:#2f6fb7;--queue:#e0a526;--transport:#3aa0a0;
--middlewares:#9a6bb8;--host:#a3adba;--mark:#1c2330}
@media(prefers-color-scheme:dark){:root{--back:#12161d;--card:#1b212b;--ink:#e8ecf2;--soft:#9aa6b6;
--line:#303947;--blue:#6aa5e6;--red:#f07a5f;--plugin:#6aa5e6;--queue:#e9bb4f;--transport:#5cc1bf;
--middlewares:#bb93d6;--host:#6d7888;--mark:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.45 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1140px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:24px;margin:0 0 2px}h2{font-size:17px;margin:0 0 2px}
.lead,.note{color:var(--soft);margin:0 0 14px}.note{font-size:13px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;
margin-top:18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:18px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.tile b{display:block;font-size:24px;line-height:1.2;font-weight:650}.tile.bad b{color:var(--red)}
.tile span{color:var(--soft);font-size:13px}
/* What is wider than the window is scrolled; a shadow says on which side there is more. */
.wide{overflow-x:auto;background:linear-gradient(to right,var(--card) 40%,transparent),
linear-gradient(to left,var(--card) 40%,transparent) 100% 0,
linear-gradient(to right,var(--soft),transparent),
linear-gradient(to left,var(--soft),transparent) 100% 0;background-repeat:no-repeat;
background-size:32px 100%,32px 100%,8px 100%,8px 100%;
background-attachment:local,local,scroll,scroll}.wide>svg{min-width:720px}
svg{display:block;width:100%;height:auto}svg.small{width:180px;height:12px}
svg text{font:12px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}
svg .tick{fill:var(--soft);font-size:11px}svg .name{fill:var(--soft);font-size:11px}
svg text.plugin{font-weight:600;fill:var(--ink)}svg text.hook{fill:var(--soft)}
svg .value{font-variant-numeric:tabular-nums}
.middle{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line);stroke-width:1}
rect.calls{fill:var(--blue)}rect.failed{fill:var(--red)}
line.p50,line.p95{stroke:var(--mark);stroke-width:2}line.p95{stroke-dasharray:3 2}
rect.plugin{fill:var(--plugin)}rect.queue{fill:var(--queue)}rect.transport{fill:var(--transport)}
rect.middlewares{fill:var(--middlewares)}rect.host{fill:var(--host)}
rect.fault-plugin{fill:var(--red)}rect.fault-caller{fill:var(--queue)}rect.fault-host{fill:var(--host)}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;margin:10px 0 4px;color:var(--soft);font-size:13px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}
.legend b{color:var(--ink);font-weight:600}
i.plugin{background:var(--plugin)}i.queue{background:var(--queue)}i.transport{background:var(--transport)}
i.middlewares{background:var(--middlewares)}i.host{background:var(--host)}
i.fault-plugin{background:var(--red)}i.fault-caller{background:var(--queue)}
i.fault-host{background:var(--host)}
i.p50,i.p95{width:0!important;height:13px!important;border-radius:0!important;
border-left:2px solid var(--mark);vertical-align:-2px}i.p95{border-left-style:dashed}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:left}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);white-space:nowrap}
.right{text-align:right}tbody tr:last-child td{border-bottom:0}
footer{color:var(--soft);font-size:13px;margin-top:18px}
@media print{section,.tile{break-inside:avoid}}
"""
