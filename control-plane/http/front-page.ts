import type { Http } from "./server.ts";

const links = [
  ["/docs/", "the REST interface, to read and to try"],
  ["/openapi.json", "its description, for programs"],
  ["/ready", "whether database and broker are there"],
  ["/health", "whether this process answers"],
  ["/metrics", "figures for Prometheus"],
] as const;

/** No rule of a browser's own: the page is read in the dark, too. */
const style =
  ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:2rem auto;max-width:44rem;padding:0 1rem}";

/** `/`: someone who opens the address in a browser learns what it is and where to go on. */
export function frontPage(server: Http, version: string): void {
  const rows = links.map(([path, what]) => `<li><a href="${path}">${path}</a>: ${what}</li>`);
  const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Car-as-a-Service</title><style>${style}</style></head>
<body>
<h1>Car-as-a-Service: control plane</h1>
<p>It sells cars, follows them from order to door, and switches paid services on in them over the air. People and
programs work with it over REST, below <code>/api</code>; the staff's and the customers' own pages do not exist yet.</p>
<ul>${rows.join("\n")}</ul>
<p>Version ${version}. Everything under <code>/api</code> needs a login: <code>POST /api/sign-in</code>.</p>
</body>
</html>
`;
  server.get("/", { schema: { hide: true } }, (_request, reply) =>
    reply.type("text/html; charset=utf-8").send(page),
  );
}
