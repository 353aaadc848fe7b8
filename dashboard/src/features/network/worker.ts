// The layout beside the page, so that a large cluster does not hold it up.

import { layout, type Placed } from "./layout";

self.onmessage = ({ data }: MessageEvent<Placed[]>) => {
  const result = layout(data);
  self.postMessage(result, { transfer: [result.points.buffer] });
};
