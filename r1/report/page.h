// The report's style sheet and its one small script (the read-out under the pointer); embedded as they stand.
#pragma once

namespace r1::report {

inline constexpr const char* kReportStyle = R"css(
:root{color-scheme:light dark;
--page:#f6f6f4;--card:#ffffff;--ink:#1d2127;--soft:#5f6773;--faint:#9aa1ab;--rule:#e4e4df;--grid:#ecece8;--code:#f3f3f0;
--teal:#0d7a70;--violet:#6453c4;--amber:#a8600b;--slate:#46607f;--good:#1a7f4b;--bad:#b3362b;--warn-bg:#fdf4e0;--warn-ink:#7a4b05;--warn-rule:#ecd9ab}
@media(prefers-color-scheme:dark){:root{
--page:#14161a;--card:#1c1f25;--ink:#e6e8eb;--soft:#a0a8b4;--faint:#6f7884;--rule:#2c3038;--grid:#272b32;--code:#16181d;
--teal:#45c4b4;--violet:#a396f5;--amber:#e2a552;--slate:#8fb0d6;--good:#58c98c;--bad:#f0857a;--warn-bg:#2e2718;--warn-ink:#edca82;--warn-rule:#4b3f22}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
font-variant-numeric:tabular-nums;-webkit-font-smoothing:antialiased}
main{max-width:1240px;margin:0 auto;padding:44px 28px 72px}
header h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;font-weight:650;margin:0}
header p{margin:8px 0 0;color:var(--soft);max-width:78ch}
header code{display:inline-block;margin-top:14px;padding:5px 10px;border:1px solid var(--rule);border-radius:7px;background:var(--card);color:var(--soft);overflow-wrap:anywhere}
code,pre{font:12.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
h2{font-size:18px;font-weight:640;letter-spacing:-.01em;margin:52px 0 16px}
h2 small{font-size:13.5px;font-weight:400;color:var(--faint);margin-left:10px;letter-spacing:0}
h3{font-size:12px;font-weight:600;color:var(--faint);text-transform:uppercase;letter-spacing:.06em;margin:24px 0 10px}
.card{background:var(--card);border:1px solid var(--rule);border-radius:12px}
.grid{display:grid;gap:14px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(170px,1fr));margin-top:30px}
.tile{padding:16px 18px}
.tile span{display:block;color:var(--soft);font-size:13px}
.tile b{display:block;font-size:29px;font-weight:620;letter-spacing:-.025em;line-height:1.25;margin:3px 0 1px}
.tile i{font-style:normal;color:var(--faint);font-size:13px}
.charts{grid-template-columns:repeat(auto-fill,minmax(330px,1fr))}
figure{margin:0}
.chart{padding:14px 14px 8px;--tone:var(--slate)}
.teal{--tone:var(--teal)}.violet{--tone:var(--violet)}.amber{--tone:var(--amber)}.slate{--tone:var(--slate)}
figcaption{display:flex;justify-content:space-between;align-items:baseline;gap:12px;margin:0 4px 6px}
.name{font-weight:560;font-size:14px}
.now{color:var(--soft);font-size:13px;white-space:nowrap}.now b{color:var(--tone);font-weight:620;font-size:15px}.now i{font-style:normal;color:var(--faint)}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:10.5px;fill:var(--faint)}
.grid line,line.grid{stroke:var(--grid);stroke-width:1}
.raw{fill:none;stroke:var(--tone);stroke-width:1;opacity:.28}
.soft{fill:none;stroke:var(--tone);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.area{fill:var(--tone);opacity:.07}.dot{fill:var(--tone)}
.cursor{visibility:hidden}line.cursor{stroke:var(--faint);stroke-width:1;stroke-dasharray:2 3}circle.cursor{fill:var(--card);stroke:var(--tone);stroke-width:2}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-size:12px;font-weight:560;color:var(--faint);text-align:right;padding:12px 18px 8px;white-space:nowrap}
td{padding:11px 18px;border-top:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
td:first-child{font-weight:560}
td.bar,th.bar{text-align:left;width:44%;min-width:240px}
.bar div{display:flex;align-items:center;gap:14px}.bar b{min-width:3.4em;font-weight:620}
.bar svg{height:16px;flex:1;min-width:120px}.bar small,td small{color:var(--faint)}
.track{fill:var(--grid)}.fill{fill:var(--teal);opacity:.85}.ci{stroke:var(--ink);stroke-width:1.5;opacity:.75}
.best td{background:color-mix(in srgb,var(--teal) 6%,transparent)}
.sample{padding:18px 20px 20px;margin-bottom:14px}
.sample>p{margin:0 0 14px;font-weight:560;white-space:pre-wrap;overflow-wrap:anywhere}
.sample>p small{font-weight:400;color:var(--faint);margin-left:10px}
.turns{grid-template-columns:repeat(auto-fit,minmax(250px,1fr))}
.turn{border:1px solid var(--rule);border-radius:9px;overflow:hidden;background:var(--code);min-width:0}
.turn header{display:flex;justify-content:space-between;gap:10px;padding:7px 12px;border-bottom:1px solid var(--rule);background:var(--card);font-size:13px}
.turn header b{font-weight:580}.turn header span{color:var(--faint)}
.turn .good{color:var(--good);font-weight:580}.turn .bad{color:var(--bad);font-weight:580}
.turn pre{margin:0;padding:11px 13px;white-space:pre-wrap;overflow-wrap:anywhere;max-height:340px;overflow-y:auto;unicode-bidi:isolate}
.turn .tag{color:var(--faint)}.turn .thought{color:var(--soft)}.turn .answer{color:var(--ink);font-weight:700}
.alarms{background:var(--warn-bg);color:var(--warn-ink);border:1px solid var(--warn-rule);border-radius:12px;padding:14px 20px;margin-top:24px}
.alarms b{font-weight:620}.alarms ul{margin:6px 0 0;padding-left:20px}
.monitors{grid-template-columns:repeat(auto-fill,minmax(290px,1fr))}
.monitor{padding:13px 16px 12px;--tone:var(--slate)}
.monitor.good{--tone:var(--good)}.monitor.bad{--tone:var(--bad)}.monitor.was{--tone:var(--amber)}.monitor.none{--tone:var(--faint)}
.monitor header{display:flex;justify-content:space-between;align-items:baseline;gap:12px}
.monitor header b{font-weight:560;font-size:14px}.monitor header span{color:var(--tone);font-size:13px;font-weight:580;white-space:nowrap}
.monitor p{margin:4px 0 6px;color:var(--soft);font-size:12.5px;line-height:1.45}
.limit{stroke:var(--faint);stroke-width:1;stroke-dasharray:3 3;fill:none}
details{margin-top:14px}
summary{cursor:pointer;color:var(--soft);font-size:14px;padding:4px 0;width:fit-content}summary:hover{color:var(--ink)}
.keys{columns:320px 3;column-gap:36px;padding:16px 20px;margin:10px 0 0}
.keys div{display:flex;justify-content:space-between;gap:18px;padding:3px 0;break-inside:avoid;border-bottom:1px dotted var(--rule)}
.keys span{color:var(--soft);overflow-wrap:anywhere}.keys code{text-align:right;overflow-wrap:anywhere}
footer{margin-top:56px;color:var(--faint);font-size:13px}
@media(max-width:560px){main{padding:28px 16px 48px}header h1{font-size:25px}td,th{padding-left:12px;padding-right:12px}}
@media print{body{background:#fff}.card{break-inside:avoid}}
)css";

inline constexpr const char* kReportScript = R"js(
for (const svg of document.querySelectorAll('svg[data-points]')) {
  const points = svg.dataset.points.split(';').map(p => p.split(','));
  const card = svg.closest('figure'), value = card.querySelector('.now b'), unit = card.querySelector('.now i');
  const [line, dot] = svg.querySelectorAll('.cursor'), label = unit.textContent;
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const p = points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
    line.setAttribute('x1', p[0]); line.setAttribute('x2', p[0]); dot.setAttribute('cx', p[0]); dot.setAttribute('cy', p[1]);
    line.style.visibility = dot.style.visibility = 'visible';
    value.textContent = p[3]; unit.textContent = 'step ' + p[2];
  });
  svg.addEventListener('pointerleave', () => {
    line.style.visibility = dot.style.visibility = 'hidden';
    value.textContent = value.dataset.last; unit.textContent = label;
  });
}
)js";

}  // namespace r1::report
