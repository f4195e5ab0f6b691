import type { UpstreamController } from './pool.js'

/** Of a request that was never sent, or whose answer does not matter any more. */
export const NO_CONTROLLER: UpstreamController = {
  aborted: false,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
}
