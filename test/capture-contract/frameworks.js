/** The frameworks that the capture contract is held with, in the order of the table. */
import { express4Framework, express5Framework } from "./express.js";
import { fastifyFramework } from "./fastify.js";
import { honoFramework } from "./hono.js";
import { koaFramework } from "./koa.js";
import { nestExpressFramework, nestFastifyFramework } from "./nestjs.js";
import { nextFramework } from "./next.js";
import { http2Framework, httpFramework, processFramework } from "./node.js";

export const FRAMEWORKS = [
  express4Framework,
  express5Framework,
  fastifyFramework,
  koaFramework,
  honoFramework,
  nestExpressFramework,
  nestFastifyFramework,
  nextFramework,
  httpFramework,
  http2Framework,
  processFramework,
];
