import { readdirSync, readFileSync } from "node:fs";
import { businessDay } from "@caas/contract/business-day.ts";
import { cutText } from "@caas/contract/outside-text.ts";
import { Liquid, type Template } from "liquidjs";
import { type MessageBlock, parseBlocks } from "./message-blocks.ts";
import { oneLine, type View } from "./view.ts";

// A template is text: its first line is the subject, blank lines part its paragraphs, and lines that begin with
// "- " are facts ("- Label: value"). The HTML part is laid out from the finished text, so the two never differ.

/** `body` is stored, and sent as text/plain. */
export type Message = { subject: string; body: string };

export type Templates = {
  /** Template names, as `nt4` and `task`. */
  names: readonly string[];
  /** @throws when there is no template of that name. */
  render(name: string, view: View): Message;
  /** The text/html part of a message, everything in it escaped. */
  toHtml(message: Message): string;
};

const subjectPrefix = "Subject: ";
const maxSubjectLength = 200;
const layoutName = "layout";

/** Reads and parses all templates once. @throws when one is malformed. */
export function loadTemplates(
  timeZone: string,
  folder = new URL("./templates/", import.meta.url),
): Templates {
  const text = createEngine({}, timeZone);
  const html = createEngine({ outputEscape: "escape" }, timeZone);
  const sources = new Map(
    readdirSync(folder)
      .filter((file) => file.endsWith(".liquid"))
      .map((file) => [file.replace(".liquid", ""), readFileSync(new URL(file, folder), "utf8")]),
  );
  const layout = html.parse(sources.get(layoutName) ?? "");
  sources.delete(layoutName);
  const parsed = new Map<string, Template[]>(
    [...sources].map(([name, source]) => {
      if (!source.startsWith(subjectPrefix))
        throw new Error(`template ${name} does not begin with "${subjectPrefix}"`);
      return [name, text.parse(source)];
    }),
  );
  return {
    names: [...parsed.keys()],
    render(name, view) {
      const template = parsed.get(name);
      if (template === undefined) throw new Error(`there is no template ${name}`);
      return split(String(text.renderSync(template, oneLine(view))));
    },
    toHtml({ subject, body }) {
      const blocks: readonly MessageBlock[] = parseBlocks(body);
      return String(html.renderSync(layout, { subject, blocks }));
    },
  };
}

function split(rendered: string): Message {
  const end = rendered.indexOf("\n");
  const subject = cutText(rendered.slice(subjectPrefix.length, end).trim(), maxSubjectLength);
  return {
    subject,
    body: `${rendered
      .slice(end)
      .trim()
      .replaceAll(/\n{3,}/g, "\n\n")}\n`,
  };
}

function createEngine(options: { outputEscape?: "escape" }, timeZone: string): Liquid {
  // Templates can read only the own properties of a view, and no files.
  const engine = new Liquid({ ...options, ownPropertyOnly: true, strictFilters: true, templates: {} });
  engine.registerFilter("money", formatMoney);
  engine.registerFilter("day", createDayFormat(timeZone));
  engine.registerFilter("moment", createMomentFormat(timeZone));
  return engine;
}

/** Integer cents: `{{ payment.amountCents | money: payment.currency }}` → "€29,900.00". */
export function formatMoney(cents: unknown, currency: unknown): string {
  if (typeof cents !== "number" || typeof currency !== "string") return "";
  const format =
    moneyFormats.get(currency) ?? new Intl.NumberFormat("en-IE", { style: "currency", currency });
  moneyFormats.set(currency, format);
  return format.format(cents / 100);
}

/** Making one costs more than rendering a message. */
const moneyFormats = new Map<string, Intl.NumberFormat>();

/** Of an instant, as Date or ISO text, its day in the time zone; of a calendar day that day: "2 March 2026". */
function createDayFormat(timeZone: string): (date: unknown) => string {
  const format = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });
  return (date) => {
    if (!(date instanceof Date) && typeof date !== "string") return "";
    const isDay = typeof date === "string" && /^\d{4}-\d{2}-\d{2}$/.test(date);
    return format.format(new Date(isDay ? date : businessDay(new Date(date), timeZone)));
  };
}

/** An instant to the minute, in the dealership's time zone: "30 November 2026 at 02:41 CET". */
function createMomentFormat(timeZone: string): (at: unknown) => string {
  const format = new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
    timeZone,
  });
  return (at) => (at instanceof Date || typeof at === "string" ? format.format(new Date(at)) : "");
}
