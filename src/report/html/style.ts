/** The whole look of a report. Colours are variables, so that dark needs only other values. */
export const STYLE = `
:root { color-scheme: light dark;
  --page: #fff; --ink: #1d2430; --soft: #5b6573; --rule: #dde2e8; --band: #f4f6f9;
  --all: #46536a; --k0: #2a66c8; --k1: #8a3fae; --k2: #0c8a6a; --k3: #8b6f12;
  --k4: #b83a6d; --k5: #327f9c; --k6: #6b6f33; --k7: #6d5a52;
  --warn: #e8590c; --warn-edge: #a93c00;
  --u1: #d9e4f5; --u2: #aec6ea; --u3: #769fd9; --u4: #4376c0; --u5: #1f4a8c; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181f; --ink: #e4e8ee; --soft: #9aa5b3; --rule: #2e3641; --band: #1b212a;
  --all: #aab6c8; --k0: #6ea3ff; --k1: #cd8cf0; --k2: #3fcaa2; --k3: #d8b64a;
  --k4: #f283b0; --k5: #70c3e2; --k6: #bcc06a; --k7: #c3a99c;
  --warn: #ff8a3d; --warn-edge: #ffc59b;
  --u1: #22324b; --u2: #2c4b7a; --u3: #3d6db0; --u4: #6595dc; --u5: #b3d0fb; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1128px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 38px 0 6px; }
h3 { font-size: 15px; margin: 22px 0 4px; }
p { margin: 6px 0; max-width: 106ch; }
ul { margin: 8px 0; padding-left: 20px; max-width: 112ch; }
li { margin: 3px 0; overflow-wrap: anywhere; }
.about { color: var(--soft); margin: 2px 0 16px; }
.lead p:first-child { font-size: 18px; }
.proof { border-left: 3px solid var(--k2); background: var(--band); padding: 8px 14px; margin: 14px 0 22px; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 14px; }
.note { font-size: 12.5px; color: var(--soft); margin: 0; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 24px; margin-top: 14px; }
.charts .wide { grid-column: 1 / -1; }
@media (max-width: 760px) { .charts { grid-template-columns: minmax(0, 1fr); } }
svg { max-width: 100%; height: auto; }
figure.wide { overflow-x: auto; } figure.wide svg[role] { min-width: 760px; }
.plot { display: block; font-size: 11.5px; font-family: inherit; font-variant-numeric: tabular-nums; }
.plot text { white-space: pre; }
p.legend { max-width: none; } .legend { display: flex; flex-wrap: wrap; gap: 2px 16px; color: var(--soft); font-size: 12.5px; }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
.legend svg { flex: none; }
.swatch { width: 11px; height: 11px; display: inline-block; }
.swatch.used { background: var(--u4); } .swatch.empty { background: var(--warn); }
.swatch.peak { width: 2px; background: var(--ink); }
.bars { display: block; margin-top: 6px; font-size: 14px; font-variant-numeric: tabular-nums; }
.bars text { fill: var(--ink); } .bars .name { font-weight: 600; }
.bars .used { fill: var(--u4); } .bars .empty { fill: var(--warn); }
.bars .peak { stroke: var(--ink); stroke-width: 2; }
.spaces { display: flex; flex-wrap: wrap; gap: 24px 30px; margin-top: 12px; }
.spaces svg { display: block; margin-top: 6px; }
.tiles text { font-size: 11.5px; fill: var(--soft); }
.tiles rect { stroke-width: 1; }
.u1 { fill: var(--u1); } .u2 { fill: var(--u2); } .u3 { fill: var(--u3); }
.u4 { fill: var(--u4); } .u5 { fill: var(--u5); }
.hg { fill: var(--k2); } .um { fill: var(--k7); } .fb { fill: var(--band); stroke: none; }
.cells { display: block; margin-top: 6px; background: var(--page); border: 1px solid var(--rule); shape-rendering: crispEdges; }
.cells path { stroke: none; }
.e { fill: var(--warn); stroke: var(--warn-edge); }
.n { fill: none; stroke: var(--soft); stroke-opacity: .55; stroke-dasharray: 2 2; }
.scroll { overflow-x: auto; margin: 8px 0; } .tall { max-height: 420px; overflow-y: auto; }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 6px; }
th, td { padding: 4px 7px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; } th[scope=row], .words { text-align: left; }
thead th { vertical-align: bottom; } th[scope=colgroup] { text-align: center; border-left: 1px solid var(--rule); }
td.words { white-space: normal; min-width: 12ch; max-width: 60ch; }
tr.reference { background: var(--band); }
footer { margin-top: 40px; color: var(--soft); font-size: 12.5px; }
`;
