import { escapeText } from "../../report/escape-text.ts";
import type { Message } from "./messages.ts";

// Mails hold what customers typed: none of it may become part of the page's own markup.

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0 auto; padding: 2rem 1rem; max-width: 56rem; }
  h1 { font-size: 1.5rem; }
  details { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem; margin: .5rem 0; padding: .5rem 1rem; }
  summary { cursor: pointer; }
  .about { opacity: .75; font-size: .875rem; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
`;

function renderMessage(message: Message): string {
  const about = `To ${message.to.join(", ")} · from ${message.from} · ${message.receivedAt}`;
  return `<li><details>
  <summary>${escapeText(message.subject || "(no subject)")} <span class="about">${escapeText(about)}</span></summary>
  <pre>${escapeText(message.text || "(no text)")}</pre>
  <a href="/messages/${encodeURIComponent(message.id)}">all of it, as JSON</a>
</details></li>`;
}

/** The inbox for people: newest first. `messages` comes oldest first. */
export function renderInbox(messages: readonly Message[]): string {
  const list =
    messages.length === 0
      ? "<p>No mail yet. What the platform sends appears here; reload the page to look again.</p>"
      : `<ul style="list-style: none; padding: 0">${messages.toReversed().map(renderMessage).join("\n")}</ul>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inbox (${messages.length})</title>
<style>${style}</style>
</head>
<body>
<h1>Inbox: ${messages.length} ${messages.length === 1 ? "mail" : "mails"}</h1>
${list}
</body>
</html>
`;
}
