import { withSeclog } from "seclog/next";

export default withSeclog({});
