import type { ServerResponse } from 'node:http'
import { type Listening, listen } from './listen.js'
import { MISBEHAVIOURS, type Mode } from './misbehaviours.js'
import type { RecordedRequest, Recorder } from './record.js'
import { createRecorder } from './record.js'
import { type RecordingOptions, type RecordingTarget, startRecordingTarget } from './recording.js'

export type { Mode } from './misbehaviours.js'
export const MODES = Object.keys(MISBEHAVIOURS) as Mode[]

export interface HostileOptions extends Omit<RecordingOptions, 'intercept'> {
  /** Milliseconds between two bytes of `slow-drip` and two comments of `endless-stream`. */
  dripMs?: number
  /** Size of the answer of `gigantic`, bytes. Default 32 MiB. */
  giganticBytes?: number
}

/** What a misbehaviour is given. */
export interface Situation {
  request: RecordedRequest
  response: ServerResponse
  /** The id of the JSON-RPC request, `null` when there is none. */
  id: unknown
  /** The answer that a well-behaved server would give. */
  good: string
  dripMs: number
  giganticBytes: number
  /** Origin of another server, which records whoever follows there. */
  elsewhere: string
  /** How many requests came on this connection before this one. */
  earlierOnSocket: number
}

export interface HostileTarget extends RecordingTarget {
  /**
   * The URL at which the server misbehaves in this way.
   *
   * @param on Only for requests with this method; everything else is answered well, so that a
   *   client gets through `initialize` and `tools/list`. Without it, for every request.
   */
  at(mode: Mode, on?: string): string
  /** Requests that followed a redirect to the other server. */
  followed: RecordedRequest[]
}

/** Starts one server that misbehaves in as many ways as there are in `MISBEHAVIOURS`. */
export async function startHostileTarget(options: HostileOptions = {}): Promise<HostileTarget> {
  const { dripMs = 20, giganticBytes = 32 * 1024 * 1024 } = options
  const other = await startElsewhere()
  const perSocket = new Map<number, number>()
  const target = await startRecordingTarget({
    ...options,
    async intercept(request, response) {
      const earlierOnSocket = perSocket.get(request.socket) ?? 0
      perSocket.set(request.socket, earlierOnSocket + 1)
      const [mode = '', ...rest] = new URL(request.url, 'http://any').pathname.slice(1).split('/')
      const on = rest.join('/')
      const misbehave = MISBEHAVIOURS[mode as Mode]
      if (misbehave === undefined || (on !== '' && on !== request.rpc)) return false
      const id = request.message?.['id'] ?? null
      return misbehave({
        request,
        response,
        id,
        good: goodAnswer(id),
        dripMs,
        giganticBytes,
        elsewhere: other.origin,
        earlierOnSocket,
      })
    },
  })
  const closeTarget = target.close
  return Object.assign(target, {
    at: (mode: Mode, on?: string) => `${target.origin}/${mode}${on === undefined ? '' : `/${on}`}`,
    followed: other.requests,
    async close() {
      await Promise.all([closeTarget(), other.close()])
    },
  })
}

/** Text that the good answer to any request carries. */
export const GOOD_TEXT = 'an honest answer'

function goodAnswer(id: unknown): string {
  const result = { content: [{ type: 'text', text: GOOD_TEXT }] }
  return JSON.stringify({ jsonrpc: '2.0', id, result })
}

async function startElsewhere(): Promise<Listening & Recorder> {
  const recorder = createRecorder()
  const listening = await listen((incoming, response) => {
    void recorder.record(incoming, response).then((request) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(goodAnswer(request.message?.['id'] ?? null))
    })
  })
  return Object.assign(Object.create(listening), recorder)
}
