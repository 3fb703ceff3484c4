import { escapeText } from "@caas/contract/escape-text.ts";

// Pages for people. What they show came from outside, so none of it may become part of their own markup.

/** Nothing is loaded from elsewhere and nothing runs; frames come from this server alone. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-src 'self'";

export const pageHeaders: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": policy,
  "cache-control": "no-store",
};

const style = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0 auto; padding: 1.5rem 1rem; max-width: 72rem; }
  h1 { font-size: 1.4rem; margin: 0 0 .75rem; }
  h2 { font-size: 1.05rem; margin: 1.25rem 0 .25rem; }
  a { color: LinkText; }
  .about { opacity: .75; font-size: .875rem; }
  .columns { display: grid; grid-template-columns: minmax(14rem, 20rem) 1fr; gap: 2rem; }
  @media (max-width: 48rem) { .columns { grid-template-columns: 1fr; } }
  ul { list-style: none; margin: 0; padding: 0; }
  li { border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); padding: .4rem 0; overflow-wrap: anywhere; }
  table { border-collapse: collapse; } td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  iframe { width: 100%; height: 70vh; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); background: white; }
  input { font: inherit; padding: .25rem .5rem; }
`;

/** @param body markup whose texts were escaped */
export function renderPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`;
}
