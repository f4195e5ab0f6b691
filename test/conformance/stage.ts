import { text } from 'node:stream/consumers'
import type { JsonObject } from '../../src/util/json.js'
import { type Listening, listen } from '../helpers/targets/listen.js'

/** What the suite tells a client about a scenario. */
export interface Scene {
  readonly scenario: string
  /** Of the server to connect to. */
  readonly url: string
  /** Credentials and calls that the scenario wants. */
  readonly context: JsonObject
}

/**
 * Starts where the drivers callWithoutToken, which the suite starts all at once: plays their scenes one by one,
 * so that two cores are enough. `play` resolves with what happened, for whoever looks for a failure.
 */
export async function startStage(play: (scene: Scene) => Promise<string>): Promise<Listening> {
  let last: Promise<unknown> = Promise.resolve()
  return listen(async (request, response) => {
    const scene: Scene = JSON.parse(await text(request))
    const turn = last.then(() => play(scene))
    last = turn.catch(() => undefined)
    await turn.then(
      (log) => response.end(log),
      (error: Error) => response.writeHead(500).end(`${error.stack}\n`),
    )
  })
}
