/** Queues: engines of several nodes, some of which end. */
import { KafkaCluster } from "../engines/kafka-cluster.js";
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

export const QUEUE_CLUSTER_FAULTS = [leaderKilled];
