import { escapeText } from "@caas/contract/escape-text.ts";

// Plots as SVG text: no library and no script, so the page stays one file that any browser shows.

/** 1 good, 2 bad, 3 notable, 4 in the back; the page's style sheet has the colours. */
export type Tone = 1 | 2 | 3 | 4;

const width = 560;
const height = 220;
const left = 54;
const right = 12;
const top = 22;
const bottom = 26;
const plotWidth = width - left - right;
const plotHeight = height - top - bottom;

export type Line = { name: string; values: readonly (number | null)[]; tone: Tone; isFilled?: boolean };
export type LineChart = {
  /** Seconds, one a value. */
  x: readonly number[];
  lines: readonly Line[];
  yMax?: number;
  isLogarithmic?: boolean;
  formatY?: (value: number) => string;
};

export function lineChart({ x, lines, yMax, isLogarithmic = false, formatY = plain }: LineChart): string {
  const values = lines.flatMap((line) => line.values.filter((value) => value !== null));
  if (values.length === 0) return empty();
  const highest = Math.max(yMax ?? 0, ...values, isLogarithmic ? 1 : 0.001);
  const scale = isLogarithmic ? logarithmicScale(Math.min(...values), highest) : linearScale(highest);
  const lastX = Math.max(1, ...x);
  const xOf = (seconds: number) => round(left + (seconds / lastX) * plotWidth);
  const yOf = (value: number) => round(top + plotHeight * (1 - scale.position(value)));
  const drawn = lines.map(({ values: points, tone, isFilled = false }) =>
    // A gap in what was measured is a gap in the line.
    stretchesOf(points)
      .map((stretch) => {
        const path = stretch.map(({ index, value }) => `${xOf(x[index] ?? 0)},${yOf(value)}`);
        const color = `style="stroke:var(--tone${tone})"`;
        const [first] = stretch;
        if (stretch.length === 1 && first !== undefined)
          return `<circle cx="${xOf(x[first.index] ?? 0)}" cy="${yOf(first.value)}" r="2" style="fill:var(--tone${tone})"/>`;
        const area = isFilled
          ? `<path d="M${path.join("L")}L${path.at(-1)?.split(",")[0]},${top + plotHeight}L${path[0]?.split(",")[0]},${top + plotHeight}Z" style="fill:var(--fill${tone})"/>`
          : "";
        return `${area}<path class="line" d="M${path.join("L")}" ${color}/>`;
      })
      .join(""),
  );
  return frame(
    gridOf(scale.ticks.map((tick) => ({ y: yOf(tick), label: formatY(tick) }))) +
      secondsAxis(lastX, xOf) +
      drawn.join("") +
      legend(lines),
  );
}

export type BarChart = {
  bars: readonly { label: string; value: number }[];
  /** Positions in bars; `null` is left out. */
  marks: readonly { name: string; at: number | null }[];
};

export function barChart({ bars, marks }: BarChart): string {
  if (bars.length === 0) return empty();
  const scale = linearScale(Math.max(...bars.map(({ value }) => value), 1));
  const each = plotWidth / bars.length;
  const yOf = (value: number) => round(top + plotHeight * (1 - scale.position(value)));
  const everyth = Math.ceil(bars.length / 7);
  const drawn = bars.map(({ label, value }, index) => {
    const at = left + index * each;
    const bar = `<rect x="${round(at + 0.5)}" y="${yOf(value)}" width="${round(Math.max(1, each - 1))}" height="${round(top + plotHeight - yOf(value))}" style="fill:var(--tone1)"><title>up to ${escapeText(label)}: ${value}</title></rect>`;
    const text =
      index % everyth === 0 && index + 1 < bars.length
        ? `<text x="${round(at + each)}" y="${height - 8}" text-anchor="middle">${escapeText(label)}</text>`
        : "";
    return bar + text;
  });
  // Quantiles that share a bar share a line.
  const byPlace = Map.groupBy(
    marks.filter(({ at }) => at !== null),
    ({ at }) => at ?? 0,
  );
  const lines = [...byPlace].map(([at, together]) => {
    const x = round(left + at * each);
    return `<line x1="${x}" x2="${x}" y1="${top - 4}" y2="${top + plotHeight}" style="stroke:var(--tone3)" stroke-dasharray="3 3"/><text class="strong" x="${x}" y="${top - 8}" text-anchor="middle">${together.map(({ name }) => name).join(", ")}</text>`;
  });
  return frame(
    gridOf(scale.ticks.map((tick) => ({ y: yOf(tick), label: plain(tick) }))) +
      drawn.join("") +
      lines.join(""),
  );
}

