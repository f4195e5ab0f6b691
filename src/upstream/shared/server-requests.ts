import { randomBytes } from 'node:crypto'
import { memberText, replaceAt } from '../../mcp/json-text.js'
import { ERROR_CODES } from '../../mcp/jsonrpc.js'
import { type JsonObject, ownMember } from '../../util/json.js'
import type { ClientSession } from './client-session.js'

const MAX_PENDING = 1_000

/** The capability that a client must have declared to get a request. */
const CAPABILITY: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
}

export type ServerRequests = ReturnType<typeof createServerRequests>

/**
 * Keeps the requests of a server on a shared connection. Each goes to one client, which alone can
 * answer it.
 */
export function createServerRequests(
  sessions: ReadonlySet<ClientSession>,
  transmit: (text: string) => void,
) {
  /** Those without an answer yet, by the id that the client sees. `id` is as the server wrote it. */
  const pending = new Map<string, { id: string; session: ClientSession }>()
  const mark = randomBytes(6).toString('base64url')
  let count = 0

  function reply(id: string, body: JsonObject): void {
    const wire = JSON.stringify({ jsonrpc: '2.0', id: null, ...body })
    transmit(replaceAt(wire, ['id'], id))
  }

  /** Of the clients with the capability, prefers one with a call under way, then one with a stream. */
  function chooseClient(capability: string | undefined): ClientSession | undefined {
    const able = [...sessions].filter(
      ({ capabilities }) => capability === undefined || Object.hasOwn(capabilities, capability),
    )
    return (
      able.findLast(({ calls }) => calls.size > 0) ??
      able.findLast(({ isListening }) => isListening) ??
      able.at(-1)
    )
  }

  return {
    /** Sends a request to a client that can answer it; where there is none, refuses it. */
    take(method: string, text: string): void {
      const id = memberText(text, 'id')
      if (id === undefined) return
      if (method === 'ping') return reply(id, { result: {} })
      const session = chooseClient(ownMember(CAPABILITY, method))
      if (session === undefined || pending.size >= MAX_PENDING) {
        const message = `No client here takes ${method}`
        return reply(id, { error: { code: ERROR_CODES.methodNotFound, message } })
      }
      count += 1
      const key = `${mark}-${count}`
      pending.set(key, { id, session })
      session.deliverRequest(replaceAt(text, ['id'], JSON.stringify(key)))
    },

    /**
     * Gives a client's answer the id that the server wrote.
     *
     * @returns `undefined` when this client was not sent the request.
     */
    answer(session: ClientSession, { id }: JsonObject, text: string): string | undefined {
      const key = String(id)
      const request = pending.get(key)
      if (request?.session !== session) return undefined
      pending.delete(key)
      return replaceAt(text, ['id'], request.id)
    },

    /** The server cancelled its request. */
    takeBack(text: string): void {
      const written = memberText(text, 'params', 'requestId')
      for (const [key, { id, session }] of pending) {
        if (id !== written) continue
        pending.delete(key)
        session.deliver(replaceAt(text, ['params', 'requestId'], JSON.stringify(key)))
      }
    },

    /** Answers what a client that left did not answer. */
    leave(left: ClientSession): void {
      for (const [key, { id, session }] of pending) {
        if (session !== left) continue
        pending.delete(key)
        reply(id, { error: { code: ERROR_CODES.internalError, message: 'The client left' } })
      }
    },

    clear: () => pending.clear(),
  }
}
