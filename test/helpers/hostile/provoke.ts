import type { TargetInput } from '../../../src/config/types.js'
import { startRecordingTarget } from '../targets/recording.js'
import type { Behaviour } from './behaviours.js'
import type { Caller } from './caller.js'
import { HOSTILE, type Neighbours } from './neighbours.js'

/** Asks the hostile target for something, and waits for none of it. */
export function provoke(caller: Caller): void {
  const requests = [
    ['tools/call', { name: `${HOSTILE}_echo`, arguments: {}, _meta: { progressToken: 'mine' } }],
    ['prompts/get', { name: `${HOSTILE}_greet` }],
    ['tools/list', {}],
  ] as const
  for (const [method, params] of requests) caller.request(method, params).catch(() => undefined)
}

/** Starts a target that behaves like this. */
async function startHostile(behave: Behaviour, neighbours: Neighbours) {
  const hostile = await startRecordingTarget({
    sessions: 'required',
    sse: { eventIds: true },
    listChanged: true,
    prompts: [{ name: 'greet' }],
  })
  behave(hostile, neighbours)
  return hostile
}

/** Starts a target that behaves like this, for as long as it is used. */
export async function withHostile<T>(
  behave: Behaviour,
  neighbours: Neighbours,
  use: (hostile: TargetInput) => Promise<T>,
): Promise<T> {
  const hostile = await startHostile(behave, neighbours)
  try {
    return await use({ url: hostile.url })
  } finally {
    await hostile.close()
  }
}
