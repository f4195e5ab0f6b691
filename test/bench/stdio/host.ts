import { isObject, type JsonObject, tryParseJson } from '../../../src/util/json.js'
import { PROTOCOL_VERSION } from '../load/request.js'
import type { Piped } from '../process.js'

/** The program that started a bridge and speaks to it. */
export interface Host {
  /** Writes messages as lines, at once. */
  send(messages: JsonObject[]): void
  /**
   * Hands over what comes, chunk by chunk, until `onMessages` says that it has all it waited for.
   * Fails when the bridge ends, writes what is no message, or takes too long.
   */
  listen(onMessages: (messages: JsonObject[]) => boolean, timeoutMs: number): Promise<void>
  /** Sends `initialize` and checks that it is the target that answers. */
  initialize(): Promise<void>
  /** Says that the answer to `initialize` came. */
  initialized(): void
}

const START_TIMEOUT_MS = 30_000
const NEWLINE = 10

export function createHost({ stdin, stdout, exited, log }: Piped): Host {
  const readLines = lineReader()
  let take = (_messages: JsonObject[]) => {}
  let fail = (_error: Error) => {}
  let failure: Error | undefined
  const failed = (what: string) => {
    const said = log().trim()
    failure ??= new Error(said === '' ? what : `${what}; stderr:\n${said}`)
    fail(failure)
  }
  stdout.on('data', (chunk: Buffer) => {
    try {
      const messages = readLines(chunk).map(parseMessage)
      if (messages.length > 0) take(messages)
    } catch (error) {
      failed((error as Error).message)
    }
  })
  const ended = (status: number | undefined) => failed(`it ended with ${status}`)
  exited.then(ended, (error: Error) => failed(error.message))
  const send: Host['send'] = (messages) => {
    stdin.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
  }
  const listen: Host['listen'] = (onMessages, timeoutMs) => {
    const { promise, resolve, reject } = withResolvers()
    const timer = setTimeout(() => failed(`it said too little in ${timeoutMs} ms`), timeoutMs)
    fail = reject
    take = (messages) => {
      if (onMessages(messages)) resolve()
    }
    if (failure !== undefined) reject(failure)
    return promise.finally(() => {
      clearTimeout(timer)
      take = () => {}
      fail = () => {}
    })
  }
  return {
    send,
    listen,
    initialized: () => send([{ jsonrpc: '2.0', method: 'notifications/initialized' }]),
    async initialize() {
      send([INITIALIZE])
      let answer: JsonObject | undefined
      await listen((messages) => {
        answer ??= messages.find(({ id }) => id === INITIALIZE.id)
        return answer !== undefined
      }, START_TIMEOUT_MS)
      const { result } = answer ?? {}
      const info = isObject(result) ? result['serverInfo'] : undefined
      if (isObject(info) && info['name'] === 'bench-target') return
      throw new Error(`wrong answer to initialize: ${JSON.stringify(answer).slice(0, 200)}`)
    },
  }
}

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: PROTOCOL_VERSION,
    capabilities: {},
    clientInfo: { name: 'bench-host', version: '1.0.0' },
  },
}

function parseMessage(line: string): JsonObject {
  const message = tryParseJson(line)
  if (isObject(message) && message['jsonrpc'] === '2.0') return message
  throw new Error(`stdout holds ${JSON.stringify(line.slice(0, 200))}`)
}

/** Cuts chunks into lines; looks at each byte of a long line once. */
function lineReader(): (chunk: Buffer) => string[] {
  let parts: Buffer[] = []
  return (chunk) => {
    const lines: string[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start)
      if (end < 0) break
      parts.push(chunk.subarray(start, end))
      lines.push(Buffer.concat(parts).toString())
      parts = []
      start = end + 1
    }
    if (start < chunk.length) parts.push(chunk.subarray(start))
    return lines
  }
}

function withResolvers() {
  let resolve = () => {}
  let reject = (_error: Error) => {}
  const promise = new Promise<void>((onDone, onFailed) => {
    resolve = onDone
    reject = onFailed
  })
  return { promise, resolve, reject }
}
