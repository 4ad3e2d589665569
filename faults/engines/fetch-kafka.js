#!/usr/bin/env node
/**
 * Puts Apache Kafka into the cache, by Maven: about 45 MB. Needs Java 17 or later. Tests and faults never download: without
 * this they are skipped, and report that.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const VERSION = "4.1.1";
const CACHE = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");

/** The folder of Kafka's jars. `SECLOG_TEST_KAFKA` names one of another version. */
export const KAFKA_LIBRARY = process.env.SECLOG_TEST_KAFKA || join(CACHE, "seclog-ci", `kafka-${VERSION}`);

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>seclog</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
  </dependencies>
</project>
`;

function fetchKafka() {
  if (existsSync(KAFKA_LIBRARY)) return "there";
  const folder = mkdtempSync(join(tmpdir(), "seclog-kafka-"));
  try {
    writeFileSync(join(folder, "pom.xml"), POM);
    // Beside its place, so that it is complete once it is there.
    const partial = `${KAFKA_LIBRARY}.${process.pid}`;
    mkdirSync(dirname(KAFKA_LIBRARY), { recursive: true });
    const args = ["-q", "-B", "-f", join(folder, "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime"];
    const { status, error } = spawnSync("mvn", [...args, `-DoutputDirectory=${partial}`], {
      stdio: ["ignore", "inherit", "inherit"],
      timeout: 300_000,
    });
    if (status === 0) renameSync(partial, KAFKA_LIBRARY);
    else rmSync(partial, { recursive: true, force: true });
    return status === 0 ? "fetched" : `SKIPPED: Maven failed: ${error?.message ?? `it exited with ${status}`}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(`Apache Kafka: ${fetchKafka()}`);
