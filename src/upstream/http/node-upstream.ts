import type {
  Agent,
  ClientRequest,
  request as httpRequest,
  IncomingMessage,
  RequestOptions,
} from 'node:http'
import { createRequire } from 'node:module'
import { isIP, type Socket } from 'node:net'
import { urlToHttpOptions } from 'node:url'
import { setMember } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { Upstream, UpstreamController, UpstreamHandler, UpstreamRequest } from '../upstream.js'
import { codedError, networkCode } from '../upstream-error.js'

export interface NodeUpstreamOptions {
  clock: Pick<Clock, 'after'>
  /** Trusted instead of Node's own list, PEM. */
  ca?: readonly string[] | undefined
  /** The only family of addresses to connect to; without it both, first the one that answers. */
  family?: 4 | undefined
  /**
   * Tells whether a request may be sent a second time when its connection broke before anything was
   * answered. Nobody knows then whether the first one arrived.
   */
  isRetrySafe?: ((request: UpstreamRequest) => boolean) | undefined
}

/** What the calls to one target share. */
interface NodeConnections extends NodeUpstreamOptions {
  readonly url: URL
  /** The URL as Node's client wants it, so that it need not be taken apart for each request. */
  readonly place: Pick<RequestOptions, 'protocol' | 'hostname' | 'port' | 'path' | 'auth'>
  readonly request: typeof httpRequest
  agent: Agent
  /** 4 once IPv6 led nowhere. */
  family: 4 | undefined
  readonly running: Set<NodeCall>
}

/** Connections without a hint of the server are dropped after this time. */
const IDLE_MS = 25_000

const ATTEMPT_MS = 1_000

/** An import would read every export of the module, and from Node 22 on one of those loads undici. */
const load = createRequire(import.meta.url)

/**
 * Opens the connections to a target on `node:http`, which starts in a fraction of the time that a
 * faster client needs: the right choice for a process that serves one program. It can be used again
 * after `close`.
 */
export function createNodeUpstream(url: URL, options: NodeUpstreamOptions): Upstream {
  const node: Pick<typeof import('node:http'), 'Agent' | 'request'> = load(
    url.protocol === 'https:' ? 'node:https' : 'node:http',
  )
  const newAgent = () =>
    new node.Agent({
      keepAlive: true,
      scheduling: 'lifo',
      timeout: IDLE_MS,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
    })
  const { protocol, hostname, port, path, auth } = urlToHttpOptions(url)
  const connections: NodeConnections = {
    ...options,
    url,
    place: { protocol, hostname, port, path, auth },
    request: node.request,
    agent: newAgent(),
    family: options.family,
    running: new Set(),
  }
  return {
    send(request, handler) {
      new NodeCall(connections, request, handler).start()
    },
    async close() {
      connections.agent.destroy()
      connections.agent = newAgent()
      for (const call of [...connections.running]) call.cut('ECONNRESET')
    },
  }
}

const CONNECT_MS = 10_000

/** Where nothing was connected, the other family of addresses may lead further. */
const NO_WAY = new Set(['ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'])

const BROKEN = new Set(['ECONNRESET', 'EPIPE'])

/** One request on `node:http`, told in undici's terms. */
class NodeCall implements UpstreamController {
  readonly #connections: NodeConnections
  readonly #request: UpstreamRequest
  readonly #handler: UpstreamHandler
  #sent: ClientRequest | undefined
  #response: IncomingMessage | undefined
  #connected = false
  #repeated = false
  #over = false
  #isPaused = false
  #reason: Error | null = null
  #cancelTimer = () => {}

