#!/usr/bin/env node
/**
 * Sends one message that is compressed with Snappy: `kafka-snappy.js BROKER TOPIC TEXT`. kafkajs reads no Snappy. In a
 * process of its own, since its codecs are global.
 */
import kafkajs from "kafkajs";

const { CompressionCodecs, CompressionTypes, Kafka } = kafkajs;

/** Snappy without compression: the length, and literals of up to 60 bytes (google/snappy, format_description.txt). */
function snappy(bytes) {
  const parts = [];
  let left = bytes.length;
  for (; left > 127; left >>>= 7) parts.push(Buffer.from([(left & 127) | 128]));
  parts.push(Buffer.from([left]));
  for (let at = 0; at < bytes.length; at += 60) {
    const literal = bytes.subarray(at, at + 60);
    parts.push(Buffer.from([(literal.length - 1) << 2]), literal);
  }
  return Buffer.concat(parts);
}

CompressionCodecs[CompressionTypes.Snappy] = () => ({ compress: async ({ buffer }) => snappy(buffer) });

const [broker, topic, value] = process.argv.slice(2);
const producer = new Kafka({ brokers: [broker], logLevel: 0 }).producer();
await producer.connect();
await producer.send({ topic, compression: CompressionTypes.Snappy, messages: [{ value, partition: 3 }] });
await producer.disconnect();
