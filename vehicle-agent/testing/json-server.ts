import { createServer } from "node:http";

export type JsonServer = {
  url: string;
  /** Requests so far, refused ones too. */
  readonly requests: number;
  /** The next answers are these status codes instead. */
  failNext(...statuses: number[]): void;
  close(): Promise<void>;
};

type Answer = { status: number; body: object };

/** An HTTP server on a free loopback port; `answer` gets the body of a request to `path`, all other paths answer 404. */
export async function startJsonServer(
  path: string,
  answer: (text: string) => Promise<Answer>,
): Promise<JsonServer> {
  const failures: number[] = [];
  let requests = 0;

  async function answerTo(url: string | undefined, text: string): Promise<Answer> {
    if (url !== path) return { status: 404, body: {} };
    requests += 1;
    const status = failures.shift();
    return status === undefined ? answer(text) : { status, body: { detail: "as the test wished" } };
  }

  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      void answerTo(request.url, text).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    get requests() {
      return requests;
    },
    failNext: (...statuses) => void failures.push(...statuses),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
