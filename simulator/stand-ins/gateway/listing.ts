import type { Answer } from "../shared/http.ts";
import { type Books, type Outcome, refused } from "./books.ts";
import { invalidParameter, noSuch } from "./errors.ts";
import type { Charge, Customer, Dispute, Intent, Refund } from "./objects.ts";

// Lists, searches and expanded answers.

type Page = { limit?: number; starting_after?: string; ending_before?: string };
const defaultLimit = 10;

/** Newest first, a page of `limit`, as Stripe's cursors say. `found` comes oldest first. */
export function pageOf<T extends { id: string }>(
  found: readonly T[],
  url: string,
  page: Page,
  expandAll: (objects: readonly T[]) => Outcome<unknown[]>,
): Answer {
  const newestFirst = found.toReversed();
  const limit = page.limit ?? defaultLimit;
  const cursor = page.starting_after ?? page.ending_before;
  const at = cursor === undefined ? -1 : newestFirst.findIndex((object) => object.id === cursor);
  if (cursor !== undefined && at === -1)
    return noSuch(
      "object",
      cursor,
      page.starting_after === undefined ? "ending_before" : "starting_after",
      400,
    );
  const isBackwards = page.starting_after === undefined && page.ending_before !== undefined;
  const from = isBackwards ? Math.max(0, at - limit) : at + 1;
  const slice = isBackwards ? newestFirst.slice(from, at) : newestFirst.slice(from, from + limit);
  const hasMore = isBackwards ? from > 0 : from + limit < newestFirst.length;
  const data = expandAll(slice);
  if (data.status === "refused") return data.answer;
  return { status: 200, body: { object: "list", url, has_more: hasMore, data: data.object } };
}

type Clause =
  | { field: "status" | "customer"; value: string }
  | { field: "metadata"; key: string; value: string };

const clausePattern =
  /^\s*(?:(?<field>status|customer)|metadata\[(?<q>['"])(?<key>[^'"]{1,40})\k<q>\])\s*:\s*(?<quote>['"])(?<value>(?:\\.|(?!\k<quote>)[^\\])*)\k<quote>\s*(?<and>AND\s+(?=\S))?/;

/** Reads `metadata['reference']:'x' AND status:'succeeded'`; `null` where it is anything else. */
export function parseSearch(query: string): Clause[] | null {
  const clauses: Clause[] = [];
  let rest = query;
  for (;;) {
    const groups = clausePattern.exec(rest);
    if (groups?.groups === undefined) return null;
    const { field, key, value = "", and } = groups.groups;
    const plain = value.replace(/\\(.)/g, "$1");
    if (field === "status" || field === "customer") clauses.push({ field, value: plain });
    else if (key !== undefined) clauses.push({ field: "metadata", key, value: plain });
    rest = rest.slice(groups[0].length);
    if (and === undefined) return rest === "" ? clauses : null;
  }
}

function matches(intent: Intent, clause: Clause): boolean {
  if (clause.field === "metadata")
    return Object.hasOwn(intent.metadata, clause.key) && intent.metadata[clause.key] === clause.value;
  return intent[clause.field] === clause.value;
}

/** Unlike the real search this one is never behind: the platform must not rely on that, but cannot test it here. */
export function searchIntents(
  books: Books,
  request: { query: string; limit?: number; page?: string },
  expandAll: (objects: readonly Intent[]) => Outcome<unknown[]>,
): Answer {
  const clauses = parseSearch(request.query);
  if (clauses === null)
    return invalidParameter(
      "query",
      "only metadata['key']:'value', status:'…' and customer:'…', joined by AND, are understood",
    );
  const byMetadata = clauses.find((clause) => clause.field === "metadata");
  const candidates =
    byMetadata?.field === "metadata"
      ? books.intents.find("metadata", `${byMetadata.key}=${byMetadata.value}`)
      : books.intents.list();
  const found = books
    .settleHolds(candidates)
    .filter((intent) => clauses.every((clause) => matches(intent, clause)))
    .toReversed();
  const limit = request.limit ?? defaultLimit;
  const from = request.page === undefined ? 0 : Number(request.page);
  if (!Number.isInteger(from) || from < 0) return invalidParameter("page", "not a page this search gave");
  const data = expandAll(found.slice(from, from + limit));
  if (data.status === "refused") return data.answer;
  const hasMore = from + limit < found.length;
  return {
    status: 200,
    body: {
      object: "search_result",
      url: "/v1/payment_intents/search",
      has_more: hasMore,
      next_page: hasMore ? String(from + limit) : null,
      data: data.object,
    },
  };
}

export type Expandable = Customer | Intent | Charge | Refund | Dispute;

/** Replaces the ids that `expand` names by their objects, one level deep. */
export function expandObject(
  books: Books,
  object: Expandable,
  expand: readonly string[] | undefined,
): Outcome<unknown> {
  const expanded: Record<string, unknown> = { ...object };
  for (const field of expand ?? []) {
    const id = expanded[field];
    const find = finders(books)[field];
    if (find === undefined || !Object.hasOwn(object, field))
      return refused(invalidParameter("expand", `${field} cannot be expanded on a ${object.object}`));
    if (typeof id === "string") expanded[field] = find(id);
  }
  return { status: "done", object: expanded };
}

/** The same for a list, where every name starts with `data.`. */
export function expandList(
  books: Books,
  expand: readonly string[] | undefined,
): (objects: readonly Expandable[]) => Outcome<unknown[]> {
  return (objects) => {
    const outside = expand?.find((field) => !field.startsWith("data."));
    if (outside !== undefined)
      return refused(
        invalidParameter("expand", `${outside} cannot be expanded on a list; data.${outside} may be`),
      );
    const fields = expand?.map((field) => field.slice("data.".length));
    const all: unknown[] = [];
    for (const object of objects) {
      const expanded = expandObject(books, object, fields);
      if (expanded.status === "refused") return expanded;
      all.push(expanded.object);
    }
    return { status: "done", object: all };
  };
}

function finders(books: Books): Readonly<Record<string, (id: string) => unknown>> {
  return {
    latest_charge: (id) => books.charges.get(id),
    customer: (id) => books.customers.get(id),
    charge: (id) => books.charges.get(id),
    payment_intent: (id) => books.readIntent(id),
  };
}
