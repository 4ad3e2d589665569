/** Reads Protocol Buffers from strangers: no length is trusted, and nothing is read beyond the bytes that are there. */

/** The bytes are not a message. */
export class ProtobufError extends Error {}

/** One field of a message. */
export interface ProtobufField {
  readonly number: number;
  /** Of the wire types varint, fixed64 and fixed32. */
  readonly integer: bigint;
  /** Of the wire type LEN; empty otherwise. */
  readonly bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The fields of a message, in their order. @throws ProtobufError */
export function* protobufFields(message: Uint8Array): Generator<ProtobufField> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new ProtobufError("a number is cut off");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new ProtobufError("a number has more than 64 bits");
  };
  const skip = (length: number): number => {
    const from = at;
    if (length > message.length - at) throw new ProtobufError("a field goes beyond its message");
    at += length;
    return from;
  };
  while (at < message.length) {
    const key = Number(varint());
    const number = Math.floor(key / 8);
    if (number === 0 || number > 0x1fffffff) throw new ProtobufError(`there is no field ${number}`);
    switch (key % 8) {
      case 0:
        yield { number, integer: varint(), bytes: NO_BYTES };
        break;
      case 1:
        yield { number, integer: view.getBigUint64(skip(8), true), bytes: NO_BYTES };
        break;
      case 2: {
        const length = Number(varint());
        const from = skip(length);
        yield { number, integer: 0n, bytes: message.subarray(from, from + length) };
        break;
      }
      case 5:
        yield { number, integer: BigInt(view.getUint32(skip(4), true)), bytes: NO_BYTES };
        break;
      default:
        throw new ProtobufError(`the wire type ${key % 8} does not exist`);
    }
  }
}

/** A field's text. @throws ProtobufError */
export function protobufText({ bytes }: ProtobufField): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ProtobufError("a text is not UTF-8");
  }
}

/** A field that is a double. */
export function protobufDouble({ integer }: ProtobufField): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, integer);
  return view.getFloat64(0);
}

/** A varint. */
export function protobufVarint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 0x80n) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}
