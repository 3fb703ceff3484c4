import type { Display } from "@caas/contract/display.ts";
import { escapeText } from "@caas/contract/escape-text.ts";

// The car's own screen, for whoever opens `/display` in a browser. It reloads itself: a code is worth nothing late.
// Titles and bodies are the platform's, and may hold what people typed.

const reloadS = 3;
const style = `
  :root { color-scheme: dark; font: 18px/1.5 system-ui, sans-serif; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #0b0f14; color: #e8edf2; }
  main { width: min(46rem, 92vw); border: 1px solid #2a3440; border-radius: 1.25rem; padding: 2rem; background: #121821; }
  h1 { font-size: 1.25rem; margin: 0; } p { margin: .25rem 0 0; } article + article { margin-top: 1.5rem; }
  .code { font: 600 3.5rem/1.2 ui-monospace, monospace; letter-spacing: .35em; }
  footer { margin-top: 2rem; opacity: .6; font-size: .8rem; }
`;

/** @param shown newest first */
export function renderDisplay(vin: string, shown: readonly Display[]): string {
  const messages = shown.map(({ content }) =>
    content.kind === "linkingCode"
      ? `<article><h1>Link the app to this car</h1><p>Type this code into the app:</p><p class="code">${escapeText(content.code)}</p></article>`
      : `<article><h1>${escapeText(content.title)}</h1><p>${escapeText(content.body)}</p></article>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${reloadS}"><title>Screen of ${escapeText(vin)}</title><style>${style}</style></head>
<body><main>
${messages.length === 0 ? "<p>Nothing to show. Have a good journey.</p>" : messages.join("\n")}
<footer>${escapeText(vin)} · <a href="/health">state</a> · <a href="/metrics">figures</a></footer>
</main></body>
</html>
`;
}
