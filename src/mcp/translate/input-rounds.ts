import type { Clock } from '../../util/runtime.js'
import { putMembers } from '../member-text.js'
import type { ClientExchange } from './exchange.js'
import { Questions, readRequiredInput, whyNotAsk } from './questions.js'
import type { LegacySession } from './session.js'

export interface InputRoundsOptions {
  clock: Pick<Clock, 'after'>
  exchange: ClientExchange
  session: LegacySession
  /** Sends the request again with more members of `params`, as JSON texts. */
  onReady(params: Record<string, string>): void
  onFailed(reason: string): void
}

const MAX_ROUNDS = 10
/** A server that only wants to be asked again is not asked at once. */
const FIRST_PAUSE_MS = 100

/**
 * What a server wants to know before it answers a request, asked of a client of the older era.
 *
 * @see [MCP 2026-07-28, multi round-trip requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr)
 */
export class InputRounds {
  readonly #options: InputRoundsOptions
  #questions: Questions | undefined
  #count = 0

  constructor(options: InputRoundsOptions) {
    this.#options = options
  }

  /** The client is asked something at the moment. */
  get isAsking(): boolean {
    return this.#questions !== undefined
  }

  /** Takes a response whose `resultType` is `input_required`. */
  take(response: string): void {
    const { clock, exchange, session, onReady, onFailed } = this.#options
    const { requests, state } = readRequiredInput(response)
    const stateMember: Record<string, string> = state === undefined ? {} : { requestState: state }
    this.#count += 1
    if (this.#count > MAX_ROUNDS) {
      return onFailed(`The target needed its client more than ${MAX_ROUNDS} times`)
    }
    if (requests.length === 0) {
      clock.after(FIRST_PAUSE_MS * 2 ** (this.#count - 1), () => onReady(stateMember))
      return
    }
    for (const request of requests) {
      const reason = whyNotAsk(request, session.client.capabilities)
      if (reason !== undefined) return onFailed(`The target needs its client, but ${reason}`)
    }
    this.#questions = new Questions({
      ...{ clock, exchange, session },
      onAnswered: (results) => {
        this.#questions = undefined
        onReady({ inputResponses: putMembers('{}', results), ...stateMember })
      },
      onFailed,
    })
    this.#questions.ask(requests)
  }

  /** Takes back what the client did not answer yet. */
  stop(): void {
    this.#questions?.stop()
    this.#questions = undefined
  }
}
