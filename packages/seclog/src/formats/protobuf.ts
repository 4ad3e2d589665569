/**
 * Writes Protocol Buffers (https://protobuf.dev/programming-guides/encoding/): the five kinds of field that OTLP needs,
 * and no more. Fields are written in the order of the calls; a caller leaves out what is empty, as proto3 does.
 */
import { Buffer } from "node:buffer";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

/** A message under construction. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** The bytes of the message. */
  finish(): Uint8Array {
    return Buffer.concat(this.#parts, this.#length);
  }

  /** A `bool`, an `enum` or an `int64`, which may be negative. */
  integer(field: number, value: number | bigint): this {
    return this.#push(tag(field, VARINT)).#push(long(BigInt.asUintN(64, BigInt(value))));
  }

  /** A `fixed64`. */
  fixed64(field: number, value: bigint): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
    return this.#push(tag(field, FIXED64)).#push(bytes);
  }

  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.#push(tag(field, FIXED64)).#push(bytes);
  }

  string(field: number, text: string): this {
    return this.bytes(field, Buffer.from(text));
  }

  bytes(field: number, bytes: Uint8Array): this {
    return this.#push(tag(field, BYTES)).#push(varint(bytes.length)).#push(bytes);
  }

  /** A message within this one. */
  message(field: number, write: (inner: ProtobufWriter) => void): this {
    const inner = new ProtobufWriter();
    write(inner);
    return this.bytes(field, inner.finish());
  }

  #push(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}

function tag(field: number, kind: number): Uint8Array {
  return varint(field * 8 + kind);
}

/** A number below 2^31: a tag, or a length. */
function varint(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value);
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** A number of 64 bits. */
function long(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
