/** Queues on engines of several nodes: what the loss of one of them does. */
import { setTimeout as sleep } from "node:timers/promises";
import { KafkaCluster } from "../engines/kafka-cluster.js";
import { NatsCluster } from "../engines/nats.js";
import { journey } from "../queue-scene.js";

const leaderKilled = {
  number: "28n",
  name: "queue: three brokers of Kafka, the leader killed, and the next one with its disk",
  runs: { full: 1, short: 1 },
  alone: true,
  needs: () => KafkaCluster.needs(),
  run: (context) =>
    journey(context, ["kafka", KafkaCluster], {
      async during(scene) {
        const { engine } = scene;
        await scene.rows(0.2 * scene.total);
        const first = await engine.leader();
        await engine.nodes.get(first).down("SIGKILL");
        await scene.rows(0.5 * scene.total);
        await engine.nodes.get(first).up();
        const second = await engine.leader();
        await engine.lose(second);
        await scene.rows(0.8 * scene.total);
        await engine.nodes.get(second).up();
      },
    }),
};

/** With three replicas, what JetStream has acknowledged survives the node that acknowledged it, even with `"queued"`. */
const nodeKilled = {
  number: "28o",
  name: "queue: three NATS nodes, the one that leads the stream killed",
  runs: { full: 1, short: 1 },
  alone: true,
  needs: () => NatsCluster.needs(),
  async run(context) {
    for (const confirm of ["stored", "queued"]) {
      await journey(context, ["nats", NatsCluster], {
        confirm,
        async during(scene) {
          const { engine, total } = scene;
          for (const share of [0.2, 0.6]) {
            await scene.rows(share * total);
            const leader = await engine.leader();
            await leader.process.down("SIGKILL");
            await sleep(context.short ? 3_000 : 10_000);
            await leader.process.up();
          }
        },
      });
    }
  },
};

export const QUEUE_CLUSTER_FAULTS = [leaderKilled, nodeKilled];
