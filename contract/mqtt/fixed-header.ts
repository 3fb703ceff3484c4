// What every MQTT packet begins with (MQTT 3.1.1, 2.2): its type and flags, then the length of the rest.

export const packetType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

/** The remaining length takes at most so many bytes (2.2.3). */
export const maxLengthBytes = 4;

/**
 * Where the body of the packet that begins at `at` begins; 0 while its length is incomplete.
 * @throws Error when the length never ends
 */
export function bodyStart(bytes: Uint8Array, at: number): number {
  for (let index = at + 1; index <= at + maxLengthBytes; index += 1) {
    const byte = bytes[index];
    if (byte === undefined) return 0;
    if (byte < 0x80) return index + 1;
  }
  throw new Error(`a packet's length takes more than ${maxLengthBytes} bytes`);
}

/** The remaining length of that packet: how many bytes follow from `bodyAt`, its `bodyStart`. */
export function bodyLength(bytes: Uint8Array, at: number, bodyAt: number): number {
  let length = 0;
  for (let index = bodyAt - 1; index > at; index -= 1) length = (length << 7) | ((bytes[index] ?? 0) & 0x7f);
  return length;
}

/** A packet with its header written; its last `length` bytes are the body, still to be written. */
export function startPacket(firstByte: number, length: number): Buffer {
  const lengthBytes = length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x200000 ? 3 : 4;
  const packet = Buffer.allocUnsafe(1 + lengthBytes + length);
  packet[0] = firstByte;
  let left = length;
  for (let at = 1; at < lengthBytes; at += 1) {
    packet[at] = (left & 0x7f) | 0x80;
    left >>>= 7;
  }
  packet[lengthBytes] = left;
  return packet;
}
