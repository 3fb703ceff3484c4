/** What one answer of a partner may take. */
export type Bounds = {
  /** For the whole call: connecting, waiting and reading to the last byte. Real time. */
  timeoutMs: number;
  maxBytes: number;
};

/**
 * `fetch` for partners over HTTP: the answer is read to its end here, within a total time and a size. A partner that
 * answers without end, or a byte a second, costs one call and nothing else.
 *
 * @throws Error as `fetch` does, and for an answer that is too slow (`TimeoutError`) or too long
 */
export function boundedFetch({ timeoutMs, maxBytes }: Bounds): typeof fetch {
  return async (input, init) => {
    const signals = [AbortSignal.timeout(timeoutMs), ...(init?.signal ? [init.signal] : [])];
    const answer = await fetch(input, { redirect: "error", ...init, signal: AbortSignal.any(signals) });
    const body = await readUpTo(answer, maxBytes);
    // A status such as 204 may have no body at all, not even an empty one.
    return new Response(body.byteLength === 0 ? null : body, {
      status: answer.status,
      statusText: answer.statusText,
      headers: answer.headers,
    });
  };
}

async function readUpTo(answer: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (answer.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