  constructor(connections: NodeConnections, request: UpstreamRequest, handler: UpstreamHandler) {
    this.#connections = connections
    this.#request = request
    this.#handler = handler
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get paused(): boolean {
    return this.#isPaused
  }

  get reason(): Error | null {
    return this.#reason
  }

  start(): void {
    this.#connections.running.add(this)
    this.#handler.onRequestStart?.(this, {})
    if (!this.#over) this.#open()
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#finish()
    this.#sent?.destroy()
  }

  pause(): void {
    this.#isPaused = true
    this.#response?.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#response?.resume()
  }

  /** Fails the request with this code, and breaks its connection. */
  cut(code: string): void {
    this.#fail(codedError(code))
    this.#sent?.destroy()
  }

  #open(): void {
    const { place, request, agent, ca, family } = this.#connections
    const { method, headers, body, path } = this.#request
    let sent: ClientRequest
    try {
      sent = request({
        ...place,
        ...(path !== undefined && { path }),
        method,
        headers: toFields(headers, body),
        // a second try must not get a connection that is just as dead
        agent: this.#repeated ? false : agent,
        ...(ca !== undefined && { ca: [...ca] }),
        ...(family !== undefined && { family }),
      })
    } catch (error) {
      return this.#fail(error as Error)
    }
    this.#sent = sent
    this.#connected = false
    sent.on('socket', (socket) => this.#watchConnecting(sent, socket))
    sent.on('response', (response) => this.#onResponse(response))
    sent.on('error', (error) => {
      if (sent === this.#sent) this.#onBroken(sent, error)
    })
    if (body === undefined) sent.end()
    else sent.end(body)
  }

  #watchConnecting(sent: ClientRequest, socket: Socket): void {
    if (!socket.connecting) return this.#onConnected()
    this.#startTimer(CONNECT_MS, () => sent.destroy(codedError('ETIMEDOUT')))
    const secure = this.#connections.url.protocol === 'https:'
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      if (sent === this.#sent) this.#onConnected()
    })
  }

  #onConnected(): void {
    this.#connected = true
    this.#startTimer(this.#request.headersTimeout, () => this.cut('UND_ERR_HEADERS_TIMEOUT'))
  }

  #onBroken(sent: ClientRequest, error: Error): void {
    if (this.#over) return
    const code = networkCode(error) ?? ''
    const { url, isRetrySafe } = this.#connections
    const isName = isIP(url.hostname.replace(/[[\]]/g, '')) === 0
    const mayTryV4 = isName && this.#connections.family === undefined
    if (!this.#connected && NO_WAY.has(code) && mayTryV4) {
      this.#connections.family = 4
      return this.#open()
    }
    const isStale = sent.reusedSocket && BROKEN.has(code) && this.#response === undefined
    if (isStale && !this.#repeated && isRetrySafe?.(this.#request)) {
      this.#repeated = true
      return this.#open()
    }
    this.#fail(error)
  }

  #onResponse(response: IncomingMessage): void {
    if (this.#over) return
    this.#response = response
    this.#startTimer(0, () => {})
    response.on('data', (chunk: Buffer) => {
      if (this.#over) return
      this.#watchBody()
      this.#handler.onResponseData?.(this, chunk)
    })
    response.on('end', () => {
      if (this.#over || !response.complete) return
      this.#finish()
      this.#handler.onResponseEnd?.(this, {})
    })
    response.on('error', (error) => this.#fail(error))
    response.on('close', () => {
      if (!this.#over) this.#fail(codedError('ECONNRESET'))
    })
    this.#watchBody()
    const { statusCode = 0, headers, statusMessage } = response
    this.#handler.onResponseStart?.(this, statusCode, headers, statusMessage)
    if (this.#isPaused) response.pause()
  }

  #watchBody(): void {
    this.#startTimer(this.#request.bodyTimeout, () => this.cut('UND_ERR_BODY_TIMEOUT'))
  }

  /** There is one timer at a time; 0 waits for ever. */
  #startTimer(ms: number, callback: () => void): void {
    this.#cancelTimer()
    this.#cancelTimer =
      ms > 0 && !this.#over ? this.#connections.clock.after(ms, callback) : () => {}
  }

  #finish(): void {
    this.#over = true
    this.#cancelTimer()
    this.#connections.running.delete(this)
  }

  #fail(error: Error): void {
    if (this.#over) return
    this.#finish()
    this.#handler.onResponseError?.(this, error)
  }
}

function toFields(headers: readonly string[], body: string | Buffer | undefined) {
  const fields: Record<string, string | number> = {}
  for (let i = 0; i < headers.length; i += 2) {
    setMember(fields, headers[i] as string, headers[i + 1] as string)
  }
  if (body !== undefined) fields['content-length'] = Buffer.byteLength(body)
  return fields
}
