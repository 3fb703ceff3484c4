import { escapeText } from "@caas/contract/escape-text.ts";
import type { Knob } from "./knobs.ts";
import { renderPage } from "./page.ts";

export type ListedRoute = { method: string; url: string; needsSearch: boolean };

const standsFor: Readonly<Record<string, string>> = {
  factory: "the factory that builds the cars",
  gateway: "the payment gateway, in the forms of Stripe's API",
  vss: "the workshops' maintenance system",
  authority: "the authority that registers vehicles",
  transport: "the carrier that brings cars to their owners",
};

/** What someone finds who opens a stand-in's address: what it is, what is set on it, and where to look. */
export function renderFrontPage(
  name: string,
  url: string,
  routes: readonly ListedRoute[],
  knobs: readonly Knob[],
): string {
  const set = knobs.map(
    ({ what, value, reset }) =>
      `<li><b>${escapeText(what)}</b>: ${escapeText(JSON.stringify(value))}<br><span class="about">back as it was: <code>curl -X DELETE ${escapeText(url + reset)}</code></span></li>`,
  );
  return renderPage(
    `Stand-in: ${name}`,
    `<h1>Stand-in: ${escapeText(name)}</h1>
<p>This stands for ${escapeText(standsFor[name] ?? "a partner system")}. It is part of the simulator: a real server with
its own data, its own key and its own ways to fail. <code>simulator/stand-ins/README.md</code> describes all of it.</p>
<h2>Set by someone</h2>
${set.length === 0 ? "<p>Nothing: it works as it does by itself.</p>" : `<ul>${set.join("\n")}</ul>`}
<h2>The control entrance, without a key</h2>
${renderRoutes(routes.filter((route) => !isOwnApi(route)))}
<h2>Its own interface, with its API key</h2>
${renderRoutes(routes.filter(isOwnApi))}`,
  );
}

function isOwnApi({ url }: Pick<ListedRoute, "url">): boolean {
  return url.startsWith("/v1/");
}

function renderRoutes(routes: readonly ListedRoute[]): string {
  const rows = routes.map(({ method, url, needsSearch }) => {
    const isLink = method === "GET" && !url.includes(":") && !needsSearch && !isOwnApi({ url });
    const text = escapeText(url.replaceAll(/:(\w+)/g, "{$1}"));
    return `<tr><td>${escapeText(method)}</td><td>${isLink ? `<a href="${text}">${text}</a>` : `<code>${text}</code>`}</td></tr>`;
  });
  return `<table>${rows.join("\n")}</table>`;
}
