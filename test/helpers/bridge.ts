import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JsonObject } from '../../src/util/json.js'
import { type CliProcess, type CliResult, startCli } from './cli.js'

/** A bridge as a process of its own, with a host that speaks to it. */
export interface BridgeProcess extends CliProcess {
  /** Writes a message without waiting for anything. */
  send(message: JsonObject): void
  /** Sends a request; resolves with its response. */
  request(method: string, params?: JsonObject, id?: string | number): Promise<JsonObject>
  /** `initialize`, then `notifications/initialized`. */
  handshake(params?: JsonObject): Promise<JsonObject>
  /** Calls a tool; resolves with the response. */
  call(name: string, args?: JsonObject): Promise<JsonObject>
  /** Every line of stdout so far. Throws when one is no JSON-RPC message. */
  messages(): JsonObject[]
  /** Notifications and requests of the target with this method. */
  received(method: string): JsonObject[]
  /** Resolves with the first message that fits, whether it came already or comes later. */
  until(fits: (message: JsonObject) => boolean, ms?: number): Promise<JsonObject>
  /** Closes stdin and waits for the end. */
  end(): Promise<CliResult>
}

export interface BridgeSetup {
  args?: readonly string[]
  env?: Record<string, string>
  timeoutMs?: number
  nodeArguments?: readonly string[]
  cwd?: string
}

export const CLIENT = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'test-host', version: '1.0.0' },
}

/** Starts `stdio` for a target. */
export function startBridge(target: string | undefined, setup: BridgeSetup = {}): BridgeProcess {
  const { args = [], env = {}, timeoutMs = 30_000, nodeArguments = [], cwd } = setup
  const given = target === undefined ? [] : [target]
  const process = startCli(['stdio', ...given, ...args], {
    ...{ env, timeoutMs, nodeArguments },
    ...(cwd !== undefined && { cwd }),
  })
  const messages: JsonObject[] = []
  const watchers = new Set<() => void>()
  let rest = ''
  let broken: Error | undefined
  let nextId = 1
  process.child.stdin.on('error', () => undefined)
  process.child.stdout.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      try {
        const message = JSON.parse(line)
        if (message.jsonrpc !== '2.0') throw new Error('no JSON-RPC')
        messages.push(message)
      } catch {
        broken ??= new Error(`stdout holds ${line.slice(0, 200)}`)
      }
    }
    for (const watcher of [...watchers]) watcher()
  })

  const until: BridgeProcess['until'] = (fits, ms = 10_000) =>
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer)
        watchers.delete(look)
      }
      const timer = setTimeout(() => {
        stop()
        reject(new Error(`No such message within ${ms} ms; stderr:\n${process.stderr()}`))
      }, ms)
      const look = () => {
        const found = messages.find(fits)
        if (broken !== undefined) reject(broken)
        if (found === undefined) return
        stop()
        resolve(found)
      }
      watchers.add(look)
      look()
      process.ended.then(({ status, stderr }) => {
        stop()
        reject(new Error(`The bridge ended with ${status}; stderr:\n${stderr}`))
      }, reject)
    })
  const send = (message: JsonObject) => {
    process.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  }
  const request: BridgeProcess['request'] = async (method, params, id = nextId++) => {
    send({ id, method, ...(params !== undefined && { params }) })
    return until((message) => message['id'] === id && !('method' in message), 20_000)
  }
  // whatever a test is about: what a host reads is JSON-RPC to the last line
  const ended = process.ended.then((result) => {
    if (broken !== undefined) throw broken
    if (result.status !== undefined && rest !== '') throw new Error(`stdout ends with ${rest}`)
    return result
  })
  ended.catch(() => undefined)
  return {
    ...process,
    ended,
    send,
    request,
    async handshake(params = {}) {
      const answer = await request('initialize', { ...CLIENT, ...params })
      send({ method: 'notifications/initialized' })
      return answer
    },
    call: (name, args = {}) => request('tools/call', { name, arguments: args }),
    messages() {
      if (broken !== undefined) throw broken
      if (rest !== '') throw new Error(`stdout ends with ${rest.slice(0, 200)}`)
      return messages
    },
    received: (method) => messages.filter((message) => message['method'] === method),
    until,
    async end() {
      process.child.stdin.end()
      return await ended
    },
  }
}

/** The text of a tool's result. */
export function textOf(response: JsonObject): string {
  const { content } = response['result'] as { content: { text: string }[] }
  return content.map(({ text }) => text).join('\n')
}

/** A program for `$BROWSER` that keeps the URLs and visits them only if it is told to. */
export function createBrowser(visits: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'browser-'))
  const [path, log] = [join(folder, 'browser'), join(folder, 'urls')]
  const visit = visits ? 'fetch(process.argv[2])' : ''
  writeFileSync(
    path,
    `#!${process.execPath}\nrequire('fs').appendFileSync(${JSON.stringify(log)}, process.argv[2] + '\\n')\n${visit}\n`,
  )
  chmodSync(path, 0o700)
  return {
    path,
    // what follows the last line break is still being written
    urls: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').slice(0, -1) : []),
  }
}

/** A home of its own, with a space and a letter beyond ASCII in its name. */
export function createHome(): string {
  return join(mkdtempSync(join(tmpdir(), 'home-')), 'with a space é')
}
