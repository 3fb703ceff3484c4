/** Of the report's page: light and dark, on a screen and on paper. Tones: 1 good, 2 bad, 3 notable, 4 in the back. */
export const styleSheet = `
:root { color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --text: #1c2430; --muted: #667182; --line: #dfe3e9;
  --tone1: #1f7a5c; --tone2: #c2413b; --tone3: #b7791f; --tone4: #8c9bb0; --fill1: #1f7a5c22; }
@media (prefers-color-scheme: dark) { :root { --bg: #12161c; --card: #1b212a; --text: #e6eaf0; --muted: #97a3b4;
  --line: #2d3642; --tone1: #4cc38a; --tone2: #ff7b72; --tone3: #e3b341; --tone4: #6b7a90; --fill1: #4cc38a22; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { margin: 0 0 4px; font-size: 26px; letter-spacing: -0.01em; }
h2 { margin: 0 0 10px; font-size: 16px; }
h3 { margin: 0; font-size: 12px; font-weight: 600; color: var(--muted); }
p { margin: 0 0 6px; }
.muted, small { color: var(--muted); font-size: 13px; }
header { display: flex; justify-content: space-between; gap: 24px; align-items: flex-start; padding-left: 16px;
  border-left: 5px solid var(--tone1); }
header.missed { border-color: var(--tone2); }
.verdict { font-size: 22px; font-weight: 700; color: var(--tone1); white-space: nowrap; }
header.missed .verdict { color: var(--tone2); }
.misses { margin: 16px 0 0; padding: 12px 16px 12px 34px; border-radius: 8px; background: var(--card);
  border: 1px solid var(--tone2); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 12px; margin: 20px 0; }
.tiles div, figure, .table, footer { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles div { padding: 12px 14px; }
.tiles p { margin: 2px 0 0; font-size: 21px; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 12px; }
figure { margin: 0; padding: 14px 16px 8px; }
figcaption { font-weight: 600; margin-bottom: 6px; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: var(--muted); }
svg .axis { stroke: var(--line); } svg .strong { fill: var(--text); }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 12px; align-items: start; }
.columns, .table, footer { margin-top: 12px; }
.columns .table { margin-top: 0; }
.table { padding: 14px 16px; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-size: 12px; color: var(--muted); font-weight: 600; padding: 4px 12px 4px 0; }
td { border-top: 1px solid var(--line); padding: 6px 12px 6px 0; vertical-align: top; font-variant-numeric: tabular-nums; }
b.met { color: var(--tone1); } b.missed { color: var(--tone2); } b.notMeasured { color: var(--muted); font-weight: 500; }
footer { padding: 14px 16px; }
pre { margin: 0 0 8px; padding: 10px 12px; border-radius: 6px; background: var(--bg); white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 640px) { header { flex-direction: column; gap: 4px; } }
@media print { body { background: #fff; } figure, .table { break-inside: avoid; } }
`;
