import { escapeText } from "@caas/contract/escape-text.ts";
import { renderPage } from "../shared/page.ts";
import type { Message } from "./messages.ts";

/** What someone looks for: the mails of one person, words in them, and which page of them. */
export type Look = { to?: string | undefined; q?: string | undefined; page: number };

/** A screenful. */
const mailsPerPage = 50;
/** More people than one scrolls through; the search finds the others. */
const shownPeople = 100;

/** The mailbox for people, newest first. @param messages oldest first */
export function renderInbox(messages: readonly Message[], look: Look): string {
  const words = look.q?.toLowerCase() ?? "";
  const found = messages.filter((message) => holds(message, words)).toReversed();
  const mails = look.to === undefined ? found : found.filter(({ to }) => to.includes(look.to ?? ""));
  const pages = Math.max(1, Math.ceil(mails.length / mailsPerPage));
  const page = Math.min(look.page, pages);
  const shown = mails.slice((page - 1) * mailsPerPage, page * mailsPerPage);
  const title = look.to === undefined ? "Mailbox of everybody" : `Mailbox of ${look.to}`;
  return renderPage(
    `${title} (${mails.length})`,
    `<h1>${escapeText(title)}: ${mails.length} ${mails.length === 1 ? "mail" : "mails"}</h1>
<form action="/" method="get">
  <label>Search <input type="search" name="q" value="${escapeText(look.q ?? "")}" placeholder="subject, text, address"></label>
  ${look.to === undefined ? "" : `<input type="hidden" name="to" value="${escapeText(look.to)}">`}
</form>
<div class="columns">
<nav><h2>By person</h2>${renderPeople(found, look)}</nav>
<main>${renderList(shown, look)}${renderPages(page, pages, look)}</main>
</div>`,
  );
}

/** One mail: what it looks like, as its text, and about it. */
export function renderMail(message: Message): string {
  const path = `/messages/${encodeURIComponent(message.id)}`;
  const html = `<h2>As sent</h2>\n<iframe sandbox title="The mail as its sender made it" src="${path}/html"></iframe>`;
  return renderPage(
    message.subject,
    `<p>${message.to.map((to) => `<a href="${linkTo({ to, page: 1 })}">${escapeText(to)}</a>`).join(", ")}</p>
<h1>${escapeText(message.subject || "(no subject)")}</h1>
<p class="about">from ${escapeText(message.from)} · ${toMinutes(message.receivedAt)} · <a href="${path}">all of it, as JSON</a></p>
${message.html === null ? "" : html}
<h2>As text</h2>
<pre>${escapeText(message.text || "(no text)")}</pre>`,
  );
}

function holds({ subject, text, to, from }: Message, words: string): boolean {
  return words === "" || [subject, text, from, ...to].some((field) => field.toLowerCase().includes(words));
}

function renderPeople(found: readonly Message[], look: Look): string {
  const counts = new Map<string, number>();
  for (const { to } of found) for (const person of to) counts.set(person, (counts.get(person) ?? 0) + 1);
  const people = [...counts].slice(0, shownPeople).map(([to, count]) => {
    const link = `<a href="${linkTo({ ...look, to, page: 1 })}">${escapeText(to)}</a>`;
    return `<li>${to === look.to ? `<b>${link}</b>` : link} <span class="about">${count}</span></li>`;
  });
  const more = counts.size - people.length;
  return `<ul><li><a href="${linkTo({ q: look.q, page: 1 })}">everybody</a></li>
${people.join("\n")}
${more > 0 ? `<li class="about">and ${more} more: search for them</li>` : ""}</ul>`;
}

function renderList(shown: readonly Message[], look: Look): string {
  if (shown.length === 0)
    return look.to === undefined && look.q === undefined
      ? "<p>No mail yet. What the platform sends appears here; reload the page to look again.</p>"
      : "<p>No mail fits.</p>";
  const rows = shown.map(
    ({ id, subject, to, receivedAt }) =>
      `<li><a href="/mails/${encodeURIComponent(id)}">${escapeText(subject || "(no subject)")}</a>
<br><span class="about">${escapeText(to.join(", "))} · ${toMinutes(receivedAt)}</span></li>`,
  );
  return `<ul>${rows.join("\n")}</ul>`;
}

function renderPages(page: number, pages: number, look: Look): string {
  if (pages === 1) return "";
  const turn = (to: number, words: string) =>
    to < 1 || to > pages ? "" : `<a href="${linkTo({ ...look, page: to })}">${words}</a>`;
  return `<p>Page ${page} of ${pages} ${turn(page - 1, "newer")} ${turn(page + 1, "older")}</p>`;
}

function linkTo({ to, q, page }: Look): string {
  const search = new URLSearchParams({
    ...(to === undefined ? {} : { to }),
    ...(q === undefined ? {} : { q }),
    ...(page === 1 ? {} : { page: String(page) }),
  });
  return escapeText(search.size === 0 ? "/" : `/?${search}`);
}

/** `2026-11-28 21:06`, in UTC as the business clock counts. */
function toMinutes(instant: string): string {
  return `${instant.slice(0, 16).replace("T", " ")} UTC`;
}