export type StackedRow = {
  label: string /** Behind the bar; its whole without it. */;
  note?: string;
  parts: readonly { name: string; value: number; tone: Tone }[];
};

/** Rows from left to right; each row's length is its whole. */
export function stackedBars(rows: readonly StackedRow[]): string {
  if (rows.length === 0) return empty();
  const wholeOf = ({ parts }: StackedRow) => parts.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(1, ...rows.map(wholeOf));
  const labelWidth = 150;
  const barRoom = width - labelWidth - 80;
  const rowHeight = 26;
  const legendHeight = 22;
  const tall = legendHeight + rows.length * rowHeight + 8;
  const drawn = rows.map((row, index) => {
    const y = legendHeight + index * rowHeight;
    let x = labelWidth;
    const parts = row.parts.map(({ name, value, tone }) => {
      const partWidth = (value / most) * barRoom;
      const part = `<rect x="${round(x)}" y="${y}" width="${round(partWidth)}" height="16" style="fill:var(--tone${tone})"><title>${escapeText(row.label)}, ${name}: ${value}</title></rect>`;
      x += partWidth;
      return value === 0 ? "" : part;
    });
    return `<text class="strong" x="${labelWidth - 8}" y="${y + 12}" text-anchor="end">${escapeText(shorten(row.label))}</text>${parts.join("")}<text x="${round(x + 6)}" y="${y + 12}">${escapeText(row.note ?? wholeOf(row).toLocaleString("en"))}</text>`;
  });
  return `<svg viewBox="0 0 ${width} ${tall}" role="img">${drawn.join("")}${legend(rows[0]?.parts ?? [])}</svg>`;
}

function shorten(label: string): string {
  return label.length <= 24 ? label : `${label.slice(0, 23)}…`;
}

type Scale = { ticks: readonly number[]; position: (value: number) => number };

function linearScale(highest: number): Scale {
  const rough = highest / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const end = Math.ceil(highest / step - 1e-9) * step;
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => round(index * step));
  return { ticks, position: (value) => value / end };
}

function logarithmicScale(lowest: number, highest: number): Scale {
  const from = Math.floor(Math.log10(Math.max(0.1, lowest)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(highest)));
  const ticks = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index));
  return {
    ticks,
    position: (value) => (Math.log10(Math.max(10 ** from, value)) - from) / (to - from),
  };
}

function stretchesOf(values: readonly (number | null)[]): { index: number; value: number }[][] {
  const stretches: { index: number; value: number }[][] = [];
  let present: { index: number; value: number }[] = [];
  for (const [index, value] of values.entries()) {
    if (value !== null) present.push({ index, value });
    else if (present.length > 0) {
      stretches.push(present);
      present = [];
    }
  }
  if (present.length > 0) stretches.push(present);
  return stretches;
}

function gridOf(lines: readonly { y: number; label: string }[]): string {
  return lines
    .map(
      ({ y, label }) =>
        `<line class="axis" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/><text x="${left - 8}" y="${y + 4}" text-anchor="end">${escapeText(label)}</text>`,
    )
    .join("");
}

function secondsAxis(last: number, xOf: (seconds: number) => number): string {
  return linearScale(last)
    .ticks.filter((tick) => tick <= last)
    .map((tick) => `<text x="${xOf(tick)}" y="${height - 8}" text-anchor="middle">${plain(tick)} s</text>`)
    .join("");
}

function legend(entries: readonly { name: string; tone: Tone }[]): string {
  let x = width - right;
  return entries
    .toReversed()
    .map(({ name, tone }) => {
      const wide = 20 + name.length * 6.4;
      x -= wide;
      return `<rect x="${round(x)}" y="4" width="9" height="9" rx="2" style="fill:var(--tone${tone})"/><text x="${round(x + 13)}" y="12">${escapeText(name)}</text>`;
    })
    .join("");
}

function frame(inside: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img">${inside}</svg>`;
}

function empty(): string {
  return `<svg viewBox="0 0 ${width} 60" role="img"><text x="${width / 2}" y="34" text-anchor="middle">nothing to show</text></svg>`;
}

function plain(value: number): string {
  return value.toLocaleString("en");
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
